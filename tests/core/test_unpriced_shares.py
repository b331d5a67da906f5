"""Shares that reports found have no price: caps count them at the most, results never."""

from typing import Any

from flows.core.positions import Fill, Position
from schemas.records import journal
from tests.core.tape import MARKET, UP, micro
from tests.core.test_foreign_shares import by_hand, opened
from tests.core.world import World


def found(shares: str, **changes: Any) -> World:
    """Three reports agree on shares that no feed told of."""
    world = World().begin(**changes)
    for _ in range(4):
        world.wait(3_000)
        world.report({UP: shares})
    world.wait(2_000)
    assert world.held() == micro(shares)
    return world


def test_what_reports_found_fills_a_cap_at_one_dollar_a_share_and_the_numbers_say_so() -> None:
    world = found("60", cap_account_usd_micro=micro("55"))
    world.fills("500")
    world.wait(2_000)
    held = world.of(journal.OrderHeld)[-1]
    assert held.reason == "bound_cap_account"
    assert held.numbers["unpriced_usd_micro"] == micro("60")
    assert not world.requests()
    assert world.account().positions[UP].sums.cost_micro == 0


def test_what_was_held_before_the_tape_fills_no_cap() -> None:
    world = opened("60", cap_account_usd_micro=micro("55"))
    world.fills("500")
    world.wait(2_000)
    assert world.requests()[0].side == "BUY"


def test_a_fill_that_is_told_after_all_brings_its_own_price() -> None:
    position = Position(MARKET)
    position.correct(micro("50"), opening=False, coming_micro=0)
    assert position.unpriced_usd_micro == micro("50")
    position.book("T1", Fill("0xo", "BUY", micro("50"), micro("20"), 0, 0, "MATCHED"))
    position.correct(-micro("50"), opening=False, coming_micro=0)
    assert (position.unpriced_usd_micro, position.invested_micro) == (0, micro("20"))


def test_what_an_order_in_flight_missed_is_reserved_already_and_counts_once() -> None:
    position = Position(MARKET)
    position.correct(micro("50"), opening=False, coming_micro=micro("50"))
    assert position.unpriced_usd_micro == 0
    position.owned.concluded(position.shares_micro)
    assert position.unpriced_usd_micro == micro("50")


def bought_among(foreign: str, *steps: tuple[str, str]) -> World:
    """50 shares of ours for 20 USD among foreign ones; steps are trades by hand."""
    world = opened(foreign)
    for side, shares in steps:
        by_hand(world, side, shares)
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    return world


def test_foreign_shares_sold_by_hand_take_nothing_out_of_what_ours_cost() -> None:
    for world in (bought_among("100"), bought_among("100", ("SELL", "60"))):
        if world.held() > micro("100"):
            by_hand(world, "SELL", "60")
        sums = world.account().positions[UP].sums
        assert (world.held(), sums.cost_micro) == (micro("90"), micro("20"))
        by_hand(world, "SELL", "65")
        sums = world.account().positions[UP].sums
        assert (world.held(), sums.cost_micro) == (micro("25"), micro("10"))


def test_our_sale_takes_our_cost_though_foreign_shares_were_sold_first() -> None:
    world = bought_among("100", ("SELL", "60"))
    world.fills("100", side="SELL", tx="0xsold")
    world.wait(2_000)
    world.trade_all()
    assert world.requests()[-1].shares_micro == micro("10")
    assert world.account().positions[UP].sums.cost_micro == micro("16")


def test_a_sale_told_before_its_buy_leaves_no_cost_behind() -> None:
    position = Position(MARKET)
    position.book("b", Fill("0xo", "SELL", micro("50"), micro("25"), 0, 0, "MATCHED"))
    position.book("a", Fill("0xo", "BUY", micro("50"), micro("20"), 0, 0, "MATCHED"))
    sums = position.sums
    assert (sums.shares_micro, sums.cost_micro, sums.realised_micro) == (0, 0, micro("5"))
