"""An ideal venue for what-ifs: an order fills at once, whole, at the price that its walk foresaw.

It stands in for our own account's records on the tape, which answer orders that were really sent
and say nothing of others. Reports about the account are put in terms of what it would hold. No
latency, no impact, no failed trade: both sides of a comparison run on it, so that what differs is
the policy.
"""

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from schemas.records import own
from schemas.records.base import Account, Condition, OrderHash, Record, Token
from schemas.records.journal import FillBooked, OrderRequested
from schemas.records.market import MarketResolved


@dataclass
class Ledger:
    """What one account holds here. opened, funded: its first reports told what it began with."""

    shares: Counter[Token] = field(default_factory=Counter)
    cash_micro: int = 0
    condition_of: dict[Token, Condition] = field(default_factory=dict)
    opened: bool = False
    funded: bool = False


@dataclass
class IdealVenue:
    """Replaces our own records. really: net shares of fills of orders that were really sent."""

    ledgers: dict[Account, Ledger] = field(default_factory=dict)
    _sent: dict[OrderHash, None] = field(default_factory=dict)
    _really: Counter[tuple[Account, Token]] = field(default_factory=Counter)
    _paid_micro: Counter[Account] = field(default_factory=Counter)
    _resolved: dict[Condition, None] = field(default_factory=dict)
    _trades: dict[tuple[Account, str], own.OwnFill] = field(default_factory=dict)

    def seen(self, record: Record) -> Record | None:
        """The record as it would be here; None: it would not be."""
        match record:
            case own.OrderSigned():
                self._sent[record.order] = None
                return None
            case own.OrderAnswered() | own.OrderExpired() | own.OrderAbsent():
                return None
            case own.OwnFill():
                return self._fill(record)
            case own.OpenOrdersReport():
                return msgspec.structs.replace(record, rows=())
            case own.PositionsReport() if not record.subject.startswith("0x"):
                return self._positions(record)
            case own.BalanceReport():
                return self._balance(record)
            case MarketResolved() if record.condition not in self._resolved:
                self._resolved[record.condition] = None
                for ledger in self.ledgers.values():
                    for token, payout in record.payouts.items():
                        ledger.cash_micro += ledger.shares[token] * payout // 1_000_000
        return record

    def answers(self, order: OrderRequested) -> list[Record]:
        """What the account would see of an order: signed, accepted, filled, confirmed."""
        ledger = self._ledger(order.account)
        sign = 1 if order.side == "BUY" else -1
        ledger.shares[order.token] += sign * order.shares_micro
        ledger.condition_of[order.token] = order.condition
        ledger.cash_micro -= sign * order.budget_micro
        return _answers(order)

    def booked(self, event: FillBooked) -> None:
        """A fill's fee is known once it is booked."""
        self._ledger(event.account).cash_micro -= event.fee_micro

    def _ledger(self, account: Account) -> Ledger:
        return self.ledgers.setdefault(account, Ledger())

    def _fill(self, record: own.OwnFill) -> Record | None:
        """A fill of an order that was really sent is left out; one by hand would be here too."""
        shares_micro, cash_micro = self._news(record)
        if record.order in self._sent:
            self._really[(record.account, record.token)] += shares_micro
            self._paid_micro[record.account] += cash_micro
            return None
        ledger = self._ledger(record.account)
        if ledger.opened:
            ledger.shares[record.token] += shares_micro
            ledger.condition_of[record.token] = record.condition
        if ledger.funded:
            ledger.cash_micro -= cash_micro
        return record

    def _news(self, record: own.OwnFill) -> tuple[int, int]:
        """Signed shares and dollars paid that this record adds to what its trade told before."""
        key = (record.account, f"{record.trade}:{record.order}")
        before, self._trades[key] = self._trades.get(key), record
        counted = before is not None and before.status != "FAILED"
        counts = record.status != "FAILED"
        times = (int(counts) - int(counted)) * (1 if record.side == "BUY" else -1)
        return times * record.shares_micro, times * record.cash_micro

    def _positions(self, record: own.PositionsReport) -> Record:
        account = Account(record.subject)
        ledger = self._ledger(account)
        if not ledger.opened and record.complete:
            ledger.opened = True
            for row in record.rows:
                ledger.condition_of[row.token] = row.condition
                ledger.shares[row.token] += row.shares_micro - self._really[(account, row.token)]
        rows = tuple(
            own.Holding(
                token=token, condition=ledger.condition_of[token], shares_micro=shares_micro
            )
            for token, shares_micro in ledger.shares.items()
            if shares_micro > 0
        )
        return msgspec.structs.replace(record, rows=rows)

    def _balance(self, record: own.BalanceReport) -> Record:
        ledger = self._ledger(record.subject)
        if not ledger.funded:
            ledger.funded = True
            ledger.cash_micro += record.usd_micro + self._paid_micro[record.subject]
        return msgspec.structs.replace(record, usd_micro=max(ledger.cash_micro, 0))


def _answers(order: OrderRequested) -> list[Record]:
    name, at_ns = OrderHash(f"whatif:{order.intent}"), order.now_ms * 1_000_000
    buys = order.side == "BUY"
    signed = own.OrderSigned(
        account=order.account,
        intent=order.intent,
        order=name,
        backend="paper",
        token=order.token,
        side=order.side,
        maker_micro=order.budget_micro if buys else order.shares_micro,
        taker_micro=order.shares_micro if buys else order.budget_micro,
        payload={},
        executor="whatif",
        signed_ns=at_ns,
    )
    answered = own.OrderAnswered(
        account=order.account,
        intent=order.intent,
        order=name,
        outcome="accepted",
        status="matched",
        reason="",
        http_status=None,
        shares_micro=order.shares_micro,
        usd_micro=order.budget_micro,
        trades=(name,),
        proof="paper",
        sent_ns=at_ns,
        answered_ns=at_ns,
    )
    fill = own.OwnFill(
        account=order.account,
        source="paper",
        trade=name,
        order=name,
        role="TAKER",
        token=order.token,
        condition=order.condition,
        side=order.side,
        shares_micro=order.shares_micro,
        cash_micro=order.budget_micro,
        status="CONFIRMED",
        tx="",
        venue_ms=order.now_ms,
        recv_ns=at_ns,
    )
    return [signed, answered, fill]
