"""Fold time and feed health: what the Ticks on the tape say, and nothing else, is time.

Invariants: fold time never steps back. A producer that has not ticked for `silence_ms` of fold
time is down, and so is all it feeds. After a jump larger than `jump_ms` time is not trusted
until the producers that tick agree again (design 2, Time is a record).
"""

from dataclasses import dataclass, field

from schemas.records.system import FeedState, Tick

RECENT_TICKS = 20
"""A producer counts as ticking while one of the last so many Ticks is its own."""


@dataclass(slots=True)
class Producer:
    """Newest Tick of one connector process: its time, its place among all Ticks, its feeds."""

    now_ms: int
    number: int
    feeds: dict[str, FeedState]


@dataclass(slots=True)
class FoldClock:
    """The clock of a shard, and each producer's own word on its feeds."""

    now_ms: int = 0
    ticks: int = 0
    producers: dict[str, Producer] = field(default_factory=dict)

    def observe(self, tick: Tick) -> None:
        """Take a Tick in; time moves forward or stays."""
        self.ticks += 1
        self.producers[tick.producer] = Producer(tick.now_ms, self.ticks, tick.feeds)
        self.now_ms = max(self.now_ms, tick.now_ms)

    def agreed(self, jump_ms: int) -> bool:
        """Whether every producer that still ticks is within jump_ms of fold time."""
        return all(
            self.now_ms - producer.now_ms <= jump_ms
            for producer in self.producers.values()
            if self.ticks - producer.number < RECENT_TICKS
        )

    def alive(self, producer: str, silence_ms: int) -> bool:
        """Whether this producer ticked within silence_ms of fold time."""
        known = self.producers.get(producer)
        return known is not None and self.now_ms - known.now_ms <= silence_ms

    def feed_age_ms(self, name: str, silence_ms: int) -> int | None:
        """Age of the newest data of a feed over its live producers; None if none of them is up."""
        best: int | None = None
        for key, producer in self.producers.items():
            feed = producer.feeds.get(name)
            if feed is None or feed.state != "up" or not self.alive(key, silence_ms):
                continue
            if feed.last_data_ms > 0:
                age_ms = max(self.now_ms - feed.last_data_ms, 0)
                best = age_ms if best is None else min(best, age_ms)
        return best

    def producer_feed_age_ms(self, producer: str, name: str, silence_ms: int) -> int | None:
        """The same for one producer's own feed."""
        known = self.producers.get(producer)
        feed = known.feeds.get(name) if known is not None else None
        if feed is None or feed.state != "up" or feed.last_data_ms <= 0:
            return None
        if not self.alive(producer, silence_ms):
            return None
        return max(self.now_ms - feed.last_data_ms, 0)


def producer_of(epoch: str) -> str:
    """Producer's name in an epoch or instance id '<producer>-<offset>[.<number>]'."""
    return epoch.rsplit("-", 1)[0]
