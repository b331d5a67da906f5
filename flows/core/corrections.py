"""What three reports proved, kept with them: no correction is better than its evidence.

A feed may be later than its bound. Then reports know a movement before we do, prove a difference,
and it is added; told at last, the movement would count twice. So the reports of a correction are
judged again, as if the movement had been known then, and what they prove no longer is taken back
with it: in the same record, so that nothing is planned in between. Never more than was added.
"""

from dataclasses import dataclass

from flows.core.reconcile import Interval, Span, common
from schemas.records.base import Token


@dataclass(frozen=True, slots=True)
class Finding:
    """A proven difference that is not yet an event.

    opening: it was there before our record. taken_back: part of a correction that is proven no
    longer.
    """

    token: Token
    proof: Interval
    reports: tuple[str, ...]
    opening: bool = False
    taken_back: bool = False


@dataclass(slots=True)
class Correction:
    """What was added on the word of these reports, less what was taken back of it."""

    shares_micro: int
    evidence: tuple[Interval, ...]

    @property
    def reports(self) -> tuple[str, ...]:
        """Their names, as its events have them."""
        return tuple(each.report for each in self.evidence)

    def proven(self, gone_micro: int) -> int:
        """How much of it they still prove, once so much of earlier corrections is taken back."""
        low, high = common(self.evidence)
        if low > high:
            return 0
        nearest = Interval(low + gone_micro, high + gone_micro, "").nearest_to_zero
        return min(max(nearest, min(self.shares_micro, 0)), max(self.shares_micro, 0))


def judged_again(token: Token, corrections: list[Correction], span: Span) -> list[Finding]:
    """What a movement that became known takes back, the oldest correction first.

    Each is judged on what is left of those before it.
    """
    found, gone = [], 0
    for each in corrections:
        each.evidence = tuple(interval.knowing(span) for interval in each.evidence)
        back = each.proven(gone) - each.shares_micro
        gone -= back
        if back:
            proof = Interval(back, back, each.reports[-1])
            found.append(Finding(token, proof, each.reports, taken_back=True))
    return found


def taken_back(corrections: list[Correction], shares_micro: int, reports: tuple[str, ...]) -> None:
    """It is an event: later corrections rest on a record without these shares."""
    later = False
    for each in corrections:
        if later:
            each.evidence = tuple(i.shifted(-shares_micro) for i in each.evidence)
        elif each.reports == reports:
            each.shares_micro += shares_micro
            later = True
