"""Orders are taken by number: each once, repeats passed over, contradictions stop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.execution.feed import position_of
from connectors.execution.intake import Backlog, Intake, OrdersDiverged, Position
from connectors.kafka.offsets import Committed
from schemas.records.base import Intent


def test_the_next_number_is_taken_and_an_identical_repeat_passed_over() -> None:
    intake = Intake(0)
    taken = [intake.admit(n, b"%d" % n, "orders") for n in (0, 1, 0, 1, 2)]
    assert taken == [True, True, False, False, True]
    assert intake.repeats == 2


def test_a_repeat_with_other_bytes_stops_and_says_where() -> None:
    intake = Intake(5)
    intake.admit(5, b"a", "orders 0@9")
    with pytest.raises(OrdersDiverged, match=r"orders 0@10: number 5 stands twice"):
        intake.admit(5, b"b", "orders 0@10")


def test_a_hole_in_the_numbers_stops() -> None:
    with pytest.raises(OrdersDiverged, match=r"number 2 where 1 was due"):
        Intake(1).admit(2, b"x", "orders 0@3")


def test_a_zombies_repeats_from_before_the_start_are_passed_over() -> None:
    assert Intake(7).admit(3, b"old", "orders 0@40") is False


def test_the_position_stays_at_the_oldest_open_order() -> None:
    backlog = Backlog(Position(offset=0, n=0, tape=0))
    for k in range(3):
        backlog.add(Intent(f"main:{10 + k}:0"), offset=20 + k, n=k, cause=10 + k)
    assert backlog.position() == Position(offset=20, n=0, tape=10)
    backlog.finish(Intent("main:11:0"))
    assert backlog.position() == Position(offset=20, n=0, tape=10)
    backlog.finish(Intent("main:10:0"))
    assert backlog.position() == Position(offset=22, n=2, tape=12)
    backlog.finish(Intent("main:12:0"))
    assert backlog.position() == Position(offset=23, n=3, tape=12)


def test_one_intent_under_two_numbers_stops() -> None:
    backlog = Backlog(Position(offset=0, n=0, tape=0))
    backlog.add(Intent("main:1:0"), offset=0, n=0, cause=1)
    with pytest.raises(OrdersDiverged, match="two numbers"):
        backlog.add(Intent("main:1:0"), offset=1, n=1, cause=1)


@given(st.permutations(range(6)))
def test_whatever_order_they_end_in_nothing_open_is_ever_behind_the_position(
    ends: list[int],
) -> None:
    backlog = Backlog(Position(offset=0, n=0, tape=0))
    for k in range(6):
        backlog.add(Intent(f"main:{k}:0"), offset=k, n=k, cause=k)
    still = set(range(6))
    for k in ends:
        backlog.finish(Intent(f"main:{k}:0"))
        still.discard(k)
        assert backlog.position().n == min(still, default=6)
    assert len(backlog) == 0


@pytest.mark.parametrize(
    ("note", "begins"),
    [
        ('{"n":7,"tape":40,"tape_id":"mine"}', Position(offset=9, n=7, tape=40)),
        ('{"n":7,"tape":40,"tape_id":"other"}', Position(offset=0, n=0, tape=0)),
        ('{"n":7,"tape":40}', Position(offset=0, n=0, tape=0)),
        ("", Position(offset=0, n=0, tape=0)),
    ],
)
def test_a_position_of_another_tape_or_of_none_is_begun_from_the_beginning(
    note: str, begins: Position
) -> None:
    """Topics made anew under the same names keep the group's position: it would skip orders."""
    assert position_of(Committed(9, note), "mine") == begins


def test_a_group_without_a_position_begins_at_the_beginning() -> None:
    assert position_of(None, "mine") == Position(offset=0, n=0, tape=0)
