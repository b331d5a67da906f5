"""What a connector reads from Kafka: its cursors, and the watch topic.

Watch and cursors are compacted: the newest record of a key counts, on watch the one of the highest
number. A wallet's watch record is dated by the broker; that moment is when it began to matter, and
no read needs to reach further back. Kafka is read in a thread; `halted` ends it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from connectors.kafka.consumer import BEGINNING, PartitionReader, Row
from schemas import codec
from schemas.records.journal import Cursor, Watch

LOG = logging.getLogger(__name__)
READ_MAX = 500
READ_WAIT_S = 0.2
BATCHES_MAX = 64

Config = Mapping[str, Any]
OnWatch = Callable[[Watch, int], None]
"""A watch record and when it was written, in epoch ms."""


def read_cursors(
    config: Config, topic: str, feeds: frozenset[str], halted: threading.Event
) -> dict[tuple[str, str], int]:
    """Newest cursor of each (feed, subject) of these feeds; read once, at the start."""
    place = {(topic, 0): BEGINNING}
    found: dict[tuple[str, str], int] = {}
    with PartitionReader(config, place, name="connector-cursors", stop=halted) as reader:
        for rows in reader.read_to(reader.end_offsets()):
            for row in rows:
                if not row.value:  # a deletion: whoever deletes a cursor wants a read from before
                    feed, _, subject = (row.key or b"").decode().partition(":")
                    found.pop((feed, subject), None)
                    continue
                record = codec.decode(row.value)
                if isinstance(record, Cursor) and record.feed in feeds:
                    found[record.feed, record.subject] = record.upto_ms
    LOG.info("cursors=read count=%d", len(found))
    return found


async def follow_watch(
    config: Config,
    topic: str,
    partition: int,
    on_watch: OnWatch,
    halted: threading.Event,
    *,
    on_end: Callable[[], None] = lambda: None,
) -> None:
    """Hand over each new record of the topic in order, for ever; raises on one that is no Watch.

    on_end is called once all has been handed over that stood there at the beginning.
    """
    loop = asyncio.get_running_loop()
    newest = Newest()
    batches: asyncio.Queue[tuple[list[Row], bool]] = asyncio.Queue(BATCHES_MAX)

    def read() -> None:
        place = {(topic, partition): BEGINNING}
        with PartitionReader(config, place, name="connector-watch", stop=halted) as reader:
            end, at_end = reader.end_offsets()[topic, partition], False
            while not halted.is_set():
                rows = reader.read(READ_MAX, READ_WAIT_S)
                reached = reader.position[topic, partition] >= end
                if rows or (reached and not at_end):
                    put = batches.put((rows, reached))
                    _hand_over(asyncio.run_coroutine_threadsafe(put, loop), halted)
                at_end = at_end or reached

    reading: asyncio.Future[Any] = loop.run_in_executor(None, read)
    while True:
        batch = asyncio.ensure_future(batches.get())
        try:
            await asyncio.wait([reading, batch], return_when=asyncio.FIRST_COMPLETED)
            if not batch.done():
                reading.result()
                return
            rows, reached = batch.result()
            for row in rows:
                take(row, newest, on_watch)
            if reached:
                on_end()
        finally:
            batch.cancel()


def _hand_over(put: Future[None], halted: threading.Event) -> None:
    """Wait until the loop has taken a batch, or nobody will."""
    while not halted.is_set():
        try:
            put.result(READ_WAIT_S)
        except TimeoutError:
            continue
        return


class Newest:
    """Admits a record of `watch` only if its number is the highest yet of its key.

    A woken flow that was superseded can repeat old records, identical ones, behind newer ones:
    taken by their place they would switch off again what its successor has switched on.
    """

    def __init__(self) -> None:
        self.repeats = 0
        self._numbers: dict[bytes | None, int] = {}

    def admits(self, row: Row, number: int) -> bool:
        """Whether this is news; the first repeat is logged."""
        if number > self._numbers.get(row.key, -1):
            self._numbers[row.key] = number
            return True
        if not self.repeats:
            LOG.warning(
                "watch=%s/%d offset=%d state=repeated cause='a second flow wrote here'",
                *(row.topic, row.partition, row.offset),
            )
        self.repeats += 1
        return False


def take(row: Row, newest: Newest, on_watch: OnWatch) -> None:
    """One row; an empty one is a deletion by compaction and says nothing."""
    if not row.value:
        return
    envelope, record = codec.unseal(row.value)
    if not isinstance(record, Watch):
        raise codec.UndecodableRecord(
            f"{row.topic}/{row.partition} offset {row.offset} holds {type(record).__name__}, "
            "not Watch"
        )
    if newest.admits(row, envelope.n):
        on_watch(record, row.timestamp_ms)
