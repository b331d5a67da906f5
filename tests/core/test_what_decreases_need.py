"""What stops only an increase, and what stops a decrease too."""

from typing import Any

import pytest

from schemas.records import leader, own, system
from tests.core.steps import holding, worlds_beginning
from tests.core.tape import LEADER, UP, micro
from tests.core.world import World


def let_jump(world: World) -> None:
    for _ in range(6):
        world.append(system.Tick(producer="late", seq=0, now_ms=world.now_ms - 6_000, feeds={}))
        world.tick(100)
    world.append(system.Tick(producer="late", seq=0, now_ms=world.now_ms - 6_000, feeds={}))


@pytest.mark.parametrize(
    ("reason", "trouble"),
    [
        ("clock_jump", let_jump),
        (
            "leader_incomplete",
            lambda w: w.append(
                leader.LeaderIncomplete(leader=LEADER, instance="a", reason="unknown_row")
            ),
        ),
        (
            "leader_feed_stale",
            lambda w: w.tick(100, feeds={**w.stale("trades"), **w.stale("activity")}),
        ),
        ("reconcile_due", lambda w: w.wait(200_000, step=1_000)),
    ],
)
def test_what_holds_an_increase_lets_a_decrease_pass(reason: str, trouble: Any) -> None:
    world = holding()
    trouble(world)
    fork = world.fork()
    fork.policy(ratio_micro=200_000)
    assert fork.hold() == reason
    assert not fork.working()
    world.policy(ratio_micro=50_000)
    (sell,) = world.working()
    assert (sell.side, sell.shares_micro) == ("SELL", micro("25"))


@pytest.mark.parametrize("missing", ["account_unopened", "balance_unknown"])
def test_an_unaudited_account_may_still_reduce(missing: str) -> None:
    """Shares that somebody bought by hand, on a tape that has no balance or no report yet."""
    world = worlds_beginning(foreign="sell")
    world.meta()
    world.epoch()
    world.depth([("0.39", "1000")], [("0.40", "1000")])
    if missing == "balance_unknown":
        world.report({})
    world.wait(2_000)
    assert world.hold() == missing
    world.append(
        own.OwnFill(
            account="main",
            source="user",
            trade="T1",
            order="0xhand",
            role="TAKER",
            token=UP,
            condition="0x" + "c" * 64,
            side="BUY",
            shares_micro=micro("90"),
            cash_micro=micro("36"),
            status="CONFIRMED",
            tx="",
            venue_ms=world.now_ms,
            recv_ns=1,
        )
    )
    (sell,) = world.requests()
    assert (sell.side, sell.shares_micro) == ("SELL", micro("40"))


@pytest.mark.parametrize(
    ("reason", "trouble"),
    [
        ("market_closed", lambda w: w.closed()),
        ("market_not_accepting", lambda w: w.meta(accepting=False)),
        ("book_gone", lambda w: w.epoch(state="ended", reason="gone")),
        ("crossed", lambda w: w.depth([("0.41", "1000")], [("0.40", "1000")])),
        ("crossed", lambda w: w.depth([("0.40", "1000")], [("0.40", "1000")])),
        ("one_sided", lambda w: w.depth([("0.39", "1000")], [])),
        ("market_feed_stale", lambda w: w.tick(100, feeds=w.stale("market"))),
        ("market_feed_down", lambda w: w.tick(100, feeds=w.stale("market", state="suspect"))),
        ("account_feed_stale", lambda w: w.tick(100, feeds=w.stale("own_trades"))),
        ("account_feed_down", lambda w: w.tick(100, feeds=w.stale("own_trades", state="down"))),
    ],
)
def test_what_is_wrong_with_book_market_or_our_own_state_stops_decreases_too(
    reason: str, trouble: Any
) -> None:
    world = holding()
    trouble(world)
    world.policy(ratio_micro=50_000)
    assert world.hold() == reason
    assert len(world.requests()) == 1


@pytest.mark.parametrize(
    ("producer", "reason"), [("public", "market_feed_down"), ("account", "account_feed_down")]
)
def test_a_producer_that_falls_silent_takes_its_feeds_with_it(producer: str, reason: str) -> None:
    """Its last Tick said that all was well; after 300 ms of fold time that counts no more."""
    world = holding()
    world.silent = (producer,)
    world.wait(400)
    world.policy(ratio_micro=200_000)
    assert world.hold() == reason
    world.silent = ()
    world.wait(1_000)
    assert len(world.working()) == 1
