"""How far each feed of each subject has been read, and what to read next. Sans-I/O.

A read begins `overlap` behind its cursor, since rows appear late and out of order (API reference
10.6). Without a cursor it begins where the subject began to matter, so a lost cursor costs a read
and never a row. A long gap is read in slices, oldest first, each an answer of its own.
"""

from dataclasses import dataclass

SLICE_MS = 6 * 3_600_000


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch to ask for; upto_ms None: to the present."""

    from_ms: int
    upto_ms: int | None

    def covered_ms(self, asked_ms: int, lag_ms: int) -> int:
        """How far the answer is complete: rows younger than the index's lag may be missing."""
        trusted_ms = asked_ms - lag_ms
        return trusted_ms if self.upto_ms is None else min(self.upto_ms, trusted_ms)


class ReadCursor:
    """Cursor of one feed of one subject. start_ms: when the subject began to matter."""

    def __init__(self, *, start_ms: int, upto_ms: int | None, overlap_ms: int) -> None:
        self.upto_ms = start_ms if upto_ms is None else upto_ms
        self._overlap_ms = overlap_ms

    def next_span(self, now_ms: int) -> Span:
        """What to ask for now."""
        from_ms = max(self.upto_ms - self._overlap_ms, 0)
        if now_ms - from_ms > SLICE_MS + self._overlap_ms:
            return Span(from_ms, from_ms + SLICE_MS + self._overlap_ms)
        return Span(from_ms, None)

    def covered(self, upto_ms: int) -> bool:
        """Everything up to there is on the tape; whether that is news."""
        if upto_ms <= self.upto_ms:
            return False
        self.upto_ms = upto_ms
        return True

    @property
    def forget_before_ms(self) -> int:
        """No future answer reaches further back."""
        return self.upto_ms - 2 * self._overlap_ms
