"""User channel frames and the private CLOB rows (API reference 8, 11.3).

One shape serves trade events and rows of /data/trades: only the ids, side, size, price and status
are sure to be there; `maker_orders` and `trader_side` may be missing. Statuses come plain or with
the prefix TRADE_STATUS_. Secrets are none of these fields; `owner` is an API key and is compared
here, then hashed before anything leaves the process (redact.py).
"""

import msgspec

from connectors.polymarket.wire import (
    DIGITS_MAX,
    MALFORMED,
    QUOTED_MAX,
    Unknown,
    Unreadable,
    Wire,
    unreadable,
)
from schemas.records.own import FillStatus

STATUS_PREFIX = "TRADE_STATUS_"
STATUSES: dict[str, FillStatus] = {
    "MATCHED": "MATCHED",
    "MATCHED_NOT_BROADCASTED": "MATCHED",
    "MINED": "MINED",
    "CONFIRMED": "CONFIRMED",
    "RETRYING": "RETRYING",
    "FAILED": "FAILED",
}
END_CURSOR = "LTE="


class MakerOrder(Wire, frozen=True, kw_only=True):
    """One maker's part of a trade, in his own token and side."""

    order_id: str
    matched_amount: str
    price: str
    asset_id: str
    owner: str = ""
    maker_address: str = ""
    side: str = ""


class TradeRow(Wire, frozen=True, kw_only=True):
    """A trade we are in, as event or as REST row."""

    id: str
    taker_order_id: str
    market: str
    asset_id: str
    side: str
    size: str
    price: str
    status: str
    owner: str = ""
    trader_side: str = ""
    maker_orders: list[MakerOrder] | None = None
    match_time: str | int = ""
    matchtime: str | int = ""
    last_update: str | int = ""
    timestamp: str | int = ""
    transaction_hash: str | None = None


class OrderRow(Wire, frozen=True, kw_only=True):
    """An open order of ours."""

    id: str
    asset_id: str
    side: str
    price: str
    original_size: str
    size_matched: str
    status: str = ""


class OrderEvent(Wire, frozen=True, kw_only=True):
    """An order event; a hint that open orders changed, its amounts are not used (U-51)."""

    id: str = ""
    type: str = ""


class Balance(Wire, frozen=True, kw_only=True):
    """Answer of /balance-allowance, in base units (six decimals)."""

    balance: str


class Listing(Wire, frozen=True, kw_only=True):
    """One page of a private listing; the last one's cursor is LTE=."""

    data: list[msgspec.Raw]
    next_cursor: str = END_CURSOR


class _Head(Wire, frozen=True):
    event_type: str = ""


_head = msgspec.json.Decoder(_Head)
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_trade = msgspec.json.Decoder(TradeRow)
_order_event = msgspec.json.Decoder(OrderEvent)
_order = msgspec.json.Decoder(OrderRow)
_listing = msgspec.json.Decoder(Listing)
_balance = msgspec.json.Decoder(Balance)
UserFrame = TradeRow | OrderEvent | Unknown | Unreadable


def decode_user(raw: bytes) -> list[UserFrame]:
    """All frames of one message of the user channel."""
    if not raw.lstrip().startswith(b"["):
        return [_frame(raw)]
    try:
        return [_frame(bytes(each)) for each in _raws.decode(raw)]
    except MALFORMED as error:
        return [unreadable(error, raw)]


def _frame(raw: bytes) -> UserFrame:
    try:
        kind = _head.decode(raw).event_type
        if kind == "trade":
            return _trade.decode(raw)
        return _order_event.decode(raw) if kind == "order" else Unknown(kind)
    except MALFORMED as error:
        return unreadable(error, raw)


def decode_trade_row(raw: bytes) -> TradeRow | Unreadable:
    """One row of /data/trades."""
    try:
        return _trade.decode(raw)
    except MALFORMED as error:
        return unreadable(error, raw)


def decode_order_row(raw: bytes) -> OrderRow | Unreadable:
    """One row of /data/orders."""
    try:
        return _order.decode(raw)
    except MALFORMED as error:
        return unreadable(error, raw)


def decode_listing(raw: bytes) -> Listing | Unreadable:
    """One page of /data/trades or /data/orders."""
    try:
        return _listing.decode(raw)
    except MALFORMED as error:
        return unreadable(error, raw)


def decode_balance(raw: bytes) -> int | Unreadable:
    """Collateral in micro-USD."""
    try:
        text = _balance.decode(raw).balance
    except MALFORMED as error:
        return unreadable(error, raw)
    if not text.isdecimal() or len(text) > DIGITS_MAX:
        return Unreadable(f"balance {text[:QUOTED_MAX]!r} is no integer", raw)
    return int(text)


def status_of(text: str) -> FillStatus | None:
    """Our word for a trade status in either spelling; None for one we do not know."""
    return STATUSES.get(text.removeprefix(STATUS_PREFIX))
