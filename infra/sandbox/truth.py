"""What is really so: exact holdings, statistics and counts, for tests and the demo.

Everything in micro units. This is the measure others are held against, so it reads the ledger and
the venue directly, never the lagging index's visible part.
"""

from collections import Counter
from typing import Any

from infra.sandbox.leaders import Leader
from infra.sandbox.market import Market
from infra.sandbox.postlog import Post
from infra.sandbox.rim import Rim
from infra.sandbox.venue import Venue

Json = dict[str, Any]


def truth(rim: Rim) -> Json:
    """Markets, every leader's and account's balances, what the leaders did, what became of ours."""
    venue = rim.venue
    accounts = sorted(set(venue.accounts.values()))
    return {
        "now_ms": venue.agenda.now_ms,
        "start_ms": venue.start_ms,
        "resting": all(leader.resting for leader in venue.leaders),
        "markets": [_market(market) for market in venue.floor.markets],
        "leaders": {leader.wallet: _leader(venue, leader) for leader in venue.leaders},
        "accounts": {wallet: _account(rim, wallet) for wallet in accounts},
        "faults": {"on": sorted(venue.faults.on), "counts": dict(venue.faults.counts)},
    }


def _market(market: Market) -> Json:
    return {
        "condition_id": market.condition_id,
        "slug": market.slug,
        "question": market.question,
        "status": market.status,
        "tick_micro": market.tick_micro,
        "tokens": [
            {
                "token_id": market.tokens[token],
                "outcome": market.outcomes[token],
                "price_micro": market.price_micro(token),
                "payout_micro": market.payouts_micro[token] if market.is_resolved else None,
            }
            for token in (0, 1)
        ],
    }


def _wallet(venue: Venue, wallet: str) -> Json:
    """Cash and non-zero holdings; pending is matched and not yet confirmed."""
    ledger, holdings = venue.ledger, {}
    for market in venue.floor.markets:
        for token in (0, 1):
            key = (wallet, market.condition_id, token)
            settled, pending = ledger.shares_micro[key], ledger.pending_shares_micro[key]
            if settled or pending:
                holdings[market.tokens[token]] = {
                    "shares_micro": settled + pending,
                    "settled_micro": settled,
                    "pending_micro": pending,
                    "outcome": market.outcomes[token],
                    "slug": market.slug,
                    "condition_id": market.condition_id,
                    "resolved": market.is_resolved,
                }
    return {
        "cash_micro": ledger.cash_micro[wallet],
        "pending_cash_micro": ledger.pending_cash_micro[wallet],
        "holdings": holdings,
    }


def _leader(venue: Venue, leader: Leader) -> Json:
    rows = [row for row in venue.index.rows if row.wallet == leader.wallet]
    fills = [row for row in rows if row.kind == "TRADE" and row.ts_s >= venue.start_ms // 1000]
    equal = Counter(row.identity for row in fills)
    return _wallet(venue, leader.wallet) | {
        "homes": [market.tokens[token] for market, token in leader.homes],
        "fills": len(fills),
        "maker_fills": sum(not row.is_taker for row in fills),
        "identical_rows": sum(count for count in equal.values() if count > 1),
        "orders": leader.done.orders,
        "flips": leader.done.flips,
        "splits": leader.done.splits,
        "merges": leader.done.merges,
        "redeems": leader.done.redeems,
    }


def _account(rim: Rim, wallet: str) -> Json:
    venue = rim.venue
    posts = [post for post in rim.posts.by_hash.values() if post.wallet == wallet]
    trades = [
        trade
        for trade in venue.settlement.trades.values()
        if wallet in (trade.wallet, *(fill.maker.wallet for fill in trade.fills))
    ]
    return _wallet(venue, wallet) | {
        "orders": len(posts),
        "accepted": sum(post.accepted > 0 for post in posts),
        "refused": sum(post.accepted == 0 for post in posts),
        "trades": dict(Counter(trade.status for trade in trades)),
        "fees_micro": sum(trade.fee_micro for trade in trades if trade.wallet == wallet),
        "partial_fills": venue.exchange.partial_fills.get(wallet, 0),
    }


def order_log(rim: Rim) -> list[Json]:
    """Every order hash that arrived, in order: how often, what was accepted, what it traded."""
    return [_post(rim.venue, post) for post in rim.posts.by_hash.values()]


def _post(venue: Venue, post: Post) -> Json:
    order = venue.exchange.orders.get(post.order_id)
    trades = [] if order is None else [venue.settlement.trades[t] for t in order.trade_ids]
    return {
        "order_id": post.order_id,
        "wallet": post.wallet,
        "token_id": post.token,
        "side": post.side,
        "order_type": post.order_type,
        "usd_micro": post.usd_micro,
        "shares_micro": post.shares_micro,
        "first_ms": post.first_ms,
        "arrivals": post.arrivals,
        "accepted": post.accepted,
        "lost_answers": post.lost_answers,
        "refusals": post.refusals,
        "status": None if order is None else order.status,
        "matched_shares_micro": 0 if order is None else order.matched_shares_micro,
        "matched_usd_micro": 0 if order is None else order.matched_usd_micro,
        "trades": [
            {
                "trade_id": trade.trade_id,
                "status": trade.status,
                "shares_micro": trade.shares_micro,
                "usd_micro": trade.usd_micro,
                "fee_micro": trade.fee_micro,
            }
            for trade in trades
        ],
    }
