"""What positions cost and orders reserve, added up by other means than the product's.

Average cost in exact fractions over fills in the order they were booked, fees included: what
sales leave is never rounded here, and the product rounds it up, so a cap that it keeps holds here.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

MICRO = 1_000_000


class Fill(NamedTuple):
    """Signed shares, dollars and fee of one fill that did not fail."""

    signed_micro: int
    cash_micro: int
    fee_micro: int


def cost_of(fills: Iterable[Fill]) -> Fraction:
    """Dollars in what is left of these fills, at average cost with the fees of buying."""
    shares, cost = 0, Fraction(0)
    for fill in fills:
        if fill.signed_micro < 0:
            sold = -fill.signed_micro
            cost -= cost if shares <= sold else cost * Fraction(sold, shares)
        else:
            cost += fill.cash_micro + fill.fee_micro
        shares += fill.signed_micro
    return cost


def spent_on(fills: Iterable[Fill]) -> int:
    """Dollars that left the account for these fills, less what sales fetched."""
    return sum(f.fee_micro + (f.cash_micro if f.signed_micro > 0 else -f.cash_micro) for f in fills)


def with_fee(usd_micro: int, rate_micro: int) -> int:
    """Dollars and the most that the fee on them may come to, rounded up."""
    return usd_micro + ceiling(Fraction(usd_micro * rate_micro, MICRO))


def ceiling(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)


def taker_fee(shares_micro: int, cash_micro: int, rate_micro: int, exponent: int) -> int:
    """Fee of a taker fill: shares * rate * (p * (1 - p)) ** exponent, up to five decimals."""
    if not shares_micro:
        return 0
    price = Fraction(cash_micro * MICRO // shares_micro, MICRO)
    fee = shares_micro * Fraction(rate_micro, MICRO) * (price * (1 - price)) ** exponent
    return ceiling(fee / 10) * 10
