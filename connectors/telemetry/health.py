"""Whether a process lives and whether it can do its work: two questions, two answers.

Alive: its main loop beats. Ready: every named condition holds. Not ready is no reason to end a
process (it may be waiting for Kafka, or a stop file is there); not beating is. Asked from another
thread than the one that answers, so checks only read.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

BEAT_S = 0.5

Check = Callable[[], str]
"""'' while a condition holds, else the reason why it does not."""


class Heart:
    """Beaten by the main loop. hung_s: so long without a beat means that the loop hangs.

    Before the first beat the process is starting, however long that takes: it may be waiting for
    a broker, and ending it would cure nothing.
    """

    def __init__(self, hung_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._hung_s = hung_s
        self._clock = clock
        self._beaten_s: float | None = None

    def beat(self) -> None:
        """The loop came round."""
        self._beaten_s = self._clock()

    def trouble(self) -> str:
        """'' while it beats, else since when it has not."""
        if self._beaten_s is None:
            return ""
        silent_s = self._clock() - self._beaten_s
        if silent_s <= self._hung_s:
            return ""
        return f"the main loop has not beaten for {silent_s:.1f} s"


async def beating(heart: Heart) -> NoReturn:
    """Beat for ever from within an asyncio loop: as long as that loop turns."""
    while True:
        heart.beat()
        await asyncio.sleep(BEAT_S)


class Readiness:
    """Named conditions. Some stand before the process is served: none is ready by omission."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def require(self, name: str, check: Check) -> None:
        """A condition that is asked about each time."""
        assert name not in self._checks, f"{name} is required already"
        self._checks[name] = check

    def latch(self, name: str, until_then: str) -> Callable[[], None]:
        """A condition that begins to hold once, when the returned function is called."""
        reason = [until_then]
        self.require(name, lambda: reason[0] if reason else "")
        return reason.clear

    def report(self) -> dict[str, bool | str]:
        """True for each condition that holds, for the others their reason."""
        return {name: check() or True for name, check in list(self._checks.items())}

    def ready(self) -> bool:
        """Whether all hold."""
        return all(said is True for said in self.report().values())
