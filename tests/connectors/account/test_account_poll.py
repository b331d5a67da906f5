"""The pace of reads, and which trades are asked for again."""

import asyncio
from collections.abc import Awaitable, Callable

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
from tests.sim.clockwork import VirtualLoop, run_virtually

START_MS = 1_795_000_000_000
DAY_MS = 86_400_000


class Asked:
    """Counts questions and answers them as told, in virtual time."""

    def __init__(self, *, answered: bool) -> None:
        self.answered = answered
        self.at_ms: list[int] = []
        self.feed = ReadFeed(60_000)
        self.feed.follow("main")

    async def work(self) -> bool:
        self.at_ms.append(round(asyncio.get_running_loop().time() * 1_000))
        return self.answered

    def watched(
        self,
        scene: Callable[[Poll], Awaitable[None]],
        interval_ms: int,
        base_ms: int = 250,
    ) -> None:
        """Play a scene beside a poll; both end with it."""

        async def both() -> None:
            poll = Poll(
                feed=self.feed,
                interval_ms=interval_ms,
                work=self.work,
                backoff=Backoff(lambda: 1.0, base_ms=base_ms),
                now_ms=lambda: START_MS,
            )
            running = asyncio.create_task(poll.run())
            await scene(poll)
            assert not running.done()

        run_virtually(VirtualLoop(START_MS * 1_000_000), both())


def test_a_poke_brings_the_next_read_at_once_but_never_a_storm() -> None:
    asked = Asked(answered=True)

    async def storm(poll: Poll) -> None:
        for _ in range(35):
            await asyncio.sleep(0.02)
            poll.poke()
        await asyncio.sleep(0.3)

    asked.watched(storm, interval_ms=60_000)
    assert asked.at_ms == [0, GAP_MS, 2 * GAP_MS, 3 * GAP_MS, 4 * GAP_MS]


def test_a_poke_long_after_the_last_read_brings_one_at_once() -> None:
    asked = Asked(answered=True)

    async def once(poll: Poll) -> None:
        await asyncio.sleep(1.1)
        poll.poke()
        await asyncio.sleep(5)

    asked.watched(once, interval_ms=60_000)
    assert asked.at_ms == [0, 1_100]


def test_refusals_wait_longer_each_time_and_a_poke_does_not_shorten_it() -> None:
    asked = Asked(answered=False)

    async def pokes(poll: Poll) -> None:
        for _ in range(40):
            await asyncio.sleep(0.05)
            poll.poke()

    asked.watched(pokes, interval_ms=10, base_ms=250)
    assert asked.at_ms == [0, 250, 750, 1_750]
    assert asked.feed.doubt_ms == START_MS, "its feed is doubtful"


def test_an_answer_ends_the_waiting() -> None:
    asked = Asked(answered=False)

    async def recovers(_poll: Poll) -> None:
        await asyncio.sleep(0.5)
        asked.answered = True
        await asyncio.sleep(1.25)

    asked.watched(recovers, interval_ms=300, base_ms=100)
    assert asked.at_ms == [0, 200, 400, 800, 1_100, 1_400, 1_700]


def test_after_429_nothing_leaves_before_the_venue_allows_it() -> None:
    answers = iter([httpx.Response(429, headers={"Retry-After": "1"}), httpx.Response(200)])
    loop = VirtualLoop(START_MS * 1_000_000)

    async def asks_twice() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _request: next(answers)))
        async with Rest(per_second=100, clock_ns=loop.now_ns, client=client) as rest:
            await rest.get("http://clob.test/data/orders")
            await rest.get("http://clob.test/balance-allowance")
        assert loop.time() == pytest.approx(1.0)

    run_virtually(loop, asks_twice())


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
