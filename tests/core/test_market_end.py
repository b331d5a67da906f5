"""A market ends inside the model: closed is a hold, payouts settle each token once."""

from typing import Any

import pytest

from schemas.policy import LeaderPolicy
from schemas.records import journal
from schemas.records.summary import PositionLine, Summary
from tests.core.tape import DOWN, LEADER, MARKET, UP, micro
from tests.core.world import World


def holding(**changes: Any) -> World:
    """We hold 50 Up for 20 USD, confirmed."""
    world = World().begin(**changes)
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    return world


def summary(world: World) -> Summary:
    world.wait(11_000)
    return world.of(Summary)[-1]


def line(world: World, token: str = UP) -> PositionLine:
    return next(p for p in summary(world).positions if p.token == token)


def settled(world: World) -> list[tuple[int, int, int]]:
    return [
        (e.shares_micro, e.payout_micro, e.cost_micro) for e in world.of(journal.PositionSettled)
    ]


def test_closed_is_a_hold_and_settles_nothing() -> None:
    world = holding()
    world.closed()
    world.fills("500", tx="0xt2")
    world.wait(2_000)
    assert world.hold() == "market_closed"
    assert world.target() == micro("100")
    assert not settled(world)


@pytest.mark.parametrize(
    ("up", "result"), [("1", "30"), ("0", "-20"), ("0.5", "5"), ("0.333333", "-3.33335")]
)
def test_payouts_value_the_position_once(up: str, result: str) -> None:
    world = holding()
    for _ in range(3):
        world.resolved(up)
    assert settled(world) == [(micro("50"), micro(up), micro("20"))]
    account = world.account()
    assert account.held_micro(UP) == 0
    assert account.invested()[UP] == 0
    assert account.positions[UP].settled_result_micro == micro(result)
    (total,) = summary(world).accounts
    assert (total.realised_micro, total.invested_micro) == (micro(result), 0)


def test_a_resolved_token_is_listed_with_its_payout() -> None:
    world = holding()
    world.resolved()
    assert UP not in world.state.plan.markets.epochs
    found = line(world)
    assert (found.settled_micro, found.payout_micro) == (micro("50"), micro("1"))
    assert (found.target_micro, found.position_micro, found.hold) == (0, 0, None)


def test_after_the_end_there_is_no_target_no_gap_and_no_order() -> None:
    world = holding()
    world.resolved()
    world.fills("900", tx="0xt2")
    world.fills("300", tx="0xt3", side="SELL")
    world.wait(5_000)
    assert len(world.requests()) == 1
    assert world.hold() is None
    assert not [row for row in summary(world).leaders if row.token in (UP, DOWN)]


def test_a_hold_ends_with_its_market() -> None:
    """Both with a position (it is settled) and without one (there is nothing to settle)."""
    world = holding(leaders=(LeaderPolicy(wallet=LEADER, pairs="copy"),))
    world.closed()
    world.fills("500", tx="0xt2")
    world.fills("500", "0.60", tx="0xt3", token=DOWN)
    world.wait(2_000)
    assert (world.hold(UP), world.hold(DOWN)) == ("market_closed", "market_closed")
    world.resolved()
    world.wait(1_000)
    assert (world.hold(UP), world.hold(DOWN)) == (None, None)
    ended = [(e.token, e.reason) for e in world.of(journal.HoldEnded)]
    assert sorted(ended) == [(UP, "market_closed"), (DOWN, "market_closed")]


def test_a_fill_after_the_resolution_is_settled_with_its_own_cost() -> None:
    world = holding()
    world.fills("500", tx="0xt2")
    world.wait(2_000)
    order = world.working()[0]
    world.signed(order)
    world.resolved()
    world.own_fill(order, "10", "0.40", trade="late")
    assert settled(world) == [
        (micro("50"), micro("1"), micro("20")),
        (micro("10"), micro("1"), micro("4")),
    ]
    assert world.held() == 0
    assert world.account().positions[UP].settled_result_micro == micro("36")


def test_a_fill_that_fails_after_the_resolution_leaves_nothing_of_it() -> None:
    world = World().begin()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    trade = world.trade(order, confirm=False)
    world.resolved()
    world.own_fill(order, "50", trade=trade, order=f"0xo{order.intent}", status="FAILED")
    account = world.account()
    assert account.held_micro(UP) == 0
    position = account.positions[UP]
    assert (position.settled_micro, position.settled_result_micro) == (0, 0)
    assert account.cash.left_micro == micro("1000")
    assert [size for size, _, _ in settled(world)] == [micro("50"), micro("-50")]


def test_an_order_that_works_at_the_end_still_ends_by_its_own_proof() -> None:
    world = World().begin()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    world.resolved()
    world.wait(30_000, step=1_000)
    assert world.account().working
    world.answered(order, "refused", reason="market resolved", http_status=400)
    assert not world.account().working
    assert world.hold() is None
    assert len(world.requests()) == 1


def unknown_market(*ends: str) -> World:
    """The market's end becomes known before its metadata does."""
    world = World()
    world.tick()
    world.policy(leaders=(), foreign="sell")
    world.report({UP: "40"})
    world.balance()
    world.wait(2_000)
    for end in ends:
        world.closed() if end == "closed" else world.resolved()
    world.wait(1_000)
    world.meta()
    world.wait(1_000)
    return world


@pytest.mark.parametrize(
    "ends", [("resolved",), ("closed", "resolved"), ("resolved", "closed")], ids=" then ".join
)
def test_metadata_that_comes_after_the_resolution_settles_all_the_same(
    ends: tuple[str, ...],
) -> None:
    world = unknown_market(*ends)
    assert settled(world) == [(micro("40"), micro("1"), 0)]
    assert world.held() == 0
    assert world.hold() is None


def test_metadata_that_comes_after_the_closing_holds() -> None:
    world = unknown_market("closed")
    assert world.hold() == "market_closed"
    assert not settled(world)


def test_payouts_once_told_never_change() -> None:
    world = holding()
    world.resolved("1", "0")
    world.resolved("0", "1")
    assert settled(world) == [(micro("50"), micro("1"), micro("20"))]
    market = world.state.plan.markets.by_condition[MARKET]
    assert market.payouts == {UP: micro("1"), DOWN: 0}


def test_money_bound_in_a_market_is_free_when_it_ends() -> None:
    world = holding(cap_account_usd_micro=micro("25"))
    assert world.account().invested()[UP] == micro("20.84")
    world.resolved()
    assert sum(world.account().invested().values()) == 0


def test_a_leaders_redemption_after_the_end_moves_nothing_of_ours() -> None:
    world = holding()
    world.resolved()
    world.move("REDEEM", {UP: "-500"})
    world.wait(3_000)
    assert world.exposure() == 0
    assert len(world.requests()) == 1
    assert not world.of(journal.OrderHeld)
