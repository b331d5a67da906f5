"""What both connector processes count, and how their feeds stand, as their own Ticks say it."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from connectors.telemetry.server import Telemetry
from schemas.records.base import Record
from schemas.records.market import BookEpoch
from schemas.records.system import FeedState

LOG = logging.getLogger(__name__)
Feeds = dict[str, FeedState]
LEVEL: Final = {"up": 1.0, "suspect": 0.5, "down": 0.0}
UNWATCHED: Final = "unwatched"
NS: Final = 1_000_000


@dataclass(slots=True)
class ConnectorCounts:
    """Counts since the process began: by feed, and ended book epochs by reason."""

    frames: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    reconnects: Counter[str] = field(default_factory=Counter)
    resyncs: Counter[str] = field(default_factory=Counter)

    def lost(self, feed: str) -> Callable[[], None]:
        """A function that counts one connection of this feed as ended and dialled again."""
        return lambda: self.reconnects.update((feed,))

    def appended(self, record: Record) -> None:
        """Count an epoch that ended; one that nobody wants any more is nothing to resync."""
        if isinstance(record, BookEpoch) and record.state == "ended" and record.reason != UNWATCHED:
            self.resyncs[record.reason] += 1

    def export(self, telemetry: Telemetry) -> None:
        """Have them read at each scrape."""
        read = telemetry.metrics.read
        read("frames_total", lambda: self.frames)
        read("dead_total", lambda: self.dead)
        read("reconnects_total", lambda: self.reconnects)
        read("book_resyncs_total", lambda: self.resyncs)


class FeedBoard:
    """The feeds as the newest Tick has them; one log line for each change of a state."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._newest: Feeds = {}

    def watching(self, feeds: Callable[[int], Feeds]) -> Callable[[int], Feeds]:
        """The same function; what it says is kept here."""

        def watched(now_ms: int) -> Feeds:
            newest = feeds(now_ms)
            for name, found in newest.items():
                self._changed(name, found, now_ms)
            self._newest = newest
            return newest

        return watched

    def _changed(self, name: str, found: FeedState, now_ms: int) -> None:
        before = self._newest.get(name)
        if before is not None and before.state == found.state:
            return
        age = str(now_ms - found.last_data_ms) if found.last_data_ms else "none"
        said = (name, found.state, before.state if before else "none", age)
        level = logging.INFO if found.state == "up" else logging.WARNING
        LOG.log(level, "feed=%s state=%s was=%s data_age_ms=%s", *said)

    def export(self, telemetry: Telemetry) -> None:
        """Have states and ages read at each scrape."""
        telemetry.metrics.read("feed_up", self.levels)
        telemetry.metrics.read("feed_age_seconds", self.ages_s)

    def levels(self) -> dict[str, float]:
        """1, 0.5 or 0 for each feed."""
        return {name: LEVEL[found.state] for name, found in self._newest.items()}

    def ages_s(self) -> dict[str, float]:
        """Age of the newest data of each feed that ever had some."""
        now_ms = self._clock_ns() // NS
        return {
            name: (now_ms - found.last_data_ms) / 1_000
            for name, found in self._newest.items()
            if found.last_data_ms
        }

    def down(self, name: str) -> str:
        """Why a feed cannot be used at all, '' if it can: up, or connected and not yet proven."""
        found = self._newest.get(name)
        if found is None:
            return "no Tick yet"
        return f"{name} is down" if found.state == "down" else ""

    def silent(self) -> str:
        """Which feeds never had any data; '' if all had."""
        if not self._newest:
            return "no Tick yet"
        names = [name for name, found in self._newest.items() if not found.last_data_ms]
        return f"no data yet: {', '.join(names)}" if names else ""
