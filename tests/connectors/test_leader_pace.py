"""How often leaders are read: a budget that fits, and nobody who does something is read late."""

import asyncio
from collections.abc import Callable

import pytest

from connectors.polymarket.process import every
from connectors.public.leaders import intervals, read_feeds
from connectors.public.pace import LIVELY_MS, Pace
from schemas.policy import PolicyDocument
from schemas.wiring import PublicWiring
from tests.sim.clockwork import VirtualLoop, run_virtually

T0 = 1_795_000_000_000
WIRING = PublicWiring()


def pace() -> Pace:
    return Pace(factor=4, now_ms=T0)


@pytest.mark.parametrize(
    ("rest_ms", "interval_ms"),
    [
        (0, 4_000),
        (LIVELY_MS, 4_000),
        (LIVELY_MS * 3 // 2, 6_000),
        (LIVELY_MS * 4, 16_000),
        (LIVELY_MS * 400, 16_000),
    ],
)
def test_an_interval_grows_with_rest_up_to_its_most(rest_ms: int, interval_ms: int) -> None:
    assert pace().interval_ms(4_000, T0 + rest_ms, listening=True) == interval_ms


def test_silence_of_a_feed_that_is_not_up_is_no_rest() -> None:
    assert pace().interval_ms(4_000, T0 + LIVELY_MS * 400, listening=False) == 4_000


def test_whoever_is_heard_of_is_read_as_often_as_configured_and_at_once_if_he_had_rested() -> None:
    leader = pace()
    assert not leader.heard(T0 + LIVELY_MS)
    assert leader.heard(T0 + 3 * LIVELY_MS)
    assert leader.interval_ms(4_000, T0 + 4 * LIVELY_MS, listening=True) == 4_000
    assert not leader.heard(T0 + LIVELY_MS), "an older word changes nothing"
    assert leader.interval_ms(4_000, T0 + 4 * LIVELY_MS, listening=True) == 4_000


def requests_a_second(resting: int, lively: int, *, listening: bool = True) -> float:
    """Reads of so many leaders over ten minutes of virtual time, all at rest for an hour."""
    loop, reads = VirtualLoop(T0 * 1_000_000), 0

    async def read() -> None:
        nonlocal reads
        reads += 1

    def interval(leader: Pace, base_ms: int, heard: bool) -> Callable[[], int]:
        def interval_ms() -> int:
            if heard:
                leader.heard(loop.now_ms())
            return leader.interval_ms(base_ms, loop.now_ms(), listening=listening)

        return interval_ms

    async def main() -> None:
        for number in range(resting + lively):
            leader = Pace(factor=WIRING.rest_factor, now_ms=T0 - 3_600_000)
            for base_ms in intervals(WIRING).values():
                due = interval(leader, base_ms, number >= resting)
                loop.create_task(every(due, asyncio.Event(), read))
        await asyncio.sleep(600)

    run_virtually(loop, main())
    return reads / 600


@pytest.mark.parametrize(
    ("resting", "lively", "most"), [(1, 0, 0.14), (10, 0, 1.4), (100, 0, 14), (90, 10, 18)]
)
def test_a_hundred_leaders_fit_into_the_budget(resting: int, lively: int, most: float) -> None:
    asked = requests_a_second(resting, lively)
    assert most * 0.8 < asked < most <= WIRING.rest_per_second


@pytest.mark.parametrize("leaders", [1, 10, 100])
def test_without_a_feed_and_for_the_lively_it_is_what_it_was(leaders: int) -> None:
    before = sum(1_000 / base_ms for base_ms in intervals(WIRING).values())
    assert requests_a_second(leaders, 0, listening=False) == pytest.approx(leaders * before, 0.02)
    assert requests_a_second(0, leaders) == pytest.approx(leaders * before, 0.02)


def test_the_longest_intervals_keep_what_decisions_need() -> None:
    """Trades alone keep the gate for increases open; three reports come within their most age."""
    policy, most = PolicyDocument(), WIRING.rest_factor
    assert WIRING.trades_poll_ms * most < policy.leader_feed_max_age_ms
    assert 3 * WIRING.positions_poll_ms * most <= policy.reconcile_max_age_ms
    for name, feed in read_feeds(WIRING).items():
        assert feed.stale_after_ms >= 2 * most * intervals(WIRING)[name]
