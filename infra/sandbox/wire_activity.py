"""Messages of the RTDS activity feed (API reference 9).

`orders_matched` has one row per transaction: the taker, aggregated. `trades` has a row for every
fill: the taker's and each maker's. The envelope's timestamp is milliseconds, the payload's whole
seconds, one before the block. Sizes and prices are JSON numbers.
"""

from typing import Any

from infra.sandbox.market import Market
from schemas.units import MICRO

Frame = dict[str, Any]


def payload(
    market: Market,
    token: int,
    *,
    wallet: str,
    side: str,
    shares_micro: int,
    usd_micro: int,
    block_ms: int,
    tx_hash: str,
) -> Frame:
    return {
        "proxyWallet": wallet,
        "asset": market.tokens[token],
        "conditionId": market.condition_id,
        "side": side,
        "size": shares_micro / MICRO,
        "price": round(usd_micro / shares_micro, 10),
        "timestamp": block_ms // 1000 - 1,
        "transactionHash": tx_hash,
        "outcome": market.outcomes[token],
        "outcomeIndex": token,
        "slug": market.slug,
        "eventSlug": market.slug,
        "title": market.question,
        "name": "",
        "pseudonym": "",
        "bio": "",
        "icon": "",
        "profileImage": "",
    }


def message(kind: str, row: Frame, *, now_ms: int, connection: str) -> Frame:
    """kind: orders_matched or trades."""
    return {
        "topic": "activity",
        "type": kind,
        "timestamp": now_ms,
        "connection_id": connection,
        "payload": row,
    }
