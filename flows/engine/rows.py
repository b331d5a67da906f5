"""The two rows that cross the seam: what a source gives and what a sink takes. No I/O."""

from typing import NamedTuple

import msgspec

NUMBER_HEADER = "n"
"""Kafka header that carries a record's number, in decimal digits."""


class TapeRow(msgspec.Struct, frozen=True, gc=False):
    """One record of the tape: its offset is its sequence, its value is not decoded."""

    offset: int
    value: bytes


class OutRow(NamedTuple):
    """One record of a numbered topic. Numbers count from 0 in each partition, without holes."""

    number: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Standing(NamedTuple):
    """A numbered record as it was read back, and the offset where it stands."""

    offset: int
    row: OutRow


def difference(ours: OutRow, theirs: OutRow) -> str | None:
    """Where two records of the same number first differ, quoted from both; None if nowhere."""
    parts = (
        ("key", ours.key, theirs.key),
        ("value", ours.value, theirs.value),
        ("headers", repr(ours.headers).encode(), repr(theirs.headers).encode()),
    )
    for name, mine, other in parts:
        if mine != other:
            return _first_byte(name, mine, other)
    return None


def _first_byte(part: str, mine: bytes | None, other: bytes | None) -> str:
    if mine is None or other is None:
        return f"{part}: {mine!r} against {other!r}"
    pairs = enumerate(zip(mine, other, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(mine), len(other)))
    around = slice(max(0, at - 20), at + 20)
    return f"{part} byte {at}: ...{mine[around]!r} against ...{other[around]!r}"
