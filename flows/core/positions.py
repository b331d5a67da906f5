"""Own positions: the sum of fills by identity, and nothing else; a failed fill is reversed exactly.

Identity is the trade id for a taker fill and (trade, order) for a maker fill (API reference 8.2).
Cost is average cost; a reversal recomputes the token from its fills, so nothing is left of it.
Corrections and openings move shares only: they are never priced by guess.
"""

from dataclasses import dataclass, field, replace

from flows.core.owned import Owned
from schemas.records.base import Condition, OrderHash, Side
from schemas.records.own import OwnFill
from schemas.units import floor_mul

FINAL = ("CONFIRMED", "FAILED")
"""Settlement states that never change again."""


@dataclass(slots=True)
class Fill:
    """One booked fill; live until it failed. own: of an order of ours, not made by hand."""

    order: OrderHash
    side: Side
    shares_micro: int
    cash_micro: int
    fee_micro: int
    venue_ms: int
    status: str
    own: bool = True
    contradicted: bool = False

    @property
    def signed_micro(self) -> int:
        """Shares bought (+) or sold (-)."""
        return self.shares_micro if self.side == "BUY" else -self.shares_micro


@dataclass(slots=True)
class Sums:
    """What a token's fills add up to. cost is what the shares held cost on average, without the
    fees of buying them, which are cost_fees; fees are all that were ever paid. priced: the shares
    that cost is about; a sale of any others takes nothing out of it."""

    shares_micro: int = 0
    priced_micro: int = 0
    confirmed_micro: int = 0
    cost_micro: int = 0
    realised_micro: int = 0
    fees_micro: int = 0
    cost_fees_micro: int = 0

    def add(self, fill: Fill, corrected_micro: int) -> None:
        """Book one fill that did not fail; corrected: shares held besides, that no fill brought.

        What is sold by hand was foreign as long as there was any (owned.py).
        """
        self.fees_micro += fill.fee_micro
        held = self.shares_micro + corrected_micro
        self.shares_micro += fill.signed_micro
        if fill.side == "BUY":
            self.priced_micro += fill.shares_micro
            self.cost_micro += fill.cash_micro
            self.cost_fees_micro += fill.fee_micro
            if fill.status == "CONFIRMED":
                self.confirmed_micro += fill.shares_micro
            # A sale that was told before its buy has sold these.
            self.realised_micro -= self._take(min(max(-held, 0), fill.shares_micro))
            return
        others = 0 if fill.own else max(held - self.priced_micro, 0)
        self.confirmed_micro -= fill.shares_micro
        self.realised_micro += fill.cash_micro - self._take(max(fill.shares_micro - others, 0))

    def _take(self, shares_micro: int) -> int:
        """Priced shares go, with their part of the cost, which is returned."""
        taken = min(shares_micro, self.priced_micro)
        if not taken:
            return 0
        out = self.cost_micro * taken // self.priced_micro
        self.cost_fees_micro -= self.cost_fees_micro * taken // self.priced_micro
        self.cost_micro -= out
        self.priced_micro -= taken
        return out


@dataclass(slots=True)
class Position:
    """One token of one account. base holds what is settled history, fills what can still change.

    redeemed: shares and dollars by transaction.
    """

    condition: Condition
    base: Sums = field(default_factory=Sums)
    fills: dict[str, Fill] = field(default_factory=dict)
    sums: Sums = field(default_factory=Sums)
    owned: Owned = field(default_factory=Owned)
    corrected_micro: int = 0
    opened_micro: int = 0
    settled_micro: int = 0
    settled_cost_micro: int = 0
    settled_fees_micro: int = 0
    payout_micro: int = 0
    redeemed: dict[str, tuple[int, int]] = field(default_factory=dict)
    since_ms: int = 0
    forgotten_ms: int = 0

    @property
    def shares_micro(self) -> int:
        """Shares held: fills that did not fail, corrections, less what a resolution settled."""
        return self.sums.shares_micro + self.corrected_micro - self.settled_micro

    @property
    def foreign_micro(self) -> int:
        """Shares held that no order of ours bought (owned.py)."""
        return max(self.shares_micro, 0) - self.owned.of(self.shares_micro)

    @property
    def unsettled_cost_micro(self) -> int:
        """Cost that no resolution has taken out."""
        return self.sums.cost_micro - self.settled_cost_micro

    @property
    def invested_micro(self) -> int:
        """The same with the fees of buying it: what caps bind."""
        sums = self.sums
        cost = sums.cost_micro - self.settled_cost_micro
        return cost + sums.cost_fees_micro - self.settled_fees_micro

    @property
    def unpriced_usd_micro(self) -> int:
        """The most that shares may have cost whose buy no feed told: 1 USD each, for caps alone.

        Reports found them, so they are no fill with a price, and no result rests on this figure.
        What an order in flight may have missed it still reserves; what is told twice has its cost.
        """
        drifted = self.corrected_micro - self.opened_micro
        if drifted <= 0:
            return 0
        known = max(self.owned.missed_micro, 0) + max(self.owned.doubled_micro, 0)
        return max(min(drifted - known, self.shares_micro), 0)

    @property
    def bound_usd_micro(self) -> int:
        """What the position takes of every cap."""
        return self.invested_micro + self.unpriced_usd_micro

    @property
    def settled_result_micro(self) -> int:
        """What a resolution made of the shares, less what they had cost."""
        return floor_mul(self.settled_micro, self.payout_micro) - self.settled_cost_micro

    @property
    def redeemed_micro(self) -> int:
        """Shares turned into dollars, by hand or by the venue."""
        return sum(shares for shares, _ in self.redeemed.values())

    @property
    def owed_micro(self) -> int:
        """Settled shares that still wait to be redeemed; told before the resolution it is none."""
        return max(self.settled_micro - self.redeemed_micro, 0)

    @property
    def sellable_micro(self) -> int:
        """Shares that settlement has confirmed and no sell has used."""
        confirmed = self.sums.confirmed_micro + self.corrected_micro - self.settled_micro
        return max(min(confirmed, self.shares_micro), 0)

    def book(self, key: str, fill: Fill) -> None:
        """Enter a fill for the first time."""
        self.fills[key] = fill
        self.sums.add(fill, max(self.corrected_micro, 0))
        if fill.own:
            self.owned.traded(fill.signed_micro, self.shares_micro)
        self.owned.bound(self.shares_micro)

    def correct(self, shares_micro: int, *, opening: bool, coming_micro: int) -> None:
        """Add what reports proved; coming: what our orders may still bring in its direction."""
        self.corrected_micro += shares_micro
        self.opened_micro += shares_micro if opening else 0
        self._sum_up()
        if not opening:
            unconfirmed = sum(
                fill.shares_micro
                for fill in self.fills.values()
                if fill.own and fill.side == "BUY" and fill.status not in FINAL
            )
            self.owned.corrected(shares_micro, coming_micro, unconfirmed, self.shares_micro)
        self.owned.bound(self.shares_micro)

    def take_back(self, shares_micro: int) -> None:
        """Undo this much of a correction: a fill that it stood for is booked itself."""
        self.corrected_micro += shares_micro
        self._sum_up()
        self.owned.explained(shares_micro)
        self.owned.bound(self.shares_micro)

    def resolve(self, shares_micro: int, cost_micro: int, payout_micro: int) -> None:
        """A resolution settled these shares at a payout."""
        self.settled_micro += shares_micro
        self.settled_cost_micro += cost_micro
        self.settled_fees_micro = self.sums.cost_fees_micro
        self.payout_micro = payout_micro
        self.owned.bound(self.shares_micro)

    def redeem(self, tx: str, shares_micro: int, cash_micro: int) -> None:
        """Add to what a transaction redeemed."""
        shares, cash = self.redeemed.get(tx, (0, 0))
        self.redeemed[tx] = shares + shares_micro, cash + cash_micro

    def settle(self, key: str, status: str) -> None:
        """A booked fill was confirmed, or failed: then it is as if it had never been."""
        fill, ends = self.fills[key], self.fills[key].status not in FINAL
        fill.status = status
        self._sum_up()
        if fill.own and ends:
            self.owned.settled(fill.signed_micro, status == "CONFIRMED", self.shares_micro)
        self.owned.bound(self.shares_micro)

    def contradict(self, key: str, signed_micro: int) -> None:
        """A fill ended a second time, the other way: it stays booked, and is in doubt."""
        self.fills[key].contradicted = True
        if self.fills[key].own:
            self.owned.contradicted(signed_micro)

    def _sum_up(self) -> None:
        """The sums anew from the fills, so that nothing rests on when what became known."""
        self.sums = replace(self.base)
        for each in self.fills.values():
            if each.status != "FAILED":
                self.sums.add(each, max(self.corrected_micro, 0))

    def forget(self, before_ms: int) -> list[str]:
        """Move fills that are final and old into the base; their identities are returned.

        Only a leading run of fills goes, so that the average cost stays what the order made it.
        """
        gone = []
        for key, fill in self.fills.items():
            if fill.status not in FINAL or fill.venue_ms >= before_ms:
                break
            gone.append(key)
        for key in gone:
            fill = self.fills.pop(key)
            self.forgotten_ms = max(self.forgotten_ms, fill.venue_ms)
            if fill.status != "FAILED":
                self.base.add(fill, max(self.corrected_micro, 0))
        return gone


def fill_key(record: OwnFill) -> str:
    """Identity of a fill: one taker fill a trade, one maker fill a trade and order."""
    return record.trade if record.role == "TAKER" else f"{record.trade}:{record.order}"
