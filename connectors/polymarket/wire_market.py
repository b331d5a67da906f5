"""Frames of the market channel and answers of /book and /books (API reference 7.2, 11.1).

A text frame is one object or an array of objects. Levels come worst first. Decimals stay the
venue's own strings here: the book hash is computed over them.
"""

from collections.abc import Sequence

import msgspec

from connectors.polymarket.wire import MALFORMED, Unknown, Unreadable, Wire, unreadable


class Level(Wire, frozen=True, gc=False):
    """One price level."""

    price: str
    size: str


class Book(Wire, frozen=True, gc=False, kw_only=True):
    """A whole book summary; the last five keys are missing in later frames, "" means unknown."""

    market: str
    asset_id: str
    timestamp: str
    bids: list[Level]
    asks: list[Level]
    hash: str = ""
    min_order_size: str | None = None
    tick_size: str | None = None
    neg_risk: bool | None = None
    last_trade_price: str | None = None
    version: str | None = None


class BookFrame(Book, frozen=True, gc=False, kw_only=True, tag_field="event_type", tag="book"):
    """Snapshot on the socket: after subscribing, and again after trades."""


class Change(Wire, frozen=True, gc=False, kw_only=True):
    """New absolute size at one price; best_bid and best_ask are the quotes after it."""

    asset_id: str
    price: str
    size: str
    side: str
    hash: str = ""
    best_bid: str | None = None
    best_ask: str | None = None


class PriceChange(
    Wire, frozen=True, gc=False, kw_only=True, tag_field="event_type", tag="price_change"
):
    """Changes of one moment; may hold both tokens of a market."""

    market: str
    timestamp: str
    price_changes: list[Change]


class LastTrade(
    Wire, frozen=True, gc=False, kw_only=True, tag_field="event_type", tag="last_trade_price"
):
    """One matched taker order. Its price belongs to the market: it enters both tokens' hash."""

    market: str
    asset_id: str
    price: str
    timestamp: str


class TickSizeChange(
    Wire, frozen=True, gc=False, kw_only=True, tag_field="event_type", tag="tick_size_change"
):
    """The grid changed; the local book is void until a fresh snapshot."""

    market: str
    asset_id: str
    new_tick_size: str
    timestamp: str


class BestBidAsk(
    Wire, frozen=True, gc=False, kw_only=True, tag_field="event_type", tag="best_bid_ask"
):
    """Quotes again; counted as a sign of life only."""

    asset_id: str


class NewMarket(
    Wire, frozen=True, gc=False, kw_only=True, tag_field="event_type", tag="new_market"
):
    """Sent for all new markets, watched or not; no sign of life of ours."""


class MarketResolvedFrame(
    Wire, frozen=True, gc=False, kw_only=True, tag_field="event_type", tag="market_resolved"
):
    """A hint only: payouts are read from the Data API."""

    market: str


MarketFrame = (
    BookFrame | PriceChange | LastTrade | TickSizeChange | BestBidAsk | NewMarket
    | MarketResolvedFrame
)  # fmt: skip
KNOWN = frozenset(
    {
        "book",
        "price_change",
        "last_trade_price",
        "tick_size_change",
        "best_bid_ask",
        "new_market",
        "market_resolved",
    }
)


class _Head(Wire, frozen=True):
    event_type: str = ""


_frames: msgspec.json.Decoder[MarketFrame | list[MarketFrame]] = msgspec.json.Decoder(
    MarketFrame | list[MarketFrame]
)
_change: msgspec.json.Decoder[PriceChange] = msgspec.json.Decoder(PriceChange)
_one: msgspec.json.Decoder[MarketFrame] = msgspec.json.Decoder(MarketFrame)
_raws: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_head = msgspec.json.Decoder(_Head)
_books: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_book = msgspec.json.Decoder(Book)


def decode_market(raw: bytes) -> Sequence[MarketFrame | Unknown | Unreadable]:
    """All frames of one message; a bad one among good ones is Unreadable in its place."""
    try:
        # The union's decoder looks for the tag first; where it stands last, that is all of the
        # most frequent frame read twice.
        tag_is_last = raw.endswith(b'"event_type":"price_change"}')
        frames = _change.decode(raw) if tag_is_last else _frames.decode(raw)
    except MALFORMED:
        return _one_by_one(raw)
    return frames if isinstance(frames, list) else (frames,)


def _one_by_one(raw: bytes) -> list[MarketFrame | Unknown | Unreadable]:
    if not raw.lstrip().startswith(b"["):
        return [_single(raw)]
    try:
        return [_single(bytes(each)) for each in _raws.decode(raw)]
    except MALFORMED as error:
        return [unreadable(error, raw)]


def _single(raw: bytes) -> MarketFrame | Unknown | Unreadable:
    try:
        kind = _head.decode(raw).event_type
        return _one.decode(raw) if kind in KNOWN else Unknown(kind)
    except MALFORMED as error:
        return unreadable(error, raw)


def decode_books(raw: bytes) -> list[Book | Unreadable]:
    """Answer of POST /books; matched by asset_id, never by place (API reference 11.1)."""
    try:
        rows = _books.decode(raw)
    except MALFORMED as error:
        return [unreadable(error, raw)]
    return [decode_book(bytes(row)) for row in rows]


def decode_book(raw: bytes) -> Book | Unreadable:
    """Answer of GET /book, or one element of /books."""
    try:
        return _book.decode(raw)
    except MALFORMED as error:
        return unreadable(error, raw)
