"""What both connector processes share: a Tick each interval, a state's change as one log line, an
end that ends everything. Drivers only."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from connectors.polymarket.outbox import Outbox
from schemas.records.base import Account
from schemas.records.system import FeedState, Tick

LOG = logging.getLogger(__name__)
NS = 1_000_000


class StateLog:
    """Logs a subject's state when it changes, and never otherwise."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._states: dict[str, str] = {}

    def say(self, subject: str, state: str, detail: str = "") -> None:
        """state is a word; detail goes with it but does not count as a change."""
        if self._states.get(subject) != state:
            self._states[subject] = state
            self._log.info("%s state=%s %s", subject, state, detail)


async def tick_forever(
    outbox: Outbox,
    *,
    producer: str,
    every_ms: int,
    clock_ns: Callable[[], int],
    feeds: Callable[[int], dict[str, FeedState]],
    account: Account | None = None,
) -> None:
    """Append a Tick each interval, on the clock's own grid, so that a late one is not made up."""
    seq = 0
    while True:
        now_ms = clock_ns() // NS
        record = Tick(
            producer=producer, seq=seq, now_ms=now_ms, feeds=feeds(now_ms), account=account
        )
        outbox.tape(record, producer)
        seq += 1
        await asyncio.sleep((every_ms - clock_ns() // NS % every_ms) / 1_000)


async def run_until(stop: asyncio.Event, parts: list[Coroutine[Any, Any, None]]) -> None:
    """Run all parts until stop is set or one ends; its error is raised, the others are cancelled.

    No part may end by itself: one that does without an error is an error.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in [*tasks, stopping]:
            task.cancel()
        await asyncio.wait([*tasks, stopping])
    for task in tasks:
        if not task.cancelled():
            error = task.exception()
            if error is None and stop.is_set():
                continue
            raise error or RuntimeError(f"{task.get_coro()} ended by itself")


async def every(
    interval_ms: Callable[[], int], poke: asyncio.Event, work: Callable[[], Any]
) -> None:
    """Do the work each interval, sooner when poked; the interval counts from its beginning."""
    loop = asyncio.get_running_loop()
    while True:
        poke.clear()
        began_s = loop.time()
        await work()
        due_s = began_s + interval_ms() / 1_000
        try:
            async with asyncio.timeout_at(due_s):
                await poke.wait()
        except TimeoutError:
            continue
