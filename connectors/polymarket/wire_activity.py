"""Messages of the RTDS `activity` topic (API reference 9): all traders' fills, filtered by us.

orders_matched: one row a transaction, the taker's. trades: one row for the taker's order and one
for every maker's. No wallet filter, no acknowledgement, no replay; empty frames answer our pings.
"""

from decimal import Decimal

import msgspec

from connectors.polymarket.wire import (
    MALFORMED,
    BadValue,
    Unknown,
    Unreadable,
    Wire,
    cash_micro,
    condition_id,
    epoch_ms,
    is_combo,
    token_id,
    unreadable,
    wallet,
)
from schemas.records.base import Condition, Group, Side, Token, Wallet, group_id
from schemas.units import UnitError, parse_micro_half_even

SUBSCRIPTIONS = ("orders_matched", "trades")


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row about one wallet, from whichever source, in our units."""

    wallet: Wallet
    group: Group
    tx: str
    token: Token
    condition: Condition
    side: Side
    shares_micro: int
    cash_micro: int
    venue_ms: int


class _Payload(Wire, frozen=True, kw_only=True, rename="camel"):
    proxy_wallet: str
    asset: str
    condition_id: str
    side: str
    size: Decimal
    price: Decimal
    timestamp: int
    transaction_hash: str


class _Message(Wire, frozen=True, kw_only=True):
    topic: str = ""
    type: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")


_message = msgspec.json.Decoder(_Message)
_payload = msgspec.json.Decoder(_Payload)


def decode_activity(raw: bytes) -> tuple[str, Fill] | Unknown | Unreadable:
    """(type, fill) of one non-empty message."""
    try:
        message = _message.decode(raw)
        if message.topic != "activity" or message.type not in SUBSCRIPTIONS:
            return Unknown(f"{message.topic}/{message.type}")
        row = _payload.decode(message.payload)
        return message.type, fill(
            wallet_text=row.proxy_wallet,
            token_text=row.asset,
            condition_text=row.condition_id,
            side=row.side,
            size=row.size,
            price=row.price,
            seconds=row.timestamp,
            tx=row.transaction_hash,
        )
    except (*MALFORMED, BadValue) as error:
        return unreadable(error, raw)


def fill(
    *,
    wallet_text: str,
    token_text: str,
    condition_text: str,
    side: str,
    size: Decimal,
    price: Decimal,
    seconds: int,
    tx: str,
) -> Fill:
    """A fill in our units; raises BadValue naming the field. Sizes are rounded half even."""
    who, token = wallet(wallet_text), token_id(token_text)
    if side not in ("BUY", "SELL"):
        raise BadValue(f"side {side!r} is neither BUY nor SELL")
    if not tx:
        raise BadValue("transaction hash is empty")
    try:
        shares = parse_micro_half_even(size)
    except UnitError as error:
        raise BadValue(f"size: {error}") from error
    if shares < 0 or not (price.is_finite() and 0 <= price <= 1):
        raise BadValue(f"size {size} at price {price} is no fill")
    return Fill(
        wallet=who,
        group=group_id(tx=tx, wallet=who, token=token, side=side),
        tx=tx.lower(),
        token=Token(token),
        condition=condition_id(condition_text),
        side="BUY" if side == "BUY" else "SELL",
        shares_micro=shares,
        cash_micro=cash_micro(size, price),
        venue_ms=epoch_ms(seconds),
    )


def is_basket(row: Fill) -> bool:
    """Whether a fill is of a combo, which is not traded on the book and cannot be copied (4.3)."""
    return is_combo(row.token)
