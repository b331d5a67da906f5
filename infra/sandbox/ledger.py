"""Who holds what: cash and outcome tokens of every wallet, exactly.

What a trade brings is pending until the trade is CONFIRMED; what it costs leaves at the match. A
FAILED trade is reversed exactly. One Up and one Down share stand for one USD of collateral.
Invariants, asserted at each trade and by `check`: cash, pending cash, collateral and fees add up
to what was deposited; before resolution both outcomes have as many shares as there is collateral.
Pure: no clock, no chance.
"""

from collections import defaultdict

import msgspec

from schemas.units import MICRO


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One wallet's part of a trade: a BUY pays usd and fee for shares, a SELL the reverse."""

    wallet: str
    condition_id: str
    token: int
    side: str
    shares_micro: int
    usd_micro: int
    fee_micro: int = 0


class LedgerError(AssertionError):
    """The books do not balance; the message names the wallet or market and the amounts."""


Key = tuple[str, str, int]
"""(wallet, condition id, outcome index)"""


class Ledger:
    """Balances of all wallets; settled ones may be spent, pending ones may not."""

    def __init__(self) -> None:
        self.cash_micro: dict[str, int] = defaultdict(int)
        self.pending_cash_micro: dict[str, int] = defaultdict(int)
        self.shares_micro: dict[Key, int] = defaultdict(int)
        self.pending_shares_micro: dict[Key, int] = defaultdict(int)
        self.collateral_micro: dict[str, int] = defaultdict(int)
        self.fees_micro = 0
        self.deposited_micro = 0
        self.resolved: dict[str, tuple[int, int]] = {}

    def deposit(self, wallet: str, usd_micro: int) -> None:
        self.cash_micro[wallet] += usd_micro
        self.deposited_micro += usd_micro

    def holding(self, key: Key) -> int:
        """Settled and pending shares."""
        return self.shares_micro[key] + self.pending_shares_micro[key]

    def split(self, wallet: str, condition_id: str, shares_micro: int) -> None:
        """Collateral becomes a pair of tokens; a merge is a split of a negative size."""
        self.cash_micro[wallet] -= shares_micro
        self.collateral_micro[condition_id] += shares_micro
        for token in (0, 1):
            key = (wallet, condition_id, token)
            self.shares_micro[key] += shares_micro
            if self.shares_micro[key] < 0:
                raise LedgerError(f"{wallet} merges more of {condition_id} than it holds")

    def book(self, legs: tuple[Leg, ...]) -> None:
        """A match: outgoing amounts leave now, incoming ones are pending."""
        self._move(legs, 1)
        for leg in legs:
            key = (leg.wallet, leg.condition_id, leg.token)
            if leg.side == "SELL" and self.shares_micro[key] < 0:
                raise LedgerError(f"{leg.wallet} sells more of {leg.condition_id} than it holds")
            if leg.side == "BUY" and self.cash_micro[leg.wallet] < 0:
                raise LedgerError(f"{leg.wallet} spends more than it has")

    def confirm(self, legs: tuple[Leg, ...]) -> None:
        """Settlement: what was pending may be spent."""
        for leg in legs:
            key = (leg.wallet, leg.condition_id, leg.token)
            if leg.side == "BUY":
                self.pending_shares_micro[key] -= leg.shares_micro
                self.shares_micro[key] += leg.shares_micro
            else:
                proceeds = leg.usd_micro - leg.fee_micro
                self.pending_cash_micro[leg.wallet] -= proceeds
                self.cash_micro[leg.wallet] += proceeds

    def reverse(self, legs: tuple[Leg, ...]) -> None:
        """The settlement failed: everything is as before the match."""
        self._move(legs, -1)

    def _move(self, legs: tuple[Leg, ...], sign: int) -> None:
        minted = [0, 0]
        paid = 0
        for leg in legs:
            key = (leg.wallet, leg.condition_id, leg.token)
            self.fees_micro += sign * leg.fee_micro
            if leg.side == "BUY":
                self.cash_micro[leg.wallet] -= sign * (leg.usd_micro + leg.fee_micro)
                self.pending_shares_micro[key] += sign * leg.shares_micro
                minted[leg.token] += leg.shares_micro
                paid += leg.usd_micro
            else:
                self.shares_micro[key] -= sign * leg.shares_micro
                self.pending_cash_micro[leg.wallet] += sign * (leg.usd_micro - leg.fee_micro)
                minted[leg.token] -= leg.shares_micro
                paid -= leg.usd_micro
        if minted[0] != minted[1] or paid != minted[0]:
            raise LedgerError(f"trade does not balance: minted {minted}, paid {paid}: {legs}")
        self.collateral_micro[legs[0].condition_id] += sign * paid

    def resolve(self, condition_id: str, payouts_micro: tuple[int, int]) -> None:
        self.resolved[condition_id] = payouts_micro

    def redeem(self, wallet: str, condition_id: str) -> list[tuple[int, int, int]]:
        """Burn a wallet's settled shares of a resolved market: (outcome, shares, usd) each."""
        payouts = self.resolved[condition_id]
        rows = []
        for token in (0, 1):
            shares = self.shares_micro.pop((wallet, condition_id, token), 0)
            if shares:
                usd = shares * payouts[token] // MICRO
                self.cash_micro[wallet] += usd
                self.collateral_micro[condition_id] -= usd
                rows.append((token, shares, usd))
        return rows

    def check(self) -> None:
        """Raise LedgerError unless money and shares are conserved."""
        held = sum(self.cash_micro.values()) + sum(self.pending_cash_micro.values())
        total = held + sum(self.collateral_micro.values()) + self.fees_micro
        if total != self.deposited_micro:
            raise LedgerError(f"deposited {self.deposited_micro}, found {total}")
        supply: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for book in (self.shares_micro, self.pending_shares_micro):
            for (_, condition_id, token), shares in book.items():
                supply[condition_id][token] += shares
        for condition_id, (up, down) in supply.items():
            collateral = self.collateral_micro[condition_id]
            if condition_id not in self.resolved and not up == down == collateral:
                raise LedgerError(f"{condition_id}: {up} up, {down} down, {collateral} collateral")
