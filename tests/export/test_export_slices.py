"""Where slices and blocks end depends on the records alone, never on how they came."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.engine.errors import StartRefused
from flows.exporting.places import Place, Start, start_of
from flows.exporting.slices import Block, Limits, Rows, Slicer

LIMITS = Limits(block_rows=4, block_bytes=30, slice_rows=11, slice_bytes=70)


def rows(sizes: list[int], first: int = 0, step: int = 1) -> Rows:
    count = len(sizes)
    return Rows(
        offsets=[first + i * step for i in range(count)],
        timestamps_ms=list(range(count)),
        keys=[None] * count,
        headers=[None] * count,
        values=[bytes(size) if size else None for size in sizes],
    )


def cut(sizes: list[int], batches: list[int]) -> list[Block]:
    """The blocks of these records, given in batches of these lengths and the rest."""
    slicer, whole, blocks, at = Slicer(LIMITS), rows(sizes), [], 0
    for length in [*batches, len(sizes)]:
        part = whole.part(at, at + length)
        at += length
        if len(part):
            blocks += slicer.push(part)
    last = slicer.finish()
    assert slicer.finish() is None
    return [*blocks, *([] if last is None else [last])]


SIZES = st.lists(st.integers(0, 40), max_size=60)


@given(SIZES, st.lists(st.integers(1, 9)))
def test_the_cuts_are_the_same_whichever_way_the_records_come(
    sizes: list[int], batches: list[int]
) -> None:
    assert cut(sizes, batches) == cut(sizes, [])


@given(SIZES)
def test_blocks_hold_every_record_in_order_and_slices_tile_their_offsets(sizes: list[int]) -> None:
    blocks = cut(sizes, [])
    assert [offset for block in blocks for offset in block.rows.offsets] == list(range(len(sizes)))
    closed = [(block.first, block.last) for block in blocks if block.last is not None]
    assert [first for first, _ in closed] == [0, *(last + 1 for _, last in closed)][: len(closed)]
    if sizes:
        assert blocks[-1].last == len(sizes) - 1
    for block, after in pairwise(blocks):
        assert after.first == (block.first if block.last is None else block.last + 1)


@given(SIZES)
def test_a_block_and_a_slice_end_with_the_record_that_reaches_a_limit(sizes: list[int]) -> None:
    in_slice: list[int] = []
    for block in cut(sizes, []):
        own = block.rows.sizes()
        in_slice += own
        assert len(own) <= LIMITS.block_rows
        assert sum(own[:-1]) < LIMITS.block_bytes
        assert sum(in_slice[:-1]) < LIMITS.slice_bytes
        assert len(in_slice) <= LIMITS.slice_rows
        if block.last is not None:
            in_slice = []


def test_a_compacted_log_keeps_its_holes() -> None:
    slicer = Slicer(Limits(slice_rows=2))
    (block,) = slicer.push(rows([1, 1], first=10, step=7))
    assert (block.first, block.last) == (10, 17)
    assert list(slicer.push(rows([1], first=100))) == []
    rest = slicer.finish()
    assert rest is not None
    assert (rest.first, rest.last) == (100, 100)


TAPE, RAW = Place("tape", 0, "x.tape"), Place("raw.market", 3, "x.raw.market")


@pytest.mark.parametrize(
    ("place", "resumed", "low", "end", "start"),
    [
        (TAPE, None, 0, 0, Start(0, 0)),
        (TAPE, None, 0, 9, Start(0, 0)),
        (TAPE, 5, 0, 9, Start(5, 0)),
        (TAPE, 9, 9, 9, Start(9, 0)),
        (TAPE, None, 4, 9, Start(4, 4)),
        (RAW, None, 4, 9, Start(4, 0)),
        (RAW, 2, 4, 9, Start(4, 2)),
        (RAW, 4, 4, 9, Start(4, 0)),
    ],
)
def test_an_export_goes_on_where_the_last_one_ended(
    place: Place, resumed: int | None, low: int, end: int, start: Start
) -> None:
    assert start_of(place, resumed, low=low, end=end) == start


@pytest.mark.parametrize(
    ("place", "resumed", "low", "end", "words"),
    [
        (TAPE, 3, 4, 9, "1 records were removed before they were exported"),
        (TAPE, 10, 0, 9, "x.tape/0, which ends at 9"),
        (RAW, 10, 0, 9, "x.raw.market/3, which ends at 9"),
    ],
)
def test_a_log_that_does_not_fit_the_archive_is_refused_by_name(
    place: Place, resumed: int, low: int, end: int, words: str
) -> None:
    with pytest.raises(StartRefused, match=words):
        start_of(place, resumed, low=low, end=end)
