"""The dataflow's steps inside Bytewax: batches, epochs and crashes change no byte."""

from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from flows.copytrade import decisions
from flows.core import RULES
from flows.core.fold import FoldState, fold
from flows.core.sealing import Sealed
from flows.engine.errors import Superseded
from flows.engine.fence import Fence
from flows.engine.launch import root_cause
from flows.engine.recovery import purge
from flows.engine.rows import TapeRow
from schemas import codec
from schemas.records import journal, system
from schemas.records.base import Record
from schemas.records.summary import Summary
from tests.golden.digests import TOPICS, digests
from tests.golden.stand import lines, standing


class Crash(Exception):
    """Raised by the source in place of a killed process."""


class Rows(FixedPartitionedSource[TapeRow, int]):
    """A recorded tape that crashes before given offsets, once each over all executions."""

    def __init__(self, rows: list[TapeRow], batch: int, crashes: list[int]) -> None:
        self.rows, self.batch, self.crashes = rows, batch, crashes

    def list_parts(self) -> list[str]:
        return ["tape"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "RowsPart":
        return RowsPart(self, resume_state or 0)


class RowsPart(StatefulSourcePartition[TapeRow, int]):
    def __init__(self, source: Rows, at: int) -> None:
        self.source, self.at = source, at

    def next_batch(self) -> list[TapeRow]:
        if self.at >= len(self.source.rows):
            raise StopIteration
        end = min(self.at + self.source.batch, len(self.source.rows))
        due = [c for c in self.source.crashes if self.at <= c < end]
        if due:
            self.source.crashes.remove(due[0])
            raise Crash
        batch = self.source.rows[self.at : end]
        self.at = end
        return batch

    def snapshot(self) -> int:
        return self.at


class Numbered(FixedPartitionedSink[Sealed, int]):
    """Keeps what was written by (topic, number); a number written again must be the same bytes."""

    def __init__(self, written: dict[tuple[str, int], Sealed]) -> None:
        self.written = written

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "NumberedPart":
        return NumberedPart(self.written)


class NumberedPart(StatefulSinkPartition[Sealed, int]):
    def __init__(self, written: dict[tuple[str, int], Sealed]) -> None:
        self.written = written

    def write_batch(self, values: list[Sealed]) -> None:
        for value in values:
            place = (value.topic, value.number)
            assert self.written.setdefault(place, value) == value, f"{place} was written otherwise"

    def snapshot(self) -> int:
        return len(self.written)


def folded(tape: list[Record]) -> dict[tuple[str, int], Sealed]:
    state = FoldState()
    out = [s for n, record in enumerate(tape) for s in fold(state, n, record)]
    return {(s.topic, s.number): s for s in out}


def run_flow(
    tape: list[Record], folder: Path, *, batch: int, epoch_ms: int, crashes: list[int]
) -> dict[tuple[str, int], Sealed]:
    """Run the steps to the tape's end, started again after each crash."""
    rows = [TapeRow(n, codec.encode(record)) for n, record in enumerate(tape)]
    written: dict[tuple[str, int], Sealed] = {}
    source = Rows(rows, batch, list(crashes))
    init_db_dir(folder, 1)
    while True:
        flow = Dataflow("copytrade")
        fence = Fence.read_only(rules=RULES)
        sealed = decisions(op.input("tape", flow, source), fence, "0")
        op.output("out", op.flat_map_value("each", sealed, list), Numbered(written))
        purge(folder)
        try:
            run_main(
                flow,
                epoch_interval=timedelta(milliseconds=epoch_ms),
                recovery_config=RecoveryConfig(folder, timedelta(0)),
            )
        except BytewaxRuntimeError as error:
            if not isinstance(root_cause(error), Crash):
                raise
        else:
            return written


@pytest.mark.parametrize("batch", [1, 13, 1_000])
@pytest.mark.parametrize("epoch_ms", [0, 3])
@pytest.mark.parametrize("crashes", [[], [40], [5, 60, 61, 150], [100, 101, 102]])
def test_batches_epochs_and_crashes_change_no_byte(
    tape: list[Record], tmp_path: Path, batch: int, epoch_ms: int, crashes: list[int]
) -> None:
    written = run_flow(tape, tmp_path, batch=batch, epoch_ms=epoch_ms, crashes=crashes)
    assert written == folded(tape)


@pytest.mark.parametrize(
    ("batch", "epoch_ms", "crashes"),
    [(1, 3, []), (7, 0, [300]), (64, 1, [120, 121, 500]), (1_000, 20, [400])],
)
def test_the_dataflow_gives_the_golden_digest(
    tmp_path: Path, batch: int, epoch_ms: int, crashes: list[int]
) -> None:
    """The digest in the repository is that of the graph, too: see tests/golden."""
    tape = [codec.decode(line) for line in lines()]
    written = run_flow(tape, tmp_path, batch=batch, epoch_ms=epoch_ms, crashes=crashes)
    found = digests(written[place] for place in sorted(written))
    assert found == {topic: standing()[topic] for topic in TOPICS}


def test_the_recorded_tape_holds_orders_a_reversal_and_a_sell(tape: list[Record]) -> None:
    """The runs above prove something only if the tape is rich."""
    events = [codec.unseal(s.value)[1] for s in folded(tape).values()]
    requests = [e for e in events if isinstance(e, journal.OrderRequested)]
    assert len(requests) >= 5
    assert any(r.side == "SELL" for r in requests)
    assert any(isinstance(e, journal.FillSettled) and e.status == "FAILED" for e in events)
    assert any(isinstance(e, Summary) for e in events)


def test_a_flow_that_meets_newer_rules_stops(tape: list[Record], tmp_path: Path) -> None:
    newer = [*tape[:3], system.FlowStarted(shard=0, rules=RULES + 1), *tape[3:]]
    flow = Dataflow("copytrade")
    rows = [TapeRow(n, codec.encode(record)) for n, record in enumerate(newer)]
    sealed = decisions(
        op.input("tape", flow, Rows(rows, 10, [])), Fence.read_only(rules=RULES), "0"
    )
    op.output("out", op.flat_map_value("each", sealed, list), Numbered({}))
    with pytest.raises(BytewaxRuntimeError) as caught:
        run_main(flow)
    assert isinstance(root_cause(caught.value), Superseded)
