"""How long to wait before trying again: full jitter, doubling, capped (API reference 7.6, 9).

Chance is a parameter: `jitter()` gives a number in [0, 1).
"""

from collections.abc import Callable

BASE_MS = 250
CAP_MS = 30_000
STABLE_MS = 60_000
"""An attempt that lived so long starts the count anew."""


class Backoff:
    """Waits grow with failures in a row and shrink with how long the last attempt served."""

    def __init__(self, jitter: Callable[[], float], *, base_ms: int = BASE_MS) -> None:
        self._jitter = jitter
        self._base_ms = base_ms
        self.failures = 0

    def failed(self, *, lasted_ms: int = 0, least_ms: int = 0) -> int:
        """Count a failure; the wait before the next attempt, at least least_ms.

        What served for a while is not waited for longer than it served: cuts each few seconds
        must not blind us for half a minute, and a venue that answers is not hammered by it.
        """
        self.failures = 1 if lasted_ms >= STABLE_MS else self.failures + 1
        limit = min(self._base_ms << min(self.failures - 1, 16), CAP_MS)
        if lasted_ms > self._base_ms:
            limit = min(limit, lasted_ms)
        return max(int(limit * self._jitter()), least_ms)

    def succeeded(self) -> None:
        """The next failure is the first one again."""
        self.failures = 0
