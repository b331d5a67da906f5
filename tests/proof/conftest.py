"""Recordings in memory: a tape, and what some rules made of it, as a broker would hold them."""

import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from connectors.kafka.consumer import Row
from flows.core.fold import FoldState
from flows.core.sealing import Sealed
from flows.engine.rows import NUMBER_HEADER
from flows.exporting.archive import Origin, SliceWriter
from flows.exporting.slices import Rows
from flows.exporting.tables import tables_of
from infra.proof.recordings import Span
from infra.proof.refold import OURS, Rules, decide, sealed
from schemas import codec
from schemas.records.base import Record
from tests.core.chaos import Chaos
from tests.flows.conftest import Bench, bench, processes, recorded_tape

__all__ = ["bench", "processes"]

NUMBERED = ("journal", "orders", "watch")


@dataclass
class Memory:
    """A recording that lies in memory; topics may be cut, edited and added to."""

    topics: dict[str, list[Row]] = field(default_factory=dict)
    name: str = "memory"
    partition: int = 0

    def span(self, topic: str) -> Span:
        rows = self.topics.get(topic, [])
        return Span(rows[0].offset, rows[-1].offset + 1) if rows else Span(0, 0)

    def rows(self, topic: str, start: int = 0, end: int | None = None) -> Iterator[list[Row]]:
        found = [
            row
            for row in self.topics.get(topic, [])
            if start <= row.offset and (end is None or row.offset < end)
        ]
        for at in range(0, len(found), 100):
            yield found[at : at + 100]

    def values(
        self, topic: str, start: int = 0, end: int | None = None
    ) -> Iterator[list[tuple[int, bytes]]]:
        for rows in self.rows(topic, start, end):
            yield [(row.offset, row.value) for row in rows]

    def copy(self) -> "Memory":
        return Memory({topic: list(rows) for topic, rows in self.topics.items()})

    def put(self, topic: str, *records: Record) -> "Memory":
        """Append records of the tape."""
        for record in records:
            self._append(topic, None, codec.encode(record), dict(codec.headers(record)))
        return self

    def write(self, out: list[Sealed]) -> "Memory":
        """Append what a fold sealed, as the flow's sinks do."""
        for each in out:
            headers = {**dict(each.headers), NUMBER_HEADER: b"%d" % each.number}
            self._append(each.topic, each.key, each.value, headers)
        return self

    def cut(self, topic: str, count: int) -> "Memory":
        """The same with only so many records of a topic."""
        made = self.copy()
        made.topics[topic] = made.topics[topic][:count]
        return made

    def edited(self, topic: str, at: int, **changes: object) -> "Memory":
        """The same with one record altered."""
        made = self.copy()
        made.topics[topic][at] = made.topics[topic][at]._replace(**changes)
        return made

    def _append(self, topic: str, key: bytes | None, value: bytes, headers: dict) -> None:
        rows = self.topics.setdefault(topic, [])
        rows.append(Row(topic, 0, len(rows), 1_795_000_000_000, key, headers, value))


def fold_all(
    lines: list[bytes], rules: Rules = OURS, state: FoldState | None = None, first: int = 0
) -> list[list[Sealed]]:
    """What rules make of each record of a tape, going on from a state."""
    state = state or FoldState()
    out = []
    for offset, line in enumerate(lines[first:], first):
        events = decide(state, offset, codec.decode(line), rules)
        out.append(sealed(state, offset, events, rules))
    return out


def recorded(lines: list[bytes], out: list[list[Sealed]]) -> Memory:
    """Tape and outputs as they stand after a run."""
    memory = Memory({topic: [] for topic in ("tape", *NUMBERED)})
    memory.put("tape", *map(codec.decode, lines))
    for each in out:
        memory.write(each)
    return memory


@pytest.fixture(scope="session")
def lines() -> list[bytes]:
    """A tape with a bit of everything, as bytes."""
    return [codec.encode(record) for record in Chaos(11).begin().run(220).world.tape]


@pytest.fixture(scope="session")
def _folded(lines: list[bytes]) -> list[list[Sealed]]:
    return fold_all(lines)


@pytest.fixture
def recording(lines: list[bytes], _folded: list[list[Sealed]]) -> Memory:
    """That tape and all that our rules make of it."""
    return recorded(lines, _folded)


@pytest.fixture
def made() -> Callable[..., Memory]:
    """A recording of a tape under other rules, or of a part of it."""
    return lambda lines, rules=OURS: recorded(lines, fold_all(lines, rules))


@pytest.fixture
def going_on() -> Callable[..., list[list[Sealed]]]:
    """What rules make of the rest of a tape from a state."""
    return fold_all


@pytest.fixture
def other_rules() -> Rules:
    """A release that differs: no order above 20 shares, and a version of its own."""
    return Rules(99, OURS.window, _smaller)


def _smaller(state, offset, record):
    for event in OURS.plan(state, offset, record):
        if type(event).__name__ == "OrderRequested" and event.shares_micro > 20_000_000:
            yield msgspec.structs.replace(event, shares_micro=20_000_000)
        else:
            yield event


def forked(state: FoldState) -> FoldState:
    """The state once more."""
    return pickle.loads(pickle.dumps(state))


@pytest.fixture
def put_on() -> Callable[[Bench, Memory], None]:
    """Put a recording on a broker, record by record as the flow would have."""

    def put(stand: Bench, memory: Memory) -> None:
        for topic, rows in memory.topics.items():
            for row in rows:
                stand.producer.append(
                    stand.kafka.prefix + topic,
                    row.value,
                    key=row.key,
                    partition=0,
                    headers=list(row.headers.items()),
                )
        assert stand.producer.flush(30) == 0

    return put


@pytest.fixture(scope="session")
def _whole_archive(
    lines: list[bytes], _folded: list[list[Sealed]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("proof") / "archive"
    write_archive(recorded(lines, _folded), folder)
    return folder


@pytest.fixture
def archive(_whole_archive: Path, tmp_path: Path) -> Path:
    """The archive of `recording`, to do with what the test likes."""
    return Path(shutil.copytree(_whole_archive, tmp_path / "whole"))


@pytest.fixture
def archive_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a recording as the export does; the folder."""
    return lambda memory, *topics: write_archive(memory, tmp_path / "archive", *topics)


def write_archive(memory: Memory, folder: Path, *topics: str) -> Path:
    """Slices of 300 records in blocks of 40, of all topics or of these."""
    for topic, rows in memory.topics.items():
        for first in range(0, len(rows) if not topics or topic in topics else 0, 300):
            part = rows[first : first + 300]
            writer = SliceWriter(folder, Origin("t", topic, topic, 0), part[0].offset)
            for at in range(0, len(part), 40):
                writer.write(tables_of(topic, 0, _columns(part[at : at + 40])))
            writer.close(part[-1].offset)
    return folder


def _columns(rows: list[Row]) -> Rows:
    return Rows(
        offsets=[row.offset for row in rows],
        timestamps_ms=[row.timestamp_ms for row in rows],
        keys=[row.key for row in rows],
        headers=[list(row.headers.items()) for row in rows],
        values=[row.value for row in rows],
    )


@pytest.fixture(scope="session")
def small_lines() -> list[bytes]:
    """A short tape of one leader and one account, for the tests on a broker."""
    return [codec.encode(record) for record in recorded_tape()]
