"""Fold time: no producer alone moves it far, and a disagreement fails closed, shows and passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.clock import ALONE_TICKS, LASTING_TICKS, RECENT_TICKS, FoldClock
from schemas.records import journal, system
from tests.core.steps import holding
from tests.core.tape import LEADER, START_MS
from tests.core.world import World

DAY_MS = 86_400_000
JUMP_MS = 5_000


def ticked(world: World, producer: str, ahead_ms: int = 0) -> None:
    """One Tick of one producer, its clock so far ahead of the world's."""
    feeds = {
        name: system.FeedState(state="up", last_data_ms=world.now_ms + ahead_ms)
        for name in ("market", "trades", "own_trades")
    }
    world.append(system.Tick(producer=producer, seq=0, now_ms=world.now_ms + ahead_ms, feeds=feeds))


def now_ms(world: World) -> int:
    found = world.state.plan.clock.now_ms
    assert found == world.state.leaders.clock.now_ms, "both steps have one time"
    return found


def alarms(world: World) -> list[tuple[str, str]]:
    return [(e.name, e.subject) for e in world.of(journal.Alarm)]


@pytest.mark.parametrize("producer", ["public", "account", "third"])
def test_one_tick_a_day_ahead_moves_no_time_and_windows_go_on_closing(
    started, producer: str
) -> None:
    """The Tick that once froze every window of the shard for a day, without a word."""
    world = started()
    ticked(world, producer, DAY_MS)
    assert now_ms(world) == world.now_ms
    world.fills("500")
    world.wait(3_000)
    assert world.of(journal.NetDelta)
    assert len(world.requests()) == 1


def test_a_producer_that_stays_ahead_is_down_holds_what_it_feeds_and_is_an_alarm(started) -> None:
    """Then its clock is set right, and everything goes on by itself."""
    world = started()
    world.silent = ("public",)
    for _ in range(3 * LASTING_TICKS):
        world.tick(100)
        ticked(world, "public", DAY_MS)
    world.fills("500")
    for _ in range(20):
        world.tick(100)
        ticked(world, "public", DAY_MS)
    assert (world.hold(), now_ms(world)) == ("market_feed_down", world.now_ms)
    assert alarms(world) == [("clock_ahead", "public")]
    (alarm,) = world.of(journal.Alarm)
    assert alarm.numbers == {"apart_ms": DAY_MS}
    world.silent = ()
    world.wait(1_000)
    assert (world.hold(), len(world.requests())) == (None, 1)


def test_a_third_producer_ahead_of_two_holds_increases_by_its_name(started) -> None:
    world = started()
    world.fills("500")
    for _ in range(20):
        world.tick(100)
        ticked(world, "third", DAY_MS)
    assert world.hold() == "clock_jump"
    world.wait(200 * RECENT_TICKS)
    assert len(world.requests()) == 1, "it stopped ticking: nobody disagrees any more"


def test_a_producer_whose_clock_is_ahead_is_not_alive_for_ever_after_its_last_tick(started) -> None:
    world = started()
    ticked(world, "third", DAY_MS)
    assert not world.state.plan.clock.alive("third", 300)
    world.wait(10_000)
    assert not world.state.plan.clock.alive("third", 300)


def test_a_step_that_a_second_producer_tells_too_is_taken_at_once(started) -> None:
    """The machine slept for ten minutes."""
    world = started()
    world.silent = ("account",)
    before_ms = now_ms(world)
    world.tick(600_000)
    assert now_ms(world) == before_ms
    world.silent = ()
    world.tick(100)
    assert now_ms(world) == world.now_ms
    assert world.state.plan.clock.agreed(JUMP_MS)
    world.wait(20_000)
    assert alarms(world) == []


def test_a_step_of_the_only_producer_that_ticks_is_taken_after_a_while(started) -> None:
    """Everything was down for an hour, and one connector is back before the other."""
    world = started()
    world.silent = ("account",)
    world.tick(3_600_000)
    assert now_ms(world) < world.now_ms
    world.wait(100 * (RECENT_TICKS + ALONE_TICKS))
    assert now_ms(world) == world.now_ms
    assert alarms(world) == []
    world.silent = ()
    world.fills("500")
    world.wait(3_000)
    assert len(world.requests()) == 1


def test_fold_time_never_steps_back_and_says_so_when_all_are_behind_it() -> None:
    """Both clocks were a day ahead together, and are set right: nothing moves, and it shows."""
    world = holding()
    for _ in range(5):
        ticked(world, "public", DAY_MS)
        ticked(world, "account", DAY_MS)
    ahead_ms = now_ms(world)
    assert ahead_ms == world.now_ms + DAY_MS
    world.wait(100 * (LASTING_TICKS + RECENT_TICKS))
    assert now_ms(world) == ahead_ms
    assert set(alarms(world)) == {("clock_behind", "public"), ("clock_behind", "account")}
    world.policy(ratio_micro=200_000)
    assert world.hold() == "market_feed_down"
    world.now_ms = ahead_ms
    world.wait(1_000)
    assert world.hold() == "reconcile_due", "a day has passed without a report"


def test_one_producer_far_behind_holds_increases_only(started) -> None:
    world = started()
    world.fills("500")
    for _ in range(20):
        world.tick(100)
        ticked(world, "third", -DAY_MS)
    assert (world.hold(), now_ms(world)) == ("clock_jump", world.now_ms)


def test_a_leader_is_followed_since_the_first_tick_whatever_it_says() -> None:
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.policy()
    ticked(world, "public")
    (begun,) = world.of(journal.LeaderFollowed)
    assert (begun.leader, begun.since_ms) == (LEADER, START_MS)


steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([0, 100, 4_000, -4_000, DAY_MS, -DAY_MS])),
    max_size=120,
)


@given(steps)
def test_time_never_steps_back_nor_far_on_the_word_of_one_among_many(
    told: list[tuple[str, int]],
) -> None:
    """Two true clocks tick all along: whatever a third says, time stays near theirs."""
    clock, true_ms = FoldClock(), START_MS
    for n, (_, error_ms) in enumerate(told):
        true_ms += 100
        for producer, now in (("x", true_ms), ("y", true_ms), ("liar", true_ms + error_ms)):
            before = clock.now_ms
            clock.observe(system.Tick(producer=producer, seq=n, now_ms=now, feeds={}), JUMP_MS)
            assert clock.now_ms >= before
        assert true_ms <= clock.now_ms <= true_ms + JUMP_MS
