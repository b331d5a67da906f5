"""Fold time and feed health: what the Ticks on the tape say, and nothing else, is time.

Invariants: fold time is the largest time told so far, and never steps back. A producer that has
not ticked for `silence_ms` of fold time is down, and so is all it feeds. A step of more than
`jump_ms` is not believed of one producer: until another that ticks says the same, or until it is
the only one that ticks, fold time stays, and the one ahead is down with all its feeds. Were it
believed, everybody else would be late until the day it told of, and no window would ever close.
While producers disagree nothing is increased; a disagreement that lasts is an alarm, as is a fold
time that every producer is behind (clocks that were wrong together, and then set right).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.records.base import Account, Record
from schemas.records.journal import Alarm
from schemas.records.system import FeedState, Tick

RECENT_TICKS = 20
"""A producer counts as ticking while one of the last so many Ticks is its own."""
ALONE_TICKS = 10
"""A step of the only producer that ticks is believed after so many Ticks of its own."""
LASTING_TICKS = 30
"""A disagreement that lasts for so many Ticks of one producer is an alarm."""


@dataclass(slots=True)
class Producer:
    """Newest Tick of one connector process: its time, its place among all Ticks, its feeds.

    ahead: how many Ticks in a row it has been further ahead than is believed; late: behind.
    account: whose feeds they are, None: no account's own, or the shard's only one's.
    """

    now_ms: int
    number: int
    feeds: dict[str, FeedState]
    ahead: int = 0
    late: int = 0
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A disagreement that lasts: whose Tick told, and how far ahead (+) or behind (-) it is."""

    producer: str
    apart_ms: int


@dataclass(slots=True)
class FoldClock:
    """The clock of a shard, each producer's word on its feeds, the newest Tick's warning."""

    now_ms: int = 0
    ticks: int = 0
    producers: dict[str, Producer] = field(default_factory=dict)
    warning: Disagreement | None = None

    def observe(self, tick: Tick, jump_ms: int) -> None:
        """Take a Tick in; time moves forward or stays."""
        self.ticks += 1
        known = self.producers.get(tick.producer)
        told = Producer(tick.now_ms, self.ticks, tick.feeds, account=tick.account)
        self.producers[tick.producer] = told
        if self.now_ms and tick.now_ms - self.now_ms > jump_ms:
            told.ahead = known.ahead + 1 if known is not None else 1
            if not self._believed(tick.producer, jump_ms):
                self.warning = self._warned(tick.producer, told.ahead)
                return
        self.now_ms = max(self.now_ms, tick.now_ms)
        for each in self.producers.values():
            each.ahead = each.ahead if each.now_ms - self.now_ms > jump_ms else 0
        late = all(self.now_ms - each.now_ms > jump_ms for each in self._ticking().values())
        told.late = 0 if not late else 1 + (known.late if known is not None else 0)
        self.warning = self._warned(tick.producer, told.late)

    def _ticking(self) -> dict[str, Producer]:
        recent = self.ticks - RECENT_TICKS
        return {key: each for key, each in self.producers.items() if each.number > recent}

    def _believed(self, producer: str, jump_ms: int) -> bool:
        """Whether another that ticks tells about the same time, or nobody else ticks."""
        told = self.producers[producer]
        others = [each for key, each in self._ticking().items() if key != producer]
        if not others:
            return told.ahead >= ALONE_TICKS
        return any(abs(told.now_ms - each.now_ms) <= jump_ms for each in others)

    def _warned(self, producer: str, ticks: int) -> Disagreement | None:
        apart_ms = self.producers[producer].now_ms - self.now_ms
        return Disagreement(producer, apart_ms) if ticks == LASTING_TICKS else None

    def agreed(self, jump_ms: int) -> bool:
        """Whether every producer that still ticks is within jump_ms of fold time."""
        return all(abs(self.now_ms - each.now_ms) <= jump_ms for each in self._ticking().values())

    def alive(self, producer: str, silence_ms: int) -> bool:
        """Whether this producer ticked within silence_ms of fold time, and is not ahead of it."""
        known = self.producers.get(producer)
        return known is not None and not known.ahead and self.now_ms - known.now_ms <= silence_ms

    def feed_age_ms(self, name: str, silence_ms: int, account: Account | None = None) -> int | None:
        """Age of the newest data of a feed over its live producers; None if none of them is up.

        account: what another account's connector says does not count.
        """
        best: int | None = None
        for key, producer in self.producers.items():
            feed = producer.feeds.get(name)
            if account is not None and producer.account not in (None, account):
                continue
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


def decide(clock: FoldClock) -> Iterator[Record]:
    """Producers whose clocks differ for a while; who is right is for a person to see."""
    found = clock.warning
    if found is not None:
        yield Alarm(
            name="clock_ahead" if found.apart_ms > 0 else "clock_behind",
            subject=found.producer,
            detail="a connector's clock and fold time are too far apart",
            numbers={"apart_ms": found.apart_ms},
        )


def producer_of(epoch: str) -> str:
    """Producer's name in an epoch or instance id '<producer>-<offset>[.<number>]'."""
    return epoch.rsplit("-", 1)[0]
