"""What the tape alone says, added up again by other means than the product's.

Fills by identity, books and feeds by the newest word, orders by their records: the judge compares
these with what the fold believes. Kept deliberately naive.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.records import journal, market, own, system
from schemas.records.base import Intent, Record
from schemas.units import ceil_mul

PROOFS = {
    "expired": "OrderExpired",
    "absent": "OrderAbsent",
    "refused": "OrderAnswered:refused",
    "filled": "OrderAnswered:accepted",
}
"""What must stand on the tape before an order may have this end."""
ENDED = frozenset(PROOFS)


class Key(NamedTuple):
    """Identity of one fill of ours."""

    trade: str
    order: str


@dataclass(slots=True)
class OwnFacts:
    """Our fills and orders. told: token, signed shares and dollars of each fill."""

    told: dict[Key, tuple[str, int, int]] = field(default_factory=dict)
    failed: set[Key] = field(default_factory=set)
    confirmed: set[Key] = field(default_factory=set)
    moved: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    requests: dict[Intent, journal.OrderRequested] = field(default_factory=dict)
    states: dict[Intent, str] = field(default_factory=dict)
    proofs: dict[Intent, set[str]] = field(default_factory=lambda: defaultdict(set))
    signed: dict[str, Intent] = field(default_factory=dict)
    accepted: dict[Intent, int] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """A tape record."""
        match record:
            case own.OwnFill():
                key = Key(record.trade, record.order)
                sign = 1 if record.side == "BUY" else -1
                self.told[key] = record.token, sign * record.shares_micro, record.cash_micro
                if record.status == "FAILED":
                    self.failed.add(key)
                elif record.status == "CONFIRMED":
                    self.confirmed.add(key)
            case own.OrderSigned():
                self.signed.setdefault(record.order, record.intent)
            case own.OrderExpired() | own.OrderAbsent():
                self.proofs[record.intent].add(type(record).__name__)
            case own.OrderAnswered():
                self.proofs[record.intent].add(f"OrderAnswered:{record.outcome}")
                if record.outcome == "accepted" and record.usd_micro is not None:
                    self.accepted[record.intent] = record.usd_micro

    def decided(self, event: Any) -> None:
        """An event of the fold."""
        match event:
            case journal.PositionCorrected() if not event.subject.startswith("0x"):
                self.moved[event.token] += event.shares_micro
            case journal.PositionSettled():
                self.moved[event.token] -= event.shares_micro
            case journal.OrderRequested():
                self.requests[event.intent] = event
                self.states[event.intent] = "requested"
            case journal.OrderProgress():
                self.states[event.intent] = event.state

    def fills(self, token: str) -> list[tuple[Key, int, int]]:
        """Fills of a token that did not fail."""
        return [
            (key, shares, cash)
            for key, (of, shares, cash) in self.told.items()
            if of == token and key not in self.failed
        ]

    def position(self, token: str) -> int:
        return sum(shares for _, shares, _ in self.fills(token)) + self.moved[token]

    def proven(self, token: str) -> int:
        """Shares that may be sold: bought and confirmed, less everything sold."""
        fills = self.fills(token)
        return self.moved[token] + sum(
            shares for key, shares, _ in fills if shares < 0 or key in self.confirmed
        )

    def open_orders(self, token: str | None = None) -> list[journal.OrderRequested]:
        """Orders without an end, of one token or all."""
        return [
            request
            for intent, request in self.requests.items()
            if self.states[intent] not in ENDED and token in (None, request.token)
        ]

    def invested_at_least(self, token: str, fee_micro: int) -> int:
        """Dollars in a token, open budgets included; of one that was sold from only the budgets."""
        fills = self.fills(token)
        sold = any(shares < 0 for _, shares, _ in fills) or self.moved[token]
        spent = 0 if sold else sum(cash for _, _, cash in fills)
        budgets = 0
        for request in self.open_orders(token):
            if request.side == "BUY":
                # A fill that failed is spent all the same: a FAK order never tries again.
                mine = [
                    cash
                    for key, (of, _, cash) in self.told.items()
                    if of == token and self.signed.get(key.order) == request.intent
                ]
                most = self.accepted.get(request.intent, request.budget_micro)
                left = max(most - sum(mine), 0)
                budgets += left + ceil_mul(left, fee_micro)
        return spent + budgets


@dataclass(slots=True)
class BookFacts:
    """Live epochs, newest Depths and newest Ticks, as the tape has them."""

    live: dict[str, str] = field(default_factory=dict)
    depths: dict[str, tuple[int, market.Depth]] = field(default_factory=dict)
    ticks: dict[str, system.Tick] = field(default_factory=dict)
    ticks_of: dict[str, int] = field(default_factory=dict)
    fees: dict[str, int] = field(default_factory=dict)
    condition_tokens: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def take(self, offset: int, record: Record) -> None:
        match record:
            case market.BookEpoch(state="live"):
                self.live[record.token] = record.epoch
            case market.BookEpoch():
                if self.live.get(record.token) == record.epoch:
                    del self.live[record.token]
            case market.Depth():
                self.depths[record.token] = offset, record
            case system.ConnectorStarted():
                ended = [t for t, e in self.live.items() if e.startswith(f"{record.producer}-")]
                for token in ended:
                    del self.live[token]
            case system.Tick():
                self.ticks[record.producer] = record
            case market.MarketMeta():
                tokens = tuple(outcome.token for outcome in record.outcomes)
                self.condition_tokens[record.condition] = tokens
                for token in tokens:
                    self.fees[token] = record.fee_rate_micro
