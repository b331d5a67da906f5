"""What the venue keeps of orders and trades while they live, and what it emits."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from infra.sandbox.ledger import Leg
from infra.sandbox.market import Market
from infra.sandbox.matching import Fill, Terms


class Emission(msgspec.Struct, frozen=True, kw_only=True):
    """A frame for a channel. key: condition id (market), API key (user) or type (activity).

    custom: only for market sockets that asked for custom features. everyone: whatever their assets.
    """

    channel: str
    key: str
    payload: dict[str, Any]
    custom: bool = False
    everyone: bool = False


@dataclass(slots=True, kw_only=True)
class Order:
    """An order of an account or a leader. status: DELAYED until matched, then LIVE, MATCHED, ..."""

    order_id: str
    wallet: str
    owner: str
    market: Market
    token: int
    terms: Terms
    placed_ms: int
    expiration_s: int = 0
    post_only: bool = False
    status: str = "DELAYED"
    matched_shares_micro: int = 0
    matched_usd_micro: int = 0
    trade_ids: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.status in ("DELAYED", "LIVE")

    @property
    def left_micro(self) -> int:
        """Shares a resting order still offers."""
        return self.terms.shares_micro - self.matched_shares_micro

    @property
    def reserved_usd_micro(self) -> int:
        """Collateral that an open BUY keeps from being spent twice."""
        open_buy = self.is_open and self.terms.side == "BUY"
        return max(self.terms.usd_micro - self.matched_usd_micro, 0) if open_buy else 0

    @property
    def reserved_shares_micro(self) -> int:
        """Shares that an open SELL keeps from being sold twice."""
        return self.left_micro if self.is_open and self.terms.side == "SELL" else 0


@dataclass(slots=True, kw_only=True)
class Trade:
    """One match of a taker with its makers, from MATCHED to CONFIRMED or FAILED."""

    trade_id: str
    order_id: str
    wallet: str
    owner: str
    market: Market
    token: int
    side: str
    fills: tuple[Fill, ...]
    legs: tuple[Leg, ...]
    fee_micro: int
    tx_hash: str
    bucket: int
    match_ms: int
    update_ms: int
    will_fail: bool = False
    status: str = "MATCHED"

    @property
    def shares_micro(self) -> int:
        return sum(fill.shares_micro for fill in self.fills)

    @property
    def usd_micro(self) -> int:
        return sum(fill.usd_micro for fill in self.fills)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What POST /order answers to an accepted order; amounts in micro units."""

    order_id: str
    status: str
    making_micro: int
    taking_micro: int
    trade_ids: tuple[str, ...]
