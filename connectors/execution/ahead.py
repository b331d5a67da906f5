"""Asks the venue about a market as soon as a leader trades in it, ahead of the order.

The client wants to know a market before it signs, and asks twice for each it does not know. His
netting window is still open then, so the order that may come of it need not wait for that. Decides
nothing: whoever signs asks again for what is not known, and all he is told is checked as ever.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from connectors.kafka.consumer import Row
from schemas.codec import decode
from schemas.records.base import Token
from schemas.records.leader import LeaderFills

KIND: Final = b"LeaderFills"
FRESH_MS: Final = 10_000
"""A trade that stands on the tape for longer leads to no order that would be in a hurry."""
AGAIN_S: Final = 300.0
"""The client forgets a market after ten minutes; what it knows is not older than this then."""
ASKED_MAX: Final = 10_000


class Ahead:
    """ask: learns a token's market, whatever the venue answers. Belongs to the running loop."""

    def __init__(
        self,
        ask: Callable[[Token], Awaitable[None]],
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ask = ask
        self._clock_ms = clock_ms
        self._asked_ms: dict[Token, int] = {}
        self._due: asyncio.Queue[Token] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def glance(self, row: Row) -> None:
        """Look at one record of the tape; called from its reader's thread."""
        now_ms = self._clock_ms()
        if row.headers.get("kind") != KIND or now_ms - row.timestamp_ms > FRESH_MS:
            return
        record = decode(row.value)
        assert isinstance(record, LeaderFills), "the header says what it is"
        asked_ms = self._asked_ms.get(record.token)
        if asked_ms is not None and now_ms - asked_ms < AGAIN_S * 1_000:
            return
        if len(self._asked_ms) >= ASKED_MAX:
            self._asked_ms.clear()
        self._asked_ms[record.token] = now_ms
        self._loop.call_soon_threadsafe(self._due.put_nowait, record.token)

    async def run(self) -> None:
        """Ask for ever, one at a time."""
        while True:
            await self._ask(await self._due.get())
