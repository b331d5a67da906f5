"""What `truecopy status` shows: the newest Summary of the journal and what follows it.

Pure: events in, a `Status` out. It decides nothing and prices only by the bid that a Summary
states, with its age; what has no bid has no value, never a guessed one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from connectors.kafka.consumer import Row
from infra.tape import bounds, rows_now
from schemas import codec
from schemas.records import journal
from schemas.records.base import Record
from schemas.records.summary import AccountLine, FeedLine, Summary, WorkingLine
from schemas.units import floor_mul
from schemas.wiring import KafkaWiring

CHUNK = 2_000

Key = tuple[str, str]


@dataclass
class Line:
    """One token of one account, in micro units; a value is None where there is no bid."""

    title: str
    outcome: str
    target_micro: int = 0
    position_micro: int = 0
    in_flight_micro: int = 0
    cost_micro: int = 0
    bid_micro: int | None = None
    bid_as_of_ms: int | None = None
    hold: str | None = None
    settled_micro: int = 0
    payout_micro: int | None = None
    kept_micro: int = 0
    redeemed_micro: int = 0

    @property
    def owed_micro(self) -> int:
        """Shares of a resolved market that nobody has redeemed yet."""
        return max(self.settled_micro - self.redeemed_micro, 0)

    @property
    def gap_micro(self) -> int:
        """What is missing to the target; shares that are kept for their owner count for nothing."""
        ours = self.position_micro - self.kept_micro
        return self.target_micro - ours - self.in_flight_micro

    @property
    def value_micro(self) -> int | None:
        """Worth at the bid, or at the payout once the market has one."""
        if self.payout_micro is not None:
            return floor_mul(self.position_micro + self.owed_micro, self.payout_micro)
        return None if self.bid_micro is None else floor_mul(self.position_micro, self.bid_micro)

    @property
    def unrealised_micro(self) -> int | None:
        """Value less cost of what is held and not settled."""
        if self.payout_micro is not None or self.value_micro is None:
            return None
        return self.value_micro - self.cost_micro


@dataclass
class Status:
    """The state of a shard as the journal tells it. as_of_ms is fold time of its newest part."""

    as_of_ms: int = 0
    summary_n: int = -1
    next_n: int = 0
    accounts: dict[str, AccountLine] = field(default_factory=dict)
    lines: dict[Key, Line] = field(default_factory=dict)
    working: dict[str, WorkingLine] = field(default_factory=dict)
    feeds: tuple[FeedLine, ...] = ()
    fills_since: int = 0
    orders_since: int = 0

    def begin(self, n: int, summary: Summary) -> None:
        """Start afresh from a Summary: it tells all that stood then."""
        self.as_of_ms, self.summary_n = summary.now_ms, n
        self.fills_since = self.orders_since = 0
        self.accounts = {line.account: line for line in summary.accounts}
        self.feeds = summary.feeds
        self.working = {line.intent: line for line in summary.working}
        self.lines = {
            (line.account, line.token): Line(
                title=line.title,
                outcome=line.outcome,
                target_micro=line.target_micro,
                position_micro=line.position_micro,
                in_flight_micro=line.in_flight_micro,
                cost_micro=line.cost_micro,
                bid_micro=line.bid_micro,
                bid_as_of_ms=line.bid_as_of_ms,
                hold=line.hold,
                settled_micro=line.settled_micro,
                payout_micro=line.payout_micro,
                kept_micro=line.kept_micro,
                redeemed_micro=line.redeemed_micro,
            )
            for line in summary.positions
        }

    def line(self, account: str, token: str) -> Line:
        """The token's line, begun empty if the Summary had none."""
        return self.lines.setdefault((account, token), Line(title="", outcome=token[:10]))

    def apply(self, n: int, event: Record) -> None:
        """Take one journal event in."""
        self.next_n = n + 1
        match event:
            case Summary():
                self.begin(n, event)
            case journal.OrderRequested():
                self._requested(event)
            case journal.OrderProgress():
                self._progress(event)
            case journal.OrderHeld():
                line = self.line(event.account, event.token)
                line.hold, line.target_micro = event.reason, event.target_micro
                line.kept_micro = event.kept_micro
            case journal.HoldEnded():
                self.line(event.account, event.token).hold = None
            case journal.FillBooked():
                self._moved(event.account, event.token, event.side, event.shares_micro, 1)
                self.fills_since += 1
            case journal.FillSettled() if event.status == "FAILED":
                self._moved(event.account, event.token, event.side, event.shares_micro, -1)
            case journal.PositionCorrected() if event.subject in self.accounts:
                self.line(event.subject, event.token).position_micro += event.shares_micro
            case journal.PositionSettled():
                line = self.line(event.account, event.token)
                line.position_micro -= event.shares_micro
                line.settled_micro += event.shares_micro
                line.payout_micro, line.target_micro = event.payout_micro, 0
            case journal.PositionRedeemed():
                self.line(event.account, event.token).redeemed_micro += event.shares_micro

    def _requested(self, event: journal.OrderRequested) -> None:
        self.as_of_ms = max(self.as_of_ms, event.now_ms)
        self.orders_since += 1
        line = self.line(event.account, event.token)
        line.target_micro, line.hold = event.target_micro, None
        line.kept_micro = event.kept_micro
        line.in_flight_micro = event.shares_micro if event.side == "BUY" else -event.shares_micro
        self.working[event.intent] = WorkingLine(
            intent=event.intent,
            account=event.account,
            token=event.token,
            side=event.side,
            shares_micro=event.shares_micro,
            limit_micro=event.limit_micro,
            state="requested",
        )

    def _progress(self, event: journal.OrderProgress) -> None:
        if event.state in ("filled", "refused", "expired", "absent"):
            self.working.pop(event.intent, None)
            self.line(event.account, event.token).in_flight_micro = 0
        elif event.intent in self.working:
            known = self.working[event.intent]
            self.working[event.intent] = msgspec.structs.replace(known, state=event.state)

    def _moved(self, account: str, token: str, side: str, shares_micro: int, sign: int) -> None:
        signed = sign * (shares_micro if side == "BUY" else -shares_micro)
        line = self.line(account, token)
        line.position_micro += signed
        if sign > 0:
            line.in_flight_micro -= signed


def status_of(events: Iterable[tuple[int, Record]]) -> Status:
    """The status after numbered journal events."""
    status = Status()
    for n, event in events:
        status.apply(n, event)
    return status


def read_status(kafka: KafkaWiring) -> Status:
    """The status at the journal's end, reading back only as far as the newest Summary."""
    status = Status()
    for n, event in _since_summary(kafka):
        status.apply(n, event)
    return status


def _since_summary(kafka: KafkaWiring) -> list[tuple[int, Record]]:
    low, end = bounds(kafka, "journal", kafka.shard)
    span = CHUNK
    while True:
        start = max(low, end - span)
        found = list(numbered(rows_now(kafka, "journal", kafka.shard, start)))
        if start == low or any(isinstance(event, Summary) for _, event in found):
            return found
        span *= 4


def numbered(rows: Iterable[Row]) -> Iterator[tuple[int, Record]]:
    """Numbered events of consecutive rows: the next number only, so that a repeat counts once."""
    due: int | None = None
    for row in rows:
        envelope, event = codec.unseal(row.value)
        if due is None or envelope.n == due:
            due = envelope.n + 1
            yield envelope.n, event


def as_json(status: Status) -> bytes:
    """The whole status for other programs: micro units, gap, value and what is owed included."""
    lines: list[dict[str, Any]] = [
        {
            "account": account,
            "token": token,
            **vars(line),
            "gap_micro": line.gap_micro,
            "value_micro": line.value_micro,
            "unrealised_micro": line.unrealised_micro,
            "owed_micro": line.owed_micro,
        }
        for (account, token), line in status.lines.items()
    ]
    return msgspec.json.encode(
        {
            "as_of_ms": status.as_of_ms,
            "accounts": list(status.accounts.values()),
            "positions": lines,
            "working": list(status.working.values()),
            "feeds": status.feeds,
        }
    )
