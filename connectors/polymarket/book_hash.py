"""The venue's book hash: SHA-1 of the whole summary, and how far it may be trusted as a gate.

Algorithm and limits: API reference 7.3 (checked against py-clob-client-v2 and a recorded answer).
It proves a whole book on a channel without sequence numbers, but its preimage holds the market's
last trade price, so it fails while a trade print races. Hence the gate's rule: it gates only a
token whose own clean snapshot it has just confirmed, and two false alarms make it metric-only for
that token. V2 books: whether `version` enters is unknown, so they are never gated.
"""

import hashlib
from dataclasses import dataclass, field

from connectors.polymarket.book import Mirror, Side
from connectors.polymarket.wire_market import Book

STRIKES_MAX = 2
BASE_US = 6
LEVEL_NS = 220
"""Cost of one hash: 26 us for 94 levels (measured on one core, 2026-11)."""


@dataclass(slots=True)
class Terms:
    """What the preimage needs besides levels; the newest known, each "" until known."""

    market: str = ""
    min_order_size: str | None = None
    tick_size: str | None = None
    neg_risk: bool | None = None
    last_trade_price: str | None = None
    previous_trade_price: str | None = None

    def learn(self, book: Book) -> None:
        """Take over what a snapshot states; "" is a value (no trade yet), a missing key is none."""
        self.market = book.market
        self.min_order_size = _newer(book.min_order_size, self.min_order_size)
        self.tick_size = _newer(book.tick_size, self.tick_size)
        self.neg_risk = book.neg_risk if book.neg_risk is not None else self.neg_risk
        if book.last_trade_price is not None:
            self.traded(book.last_trade_price)

    def traded(self, price: str) -> None:
        """A trade printed on either token of the market."""
        if price != self.last_trade_price:
            self.previous_trade_price, self.last_trade_price = self.last_trade_price, price

    @property
    def complete(self) -> bool:
        """Whether the preimage can be written at all."""
        return None not in (
            self.min_order_size,
            self.tick_size,
            self.neg_risk,
            self.last_trade_price,
        )


def _newer(given: str | None, known: str | None) -> str | None:
    return given if given else known


def preimages(mirror: Mirror, terms: Terms, token: str, timestamp: str) -> list[bytes]:
    """The summaries that may have been hashed: with the newest trade price, and the one before."""
    head = (
        f'{{"market":"{terms.market}","asset_id":"{token}","timestamp":"{timestamp}","hash":"",'
        f'"bids":[{_levels(mirror.bids, mirror.price_text, descending=False)}],'
        f'"asks":[{_levels(mirror.asks, mirror.price_text, descending=True)}],'
        f'"min_order_size":"{terms.min_order_size}","tick_size":"{terms.tick_size}",'
        f'"neg_risk":{"true" if terms.neg_risk else "false"},"last_trade_price":"'
    )
    prices = (terms.last_trade_price, terms.previous_trade_price)
    return [f'{head}{price}"}}'.encode() for price in prices if price is not None]


def _levels(side: Side, text: dict[int, str], *, descending: bool) -> str:
    ordered = sorted(side, reverse=descending)
    return ",".join([f'{{"price":"{text[p]}","size":"{side[p]}"}}' for p in ordered])


def matches(mirror: Mirror, terms: Terms, token: str, timestamp: str, expected: str) -> bool:
    """Whether the mirror is exactly the book the venue hashed."""
    for each in preimages(mirror, terms, token, timestamp):
        if hashlib.sha1(each, usedforsecurity=False).hexdigest() == expected:
            return True
    return False


class HashBudget:
    """CPU that hashing may use: so many microseconds a second, one second's worth at most."""

    def __init__(self, us_per_s: int) -> None:
        self._us_per_s = us_per_s
        self._left_us = us_per_s
        self._at_ms: int | None = None

    def afford(self, levels: int, now_ms: int) -> bool:
        """Whether one more hash of so many levels fits; if so it is charged."""
        if self._at_ms is not None and now_ms > self._at_ms:
            earned = (now_ms - self._at_ms) * self._us_per_s // 1_000
            self._left_us = min(self._us_per_s, self._left_us + earned)
        self._at_ms = now_ms
        cost = BASE_US + levels * LEVEL_NS // 1_000
        if cost > self._left_us:
            return False
        self._left_us -= cost
        return True


@dataclass(slots=True)
class HashGate:
    """What the hash is worth for one token."""

    terms: Terms = field(default_factory=Terms)
    confirmed: bool = False
    strikes: int = 0
    metric_only: bool = False

    def snapshot(self, book: Book, mirror: Mirror) -> bool | None:
        """Try the hash on a snapshot just installed; None where it cannot be computed."""
        self.terms.learn(book)
        self.confirmed = False
        if not book.hash or not self.terms.complete or book.version == "v2":
            return None
        self.confirmed = matches(mirror, self.terms, book.asset_id, book.timestamp, book.hash)
        return self.confirmed

    def gates(self) -> bool:
        """Whether a mismatch now would end the epoch."""
        return self.confirmed and not self.metric_only

    def failed(self) -> None:
        """The gate ended an epoch; the second time in vain switches it to metric-only."""
        self.confirmed = False
        self.strikes += 1
        self.metric_only = self.strikes >= STRIKES_MAX

    def was_right(self) -> None:
        """The fresh snapshot differed from the mirror: a frame had been lost, no false alarm."""
        self.strikes -= 1
        self.metric_only = self.strikes >= STRIKES_MAX
