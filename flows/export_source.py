"""Every partition of every topic as Bytewax input: one consumer, rows in order, offsets to go on.

The snapshot is the offset due next in each partition; Bytewax keeps it. It is committed to a
consumer group too, but only so that Kafka's tools show the lag. It waits through broker outages,
ends on `stop`, and with `once` at the ends that the partitions have when it begins.

A partition that is far behind at the start is handed on as spans, which others read (export_ahead);
reading begins where they end.

It never skips a record that is there: kept topics (places.py) must be contiguous, elsewhere holes
are compaction's or retention's and are counted at the start.
"""

import logging
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from operator import is_
from typing import cast

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import Consumer, Message, TopicPartition

from connectors.kafka.config import READER, Health, consumer_config
from connectors.kafka.consumer import (
    ANSWER_TIMEOUT_S,
    BEGINNING,
    PartitionReader,
    ends_of,
    wait_through,
)
from connectors.kafka.errors import TopicMissing, Verdict, classify, stop_if_fatal
from flows.engine.contiguous import Contiguity
from flows.engine.errors import StartRefused
from flows.exporting.archive import Written
from flows.exporting.places import KEPT, Place, Span, spans_of, start_of
from flows.exporting.slices import Headers, Rows
from flows.exporting.tables import TOPICS
from schemas import codec
from schemas.records.system import Genesis
from schemas.wiring import KafkaWiring

LOG = logging.getLogger(__name__)

INPUT_PART = "topics"
POLL_S = 0.05
BATCH_MAX = 5_000
FETCHES_LITTLE = {"queued.min.messages": 10_000, "fetch.message.max.bytes": 256 * 1024}
"""Of librdkafka's 100,000 and 1 MB, which may hold 250,000 records and are unpacked at once."""
LOOK_S = 2.0
GENESIS_S = 10.0

Offsets = dict[str, int]
"""The offset due next, by the place's key."""


@dataclass(kw_only=True)
class Tally:
    """What a run has done so far. on_read: called after each batch; beat: at every turn.

    lag: records that are there and not read, by topic, as of a moment ago; None until it reads.
    reading: what its client says of its broker.
    """

    due: int = 0
    read: int = 0
    missing: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    size: Counter[str] = field(default_factory=Counter)
    on_read: Callable[["Tally"], None] = lambda _tally: None
    beat: Callable[[], None] = lambda: None
    lag: dict[str, float] | None = None
    reading: Health | None = None

    def wrote(self, topic: str, written: Written) -> None:
        """A slice of the topic is in the archive."""
        self.rows[topic] += written.rows
        self.files[topic] += written.files
        self.size[topic] += written.size


def places_of(kafka: KafkaWiring, *, stop: threading.Event) -> list[Place]:
    """All partitions of our topics; raises TopicMissing for one that the broker lacks."""
    consumer = Consumer(consumer_config(kafka.bootstrap))
    try:
        found = wait_through(
            lambda: consumer.list_topics(timeout=ANSWER_TIMEOUT_S), "topics", stop=stop
        )
    finally:
        consumer.close()
    places = []
    for topic in TOPICS:
        name = f"{kafka.prefix}{topic}"
        if name not in found.topics:
            raise TopicMissing(
                f"the broker has no topic {name}: check the prefix, or run `truecopy topics apply`"
            )
        places += [Place(topic, number, name) for number in sorted(found.topics[name].partitions)]
    return places


def genesis_of(kafka: KafkaWiring, *, stop: threading.Event) -> Genesis | None:
    """The first record of the first shard's tape, which names the pipeline.

    None once its beginning was removed from Kafka; raises StartRefused if there was none yet.
    """
    topic = f"{kafka.prefix}tape"
    config = consumer_config(kafka.bootstrap, fetch_wait_ms=kafka.fetch_wait_ms)
    # A reader of an offset that has left the log may hang when it is closed.
    with PartitionReader(config, {(topic, 0): BEGINNING}, stop=stop) as reader:
        low, end = reader.watermarks(topic, 0)
        if low > 0:
            return None
        rows = next(reader.read_to({(topic, 0): min(end, 1)}), [])
    first = codec.decode(rows[0].value) if rows else None
    if not isinstance(first, Genesis):
        raise StartRefused(
            f"{topic}/0 is empty or does not begin with Genesis, which says whose archive this is; "
            "`truecopy policy apply` begins a tape"
        )
    return first


class TopicsSource(FixedPartitionedSource[tuple[str, Rows | Span], Offsets]):
    """(key of the place, rows) of all places, as far as they are there.

    group: where the lag is shown; None shows none. once: end where the topics end now. span_rows:
    a place with so many records due begins with spans of so many; None reads all here.
    """

    def __init__(
        self,
        kafka: KafkaWiring,
        places: Sequence[Place],
        *,
        stop: threading.Event,
        tally: Tally,
        group: str | None,
        once: bool,
        span_rows: int | None = None,
    ) -> None:
        self._kafka = kafka
        self._places = places
        self._stop = stop
        self._tally = tally
        self._group = group
        self._once = once
        self._span_rows = span_rows

    def list_parts(self) -> list[str]:
        """One part: one consumer reads everything."""
        return [INPUT_PART]

    def build_part(self, step_id: str, for_part: str, resume_state: Offsets | None) -> "TopicsPart":
        """Find where each partition goes on; raises StartRefused where it cannot."""
        part = TopicsPart(self._kafka, self._stop, self._tally, self._group)
        part.begin(self._places, resume_state or {}, once=self._once, span_rows=self._span_rows)
        return part


class TopicsPart(StatefulSourcePartition[tuple[str, Rows | Span], Offsets]):
    """The running source; made by TopicsSource, or for one span by export_ahead.

    ends_soon: its client fetches little ahead, since what is behind the end is thrown away.
    """

    def __init__(
        self,
        kafka: KafkaWiring,
        stop: threading.Event,
        tally: Tally,
        group: str | None,
        *,
        ends_soon: bool = False,
    ) -> None:
        self._stop = stop
        self._tally = tally
        self._commits = group is not None
        self._health = Health("export")
        config = consumer_config(
            kafka.bootstrap, group=group or READER, fetch_wait_ms=kafka.fetch_wait_ms
        )
        if ends_soon:
            config |= FETCHES_LITTLE
        self._consumer = Consumer({**config, **self._health.callbacks()})
        self._places: dict[tuple[str, int], Place] = {}
        self._due: Offsets = {}
        self._ends: Offsets = {}
        self._until: Offsets | None = None
        self._spans: deque[tuple[Place, Span]] = deque()
        self._look_s = 0.0

    def begin(
        self,
        places: Sequence[Place],
        resumed: Offsets,
        *,
        once: bool = False,
        until: Offsets | None = None,
        span_rows: int | None = None,
    ) -> None:
        """Look at every partition's ends and assign them all. until: where to end."""
        for place in places:
            self._tally.beat()
            low, end = self._watermarks(place)
            start = start_of(place, resumed.get(place.key), low=low, end=end)
            if start.missing:
                self._tally.missing += start.missing
                LOG.warning("export=%s state=gap missing=%d", place.key, start.missing)
            self._places[place.full_topic, place.partition] = place
            self._due[place.key] = start.offset
            self._ends[place.key] = end
            self._tally.due += end - start.offset
            if span_rows is not None:
                self._spans += [(place, span) for span in spans_of(start.offset, end, span_rows)]
        self._until = dict(self._ends) if once else until
        if not self._spans:
            self._assign()
        self._tally.reading = self._health
        self._look()

    def _assign(self) -> None:
        self._consumer.assign(
            [
                TopicPartition(topic, partition, self._due[place.key])
                for (topic, partition), place in self._places.items()
            ]
        )

    def _look(self) -> None:
        """How far behind each topic is, as the newest fetches said: no question to the broker."""
        self._look_s = time.monotonic() + LOOK_S
        lag: Counter[str] = Counter()
        for where, place in self._places.items():
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*where), cached=True)
            self._ends[place.key] = max(end, self._ends[place.key])
            lag[place.topic] += max(self._ends[place.key] - self._due[place.key], 0)
        self._tally.lag = dict(lag)

    def _watermarks(self, place: Place) -> tuple[int, int]:
        ask = partial(ends_of, self._consumer, TopicPartition(place.full_topic, place.partition))
        return wait_through(ask, f"ends of {place.key}", stop=self._stop)

    def next_batch(self) -> list[tuple[str, Rows | Span]]:
        """What is there now; StopIteration on `stop`, or at the ends."""
        self._tally.beat()
        if time.monotonic() >= self._look_s:
            self._look()
        if self._stop.is_set() or self._at_ends():
            raise StopIteration
        # With nothing assigned yet it only hears what its client says of its broker.
        first = self._consumer.poll(0 if self._spans else POLL_S)
        if self._health.fatal is not None:
            stop_if_fatal(self._health.fatal, "export")
        if self._spans:
            return [self._next_span()]
        if first is None:
            return []
        runs, ends = self._sorted([first, *self._consumer.consume(BATCH_MAX - 1, 0)])
        found = [
            (place.key, rows) for place, run in runs.items() if (rows := self._rows(place, run))
        ]
        for place, end in ends.items():
            # The only sign of life from a log whose last records are compacted away.
            self._due[place.key] = max(self._due[place.key], self._wanted(place, end))
        if found:
            self._health.on_traffic()
            self._tally.read += sum(len(rows) for _, rows in found)
            self._tally.on_read(self._tally)
        return list(found)

    def _next_span(self) -> tuple[str, Span]:
        place, span = self._spans.popleft()
        self._due[place.key] = span.end
        if not self._spans:
            self._assign()
        return place.key, span

    def _wanted(self, place: Place, end: int) -> int:
        """An end that was met, or the one asked for: what came since was read and left out."""
        return end if self._until is None else min(end, self._until[place.key])

    def _at_ends(self) -> bool:
        due = self._due
        return self._until is not None and all(due[key] >= end for key, end in self._until.items())

    def _sorted(
        self, messages: list[Message]
    ) -> tuple[dict[Place, list[Message]], dict[Place, int]]:
        """Records by place, and the ends that were met where a log may have holes."""
        runs: defaultdict[tuple[str | None, int | None], list[Message]] = defaultdict(list)
        ends: dict[Place, int] = {}
        # Column by column, which costs less than a loop in Python over each message.
        errors = list(map(Message.error, messages))
        sound = all(map(is_, errors, repeat(None)))
        if sound and len(self._places) == 1:
            return dict.fromkeys(self._places.values(), messages), ends
        wheres = list(
            zip(map(Message.topic, messages), map(Message.partition, messages), strict=True)
        )
        if sound and wheres.count(wheres[0]) == len(wheres):
            return {self._place(wheres[0]): messages}, ends
        for message, where, error in zip(messages, wheres, errors, strict=True):
            if error is None:
                runs[where].append(message)
                continue
            offset = message.offset()
            if classify(error.code()) is not Verdict.END_OF_PARTITION or offset is None:
                stop_if_fatal(error, f"reading {where[0]}/{where[1]}")
            elif (place := self._place(where)).topic not in KEPT:
                ends[place] = offset
        return {self._place(where): run for where, run in runs.items()}, ends

    def _place(self, where: tuple[str | None, int | None]) -> Place:
        return self._places[str(where[0]), int(where[1] or 0)]

    def _rows(self, place: Place, run: list[Message]) -> Rows | None:
        """The rows up to the end that was asked for, if there are any; checks their order."""
        offsets = cast("list[int]", list(map(Message.offset, run)))
        if self._until is not None and offsets[-1] >= self._until[place.key]:
            count = bisect_left(offsets, self._until[place.key])
            run, offsets = run[:count], offsets[:count]
            if not run:
                return None
        self._check(place, offsets)
        self._due[place.key] = offsets[-1] + 1
        return Rows(
            offsets=offsets,
            timestamps_ms=[at_ms for _, at_ms in map(Message.timestamp, run)],
            keys=list(map(Message.key, run)),
            # Typed wider than it is: librdkafka hands out a list of pairs.
            headers=cast("list[Headers | None]", list(map(Message.headers, run))),
            values=list(map(Message.value, run)),
        )

    def _check(self, place: Place, offsets: list[int]) -> None:
        due = Contiguity(self._due[place.key])
        if place.topic not in KEPT:
            # Compaction and retention make holes, but nothing makes a repeat.
            due = Contiguity(max(due.next_offset, offsets[0]))
            due.admit(offsets[0])
        elif offsets[0] != due.next_offset or offsets[-1] - offsets[0] != len(offsets) - 1:
            for offset in offsets:
                due.admit(offset)

    def snapshot(self) -> Offsets:
        """The offset due next in each partition; committed as well, for those who watch the lag."""
        if self._commits:
            # Nobody reads it to go on from, so nothing waits for it, nor for its failure.
            self._consumer.commit(
                offsets=[
                    TopicPartition(topic, partition, self._due[place.key])
                    for (topic, partition), place in self._places.items()
                ],
                asynchronous=True,
            )
        return dict(self._due)

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
