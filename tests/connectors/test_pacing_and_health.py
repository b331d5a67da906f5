"""Pace and health: throttle, back-off, conflation, cursors, and what a Tick may honestly say."""

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.polymarket.backoff import BASE_MS, CAP_MS, Backoff
from connectors.polymarket.conflate import Conflator
from connectors.polymarket.cursors import SLICE_MS, ReadCursor
from connectors.polymarket.health import ReadFeed, socket_state
from connectors.polymarket.process import tick_forever
from connectors.polymarket.throttle import Throttle
from schemas.records.system import FeedState, Tick
from tests.sim.clockwork import VirtualLoop, run_virtually

HOUR_MS = 3_600_000


@given(
    gaps=st.lists(st.integers(0, 400), min_size=1, max_size=200),
    rate=st.integers(1, 50),
    burst=st.integers(1, 20),
)
def test_no_second_ever_sees_more_than_the_burst_and_the_rate(
    gaps: list[int], rate: int, burst: int
) -> None:
    throttle, now_ms, left = Throttle(rate_per_s=rate, burst=burst), 1_000_000, []
    for gap in gaps:
        now_ms += gap
        left.append(now_ms + throttle.take(now_ms))
    for start in left:
        assert sum(start <= at < start + 1_000 for at in left) <= burst + rate + 1


def test_nothing_leaves_while_the_venue_asks_for_silence() -> None:
    throttle = Throttle(rate_per_s=10, burst=10)
    throttle.pause(6_000)
    assert throttle.take(1_000) == 5_000
    assert throttle.take(6_000) == 0


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0)])
def test_a_throttle_that_lets_nothing_through_is_refused(rate: int, burst: int) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Throttle(rate_per_s=rate, burst=burst)


def test_waits_double_up_to_the_cap_and_start_anew_after_something_lasted() -> None:
    backoff = Backoff(lambda: 1.0)
    waits = [backoff.failed() for _ in range(10)]
    assert waits[:4] == [BASE_MS, 2 * BASE_MS, 4 * BASE_MS, 8 * BASE_MS]
    assert waits[-1] == CAP_MS
    assert backoff.failed(lasted_ms=60_000) == BASE_MS
    assert backoff.failed(least_ms=5_000) == 5_000
    backoff.succeeded()
    assert backoff.failed() == BASE_MS


def test_nothing_is_waited_for_longer_than_it_served() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.failed(lasted_ms=5_000) for _ in range(10)][-1] == 5_000
    assert backoff.failed(lasted_ms=100) == CAP_MS


@given(st.floats(0, 0.999), st.integers(1, 40))
def test_jitter_only_ever_shortens_a_wait(chance: float, failures: int) -> None:
    backoff = Backoff(lambda: chance)
    assert all(0 <= backoff.failed() <= CAP_MS for _ in range(failures))


@given(
    changes=st.lists(st.tuples(st.integers(0, 300), st.sampled_from("abc")), max_size=80),
    interval=st.integers(1, 400),
)
def test_conflation_publishes_every_change_in_time_and_no_token_too_often(
    changes: list[tuple[int, str]], interval: int
) -> None:
    conflator, now_ms = Conflator(interval), 0
    published: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    changed: dict[str, int] = {}
    for gap, token in changes:
        for at in range(now_ms, now_ms + gap + 1):
            for due in conflator.due(at):
                published[due].append(at)
        now_ms += gap
        changed[token] = now_ms
        if conflator.changed(token, now_ms):
            published[token].append(now_ms)
    for at in range(now_ms, now_ms + interval + 1):
        for due in conflator.due(at):
            published[due].append(at)
    for token, times in published.items():
        assert all(b - a >= interval for a, b in itertools.pairwise(times))
        if token in changed:
            assert changed[token] <= times[-1] <= changed[token] + interval


def test_a_forgotten_token_publishes_its_next_change_at_once() -> None:
    conflator = Conflator(250)
    assert conflator.changed("a", 0)
    assert not conflator.changed("a", 1)
    conflator.forget("a")
    assert conflator.due(1_000) == []
    assert conflator.changed("a", 2)


def test_a_read_begins_an_overlap_behind_its_cursor() -> None:
    cursor = ReadCursor(start_ms=0, upto_ms=10 * HOUR_MS, overlap_ms=60_000)
    span = cursor.next_span(10 * HOUR_MS + 5_000)
    assert (span.from_ms, span.upto_ms) == (10 * HOUR_MS - 60_000, None)
    assert span.covered_ms(asked_ms=10 * HOUR_MS + 5_000, lag_ms=3_000) == 10 * HOUR_MS + 2_000


def test_a_lost_cursor_begins_where_the_subject_began_to_matter() -> None:
    cursor = ReadCursor(start_ms=7 * HOUR_MS, upto_ms=None, overlap_ms=60_000)
    assert cursor.next_span(8 * HOUR_MS).from_ms == 7 * HOUR_MS - 60_000


@given(gap_hours=st.integers(0, 300))
def test_a_long_gap_is_read_in_slices_without_a_hole_until_the_present(gap_hours: int) -> None:
    now_ms = 1_000 * HOUR_MS
    cursor = ReadCursor(start_ms=now_ms - gap_hours * HOUR_MS, upto_ms=None, overlap_ms=60_000)
    reached_ms, reads = cursor.upto_ms, 0
    while True:
        span = cursor.next_span(now_ms)
        assert span.from_ms <= reached_ms
        upto_ms = span.covered_ms(now_ms, 3_000)
        cursor.covered(upto_ms)
        reached_ms, reads = max(reached_ms, upto_ms), reads + 1
        if span.upto_ms is None:
            break
    assert reached_ms >= now_ms - 3_000 or gap_hours == 0
    assert reads <= gap_hours * HOUR_MS // SLICE_MS + 2


def test_a_cursor_never_steps_back() -> None:
    cursor = ReadCursor(start_ms=0, upto_ms=1_000, overlap_ms=10)
    assert not cursor.covered(900)
    assert cursor.covered(1_100)
    assert cursor.upto_ms == 1_100


def feed(now_ms: int, given: ReadFeed) -> tuple[str, int]:
    state = given.state(now_ms)
    return state.state, state.last_data_ms


def test_a_feed_with_nothing_to_read_is_up_and_fresh() -> None:
    assert feed(5_000, ReadFeed(10_000)) == ("up", 5_000)


def test_a_read_feed_is_as_fresh_as_the_subject_read_longest_ago() -> None:
    reads = ReadFeed(10_000)
    reads.follow("a")
    reads.follow("b")
    reads.read("a", asked_ms=4_000, answered_ms=4_100)
    assert feed(5_000, reads) == ("down", 0)
    reads.read("b", asked_ms=3_000, answered_ms=3_100)
    assert feed(5_000, reads) == ("up", 3_100)
    assert feed(13_200, reads) == ("down", 3_100)
    reads.drop("b")
    assert feed(13_200, reads) == ("up", 4_100)


def test_a_doubt_lasts_until_everybody_was_read_by_a_later_question() -> None:
    reads = ReadFeed(10_000)
    for subject in ("a", "b"):
        reads.follow(subject)
        reads.read(subject, asked_ms=1_000, answered_ms=1_500)
    reads.doubt(1_200)
    assert feed(2_000, reads)[0] == "suspect"
    reads.read("a", asked_ms=1_300, answered_ms=2_000)
    assert feed(2_000, reads)[0] == "suspect"
    reads.read("b", asked_ms=1_300, answered_ms=2_100)
    assert feed(2_200, reads)[0] == "up"


def test_answers_about_a_subject_nobody_follows_say_nothing() -> None:
    reads = ReadFeed(10_000)
    reads.read("a", asked_ms=1, answered_ms=2)
    assert feed(5_000, reads) == ("up", 5_000)


@pytest.mark.parametrize(
    ("wanted", "connected", "fresh_ms", "state"),
    [
        (False, False, 0, ("up", 9_000)),
        (True, False, 4_000, ("down", 4_000)),
        (True, True, 0, ("suspect", 0)),
        (True, True, 4_000, ("up", 4_000)),
    ],
)
def test_a_socket_feed_says_what_it_knows(
    wanted: bool, connected: bool, fresh_ms: int, state: tuple[str, int]
) -> None:
    found = socket_state(wanted=wanted, connected=connected, fresh_ms=fresh_ms, now_ms=9_000)
    assert (found.state, found.last_data_ms) == state


class Ticks:
    """Takes Ticks as an outbox does."""

    def __init__(self) -> None:
        self.told: list[Tick] = []

    def tape(self, record: Tick, key: str) -> None:
        assert key == record.producer
        self.told.append(record)


def test_ticks_stand_on_the_clocks_grid_and_a_late_one_is_not_made_up() -> None:
    loop, late_ms, ticks = VirtualLoop(1_790_000_000_040 * 1_000_000), [0], Ticks()

    def feeds(_now_ms: int) -> dict[str, FeedState]:
        late_ms[0] += 250 if len(ticks.told) == 2 else 0
        return {}

    async def ticking() -> None:
        outbox: Any = ticks
        task = asyncio.create_task(
            tick_forever(
                outbox,
                producer="public",
                every_ms=100,
                clock_ns=lambda: loop.now_ns() + late_ms[0] * 1_000_000,
                feeds=feeds,
            )
        )
        await asyncio.sleep(0.37)
        assert not task.done()

    run_virtually(loop, ticking())
    assert [tick.now_ms - 1_790_000_000_000 for tick in ticks.told] == [40, 100, 200, 500, 600]
    assert [tick.seq for tick in ticks.told] == list(range(5))
