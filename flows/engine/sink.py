"""Numbered Kafka output: journal, orders and watch, without loss and without a doubled record.

Every record carries its number in its partition (header `n`). Bytewax commits an epoch only after
`snapshot`, which flushes and raises on any record not delivered (the stock KafkaSink drops those
without a word, and no DynamicSink is part of the commit at all). After a crash the flow writes a
tail again: what stands behind the snapshot is read back and compared, in order and byte for byte;
equal is skipped, different stops the flow (readback.py). It needs no transaction; they would make
readers wait an epoch and cover the venue no better.

It waits through broker outages. It never reorders, never renumbers, never deletes.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.kafka.consumer import Row
from flows.engine.errors import Diverged
from flows.engine.hub import Hub
from flows.engine.readback import ReadBack, superseded_keys
from flows.engine.rows import NUMBER_HEADER, OutRow, Standing
from flows.engine.watermarks import first_offset

LOG = logging.getLogger(__name__)

Place = tuple[int, int]
"""The snapshot: where to read back from, and the number that was due there."""

OnRows = Callable[[list[OutRow]], None]


def unheard(_batch: object) -> None:
    """What is called where nobody listens."""


class NumberedSink(FixedPartitionedSink[OutRow, Place]):
    """A topic whose items are (partition as a string, OutRow).

    compacted: the topic keeps the last record of a key only, so numbers may be missing from it.
    on_rows hears of every batch that was written, or that stood there already.
    """

    def __init__(
        self,
        hub: Hub,
        topic: str,
        partitions: Sequence[int],
        *,
        compacted: bool = False,
        on_rows: OnRows = unheard,
    ) -> None:
        self._hub = hub
        self._topic = topic
        self._parts = sorted(str(partition) for partition in partitions)
        self._compacted = compacted
        self._on_rows = on_rows

    def list_parts(self) -> list[str]:
        """The partitions of this process; Bytewax orders them as strings."""
        return self._parts

    def part_fn(self, item_key: str) -> int:
        """The item's partition is its key; any other is an error in the flow."""
        return self._parts.index(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: Place | None) -> "NumberedPart":
        """Called when the first item comes, or at the start where there is a snapshot."""
        return NumberedPart(
            self._hub, self._topic, int(for_part), resume_state, self._compacted, self._on_rows
        )


class NumberedPart(StatefulSinkPartition[OutRow, Place]):
    """The running sink of one partition; made by NumberedSink."""

    def __init__(
        self,
        hub: Hub,
        topic: str,
        partition: int,
        resumed: Place | None,
        compacted: bool,
        on_rows: OnRows = unheard,
    ) -> None:
        self._hub = hub
        self._on_rows = on_rows
        self._topic = topic
        self._partition = partition
        where = f"{topic}/{partition}"
        low, end = hub.watermarks(topic, partition)
        offset, number = (None, 0) if resumed is None else resumed
        start = first_offset(offset, low=low, end=end, where=where, compacted=compacted)
        self._end = end
        if compacted:
            for row in superseded_keys(self._standing(low, end)):
                self._append(row)
        self._back = ReadBack(
            self._standing(start, end), next_number=number, where=where, compacted=compacted
        )
        self._replaying = self._back.unmatched_offset is not None

    def write_batch(self, values: list[OutRow]) -> None:
        """Append what does not stand yet; raises Diverged or UndeliveredRecord."""
        for row in values:
            if not self._back.match(row):
                self._append(row)
        self._on_rows(values)
        self._hub.poll()
        if self._replaying and self._back.unmatched_offset is None:
            self._replaying = False
            self._log_replayed()

    def _log_replayed(self) -> None:
        back, where = self._back, f"{self._topic}/{self._partition}"
        counts = f"matched={back.matched} compacted_away={back.compacted_away}"
        LOG.info("sink=%s state=replayed %s", where, counts)
        if back.repeats:
            # Another writer's: a woken flow, or two at once. It stops by itself (fence.py).
            LOG.warning("sink=%s repeats=%d cause='a second flow wrote here'", where, back.repeats)

    def snapshot(self) -> Place:
        """Flush, then say where to read back from: never past a row not yet written again."""
        self._hub.settle()
        unmatched = self._back.unmatched_offset
        return self._end if unmatched is None else unmatched, self._back.next_number

    def _append(self, row: OutRow) -> None:
        self._hub.producer.append(
            self._topic,
            row.value,
            key=row.key,
            partition=self._partition,
            headers=(*row.headers, (NUMBER_HEADER, b"%d" % row.number)),
            on_appended=self._appended,
        )

    def _appended(self, offset: int) -> None:
        self._end = max(self._end, offset + 1)

    def _standing(self, start: int, end: int) -> Iterator[Standing]:
        """The partition's records in [start, end), read as they are asked for."""
        with self._hub.reader(self._topic, self._partition, start) as reader:
            for rows in reader.read_to({(self._topic, self._partition): end}):
                self._hub.poll()
                yield from (self._numbered(row) for row in rows if row.offset < end)

    def _numbered(self, found: Row) -> Standing:
        headers = dict(found.headers)
        number = headers.pop(NUMBER_HEADER, b"")
        if not number.isdigit():
            raise Diverged(
                f"{self._topic}/{self._partition}: the record at offset {found.offset} carries no "
                f"number (header {NUMBER_HEADER!r} is {number!r}): somebody else wrote it"
            )
        row = OutRow(int(number), found.key, found.value, tuple(headers.items()))
        return Standing(offset=found.offset, row=row)
