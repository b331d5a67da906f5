"""Waiting for something to come true, as long as a busy machine needs, and no longer than it does.

A wait that is in vain fails with what was seen last. It says nothing of how fast anything is.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

WAIT_S = 90.0
T = TypeVar("T")


def wait_until(what: Callable[[], T], seen: Callable[[], Any] = str, wait_s: float = WAIT_S) -> T:
    """What `what` says once it is true; in vain, what `seen` says."""
    deadline = time.monotonic() + wait_s
    while not (found := what()):
        assert time.monotonic() < deadline, f"in vain for {wait_s:.0f} s: {seen() or found!r}"
        time.sleep(0.02)
    return found


async def until(what: Callable[[], T], seen: Callable[[], Any] = str, wait_s: float = WAIT_S) -> T:
    """The same in an event loop, which goes on meanwhile."""

    async def look() -> T:
        return what()

    return await until_answered(look, seen, wait_s)


async def until_answered(
    ask: Callable[[], Awaitable[T]], seen: Callable[[], Any] = str, wait_s: float = WAIT_S
) -> T:
    """The same for what has to be asked."""
    deadline = time.monotonic() + wait_s
    while not (found := await ask()):
        assert time.monotonic() < deadline, f"in vain for {wait_s:.0f} s: {seen() or found!r}"
        await asyncio.sleep(0.02)
    return found


def heed_interrupts() -> None:
    """In a child before it starts: what was begun in the background may have them ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
