"""Mirror of one token's order book: snapshots, absolute changes, and the checks that cost nothing.

Levels are integer prices in dicts with the venue's own size text (the book hash needs it), and
beside each side its prices in ascending order, so that quotes and Depths are read off their ends.
The mirror never decides whether it may be traded on: it says what contradicts it. Venue facts (API
reference 7.2, 7.4): sizes are absolute, "0" removes; best_bid and best_ask are the quotes after the
change, an empty side is "", "0" or "1"; frames older than the installed snapshot are dropped, equal
stamps are normal. Stamps of one token never step back in the recordings, so a level keeps the
change with the newest stamp.
"""

from bisect import bisect_left, insort
from typing import Final

from connectors.polymarket.wire import PRICES, SIZES, BadValue, Known, tick_micro
from connectors.polymarket.wire_market import Book, Change, Level
from schemas.units import MICRO

Side = dict[int, str]
"""price_micro -> size text."""


class Mirror:
    """One token's levels. A fresh one is empty and has no tick: install a snapshot first."""

    __slots__ = (
        "as_of_ms",
        "ask_ms",
        "ask_order",
        "asks",
        "bid_ms",
        "bid_order",
        "bids",
        "price_text",
        "snapshot_ms",
        "tick_micro",
    )

    def __init__(self) -> None:
        self.bids: Side = {}
        self.asks: Side = {}
        self.bid_ms: dict[int, int] = {}
        self.ask_ms: dict[int, int] = {}
        self.price_text: dict[int, str] = {}
        self.bid_order: list[int] = []
        self.ask_order: list[int] = []
        self.as_of_ms = 0
        self.snapshot_ms = 0
        self.tick_micro: int | None = None

    def install(self, book: Book, as_of_ms: int) -> None:
        """Replace everything by a snapshot; raises BadValue and changes nothing if it is broken."""
        text: dict[int, str] = {}
        bids, asks = _side(book.bids, text), _side(book.asks, text)
        self.tick_micro = tick_micro(book.tick_size) if book.tick_size else self.tick_micro
        self.bids, self.asks, self.price_text = bids, asks, text
        self.bid_ms, self.ask_ms = {}, {}
        self.bid_order, self.ask_order = sorted(bids), sorted(asks)
        self.as_of_ms = self.snapshot_ms = as_of_ms

    def change(self, change: Change, as_of_ms: int) -> bool:
        """Set one level to its new absolute size; raises BadValue.

        Whether the mirror now is the venue's book as of this change: not so for one that comes
        late, which sets its level only if nothing newer has.
        """
        text, size = change.price, change.size
        price = PRICES[text]
        # Checked as text: a number is made of it only if the level is ever published.
        if not (size.isdecimal() or size.replace(".", "", 1).isdecimal()):
            raise BadValue(f"size {size!r} is not a decimal number")
        if change.side == "BUY":
            levels, order, changed_ms = self.bids, self.bid_order, self.bid_ms
        elif change.side == "SELL":
            levels, order, changed_ms = self.asks, self.ask_order, self.ask_ms
        else:
            raise BadValue(f"side {change.side!r} is neither BUY nor SELL")
        late = as_of_ms < self.as_of_ms
        if late and as_of_ms < changed_ms.get(price, self.snapshot_ms):
            return False
        changed_ms[price] = as_of_ms
        if size[0] > "0" or size.strip("0."):
            if price not in levels:
                insort(order, price)
            levels[price] = size
            self.price_text[price] = text
        elif price in levels:
            del levels[price]
            del order[bisect_left(order, price)]
        if late:
            return False
        self.as_of_ms = as_of_ms
        return True

    @property
    def best_bid(self) -> int | None:
        """The highest price somebody bids."""
        return self.bid_order[-1] if self.bid_order else None

    @property
    def best_ask(self) -> int | None:
        """The lowest price somebody asks."""
        return self.ask_order[0] if self.ask_order else None

    def contradiction(self, change: Change) -> str | None:
        """Why the mirror and the quotes the venue sent with its newest change cannot both be right.

        None: they agree. A crossed book that the venue confirms is the venue's; it is no fault of
        the mirror and the decisions refuse it by name. Raises BadValue.
        """
        bid, ask = change.best_bid, change.best_ask
        if bid is None or ask is None:
            return self._unconfirmed(bid, ask)
        bid_micro, ask_micro = BIDS[bid], ASKS[ask]
        # The sides' ends, not best_bid and best_ask: two calls less on every change there is.
        if bid_micro != (self.bid_order[-1] if self.bid_order else None):
            return "echo_bid"
        if ask_micro != (self.ask_order[0] if self.ask_order else None):
            return "echo_ask"
        return None

    def _unconfirmed(self, bid: str | None, ask: str | None) -> str | None:
        if bid is not None and BIDS[bid] != self.best_bid:
            return "echo_bid"
        if ask is not None and ASKS[ask] != self.best_ask:
            return "echo_ask"
        return "crossed" if self.crossed else None

    @property
    def crossed(self) -> bool:
        """Whether somebody bids at least what somebody asks."""
        return (
            self.best_bid is not None
            and self.best_ask is not None
            and self.best_bid >= self.best_ask
        )

    def top(self, levels: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(price_micro, shares_micro), best first, of bids and asks; raises BadValue."""
        return (
            _sized(self.bid_order[: -levels - 1 : -1], self.bids),
            _sized(self.ask_order[:levels], self.asks),
        )

    def copy(self) -> "Mirror":
        """An independent mirror of the same levels."""
        twin = Mirror()
        for name in self.__slots__:
            value = getattr(self, name)
            setattr(twin, name, value.copy() if isinstance(value, (dict, list)) else value)
        return twin


def _side(levels: list[Level], text: dict[int, str]) -> Side:
    side: Side = {}
    for level in levels:
        price = PRICES[level.price]
        if price in side:
            raise BadValue(f"price {level.price} stands twice in one side of a snapshot")
        if SIZES[level.size]:
            side[price] = level.size
            text[price] = level.price
    return side


def _sized(prices: list[int], side: Side) -> list[tuple[int, int]]:
    sizes = map(SIZES.__getitem__, map(side.__getitem__, prices))
    return list(zip(prices, sizes, strict=True))


def _read_bid(text: str) -> int | None:
    return (PRICES[text] or None) if text else None


def _read_ask(text: str) -> int | None:
    price = PRICES[text] if text else MICRO
    return None if price == MICRO else price


BIDS: Final[Known[int | None]] = Known(_read_bid, 16_384)
ASKS: Final[Known[int | None]] = Known(_read_ask, 16_384)
"""The quotes of an echo; None for an empty side."""


def echo_of(change: Change) -> tuple[int | None, int | None] | None:
    """The quotes a change carries; None where it carries none."""
    if change.best_bid is None or change.best_ask is None:
        return None
    return BIDS[change.best_bid], ASKS[change.best_ask]


def differing(mirror: Mirror, book: Book, touched: set[tuple[str, int]]) -> list[tuple[str, int]]:
    """(side, price) of levels that differ between mirror and snapshot, the touched ones left out.

    touched: levels that changed between the asking and the judging; they prove nothing.
    """
    text: dict[int, str] = {}
    pairs = (
        ("BUY", mirror.bids, _side(book.bids, text)),
        ("SELL", mirror.asks, _side(book.asks, text)),
    )
    return [
        (name, price)
        for name, mine, theirs in pairs
        for price in sorted(mine.keys() | theirs.keys())
        if (name, price) not in touched and _size(mine, price) != _size(theirs, price)
    ]


def _size(side: Side, price: int) -> int:
    return SIZES[side[price]] if price in side else 0
