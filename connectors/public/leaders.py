"""Data API driver: which leaders are read, and when. The reads themselves are in leader.py, how
often each is due is in pace.py."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from connectors.polymarket.cursors import ReadCursor
from connectors.polymarket.health import ReadFeed
from connectors.polymarket.process import every
from connectors.polymarket.reads import Reads
from connectors.public.catalogue import Catalogue
from connectors.public.leader import MOVES, POSITIONS, TRADES, Leader
from connectors.public.pace import Pace
from schemas.records.base import Wallet
from schemas.wiring import PublicWiring, VenueWiring

CURSOR_FEEDS = frozenset({TRADES, MOVES})
STALE_POLLS = 4
"""A read feed is down after so many intervals without an answer, or two of the longest."""
LOOK_S = 0.1


def read_feeds(wiring: PublicWiring) -> dict[str, ReadFeed]:
    """The health of each kind of read."""
    polls = max(STALE_POLLS, 2 * wiring.rest_factor)
    return {name: ReadFeed(polls * base_ms) for name, base_ms in intervals(wiring).items()}


def intervals(wiring: PublicWiring) -> dict[str, int]:
    """The configured interval of each kind of read."""
    return {
        TRADES: wiring.trades_poll_ms,
        MOVES: wiring.activity_poll_ms,
        POSITIONS: wiring.positions_poll_ms,
    }


class Leaders:
    """All followed wallets. cursors: how far earlier processes had read. listening: whether the
    activity feed is up."""

    def __init__(
        self,
        *,
        wiring: PublicWiring,
        venue: VenueWiring,
        reads: Reads,
        catalogue: Catalogue,
        cursors: dict[tuple[str, str], int],
        listening: Callable[[], bool],
    ) -> None:
        self._listening = listening
        self._paces: dict[str, Pace] = {}
        self._wiring = wiring
        self._venue = venue
        self._reads = reads
        self._catalogue = catalogue
        self._cursors = cursors
        self._leaders: dict[str, Leader] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    def follows(self, wallet: str) -> bool:
        """Whether a wallet is followed now."""
        return wallet in self._leaders

    @property
    def some(self) -> bool:
        """Whether there is anybody to follow."""
        return bool(self._leaders)

    def poke(self) -> None:
        """Read everybody's trades now: a feed may have missed some."""
        for leader in self._leaders.values():
            leader.pokes[TRADES].set()

    def heard(self, wallet: str) -> None:
        """A feed or an answer said something new of him: he is read at once if he had rested."""
        leader = self._leaders.get(wallet)
        if leader is not None and self._paces[wallet].heard(self._reads.rest.now_ms()):
            for poke in leader.pokes.values():
                poke.set()

    def trades_read_since(self) -> int:
        """When the oldest of the newest complete trades reads was asked."""
        return min(self._reads.feeds[TRADES].asked_ms.values(), default=0)

    def follow(self, wallet: str, since_ms: int, *, on: bool) -> None:
        """Begin or stop reading a wallet; since_ms is when it began to matter."""
        if on and wallet not in self._leaders:
            self._begin(Wallet(wallet), since_ms)
        elif not on and wallet in self._leaders:
            del self._leaders[wallet], self._paces[wallet]
            for task in self._tasks[wallet]:
                task.cancel()
            for feed in self._reads.feeds.values():
                feed.drop(wallet)

    def _begin(self, wallet: Wallet, since_ms: int) -> None:
        leader = Leader(
            wallet=wallet,
            reads=self._reads,
            catalogue=self._catalogue,
            data_url=self._venue.data_url,
            lag_ms=self._wiring.index_lag_ms,
            trades=self._cursor(TRADES, wallet, since_ms),
            moves=self._cursor(MOVES, wallet, since_ms),
            on_news=partial(self.heard, wallet),
        )
        pace = Pace(factor=self._wiring.rest_factor, now_ms=self._reads.rest.now_ms())
        self._paces[wallet] = pace
        self._leaders[wallet] = leader
        for feed in self._reads.feeds.values():
            feed.follow(wallet)
        works: dict[str, Callable[[], Awaitable[None]]] = {
            TRADES: leader.read_trades,
            MOVES: leader.read_moves,
            POSITIONS: leader.read_positions,
        }
        kept = [task for task in self._tasks.get(wallet, []) if not task.done()]
        self._tasks[wallet] = kept + [
            asyncio.create_task(
                every(partial(self._interval_ms, pace, base_ms), leader.pokes[name], works[name])
            )
            for name, base_ms in intervals(self._wiring).items()
        ]

    def _interval_ms(self, pace: Pace, base_ms: int) -> int:
        return pace.interval_ms(base_ms, self._reads.rest.now_ms(), listening=self._listening())

    def _cursor(self, feed: str, wallet: Wallet, since_ms: int) -> ReadCursor:
        return ReadCursor(
            start_ms=since_ms,
            upto_ms=self._cursors.get((feed, wallet)),
            overlap_ms=self._wiring.overlap_ms,
        )

    async def run(self) -> None:
        """Watch over the readers until cancelled; the first that fails fails this."""
        try:
            while True:
                for tasks in self._tasks.values():
                    for task in tasks:
                        if task.done() and not task.cancelled():
                            task.result()
                await asyncio.sleep(LOOK_S)
        finally:
            everything = [task for tasks in self._tasks.values() for task in tasks]
            for task in everything:
                task.cancel()
            if everything:
                await asyncio.wait(everything)
