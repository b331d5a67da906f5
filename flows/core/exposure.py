"""From a leader's exposure to our target: baseline, pairs, ratio. Levels in, levels out.

From now on: what he held when he was followed is the baseline b and is never copied; the
copyable exposure is max(e - b, 0), and b = min(b, e) so that what he sold of it is gone.
Pairs are cash: an Up and a Down of one market pay 1 together, so only the unpaired part of a
market is a view, and a split or a merge moves no target.
"""

from collections.abc import Sequence

from schemas.units import floor_mul


def excess(exposure_micro: int, baseline_micro: int) -> int:
    """Copyable part of one token's exposure."""
    return max(exposure_micro - baseline_micro, 0)


def lowered(exposure_micro: int, baseline_micro: int) -> int:
    """Baseline after the exposure moved: it never exceeds what he still holds.

    An exposure below zero means that a sell became known before its buy or before the opening
    report; it holds nothing, and takes nothing from a baseline that is not known yet.
    """
    return min(baseline_micro, max(exposure_micro, 0))


def unpaired(excesses: Sequence[int]) -> list[int]:
    """Copyable exposure of each outcome of one market once complete sets count as cash.

    A set holds one share of every outcome, so the sets are the least of the outcomes.
    """
    sets = min(excesses) if len(excesses) > 1 else 0
    return [value - sets for value in excesses]


def target(excess_micro: int, ratio_micro: int, weight_micro: int) -> int:
    """Our shares for a leader's copyable shares, rounded down."""
    return floor_mul(floor_mul(excess_micro, ratio_micro), weight_micro)
