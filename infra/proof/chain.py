"""The numbered, hash-chained journal: its records in turn, and the first link that does not hold.

A record counts when its number is the next one; what a woken, superseded flow repeated is passed
over. Each journal record carries the SHA-256 of the one before, so an altered, lost or inserted
record shows at the next one. The last record has no witness but the fold: `replay --check`.
"""

from collections.abc import Generator, Iterable
from typing import NamedTuple

from connectors.kafka.consumer import Row
from flows.engine.rows import NUMBER_HEADER, OutRow
from schemas import codec
from schemas.records.base import Record

REMEMBERED = 10_000
"""Hashes kept to tell a harmless repeat from another record of the same number."""


class ChainBroken(RuntimeError):
    """A link that does not hold. number and offset name the record at which it shows."""

    def __init__(self, reason: str, *, number: int, offset: int, expected: str, found: str) -> None:
        super().__init__(
            f"record {number} at offset {offset}: {reason}; expected {expected}, found {found}"
        )
        self.number = number
        self.offset = offset
        self.expected = expected
        self.found = found


class Link(NamedTuple):
    """One record of a numbered topic that counts."""

    offset: int
    envelope: codec.Envelope
    event: Record
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    @property
    def out(self) -> OutRow:
        """As a flow would write it again: the number's header is the sink's own."""
        headers = tuple(pair for pair in self.headers if pair[0] != NUMBER_HEADER)
        return OutRow(self.envelope.n, self.key, self.value, headers)


class Chain:
    """Walks one numbered topic. due: the next number; prev: the hash that it must carry, on the
    journal; repeats: records that were there already."""

    def __init__(self, topic: str) -> None:
        self.due = 0
        self.prev = ""
        self.repeats = 0
        self._ahead: tuple[int, int] | None = None
        self._chained = topic == "journal"
        self._hashes: dict[int, str] = {}

    def walk(self, batches: Iterable[list[Row]]) -> Generator[Link, None, None]:
        """The records that count, in order; raises ChainBroken."""
        for rows in batches:
            for row in rows:
                link = self._taken(row)
                if link is not None:
                    yield link
        if self._ahead is not None and self._ahead[0] >= self.due:
            raise ChainBroken(
                f"it is missing, though record {self._ahead[0]} stands there",
                number=self.due,
                offset=self._ahead[1],
                expected=f"number {self.due}",
                found="nothing",
            )

    def _taken(self, row: Row) -> Link | None:
        try:
            envelope, event = codec.unseal(row.value)
        except codec.UndecodableRecord as error:
            raise ChainBroken(
                "it cannot be read",
                number=self.due,
                offset=row.offset,
                expected="a record in its envelope",
                found=str(error),
            ) from error
        if envelope.n != self.due:
            self._out_of_turn(row, envelope)
            return None
        if self._chained and envelope.prev != self.prev:
            raise ChainBroken(
                f"it does not follow record {self.due - 1}, whose hash it must carry",
                number=envelope.n,
                offset=row.offset,
                expected=self.prev or "no hash",
                found=envelope.prev or "no hash",
            )
        self._remember(envelope.n, row)
        self.due += 1
        return Link(row.offset, envelope, event, row.key, row.value, tuple(row.headers.items()))

    def _out_of_turn(self, row: Row, envelope: codec.Envelope) -> None:
        if envelope.n > self.due:
            # Whoever wrote it did so before its turn; it is written again in its turn.
            if self._ahead is None or self._ahead[0] < envelope.n:
                self._ahead = (envelope.n, row.offset)
            return
        self.repeats += 1
        known, found = self._hashes.get(envelope.n), codec.chain_hash(row.value)
        if known is not None and known != found:
            raise ChainBroken(
                "it is a second record of its number, and another one",
                number=envelope.n,
                offset=row.offset,
                expected=known,
                found=found,
            )

    def _remember(self, number: int, row: Row) -> None:
        self.prev = codec.chain_hash(row.value)
        self._hashes[number] = self.prev
        if len(self._hashes) > REMEMBERED:
            del self._hashes[next(iter(self._hashes))]
