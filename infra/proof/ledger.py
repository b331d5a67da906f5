"""Our own ledger of one account, to be held against the venue: from the journal and the state.

Fills come from the journal, all since the tape began (the state forgets settled ones); positions
and orders from the state; cash from the first balance on the tape and every fill since.
"""

from dataclasses import dataclass, field

from flows.core.account import AccountState
from flows.core.planning import PlanState
from infra.proof.rebuild import rebuild
from infra.proof.recordings import Recording, RecordingBroken
from infra.proof.subject import links
from schemas.records import journal
from schemas.records.base import Account, OrderHash, Record, Token
from schemas.records.own import BalanceReport


@dataclass
class BookedFill:
    """One fill as the journal has it, with the numbers of the records that say so."""

    event: journal.FillBooked
    number: int
    status: str = ""
    settled_number: int | None = None


@dataclass
class Opening:
    """The first balance: what it was, where it stands, and when it was answered."""

    usd_micro: int
    offset: int
    answered_ms: int


@dataclass
class Ledger:
    """One account as we know it at a tape offset."""

    account: Account
    offset: int
    plan: PlanState
    mine: AccountState
    fills: dict[str, BookedFill] = field(default_factory=dict)
    opening: Opening | None = None

    def shares_micro(self, token: Token) -> int:
        """Shares at the venue: what is held, and what a resolution settled and nobody redeemed."""
        position = self.mine.positions.get(token)
        return 0 if position is None else position.shares_micro + position.settled_micro

    def payout_micro(self, token: Token) -> int | None:
        """Dollars that the settled shares of a token are worth; None if nothing was settled."""
        position = self.mine.positions.get(token)
        if position is None or not position.settled_micro:
            return None
        return position.settled_micro * position.payout_micro // 1_000_000

    def cash_micro(self, redeemed: list[Token]) -> int | None:
        """What the first balance and every fill since add up to; redeemed tokens were paid out."""
        if self.opening is None:
            return None
        total = self.opening.usd_micro
        for fill in self.fills.values():
            event = fill.event
            # A fill that the first balance had seen is in it.
            if fill.status == "FAILED" or event.recv_ns // 1_000_000 < self.opening.answered_ms:
                continue
            sign = -1 if event.side == "BUY" else 1
            total += sign * event.cash_micro - event.fee_micro
        return total + sum(self.payout_micro(token) or 0 for token in redeemed)

    def fees_micro(self) -> int:
        """Taker fees of all fills that did not fail."""
        return sum(f.event.fee_micro for f in self.fills.values() if f.status != "FAILED")

    def working(self) -> dict[OrderHash, int]:
        """Orders that may still bring something, with the shares they may."""
        return {
            order.order: order.coming_micro
            for order in self.mine.unended()
            if order.order is not None
        }


def ledger_of(recording: Recording, account: Account) -> Ledger:
    """The account at the recording's end; raises RecordingBroken if the tape does not have it."""
    end = recording.span("tape").end
    opening = _Opening(account)
    made = rebuild(recording, until=end - 1, on_record=opening.learn)
    mine = made.state.plan.accounts.get(account)
    if mine is None:
        known = ", ".join(made.state.plan.accounts) or "none"
        raise RecordingBroken(
            f"no policy on the tape has the account {account!r} (account.account), only: {known}"
        )
    ledger = Ledger(account, end - 1, made.state.plan, mine, opening=opening.found)
    for link in links(recording):
        event, number = link.event, link.envelope.n
        if isinstance(event, journal.FillBooked) and event.account == account:
            ledger.fills[event.trade] = BookedFill(event, number)
        elif isinstance(event, journal.FillSettled) and event.account == account:
            known_fill = ledger.fills[event.trade]
            known_fill.status, known_fill.settled_number = event.status, number
    return ledger


class _Opening:
    def __init__(self, account: Account) -> None:
        self.found: Opening | None = None
        self._account = account

    def learn(self, offset: int, record: Record) -> None:
        """Keep the account's first balance."""
        if not isinstance(record, BalanceReport) or record.subject != self._account:
            return
        if self.found is None:
            self.found = Opening(record.usd_micro, offset, record.answered_ms)
