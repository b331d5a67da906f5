"""Rows to totals: what one source instance has seen so far of each fill group.

Identical rows may be two fills, so rows of one instance are added, never compared; a doubled frame
makes a total too large until a REST answer replaces it (design 3.5). Sans-I/O. The tape gets a
total only when it changed, and a bad row of a transaction keeps that transaction's groups of the
answer back: a total that lacks a row would be wrong.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from connectors.polymarket.wire_activity import Fill, is_basket
from schemas.records.base import Group, Wallet
from schemas.records.leader import LeaderFills

GROUPS_MAX = 50_000


@dataclass(slots=True)
class Total:
    """Sums of one group."""

    first: Fill
    rows: int = 0
    shares_micro: int = 0
    cash_micro: int = 0

    def add(self, row: Fill) -> None:
        """One more row."""
        self.rows += 1
        self.shares_micro += row.shares_micro
        self.cash_micro += row.cash_micro

    @property
    def sums(self) -> tuple[int, int, int]:
        """Rows, shares, cash: what a record states."""
        return self.rows, self.shares_micro, self.cash_micro


class FeedTotals:
    """Totals of one subscription type on one socket connection, for the wallets of interest."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self._totals: OrderedDict[Group, Total] = OrderedDict()

    def add(self, row: Fill, recv_ns: int) -> LeaderFills | None:
        """The group's total after this row; None for combos, which are no book trades."""
        if is_basket(row):
            return None
        total = self._totals.setdefault(row.group, Total(row))
        total.add(row)
        while len(self._totals) > GROUPS_MAX:
            self._totals.popitem(last=False)
        return stated("feed", self.instance, total, recv_ns)


def answer_totals(rows: Iterable[Fill], unreadable_txs: Iterable[str]) -> dict[Group, Total]:
    """Totals of one complete REST answer; transactions with an unreadable row are left out."""
    short = set(unreadable_txs)
    totals: dict[Group, Total] = {}
    for row in rows:
        if row.tx not in short and not is_basket(row):
            totals.setdefault(row.group, Total(row)).add(row)
    return totals


class StatedTotals:
    """What REST answers of this process have stated about one leader, to say only what changed."""

    def __init__(self) -> None:
        self._stated: dict[Group, tuple[int, tuple[int, int, int]]] = {}

    def changed(self, instance: str, totals: dict[Group, Total], recv_ns: int) -> list[LeaderFills]:
        """Records for the groups whose totals are new or different, oldest first."""
        news = [
            total
            for group, total in totals.items()
            if self._stated.get(group, (0, None))[1] != total.sums
        ]
        return [
            stated("rest", instance, total, recv_ns)
            for total in sorted(news, key=lambda total: total.first.venue_ms)
        ]

    def note(self, totals: dict[Group, Total], forget_before_ms: int) -> None:
        """They stand on the tape now; groups behind every future answer are forgotten."""
        for group, total in totals.items():
            self._stated[group] = (total.first.venue_ms, total.sums)
        old = [g for g, (venue_ms, _) in self._stated.items() if venue_ms < forget_before_ms]
        for group in old:
            del self._stated[group]


def stated(source: str, instance: str, total: Total, recv_ns: int) -> LeaderFills:
    """The record that states a total."""
    row = total.first
    return LeaderFills(
        source="rest" if source == "rest" else "feed",
        instance=instance,
        leader=Wallet(row.wallet),
        group=row.group,
        tx=row.tx,
        token=row.token,
        condition=row.condition,
        side=row.side,
        rows=total.rows,
        shares_micro=total.shares_micro,
        cash_micro=total.cash_micro,
        venue_ms=row.venue_ms,
        recv_ns=recv_ns,
    )
