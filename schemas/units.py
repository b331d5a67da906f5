"""Integer units: every price, size and amount is a count of millionths, so that sums are exact.

1 share = 1 USD = 1_000_000 micro; a price is micro-USD per share. Rounding never happens
unannounced: the direction stands in the function's name. The venue's own amounts have six
decimals (API reference 6.4), so parsing them loses nothing; JSON doubles of the Data API do not
(10.1), and get their own function.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow

MICRO = 1_000_000
LOT_MICRO = 10_000
"""The venue takes sizes in hundredths of a share at every tick (API reference 6.4)."""
CENT_MICRO = 10_000
"""A market order's own side is rounded to whole cents or hundredths (6.4)."""


# Contexts of our own: the default one drops digits past the 28th without a word.
_DIGITS = 80
_EXACT = Context(prec=_DIGITS, Emax=_DIGITS, traps=[Inexact, InvalidOperation, Overflow])
_NEAREST = Context(prec=_DIGITS, Emax=_DIGITS, traps=[InvalidOperation, Overflow])


class UnitError(ValueError):
    """A number that is not an exact count of millionths; the message names the text."""


def _finite(number: str | int | Decimal) -> Decimal:
    # Decimal() also takes booleans, floats and triples, which are never meant as amounts.
    if isinstance(number, bool) or not isinstance(number, (str, int, Decimal)):
        raise UnitError(f"{number!r} is not a decimal number")
    try:
        value = Decimal(number)
    except InvalidOperation as error:
        raise UnitError(f"{number!r} is not a decimal number") from error
    if not value.is_finite():
        raise UnitError(f"{number!r} is not a finite number")
    return value


def parse_micro(text: str | int | Decimal) -> int:
    """Exact count of millionths in a decimal text; raises UnitError if any digit would be lost."""
    try:
        scaled = _EXACT.multiply(_finite(text), MICRO)
    except ArithmeticError as error:
        raise UnitError(f"{text!r} has more than {_DIGITS} digits") from error
    whole = int(scaled)
    if whole != scaled:
        raise UnitError(f"{text!r} has more than six decimals")
    return whole


def parse_micro_half_even(number: float | str | Decimal) -> int:
    """Nearest count of millionths of a JSON double, ties to even; for sizes the Data API sends."""
    value = _finite(repr(number) if isinstance(number, float) else number)
    try:  # one rounding only: first to 28 digits and then to six decimals can miss a tie
        nearest = value.quantize(Decimal("0.000001"), ROUND_HALF_EVEN, _NEAREST)
    except ArithmeticError as error:
        raise UnitError(f"{number!r} has more than {_DIGITS} digits") from error
    return int(nearest.scaleb(6, _NEAREST))


def format_micro(micro: int) -> str:
    """Shortest exact decimal text: 500000 -> '0.5'."""
    sign, rest = ("-", -micro) if micro < 0 else ("", micro)
    whole, part = divmod(rest, MICRO)
    text = f"{part:06d}".rstrip("0")
    return f"{sign}{whole}.{text}" if text else f"{sign}{whole}"


def floor_mul(a_micro: int, b_micro: int) -> int:
    """Product of two micro quantities, rounded down: what shares times price fetch at least."""
    return a_micro * b_micro // MICRO


def ceil_mul(a_micro: int, b_micro: int) -> int:
    """Product of two micro quantities, rounded up: shares times price is what they cost at most."""
    return -(-a_micro * b_micro // MICRO)


def floor_div(a_micro: int, b_micro: int) -> int:
    """Quotient of two micro quantities, rounded down: the shares a budget buys for sure."""
    return a_micro * MICRO // b_micro


def ceil_div(a_micro: int, b_micro: int) -> int:
    """Quotient of two micro quantities, rounded up."""
    return -(-a_micro * MICRO // b_micro)


def floor_to_lot(shares_micro: int) -> int:
    """Largest orderable size that is not above the given one (hundredths of a share)."""
    return shares_micro - shares_micro % LOT_MICRO


def floor_to_cent(usd_micro: int) -> int:
    """Largest whole-cent amount that is not above the given one."""
    return usd_micro - usd_micro % CENT_MICRO


def floor_to_tick(price_micro: int, tick_micro: int) -> int:
    """Largest price on the grid that is not above the given one."""
    return price_micro - price_micro % tick_micro


def ceil_to_tick(price_micro: int, tick_micro: int) -> int:
    """Smallest price on the grid that is not below the given one."""
    return -(-price_micro // tick_micro) * tick_micro
