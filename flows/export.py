"""The second dataflow: every topic -> Parquet, partitioned by topic, kind and day = the archive.

    topics -> parquet

One consumer reads all partitions of all topics; each partition is cut into slices, and a slice's
records become one file for each kind and day (flows/exporting). A slice ends at a size, or with the
epoch: the sink's snapshot closes and syncs its files before Bytewax commits the offsets behind
them. So after SIGKILL the same offsets are read again and the same files replaced: nothing is lost,
nothing doubled.

It decides nothing and writes nothing to Kafka but its group's offsets. It must see the raw topics
within their retention (7 days); what was gone before it came is counted and logged.

`truecopy export` runs it; `python -m bytewax.run flows.export:flow` runs the same graph, with the
folder from TRUECOPY_ARCHIVE, but without lock and purge around the recovery directory.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bytewax.operators as op
import msgspec
import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from flows.engine.errors import StartRefused, TapeGap
from flows.engine.recovery import IDENTITY_FILE, Identity
from flows.export_ahead import SPAN_ROWS, Ahead, Task
from flows.export_source import Tally, TopicsSource, genesis_of, places_of
from flows.exporting.archive import Origin, SliceWriter, clear_aside
from flows.exporting.places import KEPT, Place, Span
from flows.exporting.slices import Block, Limits, Rows, Slicer
from flows.exporting.tables import tables_of
from schemas.settings import load
from schemas.wiring import KafkaWiring

GROUP = "truecopy-export"
DEFAULT_LIMITS = Limits()
FOLDER = "var/archive"
STATE = ".state"
"""The recovery directory, inside the archive's folder: one lock for both, and one thing to move."""
Tables = dict[tuple[str, str], pa.Table]
WRITES_MAX = 4
"""Blocks that may wait for the disk; then reading waits."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """What to export and where to. tape_id: of the Genesis; group: None shows no lag.

    processes: how many export what is there at the start, if it is much; one does it all itself.
    span_rows: what is much, and how many records each of them takes at a time.
    """

    kafka: KafkaWiring
    folder: Path
    tape_id: str
    places: Sequence[Place]
    once: bool = False
    group: str | None = GROUP
    limits: Limits = DEFAULT_LIMITS
    processes: int = 1
    span_rows: int = SPAN_ROWS


def identity_of(kafka: KafkaWiring, folder: Path, *, stop: threading.Event) -> Identity:
    """Whose archive this is: the tape's Genesis says, or once that was removed, the archive.

    Shard 0 is there in every pipeline, so its Genesis stands for all. Raises StartRefused.
    """
    begun = genesis_of(kafka, stop=stop)
    if begun is not None:
        return Identity(tape_id=begun.tape_id, schema_version=begun.schema, partition=0)
    file = folder / STATE / IDENTITY_FILE
    if not file.exists():
        raise StartRefused(
            f"{kafka.prefix}tape/0 no longer begins with Genesis, and {folder} holds no archive "
            "that says which tape this is: name the folder that it was exported to so far"
        )
    return msgspec.json.decode(file.read_bytes(), type=Identity)


def build(export: Export, *, stop: threading.Event, tally: Tally) -> Dataflow:
    """The graph."""
    source = TopicsSource(
        export.kafka,
        export.places,
        stop=stop,
        tally=tally,
        group=export.group,
        once=export.once,
        span_rows=export.span_rows if export.processes > 1 else None,
    )
    flow = Dataflow("export")
    op.output("parquet", op.input("topics", flow, source), ParquetSink(export, tally, stop))
    return flow


class Writes:
    """One thread that makes tables and one that writes them, while the next block is read.

    In order, and few at a time. beat is called for each block that was waited for: a slow disk is
    no hanging loop.
    """

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._tables = ThreadPoolExecutor(1, "tables")
        self._thread = ThreadPoolExecutor(1, "parquet")
        self._waiting: deque[Future[None]] = deque()

    def add(self, write: Callable[[], None]) -> None:
        """Have it written; raises what an earlier write raised."""
        while len(self._waiting) >= WRITES_MAX:
            self._wait()
        self._waiting.append(self._thread.submit(write))

    def add_made(self, write: Callable[[Tables], None], make: Callable[[], Tables]) -> None:
        """Have tables made and then written; raises what an earlier one raised."""
        made = self._tables.submit(make)
        self.add(lambda: write(made.result()))

    def settle(self) -> None:
        """Wait until everything is written; raises what a write raised."""
        while self._waiting:
            self._wait()

    def _wait(self) -> None:
        self._waiting.popleft().result()
        self._beat()


class ParquetSink(FixedPartitionedSink[Rows | Span, int]):
    """The archive's folder; items are (key of the place, rows), at the start perhaps spans."""

    def __init__(self, export: Export, tally: Tally, stop: threading.Event) -> None:
        self._export = export
        self._tally = tally
        self._ahead = Ahead(export.processes, tally, stop)
        self._places = {place.key: place for place in export.places}
        # Bytewax numbers the parts in the order of their names, whatever order it is given.
        self._index = {key: i for i, key in enumerate(sorted(self._places))}
        self._writes: Writes | None = None

    def list_parts(self) -> list[str]:
        """One part for each partition of each topic."""
        return sorted(self._places)

    def part_fn(self, item_key: str) -> int:
        """The item's place is its key."""
        return self._index[item_key]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "ArchivePart":
        """Called at the partition's first rows, or at the start where there is a snapshot."""
        if self._writes is None:
            self._writes = Writes(self._tally.beat)
            clear_aside(self._export.folder)
        place = self._places[for_part]
        return ArchivePart(
            self._export, place, self._writes, self._ahead, self._tally, resume_state
        )


class ArchivePart(StatefulSinkPartition[Rows | Span, int]):
    """One partition's slices; made by ParquetSink. The snapshot is the offset behind the last."""

    def __init__(
        self,
        export: Export,
        place: Place,
        writes: Writes,
        ahead: Ahead,
        tally: Tally,
        resumed: int | None,
    ) -> None:
        self._export = export
        self._place = place
        self._ahead = ahead
        self._since: int | None = None
        self._folder = export.folder
        self._origin = Origin(export.tape_id, place.topic, place.full_topic, place.partition)
        self._slicer = Slicer(export.limits)
        self._writer: SliceWriter | None = None
        self._writes = writes
        self._tally = tally
        self._due = resumed

    def write_batch(self, values: list[Rows | Span]) -> None:
        """Write the blocks that are complete; raises what an earlier write raised."""
        for each in values:
            if isinstance(each, Span):
                self._advance(each.first, each.end)
                self._have_exported(each)
            else:
                self._advance(each.offsets[0], each.offsets[-1] + 1)
                for block in self._slicer.push(each):
                    self._write(block)

    def _advance(self, first: int, due: int) -> None:
        if self._due is not None and first > self._due and self._origin.topic in KEPT:
            raise TapeGap(
                f"offset {first} of {self._origin.full_topic}/{self._origin.partition} came "
                f"where {self._due} was due: {first - self._due} records are missing"
            )
        self._due = due

    def _have_exported(self, span: Span) -> None:
        self._since = span.first if self._since is None else self._since
        export = self._export
        self._ahead.add(
            Task(
                export.kafka,
                export.folder,
                self._place,
                self._origin,
                span,
                self._since,
                export.limits,
            )
        )

    def snapshot(self) -> int:
        """Close what is open, and wait until it is on disk under its name."""
        block = self._slicer.finish()
        if block is not None:
            self._write(block)
        self._writes.settle()
        self._ahead.settle()
        self._since = None
        assert self._due is not None, "a part is built for its first rows or from a snapshot"
        return self._due

    def close(self) -> None:
        """At the end of the input, behind the last snapshot."""
        self._ahead.close()

    def _write(self, block: Block) -> None:
        if self._writer is None:
            self._writer = SliceWriter(self._folder, self._origin, block.first)
        if block.rows:
            origin = self._origin
            make = partial(tables_of, origin.topic, origin.partition, block.rows)
            self._writes.add_made(self._writer.write, make)
        if block.last is not None:
            self._writes.add(partial(self._close, self._writer, block.last))
            self._writer = None

    def _close(self, writer: SliceWriter, last: int) -> None:
        self._tally.wrote(self._origin.topic, writer.close(last))


def __getattr__(name: str) -> Dataflow:
    """`flow`, made when it is asked for, so that importing this module opens and reads nothing."""
    if name != "flow":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings = os.environ.get("TRUECOPY_CONFIG")
    kafka = load(Path(settings) if settings else None, os.environ).wiring.kafka
    stop = threading.Event()
    folder = Path(os.environ.get("TRUECOPY_ARCHIVE", FOLDER))
    export = Export(
        kafka=kafka,
        folder=folder,
        tape_id=identity_of(kafka, folder, stop=stop).tape_id,
        places=places_of(kafka, stop=stop),
    )
    return build(export, stop=stop, tally=Tally())
