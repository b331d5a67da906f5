"""From a gap to an order's size: the least of named bounds, or the reason why there is none.

Increases are bounded by the depth within the slippage budget, a share of it, and dollar caps per
trade, market, leader and account and by the cash there is; decreases by depth and by confirmed
shares. A size below the venue's minimum is never raised to it: that is a named hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flows.core.slippage import Fee, Levels, Walk, slippage_limit, walk
from schemas.records.base import Side
from schemas.records.journal import Bound
from schemas.units import (
    MICRO,
    ceil_to_tick,
    floor_div,
    floor_mul,
    floor_to_cent,
    floor_to_lot,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the policy and the market say about any order in this token."""

    tick_micro: int
    min_shares_micro: int
    min_order_usd_micro: int
    slippage_micro: int
    depth_share_micro: int
    fee: Fee


@dataclass(frozen=True, slots=True)
class Sized:
    """An order's numbers, and which bound bit."""

    side: Side
    limit_micro: int
    shares_micro: int
    budget_micro: int
    bound: str
    bounds: tuple[Bound, ...]
    walk: Walk


@dataclass(frozen=True, slots=True)
class Held:
    """No order, and why: the reason's name and the numbers behind it."""

    reason: str
    numbers: dict[str, int]


def size_buy(
    gap_micro: int, asks: Levels, terms: Terms, caps_usd: Sequence[tuple[str, int]]
) -> Sized | Held:
    """Size an increase of gap_micro shares; caps_usd are the named dollars left, fee included."""
    touch = asks[0][0]
    limit = slippage_limit("BUY", touch, terms.slippage_micro, terms.tick_micro)
    depth = walk(asks, "BUY", limit_micro=limit, fee=terms.fee)
    bounds = [
        Bound(name="gap", shares_micro=gap_micro),
        Bound(name="depth", shares_micro=depth.shares_micro),
        Bound(
            name="depth_share",
            shares_micro=floor_mul(depth.shares_micro, terms.depth_share_micro),
        ),
    ]
    for name, left_usd in caps_usd:
        budget = floor_div(max(left_usd, 0), MICRO + terms.fee.rate_micro)
        filled = walk(asks, "BUY", limit_micro=limit, fee=terms.fee, usd_max=budget)
        # A cap that the whole depth fits under is no bound on it: the gap may be larger still.
        whole = filled.shares_micro == depth.shares_micro
        bounds.append(Bound(name=name, shares_micro=gap_micro if whole else filled.shares_micro))
    least = min(bounds, key=lambda bound: bound.shares_micro)
    shares = floor_to_lot(least.shares_micro)
    found = walk(asks, "BUY", limit_micro=limit, fee=terms.fee, shares_max=shares)
    return _priced_buy(found, limit, terms, least.name, tuple(bounds))


def _priced_buy(
    found: Walk, limit: int, terms: Terms, bound: str, bounds: tuple[Bound, ...]
) -> Sized | Held:
    """A budget in whole cents at a limit where the venue's minimums still hold.

    The minimum is checked on budget / limit, not on the touch (API reference 6.5), so a small
    order takes the tighter limit of the last level it needs.
    """
    budget = floor_to_cent(found.cash_micro)
    for worst in (limit, ceil_to_tick(found.last_micro, terms.tick_micro)):
        enough = budget and floor_to_lot(floor_div(budget, worst)) >= terms.min_shares_micro
        if enough and budget >= terms.min_order_usd_micro:
            return Sized("BUY", worst, found.shares_micro, budget, bound, bounds, found)
    return Held(
        "below_minimum" if bound == "gap" else f"bound_{bound}",
        {
            "shares_micro": found.shares_micro,
            "budget_micro": budget,
            "min_shares_micro": terms.min_shares_micro,
            "min_order_usd_micro": terms.min_order_usd_micro,
        },
    )


def size_sell(gap_micro: int, sellable_micro: int, bids: Levels, terms: Terms) -> Sized | Held:
    """Size a decrease of gap_micro (positive) shares out of what is confirmed."""
    touch = bids[0][0]
    limit = slippage_limit("SELL", touch, terms.slippage_micro, terms.tick_micro)
    depth = walk(bids, "SELL", limit_micro=limit, fee=terms.fee)
    bounds = (
        Bound(name="gap", shares_micro=gap_micro),
        Bound(name="confirmed", shares_micro=sellable_micro),
        Bound(name="depth", shares_micro=depth.shares_micro),
    )
    least = min(bounds, key=lambda bound: bound.shares_micro)
    shares = floor_to_lot(least.shares_micro)
    if not shares or shares < terms.min_shares_micro:
        return Held(
            "dust" if least.name == "gap" else f"bound_{least.name}",
            {"shares_micro": shares, "min_shares_micro": terms.min_shares_micro},
        )
    found = walk(bids, "SELL", limit_micro=limit, fee=terms.fee, shares_max=shares)
    return Sized("SELL", limit, shares, found.cash_micro, least.name, bounds, found)


def band(target_micro: int, band_micro: int, min_shares_micro: int) -> int:
    """Smallest gap that leads to an order: the venue's minimum, or a share of the target."""
    return max(min_shares_micro, floor_mul(abs(target_micro), band_micro))
