"""How often a leader is read: as configured while he does anything, more rarely while he rests.

Sans-I/O. A leader who traded, or of whom the feed said something, is read at the configured
interval; his interval grows with his rest, to at most `factor` times that. Rest is only what a feed
that is up says nothing about: while it is not, everybody is read at the configured interval.
Cursors make a rarer read a longer one, never a gap (cursors.py).
"""

LIVELY_MS = 60_000
"""A leader is lively for so long after the last that was heard of him; from then on it grows."""


class Pace:
    """One leader's. factor: how many times the configured interval his longest one is."""

    def __init__(self, *, factor: int, now_ms: int) -> None:
        self._factor = factor
        self._heard_ms = now_ms

    def heard(self, now_ms: int) -> bool:
        """Something was heard of him; whether he had rested, and should be read now."""
        rested = now_ms - self._heard_ms > LIVELY_MS
        self._heard_ms = max(now_ms, self._heard_ms)
        return rested

    def interval_ms(self, base_ms: int, now_ms: int, *, listening: bool) -> int:
        """From the beginning of one read to that of the next. listening: the feed is up."""
        if not listening:
            return base_ms
        rest_ms = now_ms - self._heard_ms
        return min(max(base_ms, base_ms * rest_ms // LIVELY_MS), base_ms * self._factor)
