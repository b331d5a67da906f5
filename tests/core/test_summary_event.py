"""The Summary: what `status` shows is what the fold holds, each interval of fold time."""

from schemas.records.summary import Summary
from tests.core.tape import LEADER, MARKET, UP, micro
from tests.core.world import World


def summary(world: World) -> Summary:
    """The next one."""
    before = len(world.of(Summary))
    while len(world.of(Summary)) == before:
        world.tick()
    return world.of(Summary)[-1]


def test_a_position_with_its_order_its_hold_and_its_value(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    world.own_fill(order, "20")
    world.own_fill(order, "20", status="CONFIRMED")
    world.own_fill(order, "10", trade="T2")
    world.depth([("0.38", "70")], [("0.39", "1000")])
    at_ms = world.now_ms
    found = summary(world)
    (line,) = found.positions
    assert (line.account, line.token, line.condition) == ("main", UP, MARKET)
    assert (line.outcome, line.title) == ("Up", "Up or down")
    assert (line.target_micro, line.position_micro) == (micro("50"), micro("30"))
    assert (line.confirmed_micro, line.in_flight_micro) == (micro("20"), micro("20"))
    assert (line.cost_micro, line.bid_micro) == (micro("12"), micro("0.38"))
    assert (line.bid_as_of_ms, line.hold, line.payout_micro) == (at_ms, None, None)
    (working,) = found.working
    assert (working.intent, working.state, working.side) == (order.intent, "signed", "BUY")
    assert (working.shares_micro, working.limit_micro) == (micro("50"), order.limit_micro)


def test_an_account_with_what_it_may_still_spend_and_what_came_of_it(started) -> None:
    world = started()
    asked_ms = world.now_ms - 2_000
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    world.fills("250", side="SELL", tx="0xt2")
    world.wait(2_000)
    world.trade(world.working()[0])
    (line,) = summary(world).accounts
    assert (line.cash_micro, line.cash_as_of_ms) == (micro("1000"), asked_ms)
    assert line.invested_micro == micro("20") - micro("10")
    assert line.realised_micro == micro("-0.25")  # 25 shares bought at .40, sold at .39
    assert line.fees_micro == micro("0.84") + micro("0.41633")
    assert (line.orders, line.fills) == (2, 2)
    assert (line.working, line.reserved_micro) == (0, 0)


def test_reserved_money_of_a_working_order(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    (line,) = summary(world).accounts
    assert (line.working, line.reserved_micro) == (1, micro("21.4"))


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    world = World()
    world.tick()
    world.policy()
    world.fills("500")
    found = summary(world)
    (account,) = found.accounts
    assert (account.cash_micro, account.cash_as_of_ms) == (None, None)
    (line,) = found.positions
    assert (line.condition, line.outcome, line.title) == ("", "", "")
    assert (line.bid_micro, line.bid_as_of_ms, line.hold) == (None, None, "market_unknown")


def test_leaders_with_exposure_and_baseline_and_feeds_with_their_age(started) -> None:
    world = started(clock_jump_ms=20_000)
    for _ in range(3):
        world.report({UP: "700"}, subject=LEADER)
        world.wait(5_000)
    world.silent = ("account",)
    world.wait(400, feeds=world.stale("market", 5_000))
    world.tick(9_900, feeds=world.stale("market", 5_000))
    found = world.of(Summary)[-1]
    (line,) = found.leaders
    assert (line.leader, line.token, line.exposure_micro) == (LEADER, UP, micro("700"))
    assert line.baseline_micro == 0
    by_feed = {(each.producer, each.feed): each for each in found.feeds}
    assert by_feed[("account", "own_trades")].state == "down"
    assert by_feed[("public", "market")].state == "up"
    assert by_feed[("public", "market")].age_ms == 14_900
    assert found.counts == {"ticks": world.state.plan.clock.ticks, "markets": 1}
