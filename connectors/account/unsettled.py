"""Trades of ours that may still change: which to ask for again, and how far back a restart reads.

Sans-I/O. A read window moves on with time; a trade whose settlement takes longer falls behind it
and is then looked up by its id, so that neither its confirmation nor its failure is missed. The
cursor that is kept never passes such a trade, so a restart finds it again. A trade that is not
settled after LIMIT_MS is given up: the alarm `fill_unsettled` has named it long before.
"""

from dataclasses import dataclass

LIMIT_MS = 7 * 86_400_000
LOOK_EVERY_MS = 30_000
OPEN_MAX = 10_000
LOOK_MAX = 5
"""Look-ups after one read, at most."""


@dataclass(slots=True)
class _Open:
    venue_ms: int
    looked_ms: int


class Unsettled:
    """Open trades by id, with the venue's time of the match."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def saw(self, trade: str, venue_ms: int, *, settled: bool, now_ms: int) -> None:
        """An answer showed this trade."""
        if settled:
            self._open.pop(trade, None)
        else:
            self._open[trade] = _Open(venue_ms, now_ms)

    def due(self, window_from_ms: int, now_ms: int) -> list[str]:
        """Trades behind the window that are to be looked up now; they count as looked up."""
        due = [
            (found.looked_ms, trade)
            for trade, found in self._open.items()
            if found.venue_ms < window_from_ms and found.looked_ms + LOOK_EVERY_MS <= now_ms
        ]
        chosen = [trade for _, trade in sorted(due)[:LOOK_MAX]]
        for trade in chosen:
            self._open[trade].looked_ms = now_ms
        return chosen

    def given_up(self, now_ms: int) -> list[str]:
        """Trades open for too long, or too many; they are forgotten hereby."""
        old = [trade for trade, found in self._open.items() if found.venue_ms < now_ms - LIMIT_MS]
        if len(self._open) - len(old) > OPEN_MAX:
            by_age = sorted(self._open, key=lambda trade: self._open[trade].venue_ms)
            old = by_age[: len(self._open) - OPEN_MAX]
        for trade in old:
            del self._open[trade]
        return old

    def safe_ms(self, upto_ms: int) -> int:
        """Up to where nothing can change any more, of what was read up to upto_ms."""
        return min([upto_ms, *(found.venue_ms for found in self._open.values())])
