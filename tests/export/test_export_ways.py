"""Columns read many at once are those that the codec gives, and doubt is left to the codec."""

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flows.exporting import levels as levels_read
from flows.exporting import plain
from flows.exporting.columns import UNFIT
from flows.exporting.levels import levels
from flows.exporting.plain import WORTH_ROWS, plain_columns, plan_of
from flows.exporting.slices import Rows
from flows.exporting.tables import tables_of
from schemas import codec
from schemas.records.base import Condition, Group, Token, Wallet
from schemas.records.leader import LeaderFills
from schemas.records.market import BookEpoch

PLAIN = ["BookEpoch", "LeaderFills", "OrderExpired", "ConnectorStarted"]
GOOD = [
    codec.encode(BookEpoch(token=Token(f"{i}"), epoch=f"e.{i}", state="live", reason="snapshot"))
    for i in range(WORTH_ROWS)
]
INT64 = st.integers(-(2**63), 2**63 - 1)
ODD = st.sampled_from(
    [
        b"[[[1,2],3,4],[5,6]]",
        b"[[[1,2]],[3,4]]",
        b"[1,2]",
        b"null",
        b"[[]]",
        b"[[],[1,2]]",
        b"[[1, 2] ,[3,4]]",
        b"[[1,2],[3]]",
        b"[[1,2,3]]",
        b'[["a],[b",2]]',
        b"[[1,2.5]]",
        b"[[1,1e3]]",
        b"[[1,true]]",
        b"[[1,9223372036854775808]]",
        b'[{"a":1}]',
    ]
)
SIDES = st.lists(st.tuples(INT64, INT64), max_size=4).map(msgspec.json.encode)


def found(topic: str, values: list[bytes], header: str | None) -> dict[tuple[str, str], pa.Table]:
    """Tables by kind and day without their headers, which here only say what to try."""
    count = len(values)
    tables = tables_of(
        topic,
        0,
        Rows(
            offsets=list(range(count)),
            timestamps_ms=[0] * count,
            keys=[None] * count,
            headers=[[("kind", header.encode())] if header else None] * count,
            values=list(values),
        ),
    )
    return {place: table.drop_columns("headers") for place, table in tables.items()}


def at_once(kind: str, values: list[bytes]) -> list[pa.Array] | None:
    return plain_columns(kind, list(values), pa.array(values))


def test_kinds_of_text_and_numbers_alone_are_read_at_once() -> None:
    assert all(plan_of(kind) is not None for kind in PLAIN)
    for kind in ("Depth", "Tick", "OrderAnswered", "no such kind"):
        assert plan_of(kind) is None, f"{kind} holds more than text and numbers"
    assert at_once("BookEpoch", GOOD) is not None


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        GOOD[0].replace(b"snapshot", b"snap,shot"),
        GOOD[0].replace(b"snapshot", b"snap\rshot"),
        GOOD[0] + b"\r" + GOOD[1],
        b"\r",
        GOOD[0].replace(b"e.0", b"").replace(b"snapshot", b'snap""shot'),
        GOOD[0].replace(b'"e.0"', b'"').replace(b'"snapshot"', b'"snapshot""'),
        b"{}",
        b"null",
        GOOD[0] + GOOD[1],
        GOOD[0][:-1],
        GOOD[0].replace(b"live", b"lively"),
        GOOD[0].replace(b'"live"', b"null"),
        GOOD[0].replace(b'"live"', b"1"),
        GOOD[0].replace(b'"v":1', b'"v":2'),
        GOOD[0].replace(b'"v":1', b'"v":"1"'),
        GOOD[0].replace(b'"v":1', b'"v":1.0'),
        GOOD[0].replace(b'"v":1', b'"v":1,"v":1'),
        GOOD[0].replace(b',"v":1', b""),
        GOOD[0].replace(b"BookEpoch", b"OrderExpired"),
        GOOD[0].replace(b"snapshot", b"snap\\u0073hot"),
        GOOD[0].replace(b"snapshot", "Schnappschuß".encode()),
        GOOD[0].replace(b"snapshot", b"\xff"),
        GOOD[0].replace(b"snapshot", b"snap\nshot"),
        GOOD[0].replace(b"snapshot", b"snap\x01shot"),
        GOOD[0].replace(b"}", b',"more":[{}]}'),
        GOOD[0].replace(b"}", b"\n}"),
        GOOD[0].replace(b'"token":"0"', b'"token":0'),
        b" " + GOOD[0],
        GOOD[0] + b" ",
    ],
)
def test_what_the_codec_would_not_write_so_is_left_to_the_codec(bad: bytes) -> None:
    values = [*GOOD[:5], bad, *GOOD[6:]]
    assert at_once("BookEpoch", values) is None
    assert found("tape", values, "BookEpoch") == found("tape", values, None)


@pytest.mark.parametrize("read_bytes", [200, 1_000])
def test_what_is_read_in_several_goes_is_what_the_codec_gives(
    monkeypatch: pytest.MonkeyPatch, read_bytes: int
) -> None:
    """Lines and levels lie across their borders; 1,000 hold some lines of these, 200 one."""
    monkeypatch.setattr(plain, "READ_BYTES", read_bytes)
    sides = [msgspec.Raw(msgspec.json.encode([[i, n] for n in range(9)])) for i in range(99)]
    whole = levels_read.levels(sides)
    monkeypatch.setattr(levels_read, "READ_BYTES", read_bytes)
    assert levels_read.levels(sides) == whole
    values = GOOD * 5
    assert at_once("BookEpoch", values) is not None
    assert found("tape", values, "BookEpoch") == found("tape", values, None)


def test_a_record_longer_than_is_read_at_once_is_left_to_the_codec(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plain, "READ_BYTES", 50)
    assert at_once("BookEpoch", GOOD) is None
    assert found("tape", GOOD, "BookEpoch") == found("tape", GOOD, None)


def test_two_half_records_are_not_taken_for_two_whole_ones() -> None:
    """The sum of what is found would be right."""
    first, second = GOOD[0].split(b',"epoch"')
    values = [first, b',"epoch"' + second, GOOD[1] + GOOD[2], *GOOD[3:]]
    assert at_once("BookEpoch", values) is None
    assert found("tape", values, "BookEpoch") == found("tape", values, None)


@settings(max_examples=60)
@given(
    at=st.integers(0, WORTH_ROWS - 1),
    place=st.integers(0, len(GOOD[0])),
    cut=st.integers(0, 3),
    put=st.binary(max_size=3) | st.sampled_from([b'"', b",", b"{", b"}", b"0", b"\\", b":", b"\n"]),
)
def test_records_with_any_bytes_put_in_or_cut_out_are_read_as_the_codec_reads_them(
    at: int, place: int, cut: int, put: bytes
) -> None:
    spoilt = GOOD[at][:place] + put + GOOD[at][place + cut :]
    values = [*GOOD[:at], spoilt, *GOOD[at + 1 :]]
    assert found("tape", values, "BookEpoch") == found("tape", values, None)


@settings(max_examples=40)
@given(st.lists(INT64, min_size=1, max_size=3), st.booleans())
def test_numbers_of_64_bits_are_read_as_the_codec_reads_them(
    numbers: list[int], more: bool
) -> None:
    template = LeaderFills(
        source="feed",
        instance="i",
        leader=Wallet("0x1"),
        group=Group("g"),
        tx="0x2",
        token=Token("3"),
        condition=Condition("0x4"),
        side="BUY",
        rows=1,
        shares_micro=0,
        cash_micro=0,
        venue_ms=7,
        recv_ns=8,
    )
    values = [
        codec.encode(
            msgspec.structs.replace(template, shares_micro=n, cash_micro=-n if n else 2**63 * more)
        )
        for n in [*numbers, *[0] * WORTH_ROWS]
    ]
    fits = not more and -(2**63) not in numbers
    assert (at_once("LeaderFills", values) is not None) == fits
    assert found("tape", values, "LeaderFills") == found("tape", values, None)


@given(st.lists(SIDES | ODD, max_size=6))
@example([b"[]"])
@example([b"[]", b"[[1,2]]"])
@example([b"[[1,2],[3,4]]"] * 3)
def test_levels_read_together_are_those_that_the_codec_reads(sides: list[bytes]) -> None:
    def by_codec() -> list[list[tuple[int, int]]] | None:
        try:
            each = [codec.decode_levels(msgspec.Raw(side)) for side in sides]
            pa.array([n for side in each for level in side for n in level], pa.int64())
        except UNFIT:
            return None
        return each

    def together() -> list[list[tuple[int, int]]] | None:
        try:
            column = levels([msgspec.Raw(side) for side in sides])
        except UNFIT:
            return None
        micro = 1_000_000
        return [
            [(int(pair["price"] * micro), int(pair["shares"] * micro)) for pair in side]
            for side in column.to_pylist()
        ]

    assert together() == by_codec()
