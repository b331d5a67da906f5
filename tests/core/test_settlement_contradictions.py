"""A fill that is said to have ended both ways: raised, held, and decided by reports alone."""

from typing import Any

import pytest

from schemas.records import journal
from tests.core.steps import alarms, holding
from tests.core.tape import UP, micro
from tests.core.world import World

NAME = "settlement_contradicted"


def contradicted(first: str, last: str, side: str = "BUY") -> World:
    """An order's only fill ended as `first`, and then as `last`, while nothing could be ordered."""
    world = World().begin() if side == "BUY" else holding()
    world.fills("500", **({"side": "SELL"} if side == "SELL" else {}))
    world.wait(2_000)
    order = world.requests()[-1]
    world.signed(order, "0xo9")
    world.answered(order, order="0xo9", shares="50", usd="20")
    fill: dict[str, Any] = {"trade": "T9", "order": "0xo9"}
    world.own_fill(order, "50", **fill)
    world.epoch(state="ended", reason="echo_mismatch")
    for status in (first, last):
        world.own_fill(order, "50", status=status, **fill)
    world.epoch(n=2)
    world.depth([("0.39", "1000")], [("0.40", "1000")], n=2)
    return world


@pytest.mark.parametrize(
    ("side", "first", "last", "held", "moves"),
    [
        ("BUY", "FAILED", "CONFIRMED", "0", "50"),
        ("BUY", "CONFIRMED", "FAILED", "50", "-50"),
        ("SELL", "FAILED", "CONFIRMED", "50", "-50"),
        ("SELL", "CONFIRMED", "FAILED", "0", "50"),
    ],
)
def test_a_second_end_is_raised_once_and_neither_obeyed_nor_dropped(
    side: str, first: str, last: str, held: str, moves: str
) -> None:
    world = contradicted(first, last, side)
    order = world.requests()[-1]
    for status in (last, first, last):
        world.own_fill(order, "50", status=status, trade="T9", order="0xo9")
    assert alarms(world) == [NAME]
    (alarm,) = world.of(journal.Alarm)
    assert (alarm.detail, alarm.numbers) == ("T9", {"shares_micro": micro(moves)})
    assert world.held() == micro(held)
    assert len(world.of(journal.FillSettled)) == (1 if side == "BUY" else 2)


def test_what_failed_and_was_then_confirmed_is_not_bought_again() -> None:
    world = contradicted("FAILED", "CONFIRMED")
    world.wait(20_000)
    assert world.hold() == NAME
    assert len(world.requests()) == 1


def test_reports_that_show_the_shares_correct_them_and_nothing_is_bought() -> None:
    world = contradicted("FAILED", "CONFIRMED")
    for _ in range(5):
        world.wait(3_000)
        world.report({UP: "50"})
    world.wait(3_000)
    assert world.held() == micro("50")
    assert world.hold() is None
    assert not world.account().audit.doubts
    assert len(world.requests()) == 1


def test_a_report_without_the_shares_lets_the_gap_be_bought() -> None:
    world = contradicted("FAILED", "CONFIRMED")
    world.wait(5_000)
    world.report({})
    world.wait(1_500)
    assert len(world.requests()) == 2


@pytest.mark.parametrize("asked", ["before the contradiction", "within the report's lag after it"])
def test_a_report_that_may_speak_of_before_the_contradiction_ends_nothing(asked: str) -> None:
    world = contradicted("FAILED", "CONFIRMED")
    if asked.startswith("within"):
        world.wait(1_000)
    world.report({})
    world.wait(1_500)
    assert world.hold() == NAME


def test_an_agreement_that_allows_the_other_word_too_ends_nothing() -> None:
    """50 shares came by hand in the report's stretch: 0 and 50 are both possible in it."""
    world = contradicted("CONFIRMED", "FAILED")
    world.wait(4_000)
    order = world.requests()[0]
    world.own_fill(order, "50", trade="hand", order="0xhand")
    world.report({UP: "100"})
    world.wait(1_500)
    assert world.account().audit.doubts
    world.own_fill(order, "50", status="CONFIRMED", trade="hand", order="0xhand")
    world.wait(4_000)
    world.report({UP: "100"})
    world.wait(1_500)
    assert not world.account().audit.doubts


@pytest.mark.parametrize("foreign", ["keep", "sell"])
def test_shares_that_may_not_be_there_are_not_sold(foreign: str) -> None:
    world = World().begin(foreign=foreign)
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    world.answered(order, shares="50", usd="20")
    for trade, status in (("T1", "CONFIRMED"), ("T2", "CONFIRMED"), ("T2", "FAILED")):
        world.own_fill(order, "25", trade=trade, status=status)
    world.fills("500", side="SELL", tx="0xsold")
    world.wait(2_000)
    sell = world.requests()[-1]
    assert (sell.side, sell.shares_micro, sell.bound) == ("SELL", micro("25"), "confirmed")


def test_an_increase_waits_though_shares_are_held() -> None:
    world = contradicted("CONFIRMED", "FAILED")
    world.fills("500", tx="0xmore")
    world.wait(2_000)
    assert world.hold() == NAME
    (held,) = [e for e in world.of(journal.OrderHeld) if e.reason == NAME]
    assert held.numbers["shares_micro"] == micro("50")


@pytest.mark.parametrize("first", ["FAILED", "CONFIRMED"])
def test_what_reports_decide_is_ours_whatever_else_the_account_holds(first: str) -> None:
    """Shares that are there after all may be sold; of those that are not, none."""
    last = "CONFIRMED" if first == "FAILED" else "FAILED"
    world = contradicted(first, last)
    order = world.requests()[0]
    for status in ("MATCHED", "CONFIRMED"):
        world.own_fill(order, "100", trade="hand", order="0xhand", status=status)
    world.wait(3_000)
    shown = "150" if first == "FAILED" else "100"
    for _ in range(6):
        world.report({UP: shown})
        world.wait(3_000)
    account = world.account()
    assert world.held() == micro(shown)
    ours = micro("50") if first == "FAILED" else 0
    position = account.positions[UP]
    assert (position.owned.ours_micro, position.owned.sellable_micro) == (ours, ours)
    assert (position.owned.regained_micro, position.owned.lost_micro) == (0, 0)
