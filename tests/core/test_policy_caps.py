"""Caps of the policy and the cash there is, as they bind in a world."""

from typing import Any

import pytest

from flows.core.positions import Fill, Position
from flows.core.sizing import Terms
from flows.core.slippage import Fee
from schemas.policy import LeaderPolicy
from schemas.units import MICRO
from tests.core.tape import LEADER, OTHER, UP, micro
from tests.core.world import World

TERMS = Terms(
    tick_micro=10_000,
    min_shares_micro=micro("5"),
    min_order_usd_micro=micro("1"),
    slippage_micro=micro("0.02"),
    depth_share_micro=MICRO,
    fee=Fee(70_000, 1),
)


def biting(world: World) -> str:
    """The bound of the first order."""
    world.wait(2_000)
    return world.requests()[0].bound


@pytest.mark.parametrize(
    ("bound", "changes"),
    [
        ("cap_trade", {"cap_trade_usd_micro": micro("10.7")}),
        ("cap_market", {"cap_market_usd_micro": micro("10.7")}),
        ("cap_account", {"cap_account_usd_micro": micro("10.7")}),
        (
            f"cap_leader:{LEADER}",
            {"leaders": (LeaderPolicy(wallet=LEADER, cap_usd_micro=micro("10.7")),)},
        ),
    ],
)
def test_each_cap_of_the_policy_bites(started, bound: str, changes: Any) -> None:
    world = started(**changes)
    world.fills("500")
    assert biting(world) == bound
    (order,) = world.requests()
    assert (order.shares_micro, order.budget_micro) == (micro("25"), micro("10"))


def test_cash_bites(started) -> None:
    world = started()
    world.balance("10.7")
    world.fills("500")
    assert biting(world) == "cash"


def test_what_was_spent_since_the_balance_was_asked_is_not_there_twice(started) -> None:
    """The answer may be older than the fill that comes between question and answer."""
    world = started()
    world.fills("500")
    world.wait(2_000)
    report = world.asked("balance")
    world.trade_all()
    world.balance("30", report=report)
    fee = world.account().positions["1001"].sums.fees_micro
    assert world.account().available_cash_micro() == micro("10") - fee
    world.balance("9")
    assert world.account().available_cash_micro() == micro("9")


def test_an_answer_to_no_question_is_no_balance(started) -> None:
    world = started()
    world.balance("5", report="never-asked")
    assert world.account().available_cash_micro() == micro("1000")


def test_a_working_order_keeps_its_budget_and_fee_reserved_in_every_cap(started) -> None:
    """Both outcomes of one market are wanted; the first order's reservation leaves 4.30."""
    world = started(
        cap_market_usd_micro=micro("25.7"), leaders=(LeaderPolicy(wallet=LEADER, pairs="copy"),)
    )
    world.fills("500")
    world.wait(2_000)
    world.fills("500", "0.60", token="1002", tx="0xt2")
    world.wait(2_000)
    first, second = world.requests()
    assert (first.bound, first.budget_micro) == ("gap", micro("20"))
    assert second.bound == "cap_market"
    spent = first.budget_micro + second.budget_micro
    assert spent + spent * 7 // 100 <= micro("25.7")


def test_a_leaders_cap_binds_only_for_his_part(started) -> None:
    """A fifth of the target is his, so the order may cost five times what he has left."""
    world = started(
        leaders=(
            LeaderPolicy(wallet=LEADER, cap_usd_micro=micro("2.14")),
            LeaderPolicy(wallet=OTHER),
        )
    )
    world.fills("100")
    world.fills("400", wallet=OTHER)
    assert biting(world) == f"cap_leader:{LEADER}"
    (order,) = world.requests()
    assert order.budget_micro == micro("10")


def test_a_second_buy_stays_under_the_caps_with_what_the_first_cost(started) -> None:
    world = started(cap_market_usd_micro=micro("21.4"))
    for n in range(4):
        world.fills("400", tx=f"0x{n}")
        world.wait(2_000)
        world.trade_all()
    sums = world.account().positions["1001"].sums
    assert sums.cost_micro <= micro("21.4")
    assert world.hold() == "bound_cap_market"


def test_caps_hold_with_the_fees_that_were_paid(started) -> None:
    """Rules 2 held 99.74 USD of shares for 4.19 USD of fees under a cap of 100."""
    world = started(cap_market_usd_micro=micro("100"))
    for n in range(30):
        world.fills("300", tx=f"0x{n}")
        world.wait(2_000)
        world.trade_all()
        world.wait(600)
    sums = world.account().positions[UP].sums
    assert world.hold() == "bound_cap_market"
    assert micro("90") < sums.cost_micro + sums.fees_micro <= micro("100")


def test_fees_leave_the_caps_with_the_shares_they_were_paid_for() -> None:
    position = Position("0xc")
    position.book("a", Fill("o1", "BUY", micro("10"), micro("4"), 200_000, 0, "CONFIRMED"))
    position.book("b", Fill("o2", "SELL", micro("5"), micro("3"), 90_000, 0, "CONFIRMED"))
    assert position.invested_micro == micro("2.1")
    position.book("c", Fill("o3", "BUY", micro("5"), micro("2"), 100_000, 0, "MATCHED"))
    position.settle("c", "FAILED")
    assert position.invested_micro == micro("2.1")
    position.resolve(position.shares_micro, position.unsettled_cost_micro, micro("1"))
    assert position.invested_micro == 0


def test_what_waits_to_be_sold_still_counts_under_its_leaders_cap(started) -> None:
    """He sold, the market is closed, so our 20.84 USD stay; 4.16 of his 25 are left, not 25."""
    world = started(leaders=(LeaderPolicy(wallet=LEADER, cap_usd_micro=micro("25")),))
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    world.closed()
    world.fills("500", side="SELL", tx="0xs")
    world.wait(2_000)
    assert (world.target(), world.hold()) == (0, "market_closed")
    world.meta("2001")
    world.epoch("2001")
    world.depth([("0.39", "1000")], [("0.40", "1000")], token="2001")
    world.fills("1000", token="2001", tx="0xn")
    world.wait(2_000)
    assert [(r.token, r.budget_micro, r.bound) for r in world.requests()] == [
        (UP, micro("20"), "gap"),
        ("2001", micro("3.88"), f"cap_leader:{LEADER}"),
    ]


def test_an_exit_below_the_band_is_tried_and_ends_as_named_dust(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    first = world.requests()[0]
    world.signed(first)
    world.answered(first, shares="3", usd="1.2")
    world.own_fill(first, "3", status="CONFIRMED")
    world.expired(world.requests()[1])
    world.fills("500", side="SELL", tx="0xt2")
    world.wait(3_000)
    assert (world.held(), world.target()) == (micro("3"), 0)
    assert world.hold() == "dust"
    assert len(world.requests()) == 2
