"""What a run left behind: tape, journal, orders, and the venue's own truth. Read, never guessed."""

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from connectors.kafka.consumer import Row
from flows.core.fold import FoldState, fold
from flows.core.sealing import Sealed
from infra.tape import rows_now
from schemas import codec
from schemas.records import journal, own
from schemas.records.base import Record
from schemas.wiring import KafkaWiring

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Placed:
    """A decoded record with its offset and the broker's time of it."""

    offset: int
    timestamp_ms: int
    record: Record


@dataclass
class Evidence:
    """Everything the judge looks at. state: the fold when the truth was asked; sealed: all
    that a fresh fold of the whole tape makes. books: the venue's own, by token, at that moment.
    """

    tape: list[Placed]
    journal_rows: list[Row]
    orders_rows: list[Row]
    truth: dict[str, Any]
    posted: list[dict[str, Any]]
    books: dict[str, Any] = field(default_factory=dict)
    state: FoldState = field(default_factory=FoldState)
    sealed: list[Sealed] = field(default_factory=list)
    events: list[Placed] = field(default_factory=list)

    def on_tape(self, kind: type[R]) -> list[R]:
        """Records of a kind on the tape, in order."""
        return [placed.record for placed in self.tape if isinstance(placed.record, kind)]

    def of(self, kind: type[R]) -> list[R]:
        """Journal events of a kind, in order."""
        return [placed.record for placed in self.events if isinstance(placed.record, kind)]

    def first_signed(self) -> dict[str, own.OrderSigned]:
        """The signature that counts, by intent."""
        first: dict[str, own.OrderSigned] = {}
        for record in self.on_tape(own.OrderSigned):
            first.setdefault(record.intent, record)
        return first

    def requests(self) -> dict[str, journal.OrderRequested]:
        """Every order asked for, by intent."""
        return {event.intent: event for event in self.of(journal.OrderRequested)}


def gather(
    kafka: KafkaWiring,
    cut: int,
    truth: dict[str, Any],
    posted: list[dict[str, Any]],
    books: dict[str, Any],
) -> Evidence:
    """Read the topics to their ends and fold the tape afresh.

    cut: the tape's end when the venue was asked for its truth. What the processes append while
    they stop (books that end, feeds that go down) is folded too, but is not what is judged.
    """
    tape = [_placed(row) for row in rows_now(kafka, "tape", kafka.shard)]
    found = Evidence(
        tape=tape,
        journal_rows=list(rows_now(kafka, "journal", kafka.shard)),
        orders_rows=list(rows_now(kafka, "orders", kafka.shard)),
        truth=truth,
        posted=posted,
        books=books,
    )
    state = FoldState()
    for placed in tape:
        if placed.offset == cut:
            found.state = pickle.loads(pickle.dumps(state))  # noqa: S301 - our own bytes
        found.sealed += fold(state, placed.offset, placed.record)
    if cut >= len(tape):
        found.state = state
    due = 0
    for row in found.journal_rows:
        envelope, event = codec.unseal(row.value)
        if envelope.n == due:
            due += 1
            found.events.append(Placed(envelope.cause, row.timestamp_ms, event))
    return found


def save(kafka: KafkaWiring, folder: Path) -> None:
    """Keep the topics' values as files, one record a line: the embedded broker forgets them."""
    for topic in ("tape", "journal", "orders"):
        with (folder / f"{topic}.jsonl").open("wb") as out:
            for row in rows_now(kafka, topic, kafka.shard):
                out.write(row.value + b"\n")


def _placed(row: Row) -> Placed:
    return Placed(row.offset, row.timestamp_ms, codec.decode(row.value))


def numbered_values(rows: list[Row]) -> list[bytes]:
    """Values of a numbered topic, the next number only: what every reader of it sees."""
    values: list[bytes] = []
    for row in rows:
        envelope, _ = codec.unseal(row.value)
        if envelope.n == len(values):
            values.append(row.value)
    return values
