"""A sum over ten items in three executions, two of which are killed: run by test_recovery.py.

Execution 1 takes five items, then five more whose epoch never ends, since the sink's snapshot hangs
as it would in a broker outage. Execution 2 gets no input while its epochs pass. Execution 3 takes
what is left and prints the sum. Arguments: directory, execution, with or without purge, step.
"""

import sys
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from flows.engine.launch import NAMED, exit_code, root_cause, run
from flows.engine.recovery import Identity
from flows.engine.stateful import fold_step

EPOCH_S = 0.05
IDENTITY = Identity(tape_id="t", schema_version=1, partition=0)


def say(what: str) -> None:
    print(what, flush=True)


class Items(FixedPartitionedSource[Any, int]):
    def __init__(self, execution: int) -> None:
        self.execution = execution

    def list_parts(self) -> list[str]:
        return ["items"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "ItemsPart":
        return ItemsPart(self.execution, resume_state or 0)


class ItemsPart(StatefulSourcePartition[Any, int]):
    def __init__(self, execution: int, offset: int) -> None:
        self.execution, self.offset, self.epochs = execution, offset, 0

    def next_batch(self) -> Iterable[Any]:
        # Execution 1 waits with the second half until the first half's epoch is committed.
        end = {1: 5 if self.epochs < 2 else 10, 2: self.offset, 3: 10}[self.execution]
        if self.offset < end:
            self.offset += 1
            return [("0", self.offset - 1)]
        if self.execution == 3:
            raise StopIteration
        return []

    def snapshot(self) -> int:
        self.epochs += 1
        if self.execution == 2 and self.epochs == 4:
            say("epochs passed")
        return self.offset


class Sink(FixedPartitionedSink[Any, None]):
    def __init__(self, execution: int) -> None:
        self.execution = execution

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "SinkPart":
        return SinkPart(self.execution)


class SinkPart(StatefulSinkPartition[Any, None]):
    def __init__(self, execution: int) -> None:
        self.execution, self.total = execution, 0

    def write_batch(self, values: list[int]) -> None:
        self.total = values[-1]

    def snapshot(self) -> None:
        if self.execution == 1 and self.total > 5:
            say("snapshot hangs")
            threading.Event().wait()
        if self.execution == 3:
            say(f"sum {self.total}")


class Count:
    """The checked step: how many items there were."""

    def __init__(self, state: int | None) -> None:
        self.count = state or 0

    def on_batch(self, values: list[int], /) -> list[int]:
        self.count += len(values)
        return [self.count]

    def snapshot(self) -> int:
        return self.count


def build(execution: int, step: str) -> Dataflow:
    flow = Dataflow("stale")
    items = op.input("items", flow, Items(execution))
    if step == "checked":
        sums = fold_step("sum", items, Count, offset_of=lambda offset: offset)
    else:
        sums = op.stateful_map("sum", items, lambda total, _: ((total or 0) + 1,) * 2)
    op.output("out", sums, Sink(execution))
    return flow


def run_unpurged(flow: Dataflow, directory: Path) -> int:
    directory.mkdir(exist_ok=True)
    if not any(directory.iterdir()):
        init_db_dir(directory, 1)
    try:
        cli_main(
            flow,
            epoch_interval=timedelta(seconds=EPOCH_S),
            recovery_config=RecoveryConfig(directory, timedelta(0)),
        )
    except NAMED as error:
        return exit_code(root_cause(error)) or 1
    return 0


def main(directory: str, execution: str, purge: str, step: str) -> int:
    flow = build(int(execution), step)
    if purge == "unpurged":
        return run_unpurged(flow, Path(directory))
    return run(
        flow,
        stop=threading.Event(),
        epoch_s=EPOCH_S,
        recovery_dir=Path(directory),
        identity=IDENTITY,
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
