"""Walking a recorded order book: what a size costs, where it ends, what fee it bears.

Prices and sizes are micro; levels come best first. Nothing here guesses: a size the book does
not hold is not filled. Taker fee: shares * rate * (p * (1 - p)) ** exponent (API reference 14),
rounded up to the venue's five decimals, since the direction of its rounding is not documented.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.records.base import Side
from schemas.units import MICRO, ceil_mul, floor_div, floor_mul

FEE_STEP_MICRO = 10


@dataclass(frozen=True, slots=True)
class Fee:
    """A market's taker fee schedule."""

    rate_micro: int
    exponent: int


@dataclass(frozen=True, slots=True)
class Walk:
    """What a size meets on the book: shares it fills, their cost (BUY) or proceeds (SELL)."""

    shares_micro: int
    cash_micro: int
    fee_micro: int
    touch_micro: int
    last_micro: int

    @property
    def avg_micro(self) -> int:
        """Average price, rounded down; 0 if nothing fills."""
        return floor_div(self.cash_micro, self.shares_micro) if self.shares_micro else 0


Levels = Sequence[tuple[int, int]]


def taker_fee(shares_micro: int, price_micro: int, fee: Fee) -> int:
    """Fee of a taker fill in micro-USD, rounded up to five decimals.

    An exponent below 0 is no schedule the venue has; it counts as 0, and nothing is bought by it.
    """
    if not fee.rate_micro or not shares_micro:
        return 0
    exponent = max(fee.exponent, 0)
    scale: int = MICRO ** (2 * exponent + 1)
    odds: int = (price_micro * (MICRO - price_micro)) ** exponent
    raw = shares_micro * fee.rate_micro * odds
    return -(-raw // (scale * FEE_STEP_MICRO)) * FEE_STEP_MICRO


def within(side: Side, price_micro: int, limit_micro: int) -> bool:
    """Whether a level is at the limit or better for us."""
    return price_micro <= limit_micro if side == "BUY" else price_micro >= limit_micro


def walk(
    levels: Levels,
    side: Side,
    *,
    limit_micro: int,
    fee: Fee,
    shares_max: int | None = None,
    usd_max: int | None = None,
) -> Walk:
    """Fill up to shares_max shares or usd_max of cost without fee, at the limit or better.

    With neither it is the whole depth within the limit. Cost rounds up, proceeds down.
    """
    shares = cash = fees = last = 0
    for price, size in levels:
        if not within(side, price, limit_micro):
            break
        take = size if shares_max is None else min(size, shares_max - shares)
        if usd_max is not None:
            take = min(take, floor_div(usd_max - cash, price))
        if take <= 0:
            break
        cost = ceil_mul(take, price) if side == "BUY" else floor_mul(take, price)
        if usd_max is not None and cash + cost > usd_max:
            break
        shares, cash, last = shares + take, cash + cost, price
        fees += taker_fee(take, price, fee)
        if take < size:
            break
    return Walk(shares, cash, fees, levels[0][0] if levels else 0, last)


def slippage_limit(side: Side, touch_micro: int, slippage_micro: int, tick_micro: int) -> int:
    """Worst price within the slippage budget of the touch, on the grid and inside (0, 1)."""
    if side == "BUY":
        worst = min(touch_micro + slippage_micro, MICRO - tick_micro)
        return worst - worst % tick_micro
    worst = max(touch_micro - slippage_micro, tick_micro)
    return -(-worst // tick_micro) * tick_micro
