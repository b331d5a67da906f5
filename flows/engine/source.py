"""The tape as Bytewax input: one consumer, one partition, contiguous offsets.

`poll` returns at the first record and `consume` drains what else is there, so a record is passed on
at once and a backlog in large batches (the stock source waits 1 ms for each of its partitions).
Bytewax would rest a millisecond after every empty batch; `next_awake` says not to.
The offset is Bytewax's to keep; it is committed to a consumer group as well, but only so that
Kafka's tools show the lag. It waits through broker outages and ends on `stop` or after `until`.

It never skips: no automatic reset (librdkafka's default jumps to the end without a word when an
offset is out of range), no start from nothing on a tape whose beginning is gone, no start past the
tape's end.
"""

import logging
import time
from datetime import UTC, datetime
from itertools import repeat
from operator import is_
from typing import cast

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import Consumer, Message, TopicPartition

from connectors.kafka.config import READER, Health, consumer_config
from connectors.kafka.errors import stop_if_fatal
from flows.engine.contiguous import Contiguity
from flows.engine.fence import Fence
from flows.engine.hub import Hub
from flows.engine.rows import TapeRow
from flows.engine.watermarks import first_offset

LOG = logging.getLogger(__name__)

INPUT_PART = "tape"
LOOK_S = 0.5
POLL_S = 0.01
BATCH_MAX = 1_000
LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


class TapeSource(FixedPartitionedSource[TapeRow, int]):
    """One partition of the tape as rows (offset, value); the snapshot is the next offset.

    hub: polled at each batch, and its `stop` ends the input. fence: begun here, after the refusals
    and before the first read. group: where the lag is shown; None, for replays, shows none. until:
    the last offset to read, for tests and replays.
    """

    def __init__(
        self,
        hub: Hub,
        topic: str,
        partition: int,
        *,
        fence: Fence,
        group: str | None,
        until: int | None = None,
    ) -> None:
        self._hub = hub
        self._topic = topic
        self._partition = partition
        self._fence = fence
        self._group = group
        self._until = until

    def list_parts(self) -> list[str]:
        """The one input part, whatever the partition: a process serves one shard."""
        return [INPUT_PART]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "TapePart":
        """Refuse what cannot be read whole, become the newest generation, then read."""
        low, end = self._hub.watermarks(self._topic, self._partition)
        where = f"{self._topic}/{self._partition}"
        start = first_offset(resume_state, low=low, end=end, where=where)
        self._fence.begin()
        self._hub.progress.first_end = end
        place = TopicPartition(self._topic, self._partition, start)
        return TapePart(self._hub, place, group=self._group, until=self._until)


class TapePart(StatefulSourcePartition[TapeRow, int]):
    """The running source; made by TapeSource. place: topic, partition and first offset."""

    def __init__(
        self, hub: Hub, place: TopicPartition, *, group: str | None, until: int | None
    ) -> None:
        self._hub = hub
        self._until = until
        self._health = Health("tape")
        self._where = f"{place.topic}/{place.partition}"
        self._commits = group is not None
        config = consumer_config(
            hub.bootstrap, group=group or READER, fetch_wait_ms=hub.fetch_wait_ms
        )
        # An end-of-partition event would come after nearly every record and wake us for nothing.
        config["enable.partition.eof"] = False
        self._consumer = Consumer({**config, **self._health.callbacks()})
        self._consumer.assign([place])
        self._due = Contiguity(place.offset)
        self._committed = place
        self._progress = hub.progress
        self._progress.due = self._progress.end = place.offset
        self._progress.reading = self._health
        self._look_s = 0.0
        self._caught_up = False
        LOG.info("tape=%s state=reading offset=%d", self._where, place.offset)

    def next_batch(self) -> list[TapeRow]:
        """What is there now, after at most POLL_S of waiting; StopIteration at the end."""
        self._hub.poll()
        if self._hub.stop.is_set() or self._past(self._due.next_offset):
            raise StopIteration
        first = self._consumer.poll(POLL_S)
        if self._health.fatal is not None:
            stop_if_fatal(self._health.fatal, f"reading {self._where}")
        if time.monotonic() >= self._look_s:
            self._look()
        if first is None:
            return []
        rows = self._rows([first, *self._consumer.consume(BATCH_MAX - 1, 0)])
        if rows:
            self._health.on_traffic()
            self._progress.records += len(rows)
            self._progress.due = self._due.next_offset
        return rows

    def _rows(self, messages: list[Message]) -> list[TapeRow]:
        """The records among what was read, their offsets checked."""
        errors = list(map(Message.error, messages))
        if not all(map(is_, errors, repeat(None))):
            for error in errors:
                if error is not None:
                    stop_if_fatal(error, f"reading {self._where}")
            messages = [m for m, error in zip(messages, errors, strict=True) if error is None]
        # What has no error has an offset; a record without a value the decoder stops at.
        values = [value or b"" for value in map(Message.value, messages)]
        offsets = cast("list[int]", list(map(Message.offset, messages)))
        rows = list(map(TapeRow, offsets, values))
        if self._until is not None:
            rows = [row for row in rows if not self._past(row.offset)]
        self._due.admit_all([row.offset for row in rows])
        return rows

    def next_awake(self) -> datetime:
        """Long ago: at once. Without it, records that come within 1.1 ms of an empty batch wait.

        Bytewax compares with the time before next_batch, so `now` would make it rest even longer.
        """
        return LONG_AGO

    def _look(self) -> None:
        """Where the tape ends, as the newest fetch said: no question to the broker."""
        self._look_s = time.monotonic() + LOOK_S
        _, end = self._consumer.get_watermark_offsets(self._committed, cached=True)
        self._progress.end = max(end, self._due.next_offset)
        if not self._caught_up and not self._progress.behind():
            self._caught_up = True
            LOG.info("tape=%s state=caught_up offset=%d", self._where, self._due.next_offset)

    def _past(self, offset: int) -> bool:
        return self._until is not None and offset > self._until

    def snapshot(self) -> int:
        """The next offset; committed as well, for those who watch the lag."""
        due = self._due.next_offset
        self._progress.snapshot_s = time.monotonic()
        LOG.debug("tape=%s state=snapshot offset=%d", self._where, due)
        if self._commits and due != self._committed.offset:
            self._committed = TopicPartition(self._committed.topic, self._committed.partition, due)
            # Nobody reads it to go on from, so nothing waits for it, nor for its failure.
            self._consumer.commit(offsets=[self._committed], asynchronous=True)
        return due

    def close(self) -> None:
        """Leave the broker; Bytewax calls this after an error as well."""
        self._consumer.close()
