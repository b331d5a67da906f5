"""Checks a signed order against the request it was built from, before anything leaves. Pure.

The client is not trusted with money: side, token, wallet, amounts and price of what it signed are
compared with what was asked, and the signature with the locally computed hash (signature.py). A FAK
BUY's price may stand a hair above the limit, since the client rounds the shares down (API reference
6.4); it must stay below the next price of the finest grid, so that no dearer ask can match.
"""

from collections.abc import Mapping
from typing import Any, Final

from schemas.records.journal import OrderRequested
from schemas.units import CENT_MICRO, LOT_MICRO, MICRO, floor_to_cent, floor_to_lot

FINEST_TICK_MICRO: Final = 100
_AMOUNT_STEPS: Final = {
    100_000: 1_000,
    10_000: 100,
    5_000: 10,
    2_500: 1,
    1_000: 10,
    100: 1,
}
"""Tick -> step of a market order's other amount, both micro (6.4)."""


def wrong_request(request: OrderRequested) -> str:
    """Why this request cannot become an order at all, or ''."""
    tick, limit = request.tick_micro, request.limit_micro
    if tick not in _AMOUNT_STEPS:
        return f"tick {tick} micro is none of the venue's"
    if limit % tick or not tick <= limit <= MICRO - tick:
        return f"limit {limit} micro is not on the grid of {tick} micro inside (0, 1)"
    if request.side == "BUY" and floor_to_cent(request.budget_micro) <= 0:
        return f"budget {request.budget_micro} micro is less than a cent"
    if request.side == "SELL" and floor_to_lot(request.shares_micro) <= 0:
        return f"size {request.shares_micro} micro is less than a hundredth of a share"
    return ""


def wrong_order(request: OrderRequested, payload: Mapping[str, Any], wallet: str) -> str:
    """What in a signed order differs from its request, or ''."""
    if payload["side"] != request.side:
        return f"side {payload['side']} instead of {request.side}"
    if payload["tokenId"] != request.token:
        return f"token {payload['tokenId']} instead of {request.token}"
    if payload["orderType"] != "FAK":
        return f"order type {payload['orderType']} instead of FAK"
    if payload["maker"].lower() != wallet.lower():
        return f"maker {payload['maker']} instead of {wallet}"
    maker, taker = int(payload["makerAmount"]), int(payload["takerAmount"])
    if maker <= 0 or taker <= 0:
        return f"amounts {maker}/{taker}: one is nothing"
    return _wrong_amounts(request, maker, taker)


def wrong_precision(request: OrderRequested, payload: Mapping[str, Any]) -> str:
    """Whether an amount has more decimals than the tick allows, as after a stale cache."""
    step = _AMOUNT_STEPS[request.tick_micro]
    taker = int(payload["takerAmount"])
    return f"taker amount {taker} is not a multiple of {step} micro" if taker % step else ""


def _wrong_amounts(request: OrderRequested, maker: int, taker: int) -> str:
    if request.side == "SELL":
        if maker > request.shares_micro or maker % LOT_MICRO:
            return f"sells {maker} micro-shares of {request.shares_micro}"
        if taker * MICRO < request.limit_micro * maker:
            return f"{taker} for {maker} is below the limit {request.limit_micro}"
        return ""
    if maker > request.budget_micro or maker % CENT_MICRO:
        return f"spends {maker} micro-USD of {request.budget_micro}"
    if maker * MICRO >= (request.limit_micro + FINEST_TICK_MICRO) * taker:
        return f"{maker} for {taker} is above the limit {request.limit_micro}"
    return ""
