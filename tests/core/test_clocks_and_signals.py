"""Doubt in connectors and leaders, and the age and price of what leaders did."""

from typing import Any

import pytest

from schemas.policy import LeaderPolicy
from schemas.records import journal, leader, own, system
from tests.core.steps import holding
from tests.core.tape import DOWN, LEADER, OTHER, UP, micro
from tests.core.world import World


def test_a_connector_that_starts_again_ends_what_it_held_live(started) -> None:
    """Its new instance must first prove a book of its own; a late Depth of the old one is void."""
    world = started()
    world.append(system.ConnectorStarted(producer="public", role="public"))
    world.depth([("0.39", "1000")], [("0.40", "1000")])
    world.fills("500")
    world.wait(2_000)
    assert world.hold() == "book_connector_restarted"
    world.epoch(n=7)
    world.depth([("0.39", "1000")], [("0.40", "1000")], n=7)
    assert len(world.requests()) == 1


def test_another_connectors_restart_ends_nothing(started) -> None:
    world = started()
    world.append(system.ConnectorStarted(producer="account", role="account"))
    world.fills("500")
    world.wait(2_000)
    assert len(world.requests()) == 1


def test_a_producer_that_stopped_ticking_does_not_hold_up_the_clock(started) -> None:
    world = started()
    world.append(system.Tick(producer="gone", seq=0, now_ms=world.now_ms, feeds={}))
    world.wait(10_000)
    world.fills("500")
    world.wait(2_000)
    assert len(world.requests()) == 1


def test_leader_incomplete_ends_by_a_report_that_agrees_and_not_by_time(started) -> None:
    world = started()
    world.append(leader.LeaderIncomplete(leader=LEADER, instance="a1", reason="conversion"))
    world.fills("500")
    world.wait(120_000)
    assert world.hold() == "leader_incomplete"
    world.report({UP: "400"}, subject=LEADER)
    world.wait(3_000)
    assert world.hold() == "leader_incomplete"
    world.report({UP: "500"}, subject=LEADER)
    world.wait(3_000)
    marks = [(e.complete, e.reason) for e in world.of(journal.LeaderMarked)]
    assert marks == [(False, "conversion"), (True, "report_agrees")]
    assert len(world.requests()) == 1


def test_a_report_asked_before_the_gap_in_his_record_ends_nothing(started) -> None:
    world = started()
    world.wait(5_000)
    name = world.asked("positions", LEADER)
    world.tick(100)
    world.append(leader.LeaderIncomplete(leader=LEADER, instance="a1", reason="conversion"))
    world.append(
        own.PositionsReport(
            report=name,
            subject=LEADER,
            wallet=LEADER,
            rows=(),
            complete=True,
            floor_micro=0,
            answered_ms=world.now_ms,
        )
    )
    world.wait(5_000)
    assert [e.complete for e in world.of(journal.LeaderMarked)] == [False]


def aged(price: str, **changes: Any) -> World:
    """A leader's buy that becomes known forty seconds after he made it, at another price."""
    world = World().begin(**changes)
    world.wait(60_000, step=1_000)
    world.fills("500", price, ago_ms=40_000)
    world.wait(2_000)
    return world


@pytest.mark.parametrize(
    ("price", "hold"), [("0.30", "signal_old"), ("0.38", None), ("0.40", None), ("0.60", None)]
)
def test_old_news_is_followed_only_at_a_price_like_his(price: str, hold: str | None) -> None:
    world = aged(price)
    assert world.hold() == hold
    assert len(world.requests()) == (hold is None)
    if hold:
        (held,) = world.of(journal.OrderHeld)
        assert held.numbers["worse_micro"] == micro("0.10")
        assert held.numbers["age_ms"] > 40_000


def test_of_several_leaders_the_newest_price_counts(started) -> None:
    """One bought at .30 a while ago, the other later at .39: both are old news by now."""
    world = started(leaders=(LeaderPolicy(wallet=LEADER), LeaderPolicy(wallet=OTHER)))
    world.epoch(state="ended", reason="echo_mismatch")
    world.fills("500", "0.30")
    world.wait(5_000)
    world.fills("500", "0.39", wallet=OTHER)
    world.wait(40_000)
    world.epoch(n=2)
    world.depth([("0.39", "1000")], [("0.40", "1000")], n=2)
    (order,) = world.requests()
    assert order.shares_micro == micro("100")
    assert order.signal_age_ms < 45_000


def test_news_is_followed_at_any_price(started) -> None:
    world = started()
    world.fills("500", "0.10")
    world.wait(2_000)
    assert len(world.requests()) == 1


def test_old_news_of_a_decrease_is_never_held() -> None:
    world = holding()
    world.wait(60_000, step=1_000)
    world.fills("500", "0.90", side="SELL", tx="0xt2", ago_ms=40_000)
    world.wait(2_000)
    assert world.requests()[-1].side == "SELL"


def test_selling_one_outcome_prices_the_other() -> None:
    """He split, and sold Down at 0.60: that is paying 0.40 for Up."""
    world = World().begin()
    world.move("SPLIT", {UP: "500", DOWN: "500"})
    world.wait(60_000, step=1_000)
    world.fills("500", "0.60", side="SELL", token=DOWN, ago_ms=40_000)
    world.wait(2_000)
    (order,) = world.requests()
    assert (order.token, world.hold()) == (UP, None)


def corrected(world: World, how: str) -> None:
    """A frame was told twice: REST lowers its total, or knows no such fill at all."""
    world.fills("200", "0.40", tx="0xu", rows=2)
    world.wait(2_000)
    if how == "lowered":
        world.fills("100", "0.40", tx="0xu", source="rest", instance="r1")
    else:
        world.wait(61_000)
        world.read("r1")
        world.read("r2")
    world.wait(2_000)


@pytest.mark.parametrize("how", ["lowered", "withdrawn"])
def test_a_total_that_is_taken_back_is_no_sale_and_prices_nothing(started, how: str) -> None:
    """He bought Down at 0.30 a minute ago; at 0.60 that is held, whatever happens to Up's record.

    Rules 2 took 100 Up fewer for a sale at 0.40, that for news of Down at 0.60, and bought it.
    """
    world = started()
    world.halt("token", DOWN)
    world.depth([("0.29", "1000")], [("0.30", "1000")], token=DOWN)
    world.fills("2000", "0.30", token=DOWN, tx="0xd")
    world.fills("2000", "0.30", token=DOWN, tx="0xd", source="rest", instance="r0")
    world.wait(60_000, step=300)
    world.depth([("0.59", "1000")], [("0.60", "1000")], token=DOWN)
    world.resume("token", DOWN)
    world.wait(2_000)
    assert world.hold(DOWN) == "signal_old"
    corrected(world, how)
    assert world.hold(DOWN) == "signal_old"
    assert world.requests() == []
    last = world.of(journal.NetDelta)[-1]
    assert (last.shares_micro < 0, last.sold_micro, last.cash_micro) == (True, 0, 0)


@pytest.mark.parametrize("move", ["SPLIT", "MERGE"])
def test_a_split_or_a_merge_is_no_price(move: str) -> None:
    """Its window says nothing of what he thinks an outcome is worth."""
    world = aged("0.30")
    world.fills("100", "0.60", token=DOWN, tx="0xd")
    world.wait(2_000)
    size = "100" if move == "SPLIT" else "-100"
    world.move(move, {UP: size, DOWN: size})
    world.wait(2_000)
    signal = world.state.plan.leaders[LEADER].signals[UP]
    assert signal.price_micro == micro("0.30")
    assert world.hold() == "signal_old"
    assert not world.requests()


def unseen(start: str) -> World:
    """A leader who holds what nobody saw him buy: by reports alone, since he was followed."""
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy(leaders=(LeaderPolicy(wallet=LEADER, start=start),))
    world.report({})
    world.report({UP: "1000"} if start == "converge" else {}, subject=LEADER)
    world.balance()
    world.wait(2_000)
    world.meta()
    world.epoch()
    world.depth([("0.39", "1000")], [("0.40", "1000")])
    for _ in range(3):
        world.report({UP: "1000"}, subject=LEADER)
        world.wait(3_000)
    return world


def test_a_holding_that_nobody_saw_him_buy_has_no_price() -> None:
    world = unseen("now")
    assert world.of(journal.PositionCorrected)
    assert (world.target(), world.hold()) == (micro("100"), "signal_unpriced")
    assert not world.requests()


def test_whoever_converges_buys_it_at_the_touch_within_the_slippage_budget() -> None:
    world = unseen("converge")
    (order,) = world.requests()
    assert (world.target(), order.shares_micro) == (micro("100"), micro("100"))
    assert (order.touch_micro, order.limit_micro) == (micro("0.40"), micro("0.42"))
    assert (order.signal_age_ms, order.signal_recv_ns) == (None, None)


def test_an_unpriced_part_of_a_target_is_held_although_another_follows_to_converge() -> None:
    """Both leaders hold it, one of them is followed from now on: his part has no price."""
    world = unseen("now")
    world.follow(OTHER, start="converge")
    for _ in range(3):
        world.report({UP: "500"}, subject=OTHER)
        world.wait(3_000)
    assert (world.target(), world.hold()) == (micro("150"), "signal_unpriced")
