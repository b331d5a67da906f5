"""Judging positions reports: a difference is corrected only when three reports agree on it.

A report speaks of some unknown moment between asked - lag and its answer, which a slow venue works
out long after the question. Our rebuilt quantity over that stretch, taken by venue time with every
order possible inside a second, has extremes x_min and x_max, so the true difference lies in
[r - x_max, r - x_min]. If 0 lies inside, the report agrees. When three in a row have a common part
without 0, its value nearest to 0 is the correction: a difference, never a level, so it is right
while trading goes on. A fill of our own is in the venue's index from some moment between its match
and its settlement's end; until that end is told, any report may hold it or not.
(Measured on 600 simulated feeds: no correction in clean ones, bounded error in lossy ones;
waiting for a quiet moment grows without bound on a busy leader.)
"""

from bisect import bisect_left
from dataclasses import dataclass, field, replace

AGREEING_REPORTS = 3
SECOND_MS = 1_000
CLOCKS_MS = 2 * SECOND_MS
"""So far after a report's answer a movement may be dated and have come before it all the same."""
HISTORY_MAX = 4_096
"""Seconds of movement kept per token; what is older than the prune line is one number."""


@dataclass(slots=True)
class Span:
    """A movement that came at some moment between two; upto_ms None: it may be yet to come."""

    shares_micro: int
    from_ms: int
    upto_ms: int | None = None

    def before(self, at_ms: int) -> bool:
        """Whether it may have come by then; the feed stamps up to a second less than the block."""
        return self.from_ms // SECOND_MS < (at_ms + CLOCKS_MS) // SECOND_MS

    def surely_before(self, at_ms: int) -> bool:
        """Whether it had come by then whatever the clocks say."""
        return self.upto_ms is not None and self.upto_ms // SECOND_MS < at_ms // SECOND_MS - 1


@dataclass(slots=True)
class Rebuilt:
    """A quantity of one token as we rebuilt it, with its movements by venue second.

    spans: movements that no second dates, by identity.
    """

    total_micro: int = 0
    seconds: list[int] = field(default_factory=list)
    plus: list[int] = field(default_factory=list)
    minus: list[int] = field(default_factory=list)
    spans: dict[str, Span] = field(default_factory=dict)

    def move(self, shares_micro: int, venue_ms: int) -> None:
        """Add a movement at a venue time, whenever it became known."""
        self.total_micro += shares_micro
        second = venue_ms // SECOND_MS
        at = bisect_left(self.seconds, second)
        if at == len(self.seconds) or self.seconds[at] != second:
            self.seconds.insert(at, second)
            self.plus.insert(at, 0)
            self.minus.insert(at, 0)
        if shares_micro > 0:
            self.plus[at] += shares_micro
        else:
            self.minus[at] += shares_micro

    def begin(self, key: str, shares_micro: int, from_ms: int) -> None:
        """Add a movement that has come since from_ms, or will."""
        self.total_micro += shares_micro
        self.spans[key] = Span(shares_micro, from_ms)

    def end(self, key: str, upto_ms: int) -> None:
        """The movement has come by now."""
        if key in self.spans:
            self.spans[key].upto_ms = upto_ms

    def drop(self, key: str) -> None:
        """It never came and never will."""
        self.total_micro -= self.spans.pop(key).shares_micro

    def adjust(self, shares_micro: int) -> None:
        """Add a correction: it was always there, so it belongs to no second."""
        self.total_micro += shares_micro

    def extremes(self, from_ms: int, upto_ms: int) -> tuple[int, int]:
        """Least and greatest quantity that may have stood at some moment of the stretch.

        Every order is possible inside two neighbouring seconds: clocks bound here, they do not
        order.
        """
        # The feed stamps up to a second less than the block, hence one second more on each side.
        first = bisect_left(self.seconds, from_ms // SECOND_MS - 1)
        last = bisect_left(self.seconds, upto_ms // SECOND_MS + 2)
        out, down_most, up_most = self._undated(from_ms, upto_ms)
        level = self.total_micro - sum(self.plus[first:]) - sum(self.minus[first:]) - out
        low = high = level
        for at in range(first, last):
            down, up = self.minus[at], self.plus[at]
            if at + 1 < len(self.seconds) and self.seconds[at + 1] == self.seconds[at] + 1:
                # Told by the feed, a fill is dated a second before what REST tells of the same
                # block, so movements of neighbouring seconds may have come in either order.
                down, up = down + self.minus[at + 1], up + self.plus[at + 1]
            low, high = min(low, level + down), max(high, level + up)
            level += self.plus[at] + self.minus[at]
            low, high = min(low, level), max(high, level)
        return low + down_most, high + up_most

    def _undated(self, from_ms: int, upto_ms: int) -> tuple[int, int, int]:
        """Shares of spans that may be missing in the stretch; the least and most of them in it."""
        out = down_most = up_most = 0
        for span in self.spans.values():
            if span.surely_before(from_ms):
                continue
            out += span.shares_micro
            if span.before(upto_ms):
                down_most += min(span.shares_micro, 0)
                up_most += max(span.shares_micro, 0)
        return out, down_most, up_most

    def prune(self, before_ms: int) -> None:
        """Forget the dates of old movements; their sum stays."""
        cut = bisect_left(self.seconds, before_ms // SECOND_MS)
        cut = max(cut, len(self.seconds) - HISTORY_MAX)
        del self.seconds[:cut], self.plus[:cut], self.minus[:cut]
        ended = [
            k for k, s in self.spans.items() if s.upto_ms is not None and s.upto_ms < before_ms
        ]
        for key in ended:
            del self.spans[key]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true difference of one report lies, ends included; of which stretch it speaks."""

    low_micro: int
    high_micro: int
    report: str
    from_ms: int = 0
    upto_ms: int = 0

    @property
    def agrees(self) -> bool:
        """Whether no difference at all is possible."""
        return self.low_micro <= 0 <= self.high_micro

    @property
    def nearest_to_zero(self) -> int:
        """The smallest difference that the report allows."""
        if self.agrees:
            return 0
        return self.low_micro if self.low_micro > 0 else self.high_micro

    def shifted(self, shares_micro: int) -> "Interval":
        """The same report held against a record with so many shares less."""
        low, high = self.low_micro + shares_micro, self.high_micro + shares_micro
        return replace(self, low_micro=low, high_micro=high)

    def knowing(self, span: Span) -> "Interval":
        """The same once a movement has become known, which it may have known."""
        if not span.before(self.upto_ms):
            return self
        if span.surely_before(self.from_ms):
            return self.shifted(-span.shares_micro)
        low = self.low_micro - max(span.shares_micro, 0)
        high = self.high_micro - min(span.shares_micro, 0)
        return replace(self, low_micro=low, high_micro=high)


def is_late(venue_ms: int, now_ms: int, fills_lag_ms: int) -> bool:
    """Whether a movement becomes known so late that a report it touches may be judged already."""
    return now_ms - venue_ms > fills_lag_ms - CLOCKS_MS


def compare(
    rebuilt: Rebuilt,
    *,
    row_micro: int | None,
    floor_micro: int,
    asked_ms: int,
    lag_ms: int,
    report: str,
    answered_ms: int = 0,
) -> Interval:
    """Interval of the difference; a row that is absent stands for anything below the floor."""
    from_ms, upto_ms = asked_ms - lag_ms, max(asked_ms, answered_ms)
    low, high = rebuilt.extremes(from_ms, upto_ms)
    most, least = (row_micro, row_micro) if row_micro is not None else (floor_micro, 0)
    return Interval(least - high, most - low, report, from_ms, upto_ms)


def following(row: tuple[Interval, ...], new: Interval) -> tuple[Interval, ...]:
    """The newest reports in a row that can all be true of one difference, the new one included.

    One that contains 0 stays in the row: on a busy wallet single reports are wide, and it is
    what they share that proves something.
    """
    longer = (*row, new)[-AGREEING_REPORTS:]
    low, high = common(longer)
    return longer if low <= high else (new,)


def common(row: tuple[Interval, ...]) -> tuple[int, int]:
    """Ends of the part that all of these intervals share; low above high if there is none."""
    return max(i.low_micro for i in row), min(i.high_micro for i in row)


def verdict(row: tuple[Interval, ...]) -> Interval | None:
    """The proven difference: enough reports in a row share a part, and 0 is not in it."""
    if len(row) < AGREEING_REPORTS:
        return None
    shared = Interval(*common(row), report=row[-1].report)
    return None if shared.agrees else shared
