"""Frames of the user channel and the private rows of CLOB REST (API reference 8 and 11.3).

Statuses are plain on the channel and prefixed TRADE_STATUS_ on REST. The same trade id comes again
at every transition. `price` of a trade is the last level it touched, so exact money is the sum over
`maker_orders`; a maker in the other outcome's book shows that token, its own side and 1 - p. For a
FAK or FOK BUY `original_size` is the dollar budget on the channel and shares on REST (U-51).
"""

from typing import Any

from infra.sandbox.matching import Fill
from infra.sandbox.records import Order, Trade
from schemas.units import format_micro

Frame = dict[str, Any]


def maker_order(trade: Trade, fill: Fill) -> Frame:
    maker = fill.maker
    return {
        "order_id": maker.order_id,
        "owner": maker.owner,
        "maker_address": maker.wallet,
        "matched_amount": format_micro(fill.shares_micro),
        "price": format_micro(maker.price_micro),
        "fee_rate_bps": "0",
        "asset_id": trade.market.tokens[maker.token],
        "outcome": trade.market.outcomes[maker.token],
        "side": maker.side,
    }


def trade_row(trade: Trade, viewer: str) -> Frame:
    """A trade as its taker or one of its makers sees it; viewer is an API key."""
    return {
        "id": trade.trade_id,
        "taker_order_id": trade.order_id,
        "market": trade.market.condition_id,
        "asset_id": trade.market.tokens[trade.token],
        "side": trade.side,
        "size": format_micro(trade.shares_micro),
        "fee_rate_bps": "0",
        "price": format_micro(trade.fills[-1].price_micro),
        "status": trade.status,
        "match_time": str(trade.match_ms // 1000),
        "last_update": str(trade.update_ms // 1000),
        "outcome": trade.market.outcomes[trade.token],
        "bucket_index": trade.bucket,
        "owner": trade.owner,
        "maker_address": trade.wallet,
        "transaction_hash": trade.tx_hash if trade.status in ("MINED", "CONFIRMED") else "",
        "maker_orders": [maker_order(trade, fill) for fill in trade.fills],
        "trader_side": "TAKER" if trade.owner == viewer else "MAKER",
    }


def rest_trade(trade: Trade, viewer: str) -> Frame:
    row = trade_row(trade, viewer)
    return {**row, "status": f"TRADE_STATUS_{trade.status}"}


def trade_frame(trade: Trade, viewer: str, now_ms: int) -> Frame:
    return {
        "event_type": "trade",
        "type": "TRADE",
        **trade_row(trade, viewer),
        "trade_owner": trade.owner,
        "timestamp": str(now_ms),
    }


def rest_order(order: Order) -> Frame:
    return {
        "id": order.order_id,
        "status": order.status,
        "market": order.market.condition_id,
        "asset_id": order.market.tokens[order.token],
        "owner": order.owner,
        "maker_address": order.wallet,
        "side": order.terms.side,
        "price": format_micro(order.terms.price_micro),
        "original_size": format_micro(order.terms.shares_micro),
        "size_matched": format_micro(order.matched_shares_micro),
        "outcome": order.market.outcomes[order.token],
        "order_type": order.terms.order_type,
        "associate_trades": list(order.trade_ids),
        "created_at": order.placed_ms // 1000,
        "expiration": str(order.expiration_s),
    }


def order_frame(order: Order, kind: str, now_ms: int) -> Frame:
    """kind: PLACEMENT, UPDATE (some part matched) or CANCELLATION."""
    budget = order.terms.is_market and order.terms.side == "BUY"
    size = order.terms.usd_micro if budget else order.terms.shares_micro
    return {
        "event_type": "order",
        "type": kind,
        **rest_order(order),
        "original_size": format_micro(size),
        "order_owner": order.owner,
        "created_at": str(order.placed_ms // 1000),
        "timestamp": str(now_ms),
    }
