"""The dataflow: tape -> window -> join and size -> seal -> journal, execution_sink, watch.

Reads one shard's tape partition, and nothing else: no clock, no network of the venue, no keys.
Each stateful step is a thin shell around a pure function of flows/core, and checks that the tape
offsets it sees are contiguous with its own state. The whole equals flows.core.fold, byte for byte.

`truecopy flow` runs it with everything the engine needs around it (purged recovery, float epochs,
a clean end on SIGTERM); `python -m bytewax.run flows.copytrade:flow` runs the same graph from the
settings that TRUECOPY_CONFIG and the environment name.
"""

import os
import pickle
import threading
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Generic, TypeVar

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.operators import KeyedStream

from flows.core import RULES, fold
from flows.core.fold import Entry
from flows.core.leaders import LeadersState
from flows.core.planning import PlanState
from flows.core.sealing import Sealed, SealState, Topic
from flows.engine.errors import StartRefused
from flows.engine.fence import Fence
from flows.engine.hub import Hub
from flows.engine.rows import OutRow, TapeRow
from flows.engine.sink import NumberedSink, unheard
from flows.engine.source import TapeSource
from flows.engine.stateful import batch_step
from flows.flow_meter import FlowMeter
from schemas import codec
from schemas.records.system import FlowStarted, Genesis
from schemas.settings import Settings, load
from schemas.wiring import Wiring

S = TypeVar("S")
W = TypeVar("W")

FLOW_ID = "copytrade"
OUTPUTS: tuple[tuple[Topic, str], ...] = (
    ("journal", "journal"),
    ("orders", "execution_sink"),
    ("watch", "watch"),
)
"""Each numbered topic and the step that writes it. Snapshots are kept by these names."""

OFFSET_OF: Callable[[Entry], int] = attrgetter("offset")

OnEntries = Callable[[list[Entry]], None]


class Step(Generic[S, W]):
    """A pure step with its state, as the engine's shell wants it. Snapshots are pickled here, so
    that what Bytewax keeps is as of the epoch's end while the state goes on."""

    def __init__(
        self,
        make: Callable[[], S],
        apply: Callable[[S, list[Entry]], list[W]],
        snapshot: bytes | None,
    ) -> None:
        # Our own recovery directory, private to the user: flows.engine.recovery checks that.
        self._state: S = make() if snapshot is None else pickle.loads(snapshot)  # noqa: S301
        self._apply = apply

    def on_batch(self, values: list[Entry], /) -> list[W]:
        """Fold the entries in order."""
        return self._apply(self._state, values)

    def snapshot(self) -> bytes:
        """The state as bytes."""
        return snapshot_of(self._state)


def snapshot_of(state: object) -> bytes:
    """A step's state as its snapshot keeps it."""
    return pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL)


def build(
    wiring: Wiring,
    *,
    hub: Hub,
    fence: Fence,
    until: int | None = None,
    output_prefix: str | None = None,
    meter: FlowMeter | None = None,
) -> Dataflow:
    """The graph for one shard. meter counts beside it.

    For replays: until is the last tape offset to read, output_prefix names other output topics.
    """
    kafka = wiring.kafka
    prefix = kafka.prefix if output_prefix is None else output_prefix
    source = TapeSource(
        hub,
        f"{kafka.prefix}tape",
        kafka.shard,
        fence=fence,
        group=wiring.flow.group,
        until=until,
    )
    flow = Dataflow(FLOW_ID)
    meter = meter or FlowMeter()
    rows = op.input("tape", flow, source)
    sealed = decisions(rows, fence, str(kafka.shard), on_entries=meter.decoded)
    for topic, step_id in OUTPUTS:
        out = op.flat_map_value(f"to_{topic}", sealed, partial(_only, topic))
        sink = NumberedSink(
            hub,
            f"{prefix}{topic}",
            [kafka.shard],
            compacted=topic == "watch",
            on_rows=meter.journalled if topic == "journal" else unheard,
        )
        op.output(step_id, out, sink)
    return flow


def decisions(
    rows: Stream[TapeRow], fence: Fence, shard: str, *, on_entries: OnEntries = unheard
) -> KeyedStream[list[Sealed]]:
    """The three steps between the tape and its outputs, whatever feeds and drains them."""

    def decode(batch: list[TapeRow]) -> list[tuple[str, list[Entry]]]:
        found = _decode(fence, batch)
        on_entries(found)
        return [(shard, found)]

    entries = op.flat_map_batch("decode", rows, decode)
    windowed = _step("window", entries, LeadersState, fold.window_all)
    planned = _step("join_and_size", windowed, PlanState, fold.join_and_size_all)
    return _step("seal", planned, SealState, fold.seal_all)


def _step(
    step_id: str,
    up: KeyedStream[list[Entry]],
    make: Callable[[], S],
    apply: Callable[[S, list[Entry]], list[W]],
) -> KeyedStream[list[W]]:
    return batch_step(
        step_id, up, lambda snapshot: Step(make, apply, snapshot), offset_of=OFFSET_OF
    )


def _decode(fence: Fence, rows: list[TapeRow]) -> list[Entry]:
    """Records. An unknown kind or version stops the flow, for it would diverge."""
    entries = []
    for row in rows:
        record = codec.decode(row.value)
        if isinstance(record, FlowStarted):
            fence.check(row.offset, record.rules)
        elif row.offset == 0 and not isinstance(record, Genesis):
            raise StartRefused(
                f"offset 0 of the tape holds {type(record).__name__}, not Genesis: "
                "`truecopy policy apply` begins a tape"
            )
        entries.append(Entry(row.offset, record))
    return entries


def _only(topic: str, sealed: list[Sealed]) -> list[OutRow]:
    return [
        OutRow(each.number, each.key, each.value, each.headers)
        for each in sealed
        if each.topic == topic
    ]


def writing_fence(wiring: Wiring, hub: Hub) -> Fence:
    """The fence of a flow that decides: its FlowStarted goes to the tape before the first read."""
    record = FlowStarted(shard=wiring.kafka.shard, rules=RULES)

    def append() -> int:
        return hub.producer.append_and_wait(
            f"{wiring.kafka.prefix}tape",
            codec.encode(record),
            key=b"flow",
            partition=wiring.kafka.shard,
            headers=codec.headers(record),
        )

    return Fence.writing(append, rules=RULES)


def hub_of(wiring: Wiring, stop: threading.Event) -> Hub:
    """Producer, addresses and the wish to stop, for a flow of these settings."""
    kafka = wiring.kafka
    return Hub(
        bootstrap=kafka.bootstrap,
        stop=stop,
        fetch_wait_ms=kafka.fetch_wait_ms,
    )


def from_environment() -> Settings:
    """Settings as the process's environment names them."""
    name = os.environ.get("TRUECOPY_CONFIG")
    return load(Path(name) if name else None, os.environ)


def __getattr__(name: str) -> Dataflow:
    """`flow`, made when it is asked for, so that importing this module opens and reads nothing."""
    if name != "flow":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    wiring = from_environment().wiring
    hub = hub_of(wiring, threading.Event())
    return build(wiring, hub=hub, fence=writing_fence(wiring, hub))
