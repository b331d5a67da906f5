"""Answers of the Data API v2 (API reference 10): an envelope, and rows decoded one by one.

One bad row never loses its page: it comes back as Unreadable beside the good ones. Sizes are JSON
doubles with noise in the last digits and are rounded half even to six places; prices are off the
tick grid and only enter the cash.
"""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from connectors.polymarket.wire import (
    MALFORMED,
    BadValue,
    Unreadable,
    Wire,
    condition_id,
    token_id,
    unreadable,
)
from connectors.polymarket.wire_activity import Fill, fill
from schemas.records.base import Token
from schemas.records.own import Holding
from schemas.units import UnitError, parse_micro_half_even

T = TypeVar("T")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page: rows undecoded, and the cursor of the next one, None on the last."""

    rows: list[bytes]
    cursor: str | None


class _Pagination(Wire, frozen=True, kw_only=True):
    has_more: bool = False
    next_cursor: str | None = None


class _Envelope(Wire, frozen=True, kw_only=True):
    data: list[msgspec.Raw]
    pagination: _Pagination = _Pagination()


class _TradeRow(Wire, frozen=True, kw_only=True):
    proxy_wallet: str
    side: str
    token_id: str
    condition_id: str
    size: Decimal
    price: Decimal
    timestamp: int
    transaction_hash: str


class ActivityRow(Wire, frozen=True, kw_only=True):
    """One row of /v2/activity; which fields are filled depends on the type."""

    type: str
    proxy_wallet: str
    timestamp: int
    condition_id: str = ""
    size: Decimal = Decimal(0)
    usdc_size: Decimal = Decimal(0)
    transaction_hash: str = ""
    token_id: str | None = None
    side: str | None = None
    outcome_index: int | None = None
    is_combo: bool = False


class _PositionRow(Wire, frozen=True, kw_only=True):
    proxy_wallet: str
    token_id: str
    condition_id: str
    current_size: Decimal


class Resolution(Wire, frozen=True, kw_only=True):
    """One row of /v2/resolutions: payouts in millionths by outcome index, empty until known."""

    condition_id: str | None = None
    payouts: list[int] | None = None


class TokenRow(Wire, frozen=True, kw_only=True):
    """One row of /v2/tokens: which outcome of which condition a token is."""

    token_id: str
    condition_id: str
    outcome_index: int | None = None
    final_price: Decimal | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_trade = msgspec.json.Decoder(_TradeRow)
_activity = msgspec.json.Decoder(ActivityRow)
_position = msgspec.json.Decoder(_PositionRow)
_any = msgspec.json.Decoder(dict[str, Any])


def decode_page(raw: bytes) -> Page | Unreadable:
    """The envelope; an empty page with a cursor is not the last one."""
    try:
        envelope = _envelope.decode(raw)
    except MALFORMED as error:
        return unreadable(error, raw)
    more = envelope.pagination
    if more.has_more and not more.next_cursor:
        return Unreadable("has_more without next_cursor", raw)
    cursor = more.next_cursor if more.has_more else None
    return Page(rows=[bytes(row) for row in envelope.data], cursor=cursor)


def decode_trade(raw: bytes) -> Fill | Unreadable:
    """One row of /v2/trades."""
    try:
        row = _trade.decode(raw)
        return fill(
            wallet_text=row.proxy_wallet,
            token_text=row.token_id,
            condition_text=row.condition_id,
            side=row.side,
            size=row.size,
            price=row.price,
            seconds=row.timestamp,
            tx=row.transaction_hash,
        )
    except (*MALFORMED, BadValue) as error:
        return unreadable(error, raw)


def decode_activity_row(raw: bytes) -> ActivityRow | Unreadable:
    """One row of /v2/activity, of whatever type."""
    try:
        return _activity.decode(raw)
    except MALFORMED as error:
        return unreadable(error, raw)


def decode_position(raw: bytes) -> Holding | Unreadable:
    """One row of /v2/positions."""
    try:
        row = _position.decode(raw)
        shares = parse_micro_half_even(row.current_size)
        if shares < 0:
            raise BadValue(f"current_size {row.current_size} is negative")
        return Holding(
            token=Token(token_id(row.token_id)),
            condition=condition_id(row.condition_id),
            shares_micro=shares,
        )
    except (*MALFORMED, BadValue, UnitError) as error:
        return unreadable(error, raw)


def decode_row(raw: bytes, kind: type[T]) -> T | Unreadable:
    """One row of a plain shape (Resolution, TokenRow)."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except MALFORMED as error:
        return unreadable(error, raw)


def transaction_of(raw: bytes) -> str | None:
    """The transaction of a row that is otherwise unreadable, if that much can be read."""
    try:
        tx = _any.decode(raw).get("transaction_hash")
    except MALFORMED:
        return None
    return tx.lower() if isinstance(tx, str) and tx else None
