"""Why a gap leads to no order: each reason, in the order they are asked, and what they let pass."""

import re
from pathlib import Path
from typing import Any

from schemas.records import journal, leader, own, system
from schemas.records.summary import Summary
from tests.core.steps import worlds_beginning
from tests.core.tape import LEADER, UP, micro
from tests.core.world import World


def test_a_tape_without_policy_leads_to_nothing() -> None:
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.wait(1_000)
    world.fills("500")
    world.meta()
    world.wait(2_000)
    assert {type(event) for event in world.events} == {Summary, journal.Watch}


def test_the_ladder_at_the_beginning_of_a_tape() -> None:
    """Each thing that is missing is named; when the last is there the order goes out."""
    world = worlds_beginning()
    found = [world.hold()]
    for known in (
        lambda: world.meta(),
        lambda: world.epoch(),
        lambda: world.depth([("0.39", "1000")], [("0.40", "1000")]),
        lambda: world.report({}),
        lambda: world.balance(),
    ):
        known()
        world.wait(2_000)
        found.append(world.hold())
    assert found == [
        "market_unknown",
        "book_not_seen",
        "book_no_book_yet",
        "account_unopened",
        "balance_unknown",
        None,
    ]
    assert len(world.requests()) == 1
    reasons = [e.reason for e in world.of(journal.OrderHeld)]
    assert reasons == found[:-1]
    assert [e.reason for e in world.of(journal.HoldEnded)] == reasons


class Troubled:
    """A world in which everything that can be mended is wrong at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bad: dict[str, str] = {}
        self.late_producer = False

    def reason(self) -> str | None:
        """Let time pass with the feeds as bad as they are; the hold that stands then."""
        for _ in range(12):
            if self.late_producer:
                self.world.append(
                    system.Tick(producer="late", seq=0, now_ms=self.world.now_ms - 6_000, feeds={})
                )
            self.world.tick(100, feeds=self.feeds())
        return self.world.hold()

    def feeds(self) -> dict[str, system.FeedState]:
        made: dict[str, system.FeedState] = {}
        for name, state in self.bad.items():
            made |= self.world.stale(name, state="up" if state == "stale" else state)
        return made

    def mend(self, *names: str) -> None:
        for name in names:
            del self.bad[name]


def test_the_ladder_has_one_order_of_precedence() -> None:
    """From all wrong to all right, one repair at a time: the next reason shows each time."""
    world = World().begin(retry_after_ms=300_000)
    world.wait(10_000)
    world.fills("300", "0.30", ago_ms=8_000)
    world.wait(2_000)
    world.trade_all()
    world.fills("500", "0.30", tx="0xt2", ago_ms=1_000)
    world.wait(2_000)
    order = world.working()[0]
    world.signed(order)
    world.answered(order, "refused", reason="Unauthorized", http_status=401)
    retry_ms = world.now_ms + 300_000
    world.wait(190_000, step=1_000)  # unconfirmed for longer than reconcile_max_age
    world.append(leader.LeaderIncomplete(leader=LEADER, instance="a1", reason="conversion"))
    foreign = own.OpenOrder(
        order="0xhand",
        token=UP,
        side="BUY",
        price_micro=micro("0.30"),
        shares_micro=micro("10"),
        matched_micro=0,
    )
    world.open_orders(foreign)
    world.epoch(state="ended", reason="echo_mismatch")
    world.meta(accepting=False)
    trouble = Troubled(world)
    trouble.bad = {"market": "down", "own_trades": "down", "trades": "down", "activity": "stale"}
    trouble.late_producer = True

    found = [trouble.reason()]

    def after(repair: Any) -> None:
        repair()
        found.append(trouble.reason())

    def wait_for_retry() -> None:
        while world.now_ms < retry_ms:
            trouble.reason()

    def end_jump() -> None:
        trouble.late_producer = False
        for _ in range(3):
            trouble.reason()

    def complete_leader() -> None:
        world.report({UP: "800"}, subject=LEADER)
        trouble.reason()

    def agree() -> None:
        world.report({UP: "30"})
        trouble.reason()

    after(lambda: world.meta())

    def crossed_book() -> None:
        world.epoch(n=2)
        world.depth([("0.41", "1000")], [("0.40", "1000")], n=2)

    after(crossed_book)
    after(lambda: trouble.bad.update(market="stale"))
    after(lambda: trouble.mend("market"))
    after(lambda: world.policy(retry_after_ms=300_000))
    after(lambda: trouble.bad.update(own_trades="stale"))
    after(lambda: trouble.mend("own_trades"))
    after(lambda: world.open_orders())
    after(wait_for_retry)
    after(end_jump)
    after(complete_leader)
    after(lambda: trouble.mend("activity", "trades"))
    after(agree)
    after(lambda: world.depth([("0.39", "1000")], [], n=2))
    after(lambda: world.depth([("0.39", "1000")], [("0.40", "4")], n=2))
    after(lambda: world.depth([("0.39", "1000")], [("0.40", "1000")], n=2))
    after(lambda: world.depth([("0.30", "1000")], [("0.31", "1000")], n=2))
    assert found == [
        "market_not_accepting",
        "book_echo_mismatch",
        "market_feed_down",
        "market_feed_stale",
        "account_halted",
        "account_feed_down",
        "account_feed_stale",
        "foreign_order",
        "retry_wait",
        "clock_jump",
        "leader_incomplete",
        "leader_feed_stale",
        "reconcile_due",
        "crossed",
        "one_sided",
        "bound_depth_share",
        "signal_old",
        None,
    ]
    assert len(world.working()) == 1


def test_every_change_of_reason_is_an_event_and_nothing_else_is(started) -> None:
    """A hold stands for a minute: two events, not one a Tick; its count says how many Ticks."""
    world = started()
    world.epoch(state="ended", reason="echo_mismatch")
    world.fills("500")
    world.wait(60_000)
    world.epoch(n=2)
    world.depth([("0.39", "1000")], [("0.40", "1000")], n=2)
    (held,) = world.of(journal.OrderHeld)
    (ended,) = world.of(journal.HoldEnded)
    assert (held.reason, held.gap_micro, held.target_micro) == (
        "book_echo_mismatch",
        micro("50"),
        micro("50"),
    )
    assert ended.reason == held.reason
    assert 58_000 < ended.for_ms <= 60_000
    assert abs(ended.count - 2 * ended.for_ms // 100) <= 1
    assert len(world.requests()) == 1


def test_a_hold_ends_when_its_gap_is_gone(started) -> None:
    world = started()
    world.epoch(state="ended", reason="echo_mismatch")
    world.fills("500")
    world.wait(2_000)
    world.fills("500", side="SELL", tx="0xt2")
    world.wait(2_000)
    assert [e.reason for e in world.of(journal.HoldEnded)] == ["book_echo_mismatch"]
    assert not world.requests()


def test_a_hold_is_looked_at_again_at_the_tokens_next_depth(started) -> None:
    world = started()
    world.depth([("0.39", "1000")], [])
    world.fills("500")
    world.wait(1_000)
    assert world.hold() == "one_sided"
    world.depth([("0.39", "1000")], [("0.40", "1000")])
    assert len(world.requests()) == 1


def test_a_market_that_closed_is_named_so_whatever_else_is_wrong() -> None:
    world = worlds_beginning()
    world.meta(accepting=False)
    world.closed()
    world.wait(1_000)
    assert world.hold() == "market_closed"


def test_every_reason_of_the_ladder_is_asked_for_in_these_tests() -> None:
    """The names in gates.py, sizing.py and ordering.py, so that a new one needs a test."""
    core = Path(__file__).parents[2] / "flows" / "core"
    text = "".join((core / name).read_text() for name in ("gates.py", "sizing.py", "ordering.py"))
    reasons = re.findall(r'Held\(\s*f?"([a-z_]+)"', text)
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert {"crossed", "signal_old", "market_unknown"} <= set(reasons)
    assert [reason for reason in reasons if f'"{reason}"' not in here] == []
