"""What the tape alone says, added up again by other means than the product's.

Fills by identity, books and feeds by the newest word, orders by their records: the judge compares
these with what the fold believes. Kept deliberately naive.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from schemas.records import journal, market, own, system
from schemas.records.base import Intent, Record
from tests.core.costs import Fill, cost_of, spent_on, taker_fee, with_fee

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
    accepted_shares: dict[Intent, int] = field(default_factory=dict)
    paid: dict[Key, Fill] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    asked: dict[str, int] = field(default_factory=dict)
    cash: tuple[int, int] | None = None

    def take(self, record: Record, schedules: dict[str, tuple[int, int]]) -> None:
        """A tape record. schedules: rate and exponent of the fee of each token known so far."""
        match record:
            case own.OwnFill():
                key = Key(record.trade, record.order)
                sign = 1 if record.side == "BUY" else -1
                self.told[key] = record.token, sign * record.shares_micro, record.cash_micro
                if key not in self.paid:
                    shares, cash = record.shares_micro, record.cash_micro
                    terms = schedules.get(record.token) if record.role == "TAKER" else None
                    fee = taker_fee(shares, cash, *terms) if terms else 0
                    self.paid[key] = Fill(sign * shares, cash, fee)
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
                if record.outcome == "accepted" and record.shares_micro is not None:
                    self.accepted_shares[record.intent] = record.shares_micro
            case own.ReportAsked(about="balance"):
                self.asked[record.report] = self.spent()
            case own.BalanceReport() if record.report in self.asked:
                self.cash = record.usd_micro, self.asked[record.report]

    def decided(self, event: Any) -> None:
        """An event of the fold."""
        match event:
            case journal.PositionCorrected() if not event.subject.startswith("0x"):
                self.moved[event.token] += event.shares_micro
            case journal.PositionSettled():
                self.moved[event.token] -= event.shares_micro
                self.settled.add(event.token)
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

    def in_flight(self, token: str) -> int:
        """Signed shares that orders without an end may still bring."""
        coming = 0
        for request in self.open_orders(token):
            mine = sum(abs(fill.signed_micro) for fill in self.of_order(request))
            left = max(self.accepted_shares.get(request.intent, request.shares_micro) - mine, 0)
            coming += left if request.side == "BUY" else -left
        return coming

    def of_order(self, request: journal.OrderRequested) -> list[Fill]:
        """Fills of an order, failed ones too: a FAK order never tries again what it spent."""
        return [
            self.paid[key]
            for key, (token, _, _) in self.told.items()
            if token == request.token and self.signed.get(key.order) == request.intent
        ]

    def reserved(self, rates: dict[str, int], token: str | None = None) -> int:
        """Dollars that open buys may still spend, their fees included."""
        found = 0
        for request in self.open_orders(token):
            if request.side == "BUY":
                most = self.accepted.get(request.intent, request.budget_micro)
                spent = sum(fill.cash_micro for fill in self.of_order(request))
                found += with_fee(max(most - spent, 0), rates.get(request.token, 0))
        return found

    def invested(self, token: str, rates: dict[str, int]) -> Fraction:
        """Dollars at average cost in a token, fees and open orders included."""
        live = [self.paid[key] for key, _, _ in self.fills(token)]
        cost = Fraction(0) if token in self.settled else cost_of(live)
        return cost + self.reserved(rates, token)

    def spent(self) -> int:
        """Dollars that left the account for fills, less what sales fetched."""
        return spent_on(fill for key, fill in self.paid.items() if key not in self.failed)

    def cash_left(self, rates: dict[str, int]) -> int | None:
        """The newest answer about our cash, less what went since it was asked and may still go."""
        if self.cash is None:
            return None
        usd, spent_before = self.cash
        return usd - (self.spent() - spent_before) - self.reserved(rates)


@dataclass(slots=True)
class BookFacts:
    """Live epochs, newest Depths and newest Ticks, as the tape has them."""

    live: dict[str, str] = field(default_factory=dict)
    depths: dict[str, tuple[int, market.Depth]] = field(default_factory=dict)
    ticks: dict[str, system.Tick] = field(default_factory=dict)
    ticks_of: dict[str, int] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)
    schedules: dict[str, tuple[int, int]] = field(default_factory=dict)
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
                    self.rates[token] = record.fee_rate_micro
                    self.schedules[token] = record.fee_rate_micro, record.fee_exponent
