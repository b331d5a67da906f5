"""Netting windows: the deltas of one (leader, token) are netted before anything acts on them.

A split order becomes one delta and a flip nets out (complaints 1.11; recordings: 3,085 trades
become 1,021 deltas at five seconds). Windows close by Ticks, after `quiet_ms` of silence or
`net_window_ms` at most, so they close alike in every replay.
"""

from dataclasses import dataclass

from flows.core.fills import Delta
from schemas.records.base import Condition, Token, Wallet
from schemas.records.journal import NetDelta


@dataclass(slots=True)
class Window:
    """Deltas of one leader and token since opened_ms; bought, sold are gross, all in micro.

    Splits, merges and redemptions change shares, and so does a total that REST takes back; nothing
    was bought or sold by it, and it has no price that an order could be compared with.
    """

    condition: Condition
    opened_ms: int
    touched_ms: int
    shares_micro: int = 0
    cash_micro: int = 0
    bought_micro: int = 0
    sold_micro: int = 0
    bought_cash_micro: int = 0
    fills: int = 0
    last_venue_ms: int = 0
    last_recv_ns: int = 0

    def add(self, delta: Delta, now_ms: int, recv_ns: int, traded: bool) -> None:
        """Net one delta in: traded, or not (a move, a total taken back)."""
        self.touched_ms = now_ms
        self.shares_micro += delta.shares_micro
        self.cash_micro += delta.cash_micro if traded else 0
        if traded and delta.shares_micro > 0:
            self.bought_micro += delta.shares_micro
            self.bought_cash_micro += delta.cash_micro
        elif traded:
            self.sold_micro -= delta.shares_micro
        self.fills += 1
        self.last_venue_ms = max(self.last_venue_ms, delta.venue_ms)
        self.last_recv_ns = max(self.last_recv_ns, recv_ns)

    def due(self, now_ms: int, quiet_ms: int, net_window_ms: int) -> bool:
        """Whether the window closes at this fold time."""
        return now_ms - self.touched_ms >= quiet_ms or now_ms - self.opened_ms >= net_window_ms


def closed(leader: Wallet, token: Token, window: Window, now_ms: int) -> NetDelta:
    """The event of a window that closes now."""
    return NetDelta(
        leader=leader,
        token=token,
        condition=window.condition,
        shares_micro=window.shares_micro,
        cash_micro=window.cash_micro,
        bought_micro=window.bought_micro,
        sold_micro=window.sold_micro,
        bought_cash_micro=window.bought_cash_micro,
        fills=window.fills,
        opened_ms=window.opened_ms,
        closed_ms=now_ms,
        last_venue_ms=window.last_venue_ms,
        last_recv_ns=window.last_recv_ns,
    )
