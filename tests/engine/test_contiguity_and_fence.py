"""The two checks on the tape: offsets without holes, and nobody beyond his successor's start."""

import pytest

from flows.engine.contiguous import Contiguity
from flows.engine.errors import Superseded, TapeGap, TapeRepeat
from flows.engine.fence import Fence


def test_contiguous_offsets_are_admitted_and_counted() -> None:
    due = Contiguity(5)
    for offset in (5, 6, 7):
        due.admit(offset)
    assert due.next_offset == 8


@pytest.mark.parametrize(("offset", "error"), [(7, TapeGap), (4, TapeRepeat)])
def test_any_other_offset_stops_and_names_both(offset: int, error: type[Exception]) -> None:
    due = Contiguity(5)
    with pytest.raises(error, match=rf"offset {offset} came where 5 was due"):
        due.admit(offset)
    assert due.next_offset == 5


@pytest.mark.parametrize(
    ("offsets", "error", "named", "next_offset"),
    [
        ([5, 6, 7], None, 0, 8),
        ([], None, 0, 5),
        ([6, 7], TapeGap, 6, 5),
        ([5, 7], TapeGap, 7, 6),
        ([5, 6, 6], TapeRepeat, 6, 7),
        ([4, 5], TapeRepeat, 4, 5),
    ],
)
def test_a_batch_is_admitted_as_its_offsets_are_one_by_one(
    offsets: list[int], error: type[Exception] | None, named: int, next_offset: int
) -> None:
    due = Contiguity(5)
    if error is None:
        due.admit_all(offsets)
    else:
        with pytest.raises(error, match=rf"offset {named} came where"):
            due.admit_all(offsets)
    assert due.next_offset == next_offset


@pytest.mark.parametrize(
    ("offset", "rules", "stops"),
    [
        (40, 3, False),  # an earlier generation: the flow that ran before
        (50, 3, False),  # its own
        (51, 3, True),  # a successor
        (51, 2, True),  # a successor of an older release is one all the same
        (40, 4, True),  # newer rules than it knows, wherever they stand
    ],
)
def test_a_flow_stops_at_a_later_generation_and_at_newer_rules(
    offset: int, rules: int, stops: bool
) -> None:
    fence = Fence.writing(lambda: 50, rules=3)
    assert fence.begin() == 50
    if stops:
        with pytest.raises(Superseded, match=str(offset)):
            fence.check(offset, rules)
    else:
        fence.check(offset, rules)


def test_a_replay_appends_nothing_and_passes_every_generation_but_newer_rules() -> None:
    fence = Fence.read_only(rules=3)
    assert fence.begin() is None
    for offset in (0, 50, 51):
        fence.check(offset, 3)
    with pytest.raises(Superseded, match="rules 4 are in force since tape offset 60"):
        fence.check(60, 4)
