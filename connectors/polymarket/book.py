"""Mirror of one token's order book: snapshots, absolute changes, and the checks that cost nothing.

Levels are integer prices in dicts with the venue's own size text (the book hash needs it); sizes
become integers only when a Depth is made. The mirror never decides whether it may be traded on:
it says what contradicts it. Venue facts (API reference 7.2, 7.4): sizes are absolute, "0" removes;
best_bid and best_ask are the quotes after the change, an empty side is "", "0" or "1"; frames
older than the installed snapshot are dropped, equal stamps are normal. Stamps of one token never
step back in the recordings, so a level keeps the change with the newest stamp.
"""

from connectors.polymarket.wire import BadValue, price_micro, size_micro
from connectors.polymarket.wire_market import Book, Change, Level
from schemas.units import MICRO

Side = dict[int, str]
"""price_micro -> size text."""


class Mirror:
    """One token's levels. A fresh one is empty and has no tick: install a snapshot first."""

    __slots__ = (
        "as_of_ms",
        "ask_ms",
        "asks",
        "best_ask",
        "best_bid",
        "bid_ms",
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
        self.best_bid: int | None = None
        self.best_ask: int | None = None
        self.as_of_ms = 0
        self.snapshot_ms = 0
        self.tick_micro: int | None = None

    def install(self, book: Book, as_of_ms: int) -> None:
        """Replace everything by a snapshot; raises BadValue and changes nothing if it is broken."""
        text: dict[int, str] = {}
        bids, asks = _side(book.bids, text), _side(book.asks, text)
        if book.tick_size:
            self.tick_micro = price_micro(book.tick_size)
        self.bids, self.asks, self.price_text = bids, asks, text
        self.bid_ms, self.ask_ms = {}, {}
        self.best_bid = max(bids) if bids else None
        self.best_ask = min(asks) if asks else None
        self.as_of_ms = self.snapshot_ms = as_of_ms

    def change(self, change: Change, as_of_ms: int) -> bool:
        """Set one level to its new absolute size; raises BadValue.

        Whether the mirror now is the venue's book as of this change: not so for one that comes
        late, which sets its level only if nothing newer has.
        """
        price = price_micro(change.price)
        size = change.size
        # Checked as text: a number is made of it only if the level is ever published.
        if not (size.isdecimal() or size.replace(".", "", 1).isdecimal()):
            raise BadValue(f"size {size!r} is not a decimal number")
        if change.side not in ("BUY", "SELL"):
            raise BadValue(f"side {change.side!r} is neither BUY nor SELL")
        is_bid = change.side == "BUY"
        changed_ms = self.bid_ms if is_bid else self.ask_ms
        if as_of_ms < changed_ms.get(price, self.snapshot_ms):
            return False
        changed_ms[price] = as_of_ms
        if is_bid:
            self._set_bid(price, size, change.price)
        else:
            self._set_ask(price, size, change.price)
        if as_of_ms < self.as_of_ms:
            return False
        self.as_of_ms = as_of_ms
        return True

    def _set_bid(self, price: int, size: str, text: str) -> None:
        if size.strip("0."):
            self.bids[price] = size
            self.price_text[price] = text
            if self.best_bid is None or price > self.best_bid:
                self.best_bid = price
        elif self.bids.pop(price, None) is not None and price == self.best_bid:
            self.best_bid = max(self.bids) if self.bids else None

    def _set_ask(self, price: int, size: str, text: str) -> None:
        if size.strip("0."):
            self.asks[price] = size
            self.price_text[price] = text
            if self.best_ask is None or price < self.best_ask:
                self.best_ask = price
        elif self.asks.pop(price, None) is not None and price == self.best_ask:
            self.best_ask = min(self.asks) if self.asks else None

    def contradiction(self, change: Change) -> str | None:
        """Why the mirror and the quotes the venue sent with its newest change cannot both be right.

        None: they agree. A crossed book that the venue confirms is the venue's; it is no fault of
        the mirror and the decisions refuse it by name.
        """
        if change.best_bid is not None and _bid(change.best_bid) != self.best_bid:
            return "echo_bid"
        if change.best_ask is not None and _ask(change.best_ask) != self.best_ask:
            return "echo_ask"
        unconfirmed = change.best_bid is None or change.best_ask is None
        return "crossed" if unconfirmed and self.crossed else None

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
        bids = sorted(self.bids, reverse=True)[:levels]
        asks = sorted(self.asks)[:levels]
        return (
            [(price, size_micro(self.bids[price])) for price in bids],
            [(price, size_micro(self.asks[price])) for price in asks],
        )

    def copy(self) -> "Mirror":
        """An independent mirror of the same levels."""
        twin = Mirror()
        for name in self.__slots__:
            value = getattr(self, name)
            setattr(twin, name, dict(value) if isinstance(value, dict) else value)
        return twin


def _side(levels: list[Level], text: dict[int, str]) -> Side:
    side: Side = {}
    for level in levels:
        price = price_micro(level.price)
        if price in side:
            raise BadValue(f"price {level.price} stands twice in one side of a snapshot")
        if size_micro(level.size):
            side[price] = level.size
            text[price] = level.price
    return side


def _bid(text: str) -> int | None:
    return (price_micro(text) or None) if text else None


def _ask(text: str) -> int | None:
    price = price_micro(text) if text else MICRO
    return None if price == MICRO else price


def echo_of(change: Change) -> tuple[int | None, int | None] | None:
    """The quotes a change carries; None where it carries none."""
    if change.best_bid is None or change.best_ask is None:
        return None
    return _bid(change.best_bid), _ask(change.best_ask)


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
    return size_micro(side[price]) if price in side else 0
