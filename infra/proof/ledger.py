"""Our own ledger of one account, to be held against the venue: from the journal and the state.

Fills come from the journal, all since the tape began (the state forgets settled ones); positions
and orders from the state; cash from the first balance on the tape, every fill and every redemption
since.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from flows.core.account import AccountState
from flows.core.planning import PlanState
from infra.proof.rebuild import rebuild
from infra.proof.recordings import Recording, RecordingBroken
from infra.proof.subject import links
from schemas.records import journal
from schemas.records.base import Account, OrderHash, Record, Token
from schemas.records.own import BalanceReport, OwnRedemption


@dataclass
class BookedFill:
    """One fill as the journal has it, with the numbers of the records that say so."""

    event: journal.FillBooked
    number: int
    status: str = ""
    settled_number: int | None = None


class Redeemed(NamedTuple):
    """Identity of a redemption: the token names its condition."""

    tx: str
    token: Token


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
    redemptions: dict[Redeemed, OwnRedemption] = field(default_factory=dict)

    def shares_micro(self, token: Token) -> int:
        """Shares at the venue: what is held, and what a resolution settled and nobody redeemed."""
        position = self.mine.positions.get(token)
        return 0 if position is None else position.shares_micro + position.owed_micro

    def payout_micro(self, token: Token) -> int | None:
        """Dollars that a token's settled shares are owed; None if none waits to be redeemed."""
        position = self.mine.positions.get(token)
        if position is None or not position.owed_micro:
            return None
        return position.owed_micro * position.payout_micro // 1_000_000

    def cash_micro(self, untold: list[Token]) -> int | None:
        """What the first balance, every fill and every redemption since add up to.

        untold: tokens that the venue does not show any more and whose redemption no read told yet.
        """
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
        for told in self.redemptions.values():
            if told.venue_ms >= self.opening.answered_ms:
                total += told.cash_micro
        return total + sum(self.payout_micro(token) or 0 for token in untold)

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
    told = _Told(account)
    made = rebuild(recording, until=end - 1, on_record=told.learn)
    mine = made.state.plan.accounts.get(account)
    if mine is None:
        known = ", ".join(made.state.plan.accounts) or "none"
        raise RecordingBroken(
            f"no policy on the tape has the account {account!r} (account.account), only: {known}"
        )
    ledger = Ledger(
        account,
        end - 1,
        made.state.plan,
        mine,
        opening=told.opening,
        redemptions=told.redemptions,
    )
    for link in links(recording):
        event, number = link.event, link.envelope.n
        if isinstance(event, journal.FillBooked) and event.account == account:
            ledger.fills[event.trade] = BookedFill(event, number)
        elif isinstance(event, journal.FillSettled) and event.account == account:
            known_fill = ledger.fills[event.trade]
            known_fill.status, known_fill.settled_number = event.status, number
    return ledger


class _Told:
    """What the tape tells of the account's cash beside its fills."""

    def __init__(self, account: Account) -> None:
        self.opening: Opening | None = None
        self.redemptions: dict[Redeemed, OwnRedemption] = {}
        self._account = account

    def learn(self, offset: int, record: Record) -> None:
        """Keep the first balance, and each redemption's newest total."""
        match record:
            case BalanceReport() if record.subject == self._account and self.opening is None:
                self.opening = Opening(record.usd_micro, offset, record.answered_ms)
            case OwnRedemption() if record.account == self._account:
                self.redemptions[Redeemed(record.tx, record.token)] = record
