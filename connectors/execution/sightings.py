"""What a look-up proves: the order as the venue shows it and the trades that name it. Pure.

An order is final when its status is terminal and every trade it speaks of has been seen; amounts
come from the trades, since the unit of an order's own size is not settled for FAK BUYs (API
reference 8, U-51). An order that is not found while its trades are (complaint 9) is final once its
newest trade is old: a FAK order matches at once or never.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors.execution.backend import NotThere, Seen, Sighting

WORKING: Final = frozenset({"LIVE", "DELAYED", "UNMATCHED"})
MATCHED: Final = "MATCHED"
DEAD: Final = ("CANCELED", "CANCELLED", "INVALID", "EXPIRED")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """One order as the venue shows it; trades are the ids it is associated with."""

    status: str
    matched_micro: int
    trades: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeView:
    """One trade that names the order, from our side; usd_micro is shares times price, no fee."""

    trade: str
    shares_micro: int
    usd_micro: int
    matched_ms: int


def sighting(
    order: OrderView | None, trades: Sequence[TradeView], *, now_ms: int, old_ms: int
) -> Sighting:
    """Join both answers. old_ms: age from which trades without an order are taken as all."""
    if order is None:
        return _without_order(trades, now_ms, old_ms)
    status = _plain(order.status)
    if status in WORKING:
        return Seen(status=status.lower(), trades=_ids(trades))
    if status != MATCHED and not status.startswith(DEAD):
        reason = f"alarm: order status {order.status!r}"
        return Seen(status="unknown_status", trades=_ids(trades), reason=reason)
    nothing = not order.matched_micro and not order.trades and not trades
    if nothing and status != MATCHED:
        return Seen(status=status.lower(), shares_micro=0, usd_micro=0)
    if nothing or not _complete(order, trades):
        return Seen(status=status.lower(), trades=_ids(trades), reason="trades not listed yet")
    return _final(status.lower(), trades)


def _without_order(trades: Sequence[TradeView], now_ms: int, old_ms: int) -> Sighting:
    if not trades:
        return NotThere()
    if now_ms - max(trade.matched_ms for trade in trades) < old_ms:
        return Seen(status="matched", trades=_ids(trades), reason="seen by its trades only")
    return _final("matched", trades)


def _final(status: str, trades: Sequence[TradeView]) -> Seen:
    return Seen(
        status=status,
        shares_micro=sum(trade.shares_micro for trade in trades),
        usd_micro=sum(trade.usd_micro for trade in trades),
        trades=_ids(trades),
    )


def _complete(order: OrderView, trades: Sequence[TradeView]) -> bool:
    if order.trades:
        return set(order.trades) <= {trade.trade for trade in trades}
    shares = sum(trade.shares_micro for trade in trades)
    return order.matched_micro in (shares, sum(trade.usd_micro for trade in trades))


def _plain(status: str) -> str:
    return status.strip().upper().removeprefix("ORDER_STATUS_")


def _ids(trades: Sequence[TradeView]) -> tuple[str, ...]:
    return tuple(trade.trade for trade in trades)
