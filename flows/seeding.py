"""A snapshot for the copytrade flow, made from a state instead of a run.

Bytewax alone knows how it stores snapshots, so it writes them itself: a dataflow with the steps of
flows/copytrade.py runs for one item, and each step hands over the state it was given. A flow that
starts on it goes on behind the offset it names, with all its own checks.

Decides nothing, reads no topic, writes to none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from flows.copytrade import FLOW_ID, OUTPUTS, snapshot_of
from flows.core.fold import FoldState
from flows.engine.sink import Place
from flows.engine.source import INPUT_PART

Item = tuple[str, None]


@dataclass(frozen=True, kw_only=True)
class Seed:
    """What a flow of this shard goes on from. places: by topic, where to read back from (the
    partition's end) and the number that is due there."""

    state: FoldState
    next_offset: int
    shard: int
    places: dict[str, Place]


def seed(config: RecoveryConfig, given: Seed) -> None:
    """Fill an empty recovery store; call it in the main thread."""
    flow = Dataflow(FLOW_ID)
    up = op.input("tape", flow, _Source(given))
    states = {
        "window": given.state.leaders,
        "join_and_size": given.state.plan,
        "seal": given.state.seal,
    }
    for step_id, state in states.items():
        up = op.stateful_batch(step_id, up, _handing_over((given.next_offset, snapshot_of(state))))
    for topic, step_id in OUTPUTS:
        op.output(step_id, up, _Sink(given, topic))
    cli_main(  # type: ignore[no-untyped-call]
        flow, epoch_interval=timedelta(seconds=10), recovery_config=config
    )


def _handing_over(snapshot: tuple[int, bytes]) -> Callable[[Any], "_Logic"]:
    return lambda _resume_state: _Logic(snapshot)


class _Logic(StatefulBatchLogic[None, None, tuple[int, bytes]]):
    def __init__(self, snapshot: tuple[int, bytes]) -> None:
        self._snapshot = snapshot

    def on_batch(self, values: list[None]) -> tuple[list[None], bool]:
        return values, self.RETAIN

    def snapshot(self) -> tuple[int, bytes]:
        return self._snapshot


class _Source(FixedPartitionedSource[Item, int]):
    def __init__(self, given: Seed) -> None:
        self._given = given

    def list_parts(self) -> list[str]:
        return [INPUT_PART]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "_SourcePart":
        return _SourcePart(self._given)


class _SourcePart(StatefulSourcePartition[Item, int]):
    def __init__(self, given: Seed) -> None:
        self._items: list[Item] = [(str(given.shard), None)]
        self._next_offset = given.next_offset

    def next_batch(self) -> list[Item]:
        if not self._items:
            raise StopIteration
        return [self._items.pop()]

    def snapshot(self) -> int:
        return self._next_offset


class _Sink(FixedPartitionedSink[None, Place]):
    def __init__(self, given: Seed, topic: str) -> None:
        self._given = given
        self._topic = topic

    def list_parts(self) -> list[str]:
        return [str(self._given.shard)]

    def build_part(self, step_id: str, for_part: str, resume_state: Place | None) -> "_SinkPart":
        return _SinkPart(self._given.places[self._topic])


class _SinkPart(StatefulSinkPartition[None, Place]):
    def __init__(self, place: Place) -> None:
        self._place = place

    def write_batch(self, values: list[None]) -> None:
        """Nothing is written: what stands on the topics is the truth."""

    def snapshot(self) -> Place:
        return self._place
