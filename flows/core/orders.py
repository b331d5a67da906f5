"""Own orders: what each intent will still bring, and what it keeps reserved until it ends.

In flight = accepted amount less its booked fills; before the answer the planned size. For caps an
order keeps its full budget and the fee it may cost; a sell keeps its shares off sellable. Unknown
keeps all three. Nothing here ends an order by time (schemas.order_life).
"""

from dataclasses import dataclass

from schemas.order_life import ENDED, State, complete
from schemas.records.base import Condition, Intent, OrderHash, Side, Token
from schemas.units import ceil_mul


@dataclass(slots=True)
class Order:
    """One intent of ours. accepted_*: None until the venue's amounts are final.

    answers: how many balances had been read when it was asked for (cash.py).
    """

    intent: Intent
    token: Token
    condition: Condition
    side: Side
    planned_micro: int
    budget_micro: int
    limit_micro: int
    fee_rate_micro: int
    valid_until_ms: int
    answers: int
    state: State = "requested"
    order: OrderHash | None = None
    accepted_micro: int | None = None
    accepted_usd_micro: int | None = None
    booked_micro: int = 0
    booked_usd_micro: int = 0
    fills: int = 0
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come of it."""
        return self.state in ENDED

    @property
    def coming_micro(self) -> int:
        """Shares that may still be bought or sold by it."""
        if self.ended:
            return 0
        expected = self.planned_micro if self.accepted_micro is None else self.accepted_micro
        return max(expected - self.booked_micro, 0)

    @property
    def in_flight_micro(self) -> int:
        """The same, signed: what it will still do to the position."""
        return self.coming_micro if self.side == "BUY" else -self.coming_micro

    @property
    def reserved_usd_micro(self) -> int:
        """Dollars a buy may still spend, its fee included; nothing for a sell."""
        if self.ended or self.side == "SELL":
            return 0
        budget = self.budget_micro if self.accepted_usd_micro is None else self.accepted_usd_micro
        left = max(budget - self.booked_usd_micro, 0)
        # At any price the fee is below rate times cash: shares * (1 - p) * p < cash. Nothing is
        # bought where the exponent is below 1 (gates.fee_gate).
        return left + ceil_mul(left, self.fee_rate_micro)

    @property
    def filled(self) -> bool:
        """Whether its fills are all that the venue accepted."""
        return (
            self.state == "accepted"
            and self.accepted_micro is not None
            and complete(self.accepted_micro, self.booked_micro, self.fills)
        )
