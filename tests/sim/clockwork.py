"""Virtual time: an asyncio loop whose clock jumps to whatever is due next, and never waits.

Given the same callbacks in the same order it does the same, since nothing in it is real: no
sockets, no threads, no signals. Product code that says `await asyncio.sleep(...)` or
`asyncio.timeout(...)` runs in it unchanged.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
NS = 1_000_000_000


class Stuck(RuntimeError):
    """Everything waits for something that will never come."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Starts at 0 s. `origin_ns` is the epoch time of that moment."""

    def __init__(self, origin_ns: int) -> None:
        super().__init__()
        self.origin_ns = origin_ns
        self._now_s = 0.0
        self._selector = self  # what BaseEventLoop asks to wait
        self.failures: list[BaseException] = []
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Seconds since the start."""
        return self._now_s

    def now_ns(self) -> int:
        """Epoch time, true to everybody in the world."""
        return self.origin_ns + round(self._now_s * NS)

    def now_ms(self) -> int:
        """The same in milliseconds."""
        return self.now_ns() // 1_000_000

    def select(self, timeout: float | None) -> list[Any]:
        """Instead of waiting: it is later now."""
        if timeout is None:
            raise Stuck("nothing is scheduled and nothing is ready")
        self._now_s += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody else's thread ever wakes this loop."""

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None:
            error = RuntimeError(str(context.get("message")))
        self.failures.append(error)

    def close(self) -> None:
        """Drop everything that is still scheduled."""
        self._scheduled.clear()
        self._ready.clear()
        super().close()


def run_virtually(loop: VirtualLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run to the end of `main`; what was left running is cancelled, silently for the world."""
    try:
        return loop.run_until_complete(main)
    finally:
        _cancel_all(loop)
        loop.close()


def _cancel_all(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
