"""One REST read again and again: at an interval, sooner when poked, later while the venue refuses.

A refusal makes its feed doubtful and the waits grow (full jitter, capped); a poke never shortens
them. Decides nothing about what an answer means.
"""

import asyncio
from collections.abc import Awaitable, Callable

from connectors.polymarket.backoff import Backoff
from connectors.polymarket.health import ReadFeed

GAP_MS = 200
"""Least time from one answer to the next question, however often it is poked."""


class Poll:
    """work asks once and says whether the venue answered; it appends what the answer said."""

    def __init__(
        self,
        *,
        feed: ReadFeed,
        interval_ms: int,
        work: Callable[[], Awaitable[bool]],
        backoff: Backoff,
        now_ms: Callable[[], int],
    ) -> None:
        self._feed = feed
        self._interval_ms = interval_ms
        self._work = work
        self._backoff = backoff
        self._now_ms = now_ms
        self._poke = asyncio.Event()

    def poke(self) -> None:
        """Something may have been missed: ask as soon as possible."""
        self._poke.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._poke.clear()
            due_s = loop.time() + self._interval_ms / 1_000
            if await self._work():
                self._backoff.succeeded()
                await self._rest(due_s)
            else:
                self._feed.doubt(self._now_ms())
                await asyncio.sleep(self._backoff.failed(least_ms=GAP_MS) / 1_000)

    async def _rest(self, due_s: float) -> None:
        await asyncio.sleep(GAP_MS / 1_000)
        try:
            async with asyncio.timeout_at(due_s):
                await self._poke.wait()
        except TimeoutError:
            return
