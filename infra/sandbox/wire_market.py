"""Frames of the market channel and the book answers of CLOB REST (API reference 7 and 11.1).

Levels come worst first: bids ascending, asks descending, the best last. Prices and sizes are the
venue's shortest decimal strings; only the last trade price carries three decimals, the same string
for both tokens. The book hash is the SHA-1 of the whole summary with an empty hash, in a fixed key
order (7.3). `book` frames after the first of a subscription omit tick size and last trade price.
"""

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from infra.sandbox.market import Market
from infra.sandbox.orderbook import BID, Change
from schemas.units import MICRO, format_micro

Frame = dict[str, Any]
_LATER_BOOKS_OMIT = ("tick_size", "last_trade_price")


@lru_cache(maxsize=65_536)
def _level(price_micro: int, shares_micro: int) -> str:
    price, size = format_micro(price_micro), format_micro(shares_micro)
    return f'{{"price":"{price}","size":"{size}"}}'


def _levels_text(levels: dict[int, int], *, descending: bool) -> str:
    ordered = sorted(levels.items(), reverse=descending)
    return "[" + ",".join([_level(price, size) for price, size in ordered]) + "]"


def _summary_text(market: Market, token: int, now_ms: int) -> str:
    """The preimage of the hash: compact JSON of the summary. No value in it needs escaping."""
    bids, asks = market.book.levels[token]
    return (
        f'{{"market":"{market.condition_id}","asset_id":"{market.tokens[token]}",'
        f'"timestamp":"{now_ms}","hash":"","bids":{_levels_text(bids, descending=False)},'
        f'"asks":{_levels_text(asks, descending=True)},'
        f'"min_order_size":"{format_micro(market.min_shares_micro)}",'
        f'"tick_size":"{format_micro(market.tick_micro)}",'
        f'"neg_risk":{"true" if market.neg_risk else "false"},'
        f'"last_trade_price":"{last_trade_text(market)}"}}'
    )


def book_hash(market: Market, token: int, now_ms: int) -> str:
    """The venue's hash of a token's whole displayed book at a moment."""
    text = _summary_text(market, token, now_ms)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def last_trade_text(market: Market) -> str:
    """Last trade price as the venue writes it: three decimals, empty before the first trade."""
    price = market.last_trade_price_micro
    return "" if price is None else f"{price / MICRO:.3f}"


def book(market: Market, token: int, now_ms: int) -> Frame:
    """The whole book summary, with every key: REST answers and first snapshots."""
    bids, asks = market.book.levels[token]
    return {
        "market": market.condition_id,
        "asset_id": market.tokens[token],
        "timestamp": str(now_ms),
        "hash": book_hash(market, token, now_ms),
        "bids": _rows(sorted(bids.items())),
        "asks": _rows(sorted(asks.items(), reverse=True)),
        "min_order_size": format_micro(market.min_shares_micro),
        "tick_size": format_micro(market.tick_micro),
        "neg_risk": market.neg_risk,
        "last_trade_price": last_trade_text(market),
    }


def _rows(levels: list[tuple[int, int]]) -> list[dict[str, str]]:
    return [{"price": format_micro(p), "size": format_micro(s)} for p, s in levels]


def first_book_frame(market: Market, token: int, now_ms: int) -> Frame:
    return {"event_type": "book", **book(market, token, now_ms)}


def later_book_frame(market: Market, token: int, now_ms: int) -> Frame:
    frame = first_book_frame(market, token, now_ms)
    return {key: value for key, value in frame.items() if key not in _LATER_BOOKS_OMIT}


def price_change_frame(market: Market, changes: tuple[Change, ...], now_ms: int) -> Frame:
    """The changes of one moment, at most one per token, with the quotes and hash after them."""
    return {
        "event_type": "price_change",
        "market": market.condition_id,
        "timestamp": str(now_ms),
        "price_changes": [_price_change(market, change, now_ms) for change in changes],
    }


def _price_change(market: Market, change: Change, now_ms: int) -> Frame:
    bid, ask = quotes(market, change.token)
    return {
        "asset_id": market.tokens[change.token],
        "price": format_micro(change.price_micro),
        "size": format_micro(change.shares_micro),
        "side": "BUY" if change.side == BID else "SELL",
        "hash": book_hash(market, change.token, now_ms),
        "best_bid": bid,
        "best_ask": ask,
    }


def quotes(market: Market, token: int) -> tuple[str, str]:
    """Best bid and ask as the venue writes them; an empty side is 0 or 1."""
    bid, ask = market.book.best_bid(token), market.book.best_ask(token)
    return format_micro(0 if bid is None else bid), format_micro(MICRO if ask is None else ask)


def last_trade_frame(
    market: Market, token: int, *, side: str, shares_micro: int, tx_hash: str, now_ms: int
) -> Frame:
    """One taker order's match; the price is the last level it touched."""
    return {
        "event_type": "last_trade_price",
        "market": market.condition_id,
        "asset_id": market.tokens[token],
        "price": last_trade_text(market),
        "size": format_micro(shares_micro),
        "side": side,
        "fee_rate_bps": "0",
        "timestamp": str(now_ms),
        "transaction_hash": tx_hash,
    }


def tick_frame(market: Market, token: int, old_tick_micro: int, now_ms: int) -> Frame:
    return {
        "event_type": "tick_size_change",
        "market": market.condition_id,
        "asset_id": market.tokens[token],
        "old_tick_size": format_micro(old_tick_micro),
        "new_tick_size": format_micro(market.tick_micro),
        "timestamp": str(now_ms),
    }


def best_bid_ask_frame(market: Market, token: int, now_ms: int) -> Frame:
    bid, ask = market.book.best_bid(token), market.book.best_ask(token)
    spread = (MICRO if ask is None else ask) - (bid or 0)
    best_bid, best_ask = quotes(market, token)
    return {
        "event_type": "best_bid_ask",
        "market": market.condition_id,
        "asset_id": market.tokens[token],
        "best_bid": best_bid,
        "best_ask": best_ask,
        "spread": format_micro(spread),
        "timestamp": str(now_ms),
    }


def _event_message(market: Market) -> Frame:
    return {
        "id": str(market.number),
        "ticker": market.slug,
        "slug": market.slug,
        "title": market.question,
        "description": market.question,
    }


def new_market_frame(market: Market, now_ms: int) -> Frame:
    return {
        "event_type": "new_market",
        "id": str(market.number),
        "question": market.question,
        "market": market.condition_id,
        "condition_id": market.condition_id,
        "slug": market.slug,
        "description": market.question,
        "assets_ids": list(market.tokens),
        "clob_token_ids": list(market.tokens),
        "outcomes": list(market.outcomes),
        "event_message": _event_message(market),
        "timestamp": str(now_ms),
        "tags": ["crypto"],
        "active": True,
        "order_price_min_tick_size": format_micro(market.tick_micro),
        "fees_enabled": market.fee_rate_micro > 0,
    }


def resolved_frame(market: Market, now_ms: int) -> Frame:
    """market_resolved names a winner only where one outcome takes all."""
    payouts = market.payouts_micro
    winner = payouts.index(MICRO) if MICRO in payouts else None
    return {
        "event_type": "market_resolved",
        "id": str(market.number),
        "market": market.condition_id,
        "assets_ids": list(market.tokens),
        "winning_asset_id": "" if winner is None else market.tokens[winner],
        "winning_outcome": "" if winner is None else market.outcomes[winner],
        "event_message": _event_message(market),
        "timestamp": str(now_ms),
        "tags": ["crypto"],
    }


def iso(at_ms: int) -> str:
    """ISO time in UTC, as Gamma and CLOB listings write it."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
