"""Why a gap leads to no order: each reason, in the order they are asked, and what they let pass."""

import re
from pathlib import Path
from typing import Any

import pytest

from schemas.policy import LeaderPolicy
from schemas.records import journal, leader, own, system

from .conftest import DOWN, FEEDS, LEADER, UP, World, micro


def worlds_beginning() -> World:
    """Policy and ticks, nothing known of accounts, markets or books, a leader who buys."""
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy()
    world.fills("500")
    world.wait(2_000)
    return world


def test_a_tape_without_policy_leads_to_nothing() -> None:
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.wait(1_000)
    world.fills("500")
    world.meta()
    world.wait(2_000)
    assert {type(event) for event in world.events} == {journal.Summary, journal.Watch}


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


def holding(**changes: Any) -> World:
    """We hold 50 shares, all confirmed and reconciled."""
    world = World().begin(**changes)
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    world.wait(3_000)
    world.report({UP: "50"})
    world.wait(1_500)
    return world


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
    world = worlds_beginning()
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


def test_a_market_that_closed_is_named_so_whatever_else_is_wrong() -> None:
    world = worlds_beginning()
    world.meta(accepting=False)
    world.closed()
    world.wait(1_000)
    assert world.hold() == "market_closed"


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


def test_fold_time_never_steps_back_and_a_jump_holds_until_ticks_agree() -> None:
    """The machine slept for ten minutes: the first Tick after it is not believed alone."""
    world = holding()
    before_ms = world.state.plan.clock.now_ms
    world.silent = ("account",)
    world.tick(600_000)
    world.policy(ratio_micro=200_000)
    assert world.hold() == "account_feed_down"
    assert not world.state.plan.clock.agreed(5_000)
    world.silent = ()
    world.tick(100)
    assert world.state.plan.clock.agreed(5_000)
    world.append(system.Tick(producer="public", seq=0, now_ms=before_ms, feeds={}))
    assert world.state.plan.clock.now_ms > before_ms
    assert not world.state.plan.clock.agreed(5_000)


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


def test_a_holding_that_nobody_saw_him_buy_has_no_price() -> None:
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy(leaders=(LeaderPolicy(wallet=LEADER, start="converge"),))
    world.report({})
    world.report({UP: "1000"}, subject=LEADER)
    world.balance()
    world.wait(2_000)
    world.meta()
    world.epoch()
    world.depth([("0.39", "1000")], [("0.40", "1000")])
    world.wait(1_000)
    assert world.target() == micro("100")
    assert world.hold() == "signal_unpriced"


def test_every_reason_of_the_ladder_is_asked_for_in_these_tests() -> None:
    """The names in gates.py and sizing.py, so that a new one needs a test here."""
    core = Path(__file__).parents[2] / "flows" / "core"
    text = "".join((core / name).read_text() for name in ("gates.py", "sizing.py", "ordering.py"))
    reasons = re.findall(r'Held\(\s*f?"([a-z_]+)"', text)
    here = Path(__file__).read_text() + (Path(__file__).parent / "test_order_sizing.py").read_text()
    assert {"crossed", "signal_old", "market_unknown"} <= set(reasons)
    assert [reason for reason in reasons if f'"{reason}"' not in here] == []
    assert set(FEEDS) == {"public", "account"}
