"""Fill groups: a leader's fills as totals, never as events to be deduplicated.

Identical rows can be two fills, or one fill read twice, so no set of hashes tells them apart
(recordings: traps 1 and 2). A record states the total of its group so far; the newest REST total
replaces, up or down; until there is one, the largest total any feed instance states counts.
A group that two REST answers covering its second do not know is withdrawn.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field

from schemas.records.base import Condition, Group, Side, Token
from schemas.records.leader import LeaderFills, ReadDone

SECOND_MS = 1_000
"""Venue times are whole seconds and the feed's is one less than REST's (API reference 17)."""


@dataclass(slots=True)
class FillGroup:
    """One group's total in force; rest says whether a REST answer stated it."""

    token: Token
    condition: Condition
    side: Side
    venue_ms: int
    shares_micro: int
    cash_micro: int
    rest: bool
    absent: str | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """Change of one group's total: signed shares and cash (cash positive when he paid).

    stated_micro: change of what REST answers alone state of it.
    """

    token: Token
    condition: Condition
    shares_micro: int
    cash_micro: int
    venue_ms: int
    stated_micro: int


@dataclass(slots=True)
class LeaderGroups:
    """All groups of one leader that can still change, ordered by venue time for the REST checks."""

    groups: dict[Group, FillGroup] = field(default_factory=dict)
    by_time: list[tuple[int, Group]] = field(default_factory=list)
    forgotten_upto_ms: int = 0
    old_rows: int = 0
    withdrawable: list[tuple[Group, str, str]] = field(default_factory=list)

    def observe(self, record: LeaderFills) -> Delta | None:
        """Take a stated total in; what the total in force changed by, None if nothing."""
        known = self.groups.get(record.group)
        if known is None:
            return self._begin(record)
        rest = record.source == "rest"
        if rest:
            known.absent = None
        elif known.rest or record.shares_micro <= known.shares_micro:
            return None
        delta = _delta(known, record.shares_micro, record.cash_micro, rest)
        known.shares_micro, known.cash_micro, known.rest = (
            record.shares_micro,
            record.cash_micro,
            rest,
        )
        return delta

    def _begin(self, record: LeaderFills) -> Delta | None:
        if record.venue_ms < self.forgotten_upto_ms:
            # Settled history: it never moves exposure; the positions report is what checks it.
            self.old_rows += 1
            return None
        group = FillGroup(
            record.token,
            record.condition,
            record.side,
            record.venue_ms,
            0,
            0,
            record.source == "rest",
        )
        self.groups[record.group] = group
        insort(self.by_time, (record.venue_ms, record.group))
        delta = _delta(group, record.shares_micro, record.cash_micro, group.rest)
        group.shares_micro, group.cash_micro = record.shares_micro, record.cash_micro
        return delta

    def observe_read(self, read: ReadDone, forget_after_ms: int, withdraw_after_ms: int) -> None:
        """Note which covered groups an answer lacks; the second one, late enough, proves it."""
        present = dict.fromkeys(read.present)
        for group_id in self._covered(read):
            group = self.groups[group_id]
            if group_id in present:
                group.absent = None
            elif group.absent is None:
                group.absent = read.instance
            elif group.absent == read.instance:
                continue  # one answer twice on the tape is one witness
            elif group.shares_micro and read.asked_ms >= group.venue_ms + withdraw_after_ms:
                self.withdrawable.append((group_id, group.absent, read.instance))
        self._forget(read.upto_ms - forget_after_ms)

    def withdraw(self, group_id: Group) -> Delta | None:
        """Set a group's total to nothing, as REST stated it; what that changes."""
        self.withdrawable = [w for w in self.withdrawable if w[0] != group_id]
        group = self.groups[group_id]
        delta = _delta(group, 0, 0, group.rest)
        group.shares_micro = group.cash_micro = 0
        group.rest = True
        if group.venue_ms < self.forgotten_upto_ms:
            del self.groups[group_id]
        return delta

    def _covered(self, read: ReadDone) -> list[Group]:
        low = bisect_left(self.by_time, (read.from_ms + SECOND_MS, ""))
        high = bisect_left(self.by_time, (read.upto_ms - SECOND_MS, ""))
        return [group_id for _, group_id in self.by_time[low:high]]

    def _forget(self, line_ms: int) -> None:
        if line_ms <= self.forgotten_upto_ms:
            return
        self.forgotten_upto_ms = line_ms
        cut = bisect_left(self.by_time, (line_ms, ""))
        proven = [group_id for group_id, _, _ in self.withdrawable]
        for _, group_id in self.by_time[:cut]:
            if group_id not in proven:  # the withdrawal comes first, and forgets it
                del self.groups[group_id]
        del self.by_time[:cut]


def _delta(group: FillGroup, shares_micro: int, cash_micro: int, rest: bool) -> Delta | None:
    sign = 1 if group.side == "BUY" else -1
    shares, cash = shares_micro - group.shares_micro, cash_micro - group.cash_micro
    stated = shares_micro - (group.shares_micro if group.rest else 0) if rest else 0
    if not shares and not cash and not stated:
        return None
    return Delta(
        group.token, group.condition, sign * shares, sign * cash, group.venue_ms, sign * stated
    )
