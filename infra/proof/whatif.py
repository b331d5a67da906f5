"""What if the policy had been another? The recorded tape under both, each on the ideal venue.

Only the policy differs between the two runs, so their difference is what it would have changed.
What really happened stands beside them, from the journal.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from flows.core.fold import FoldState
from infra.inspect.names import NAMING, Names
from infra.proof.ideal import IdealVenue
from infra.proof.policy_changes import Change, NoSuchPart, changed
from infra.proof.recordings import Recording, decoded
from infra.proof.refold import decide
from infra.proof.subject import links
from schemas.policy import PolicyError
from schemas.records import journal
from schemas.records.base import Account, Record, Token
from schemas.records.system import Policy

Figures = dict[str, int]
"""Named sums: counts, or millionths where the name ends with _micro."""


@dataclass
class Outcome:
    """What a run came to, per account, and what is held at its end by account and token."""

    figures: dict[Account, Counter[str]] = field(default_factory=dict)
    held_micro: dict[tuple[Account, Token], int] = field(default_factory=dict)
    names: Names = field(default_factory=Names)

    def count(self, event: Record) -> None:
        """Take one event into the figures."""
        match event:
            case journal.OrderRequested():
                self._of(event.account)["orders"] += 1
            case journal.OrderHeld():
                self._of(event.account)["holds"] += 1
            case journal.FillBooked():
                mine = self._of(event.account)
                way = "bought" if event.side == "BUY" else "sold"
                mine[f"{way}_shares_micro"] += event.shares_micro
                mine[f"{way}_usd_micro"] += event.cash_micro
                mine["fees_usd_micro"] += event.fee_micro
            case journal.FillSettled() if event.status == "FAILED":
                self._of(event.account)["failed_fills"] += 1

    def _of(self, account: Account) -> Counter[str]:
        return self.figures.setdefault(account, Counter())

    def end(self, state: FoldState) -> "Outcome":
        """Exposure and cost as they stand at the end."""
        for name, account in state.plan.accounts.items():
            mine = self._of(name)
            positions = account.positions
            mine["invested_usd_micro"] = sum(p.unsettled_cost_micro for p in positions.values())
            mine["realised_usd_micro"] = sum(
                p.sums.realised_micro + p.settled_result_micro for p in positions.values()
            )
            for token, position in positions.items():
                if position.shares_micro:
                    self.held_micro[(name, token)] = position.shares_micro
        return self


@dataclass
class WhatIf:
    """Three columns. recorded: what really happened; same: the policy as it was, on the ideal
    venue; other: the changed one, there too."""

    recorded: Outcome
    same: Outcome
    other: Outcome


OnRead = Callable[[int], None]


def what_if(
    recording: Recording,
    changes: Sequence[Change],
    *,
    until: int | None = None,
    on_read: OnRead = lambda _offset: None,
) -> WhatIf:
    """Run the tape under both policies; raises PolicyError for a change that cannot be made."""
    two = (_Run(()), _Run(changes))
    end = None if until is None else until + 1
    reached = 0
    for batch in recording.values("tape", 0, end):
        for offset, value in batch:
            record = decoded(recording, offset, value)
            for run in two:
                run.take(offset, record)
            reached = offset
        on_read(reached + 1)
    return WhatIf(_recorded(recording, reached), two[0].end(), two[1].end())


def _recorded(recording: Recording, upto: int) -> Outcome:
    outcome = Outcome()
    for link in links(recording):
        if link.envelope.cause > upto:
            break
        outcome.count(link.event)
    return outcome


class _Run:
    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self._missing: PolicyError | None = None
        self._applied = not changes
        self._state = FoldState()
        self._venue = IdealVenue()
        self._outcome = Outcome()

    def take(self, offset: int, record: Record) -> None:
        """One record of the tape, and all that follows from it here."""
        if type(record).__name__ in NAMING:
            self._outcome.names.learn(record)
        seen = self._venue.seen(record)
        waiting = deque([] if seen is None else [self._under_policy(seen)])
        while waiting:
            for event in decide(self._state, offset, waiting.popleft()):
                self._outcome.count(event)
                if isinstance(event, journal.OrderRequested):
                    waiting.extend(self._venue.answers(event))
                elif isinstance(event, journal.FillBooked):
                    self._venue.booked(event)

    def end(self) -> Outcome:
        """What it came to; raises the reason if no policy on the tape could be changed."""
        if not self._applied:
            raise self._missing or PolicyError("there is no policy on the tape to be changed")
        return self._outcome.end(self._state)

    def _under_policy(self, record: Record) -> Record:
        if not isinstance(record, Policy) or not self._changes:
            return record
        try:
            document = changed(record.document, self._changes)
        except NoSuchPart as missing:
            # An account that a later policy adds: only a name that no policy has is an error.
            self._missing = missing
            return record
        self._applied = True
        return msgspec.structs.replace(record, document=document)
