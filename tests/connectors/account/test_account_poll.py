"""The pace of reads, and which trades are asked for again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.account import unsettled
from connectors.account.poll import GAP_MS, Poll
from connectors.account.unsettled import LIMIT_MS, LOOK_EVERY_MS, LOOK_MAX, Unsettled
from connectors.polymarket.backoff import Backoff
from connectors.polymarket.health import ReadFeed
from connectors.polymarket.rest import Rest

START_MS = 1_795_000_000_000
DAY_MS = 86_400_000


@pytest.fixture
async def running() -> AsyncIterator[Callable[[Poll], None]]:
    """Runs polls until the test ends."""
    tasks: list[asyncio.Task[None]] = []
    yield lambda poll: tasks.append(asyncio.create_task(poll.run()))
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Asked:
    """Counts questions and answers them as told."""

    def __init__(self, *, answered: bool) -> None:
        self.answered = answered
        self.at: list[float] = []
        self.feed = ReadFeed(60_000)
        self.feed.follow("main")

    async def work(self) -> bool:
        self.at.append(time.monotonic())
        return self.answered

    def poll(self, interval_ms: int, base_ms: int = 250) -> Poll:
        return Poll(
            feed=self.feed,
            interval_ms=interval_ms,
            work=self.work,
            backoff=Backoff(lambda: 0.999, base_ms=base_ms),
            now_ms=lambda: START_MS,
        )

    def gaps_ms(self) -> list[int]:
        return [round((b - a) * 1_000) for a, b in zip(self.at, self.at[1:], strict=False)]


async def test_a_poke_brings_the_next_read_at_once_but_never_a_storm(running) -> None:
    asked = Asked(answered=True)
    poll = asked.poll(interval_ms=60_000)
    running(poll)
    for _ in range(35):
        await asyncio.sleep(0.02)
        poll.poke()
    await asyncio.sleep(0.3)
    assert 3 <= len(asked.at) <= 6
    assert min(asked.gaps_ms()) >= GAP_MS - 5


async def test_refusals_wait_longer_each_time_and_a_poke_does_not_shorten_it(running) -> None:
    asked = Asked(answered=False)
    poll = asked.poll(interval_ms=10, base_ms=250)
    running(poll)
    for _ in range(40):
        await asyncio.sleep(0.05)
        poll.poke()
    gaps = asked.gaps_ms()
    assert len(gaps) in (2, 3), gaps
    assert 240 <= gaps[0] < 450
    assert 490 <= gaps[1] < 700
    assert asked.feed.doubt_ms == START_MS, "its feed is doubtful"


async def test_an_answer_ends_the_waiting(running) -> None:
    asked = Asked(answered=False)
    running(asked.poll(interval_ms=300, base_ms=100))
    await asyncio.sleep(0.1)
    asked.answered = True
    await asyncio.sleep(1.2)
    assert len(asked.at) >= 4
    assert all(gap < 450 for gap in asked.gaps_ms()[1:])


async def test_after_429_nothing_leaves_before_the_venue_allows_it() -> None:
    answers = iter([httpx.Response(429, headers={"Retry-After": "1"}), httpx.Response(200)])
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _request: next(answers)))
    async with Rest(per_second=100, client=client) as rest:
        await rest.get("http://clob.test/data/orders")
        began = time.monotonic()
        await rest.get("http://clob.test/balance-allowance")
        assert time.monotonic() - began >= 0.95


def test_a_trade_inside_the_window_is_not_looked_up_and_one_behind_it_is() -> None:
    trades = Unsettled()
    trades.saw("in", START_MS, settled=False, now_ms=START_MS)
    trades.saw("out", START_MS - 1, settled=False, now_ms=START_MS)
    assert trades.due(START_MS, START_MS + LOOK_EVERY_MS - 1) == []
    assert trades.due(START_MS, START_MS + LOOK_EVERY_MS) == ["out"]
    assert trades.due(START_MS, START_MS + LOOK_EVERY_MS) == []
    assert trades.due(START_MS, START_MS + 2 * LOOK_EVERY_MS) == ["out"]


def test_look_ups_take_turns() -> None:
    trades = Unsettled()
    names = [f"t{number:02}" for number in range(2 * LOOK_MAX)]
    for name in names:
        trades.saw(name, 0, settled=False, now_ms=0)
    first = trades.due(1, LOOK_EVERY_MS)
    second = trades.due(1, LOOK_EVERY_MS)
    assert (len(first), len(second)) == (LOOK_MAX, LOOK_MAX)
    assert sorted(first + second) == names


def test_what_never_settles_is_given_up_and_so_is_the_oldest_of_too_many() -> None:
    trades = Unsettled()
    trades.saw("old", START_MS - LIMIT_MS - 1, settled=False, now_ms=START_MS)
    trades.saw("new", START_MS, settled=False, now_ms=START_MS)
    assert trades.given_up(START_MS) == ["old"]
    assert trades.given_up(START_MS) == []
    for number in range(unsettled.OPEN_MAX):
        trades.saw(f"t{number}", START_MS + 1 + number, settled=False, now_ms=START_MS)
    assert trades.given_up(START_MS) == ["new"]
    assert len(trades) == unsettled.OPEN_MAX


Sightings = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 2 * DAY_MS), st.booleans()), max_size=40
)


@given(sightings=Sightings, upto_ms=st.integers(0, 3 * DAY_MS))
def test_the_safe_cursor_never_passes_an_open_trade_nor_what_was_read(
    sightings: list[tuple[int, int, bool]], upto_ms: int
) -> None:
    trades, still_open = Unsettled(), {}
    for number, venue_ms, settled in sightings:
        trades.saw(str(number), venue_ms, settled=settled, now_ms=0)
        still_open[str(number)] = venue_ms
        if settled:
            del still_open[str(number)]
    safe_ms = trades.safe_ms(upto_ms)
    assert safe_ms <= upto_ms
    assert all(safe_ms <= venue_ms for venue_ms in still_open.values())
    assert safe_ms in (upto_ms, *still_open.values())
