"""Rows of Data API v2 (API reference 10): snake_case, numbers as JSON doubles, no log index.

Prices are size-weighted and off by a hair; sizes are exact to six decimals. Rows of SPLIT and MERGE
have an empty side and token and outcome index 999, as recorded.
"""

from datetime import UTC, datetime
from typing import Any

from infra.sandbox.index import Position, Row, value_micro
from infra.sandbox.market import Market
from schemas.units import MICRO

Json = dict[str, Any]
NO_OUTCOME = 999


def _market_text(market: Market) -> Json:
    return {
        "title": market.question,
        "slug": market.slug,
        "icon": "",
        "event_slug": market.slug,
    }


def trade(row: Row) -> Json:
    """A line of /v2/trades."""
    token = 0 if row.token is None else row.token
    return {
        "proxy_wallet": row.wallet,
        "side": row.side,
        "token_id": row.market.tokens[token],
        "condition_id": row.market.condition_id,
        "size": row.shares_micro / MICRO,
        "price": row.price,
        "timestamp": row.ts_s,
        "transaction_hash": row.tx_hash,
        **_market_text(row.market),
        "outcome": row.market.outcomes[token],
        "outcome_index": token,
        "name": "",
        "pseudonym": "",
        "bio": "",
        "profile_image": "",
    }


def activity(row: Row) -> Json:
    """A line of /v2/activity."""
    extra = {"type": row.kind, "usdc_size": row.usd_micro / MICRO, "is_combo": False}
    if row.token is not None:
        return {**trade(row), **extra}
    blank = {"token_id": "", "outcome": "", "outcome_index": NO_OUTCOME}
    return {**trade(row), **extra, **blank}


def position(wallet: str, held: Position) -> Json:
    """A line of /v2/positions; cost without fees, percentages as percent."""
    market, token = held.market, held.token
    value, cost = value_micro(held), held.cost_micro
    average = held.bought_usd_micro / held.bought_micro if held.bought_micro else 0.0
    open_result = value - cost
    return {
        "proxy_wallet": wallet,
        "token_id": market.tokens[token],
        "condition_id": market.condition_id,
        "current_size": held.shares_micro / MICRO,
        "avg_price": round(average, 8),
        "entry_cost_usdc": cost / MICRO,
        "entry_fees_usdc": held.fees_micro / MICRO,
        "total_cost_usdc": (cost + held.fees_micro) / MICRO,
        "current_price": market.price_micro(token) / MICRO,
        "current_value": value / MICRO,
        "total_size": held.bought_micro / MICRO,
        "realized_pnl": held.realized_micro / MICRO,
        "unrealized_pnl": open_result / MICRO,
        "total_pnl": (open_result + held.realized_micro) / MICRO,
        "percent_pnl": _percent(open_result, cost),
        "percent_realized_pnl": _percent(held.realized_micro, held.bought_usd_micro),
        "status": row_status(held),
        "redeemable": market.is_resolved and held.shares_micro > 0,
        "mergeable": False,
        "negative_risk": market.neg_risk,
        "archived": False,
        "verified": False,
        **_market_text(market),
        "event_id": market.number,
        "outcome": market.outcomes[token],
        "outcome_index": token,
        "opposite_outcome": market.outcomes[1 - token],
        "opposite_token_id": market.tokens[1 - token],
        "end_date": _day(market.wall_ms(market.stretch.market.end_ms)),
        "last_event_at": held.last_s,
        "first_entry_at": held.first_s,
    }


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 4) if whole else 0.0


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).date().isoformat()


def row_status(held: Position) -> str:
    if held.shares_micro == 0:
        return "CLOSED"
    return "REDEEMABLE" if held.market.is_resolved else "OPEN"


def resolution(market: Market) -> Json:
    """A line of /v2/resolutions; payouts in millionths."""
    return {
        "question_id": market.question_id,
        "condition_id": market.condition_id,
        "status": "resolved" if market.is_resolved else "initialized",
        "extended_review": False,
        "was_disputed": False,
        "new_version_q": False,
        "last_update_timestamp": (market.resolved_ms or market.origin_ms) // 1000,
        "market_type": "BINARY",
        "payouts": list(market.payouts_micro) if market.is_resolved else None,
        "resolution_source": "reported" if market.is_resolved else None,
        "reporter": "CHAINLINK" if market.is_resolved else None,
        "resolved_at": market.resolved_ms // 1000 if market.is_resolved else None,
    }


def token_reference(market: Market, token: int) -> Json:
    """A line of /v2/tokens."""
    resolved = market.is_resolved
    return {
        "token_id": market.tokens[token],
        "condition_id": market.condition_id,
        "structural_condition_id": None,
        "module": "v1_ctf",
        "outcome_index": token,
        "clob_index": token,
        "outcome": market.outcomes[token],
        "opposite_token_id": market.tokens[1 - token],
        "resolved": resolved,
        "final_price": market.payouts_micro[token] / MICRO if resolved else None,
        "title": market.question,
        "market_slug": market.slug,
        "closed": resolved,
        "neg_risk": market.neg_risk,
        "neg_risk_market_id": None,
        "question_index": None,
        "event_id": market.number,
        "event_slug": market.slug,
    }
