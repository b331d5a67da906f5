"""Decoding without surprises: JSON of the venue to frozen structs, or a value that says why not.

Total: unknown keys are ignored, unknown event types come back as `Unknown`, and what cannot be
decoded comes back as `Unreadable`; nothing here raises for anything the venue may send. Never
repairs a value: a number that is no number is unreadable, not zero.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from schemas.records.base import Condition, Wallet
from schemas.units import MICRO, UnitError, parse_micro

QUOTED_MAX: Final = 240
DIGITS_MAX: Final = 40
"""Digits of a whole number that mean something; Python itself refuses to read 4,300."""
MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not what they should be; the last: nested too deep."""
T = TypeVar("T")


class Wire(msgspec.Struct, frozen=True, gc=False):
    """Base of everything the venue sends; keys we do not know are ignored."""


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Something well-formed of a type we do not know: counted, never an error."""

    type: str


class Unreadable(msgspec.Struct, frozen=True):
    """Bytes that are not what they should be, and why; they go to quarantine."""

    reason: str
    raw: bytes


class BadValue(ValueError):
    """A field whose text is not what its name promises; the message names both."""


class Known(dict[str, T]):
    """What texts mean, worked out once: `known[text]`. It forgets all when it is full.

    A dictionary that asks `read` for what it lacks, since the same few texts come all the time and
    a lookup is a tenth of the reading. What `read` raises is passed on and not remembered.
    """

    __slots__ = ("_most", "_read")

    def __init__(self, read: Callable[[str], T], most: int) -> None:
        self._read, self._most = read, most

    def __missing__(self, text: str) -> T:
        value = self._read(text)
        if len(self) >= self._most:
            self.clear()
        self[text] = value
        return value


def price_micro(text: str) -> int:
    """Price text to micro-USD per share, within [0, 1]; raises BadValue."""
    return PRICES[text]


def _read_price(text: str) -> int:
    try:
        price = parse_micro(text)
    except UnitError as error:
        raise BadValue(f"price {text!r}: {error}") from error
    if not 0 <= price <= MICRO:
        raise BadValue(f"price {text!r} is outside 0 to 1")
    return price


def tick_micro(text: str) -> int:
    """Grid of prices in micro-USD, inside (0, 1); raises BadValue."""
    tick = PRICES[text]
    if not 0 < tick < MICRO:
        raise BadValue(f"tick size {text!r} is not between 0 and 1")
    return tick


def size_micro(text: str) -> int:
    """Size text to micro-shares, not negative; raises BadValue."""
    return SIZES[text]


def _read_size(text: str) -> int:
    whole, dot, part = text.partition(".")
    decimals = len(part) <= 6 and (part.isdecimal() if dot else not part)
    if whole.isdecimal() and len(whole) <= DIGITS_MAX and decimals:
        return int(whole) * MICRO + int(part.ljust(6, "0") if part else 0)
    raise BadValue(f"size {text[:QUOTED_MAX]!r} is not a decimal number of at most six places")


PRICES: Final[Known[int]] = Known(_read_price, 16_384)
SIZES: Final[Known[int]] = Known(_read_size, 32_768)
"""Two thirds of the sizes of a busy game come again within minutes; 32,768 of them hold 5 MB."""


def epoch_ms(text: str | int) -> int:
    """Epoch milliseconds from a stamp in seconds or milliseconds, told apart by magnitude."""
    try:
        number = int(text)
    except ValueError as error:
        raise BadValue(f"timestamp {text!r} is not an integer") from error
    if number < 0:
        raise BadValue(f"timestamp {text!r} is negative")
    return number * 1_000 if number < 100_000_000_000 else number


STAMP_AHEAD_MS: Final = 5_000
"""The furthest that a socket's stamp may be ahead of our clock; both clocks may be off by some."""


def stamp_ms(text: str | int, recv_ns: int) -> int:
    """The same of a frame received now. Raises BadValue for one that is yet to come.

    Were it believed, everything after it would be late, and nothing late is checked.
    """
    at_ms = epoch_ms(text)
    if at_ms > recv_ns // 1_000_000 + STAMP_AHEAD_MS:
        raise BadValue(f"timestamp {text!r} is more than {STAMP_AHEAD_MS} ms ahead of our clock")
    return at_ms


def condition_id(text: str) -> Condition:
    """Condition id with 64 hex digits: 62-digit V2 ids are padded right (API reference 4.2)."""
    digits = text.lower().removeprefix("0x")
    if not text[:2].lower() == "0x" or len(digits) not in (62, 64) or not is_hex(digits):
        raise BadValue(f"condition id {text!r} is not 0x and 62 or 64 hex digits")
    return Condition("0x" + digits.ljust(64, "0"))


def wallet(text: str) -> Wallet:
    """Wallet in lower case; raises BadValue."""
    low = text.lower()
    if len(low) != 42 or not low.startswith("0x") or not is_hex(low[2:]):
        raise BadValue(f"wallet {text!r} is not 0x and 40 hex digits")
    return Wallet(low)


def token_id(text: str) -> str:
    """Token id as the venue writes it; raises BadValue unless it is a decimal number."""
    if not text.isdecimal() or not text.isascii():
        raise BadValue(f"token id {text!r} is not a decimal number")
    return text


def is_hex(digits: str) -> bool:
    """Whether all of it is lower-case hex digits."""
    return digits.strip("0123456789abcdef") == ""


def is_combo(token: str) -> bool:
    """Whether a position id is a multi-leg basket: module 3 of Protocol V2 (API reference 4.2)."""
    number = int(token)
    return number >> 248 == 3 and (number >> 40) & ((1 << 64) - 1) == 0


def cash_micro(size: Decimal, price: Decimal) -> int:
    """Shares times price in micro-USD, ties to even; both as the venue's JSON spells them."""
    return round(size * price * MICRO)


def unreadable(error: Exception, raw: bytes) -> Unreadable:
    """What could not be decoded, with the decoder's own words."""
    return Unreadable(f"{type(error).__name__}: {error}"[:QUOTED_MAX], raw)
