"""What is there when an export begins, exported by several processes: a span of offsets each.

One process moves as many records as one interpreter can, and a first export or one after a long
pause has many to move. So a partition that is far behind is cut into spans, and each is read, made
into tables and written by a process of its own, just as the dataflow itself would. The dataflow
hands spans on and waits: its snapshot is taken when all spans handed on are on disk, so a span is
done or done again, never half.

The processes die with the one that began them: nobody else may write to the archive meanwhile.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import connection
from pathlib import Path
from typing import Any, NamedTuple

from connectors.kafka.consumer import WaitEnded
from connectors.telemetry.logs import set_up
from flows.engine.collector import spare_collector
from flows.export_source import Tally, TopicsPart
from flows.exporting.archive import Origin, SliceWriter, Written
from flows.exporting.places import Place, Span
from flows.exporting.slices import Block, Limits, Slicer
from flows.exporting.tables import tables_of
from schemas.wiring import KafkaWiring

SPAN_ROWS = 262_144
"""Some seconds' work: what is lost when it is killed, and what one waits for at the end."""
LOOK_S, IDLE_S = 0.5, 30.0
STOP_S = 10.0
"""A span that is under way when the export is to stop may take so long; then it is left undone."""


class Task(NamedTuple):
    """A span to export. since: where the first one begins that is noted together with it."""

    kafka: KafkaWiring
    folder: Path
    place: Place
    origin: Origin
    span: Span
    since: int
    limits: Limits


class Exported(NamedTuple):
    """What a span became. missing: records that had left Kafka before they were read."""

    origin: Origin
    files: tuple[Written, ...]
    missing: int


class Ahead:
    """The processes; made when there is a first span, and ended once there was none for long."""

    def __init__(self, processes: int, tally: Tally, stop: threading.Event) -> None:
        self._processes = processes
        self._tally = tally
        self._stop = stop
        self._context = multiprocessing.get_context("spawn")
        self._halt: Any = None
        self._turns: Any = None
        self._pool: ProcessPoolExecutor | None = None
        self._running: set[Future[Exported]] = set()
        self._added_s = 0.0

    def add(self, task: Task) -> None:
        """Have it exported, once one of the processes is free; raises what one of them raised."""
        while len(self._running) >= self._processes:
            self._reap()
        self._running.add(self._workers().submit(export_span, task))
        self._added_s = time.monotonic()

    def settle(self) -> None:
        """Wait until all is on disk; raises what a process raised."""
        while self._running:
            self._reap()
        if time.monotonic() > self._added_s + IDLE_S:
            self.close()

    def close(self) -> None:
        """End the processes; nothing may be under way."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._halt, self._turns = self._context.Event(), self._context.Value("Q", 0)
            self._pool = ProcessPoolExecutor(
                self._processes,
                mp_context=self._context,
                initializer=_begin,
                initargs=(self._halt, self._turns, logging.getLogger().level),
            )
        return self._pool

    def _reap(self) -> None:
        """Wait for the next one, alive as long as one of them is."""
        seen, asked_s = -1, None
        while not (found := wait(self._running, LOOK_S, FIRST_COMPLETED)).done:
            if (turns := self._turns.value) != seen:
                seen = turns
                self._tally.beat()
            if self._stop.is_set():
                asked_s = asked_s or time.monotonic()
                if time.monotonic() > asked_s + STOP_S:
                    self._halt.set()
        self._running = found.not_done
        try:
            for future in found.done:
                self._note(future.result())
        except BaseException:
            # This process waits for the others before it ends.
            self._halt.set()
            raise

    def _note(self, done: Exported) -> None:
        tally = self._tally
        for written in done.files:
            tally.wrote(done.origin.topic, written)
            tally.read += written.rows
        tally.missing += done.missing
        tally.on_read(tally)


class _Worker(NamedTuple):
    """What a process has of the one that began it: told to halt, and its turns counted."""

    halt: threading.Event
    turns: Any

    def turn(self) -> None:
        with self.turns.get_lock():
            self.turns.value += 1


_worker: _Worker | None = None


def _begin(halt: threading.Event, turns: Any, log_level: int) -> None:
    global _worker
    _worker = _Worker(halt, turns)
    set_up(os.environ, level=log_level)
    # A terminal's Ctrl-C reaches the whole group; the one that began them says when to end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "called in a process of the pool"
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    spare_collector()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def export_span(task: Task) -> Exported:
    """Read a span and write its slices; in a process of the pool."""
    assert _worker is not None, "called in a process of the pool"
    tally = Tally(beat=_worker.turn)
    part = TopicsPart(task.kafka, _worker.halt, tally, None, ends_soon=True)
    slicer, files = Slicer(task.limits), SpanFiles(task)
    try:
        key = task.place.key
        part.begin([task.place], {key: task.span.first}, until={key: task.span.end})
        for block in _blocks(part, slicer):
            files.write(block)
        if part.snapshot()[key] < task.span.end:
            raise WaitEnded(f"stopped while offsets {task.span} of {key} were exported")
        last = slicer.finish()
        if last is not None:
            files.write(last)
    finally:
        part.close()
    return Exported(task.origin, tuple(files.written), tally.missing)


def _blocks(part: TopicsPart, slicer: Slicer) -> Iterator[Block]:
    while True:
        try:
            batch = part.next_batch()
        except StopIteration:
            return
        for _, rows in batch:
            assert not isinstance(rows, Span), "a span is not cut again"
            yield from slicer.push(rows)


class SpanFiles:
    """The slices of a span, one after the other."""

    def __init__(self, task: Task) -> None:
        self.written: list[Written] = []
        self._task = task
        self._writer: SliceWriter | None = None

    def write(self, block: Block) -> None:
        """Write a block, and close the slice that ends with it."""
        task, origin = self._task, self._task.origin
        if self._writer is None:
            others = Span(task.since, task.span.first)
            self._writer = SliceWriter(task.folder, origin, block.first, others)
        if block.rows:
            self._writer.write(tables_of(origin.topic, origin.partition, block.rows))
        if block.last is not None:
            self.written.append(self._writer.close(block.last))
            self._writer = None
