"""Judging positions reports: a difference is corrected only when three reports agree on it.

A report speaks of some unknown moment between asked - lag and asked. Our rebuilt quantity over
that stretch, taken by venue time with every order possible inside a second, has extremes x_min
and x_max, so the true difference lies in [r - x_max, r - x_min]. If 0 lies inside, the report
agrees. When three in a row have a common part without 0, its value nearest to 0 is the
correction: a difference, never a level, so it is right while trading goes on.
(Measured on 600 simulated feeds: no correction in clean ones, bounded error in lossy ones;
waiting for a quiet moment grows without bound on a busy leader.)
"""

from bisect import bisect_left
from dataclasses import dataclass, field

AGREEING_REPORTS = 3
SECOND_MS = 1_000
HISTORY_MAX = 4_096
"""Seconds of movement kept per token; what is older than the prune line is one number."""


@dataclass(slots=True)
class Rebuilt:
    """A quantity of one token as we rebuilt it, with its movements by venue second."""

    total_micro: int = 0
    seconds: list[int] = field(default_factory=list)
    plus: list[int] = field(default_factory=list)
    minus: list[int] = field(default_factory=list)

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
        level = self.total_micro - sum(self.plus[first:]) - sum(self.minus[first:])
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
        return low, high

    def prune(self, before_ms: int) -> None:
        """Forget the dates of old movements; their sum stays."""
        cut = bisect_left(self.seconds, before_ms // SECOND_MS)
        cut = max(cut, len(self.seconds) - HISTORY_MAX)
        del self.seconds[:cut], self.plus[:cut], self.minus[:cut]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true difference of one report lies, ends included."""

    low_micro: int
    high_micro: int
    report: str

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


def compare(
    rebuilt: Rebuilt,
    *,
    row_micro: int | None,
    floor_micro: int,
    asked_ms: int,
    lag_ms: int,
    report: str,
) -> Interval:
    """Interval of the difference; a row that is absent stands for anything below the floor."""
    low, high = rebuilt.extremes(asked_ms - lag_ms, asked_ms)
    if row_micro is None:
        return Interval(-high, floor_micro - low, report)
    return Interval(row_micro - high, row_micro - low, report)


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
