"""Plain reading of named partitions from named offsets; consumer groups decide nothing here.

A reader waits through broker outages (kill -9, SIGSTOP, failover) and ends with a named error where
waiting cannot help. It never skips a record, never resets an offset, never commits one (offsets.py
does, by hand). One reader is for one thread; from asyncio: `asyncio.to_thread(reader.read, ...)`.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import repeat
from operator import is_
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka.config import Health
from connectors.kafka.errors import (
    KafkaFailed,
    TopicMissing,
    Verdict,
    classify,
    failure,
    stop_if_fatal,
)

LOG = logging.getLogger(__name__)
T = TypeVar("T")

Place = tuple[str, int]
"""A topic and a partition."""

BEGINNING = -2
"""Start offset: the first record that is still there."""

ANSWER_TIMEOUT_S = 5.0
PAUSE_S = 0.1
MISSING_S = 10.0
READ_MAX = 1_000


class WaitEnded(KafkaFailed):
    """The caller's stop event was set, or its time was up, while the broker was waited for."""


class Row(NamedTuple):
    """One record as it stands in the log. An empty value is a compacted topic's deletion."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: dict[str, bytes]
    value: bytes


def wait_through(
    call: Callable[[], T],
    what: str,
    *,
    stop: threading.Event | None = None,
    timeout_s: float | None = None,
) -> T:
    """Call until it answers, as long as its errors pass by themselves; logs one line a wait.

    Raises KafkaFailed for the others, WaitEnded once `stop` is set or after `timeout_s`.
    """
    pause = stop or threading.Event()
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    waiting = False
    while True:
        try:
            answer = call()
        except KafkaException as raised:
            error: KafkaError = raised.args[0]
            if found := failure(error, what):
                raise found from raised
            if deadline is not None and time.monotonic() > deadline:
                raise WaitEnded(f"{what}: {error.name()} for {timeout_s} s") from raised
            if not waiting:
                LOG.warning("waiting=%r error=%s", what, error.name())
            waiting = True
        else:
            if waiting:
                LOG.info("waited=%r", what)
            return answer
        if pause.wait(PAUSE_S):
            raise WaitEnded(f"stopped while waiting for Kafka: {what}")


def ends_of(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """The first offset that is there and the one after the last; raises KafkaException."""
    try:
        found = consumer.get_watermark_offsets(place, timeout=ANSWER_TIMEOUT_S)
    except KafkaException as raised:
        # A broker that just woke may say that there is no such partition, and librdkafka then
        # believes it (for ten minutes once, of a broker that was long well) unless it asks anew.
        # Only then: while a broker is away the question would keep a process from stopping.
        if raised.args[0].code() == KafkaError._UNKNOWN_PARTITION:
            consumer.list_topics(place.topic, timeout=ANSWER_TIMEOUT_S)
        raise
    if found is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    return found


class PartitionReader:
    """Reads partitions in parallel, each in order. `start` gives each one's first offset.

    config comes from `consumer_config`. Raises TopicMissing if the broker answers for ten seconds
    and has no such partition. Close it, or use it in a `with`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        start: Mapping[Place, int],
        *,
        name: str = "reader",
        stop: threading.Event | None = None,
        missing_s: float = MISSING_S,
    ) -> None:
        self.health = Health(name)
        self._stop = stop
        self._next = dict(start)
        self._consumer = Consumer({**config, **self.health.callbacks()})
        try:
            self._require(missing_s)
        except BaseException:
            self._consumer.close()
            raise
        self._consumer.assign([TopicPartition(*place, at) for place, at in start.items()])

    def _require(self, missing_s: float) -> None:
        deadline = time.monotonic() + missing_s
        while absent := sorted(set(self._next) - self._known()):
            if time.monotonic() > deadline:
                topic, partition = absent[0]
                raise TopicMissing(
                    f"the broker has no partition {partition} of topic {topic}; "
                    "check the prefix, or run `truecopy topics apply`"
                )
            time.sleep(PAUSE_S)

    def _known(self) -> set[Place]:
        # All topics: asked for one by name, a broker might create it.
        found = wait_through(
            lambda: self._consumer.list_topics(timeout=ANSWER_TIMEOUT_S), "topics", stop=self._stop
        )
        return {(name, part) for name, topic in found.topics.items() for part in topic.partitions}

    @property
    def position(self) -> dict[Place, int]:
        """The offset due next in each partition."""
        return dict(self._next)

    def read(self, max_records: int, timeout_s: float) -> list[Row]:
        """What is there now, at most so many; waits at most so long for a first record.

        An empty list means that nothing came, or that the broker is away. Raises NeedsOperator if
        an offset is out of range or the reader lacks a permission, ClientFatal for what is in no
        list.
        """
        return [_row(message) for message in self._messages(max_records, timeout_s)]

    def read_values(self, max_records: int, timeout_s: float) -> list[tuple[int, bytes]]:
        """The same as (offset, value), for a reader of one partition that needs no more."""
        assert len(self._next) == 1, "offsets of several partitions would be mixed"
        found = self._messages(max_records, timeout_s)
        values = [value or b"" for value in map(Message.value, found)]
        return list(zip(map(_offset, found), values, strict=True))

    def _messages(self, max_records: int, timeout_s: float) -> list[Message]:
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = deadline - time.monotonic()
            first = self._consumer.poll(max(0.0, left_s))
            if first is not None:
                more = self._consumer.consume(max_records - 1, 0) if max_records > 1 else []
                found = self._taken([first, *more])
                if found:
                    self.health.on_traffic()
                    return found
            if self.health.fatal is not None:
                stop_if_fatal(self.health.fatal, "reader")
            if left_s <= 0:
                return []

    def _taken(self, messages: list[Message]) -> list[Message]:
        """The records among what was read; positions are behind them all."""
        errors = list(map(Message.error, messages))
        if len(self._next) == 1 and all(map(is_, errors, repeat(None))):
            # Nearly always so: no step for each message (a tape is replayed a third faster).
            self._next[_place(messages[-1])] = _offset(messages[-1]) + 1
            return messages
        return [
            message
            for message, error in zip(messages, errors, strict=True)
            if self._is_record(message, error)
        ]

    def _is_record(self, message: Message, error: KafkaError | None) -> bool:
        place = _place(message)
        if error is None:
            self._next[place] = _offset(message) + 1
            return True
        offset = message.offset()
        if classify(error.code()) is Verdict.END_OF_PARTITION and offset is not None:
            # The only sign of life from a log whose last records are compacted away.
            self._next[place] = max(self._next[place], offset)
            return False
        stop_if_fatal(error, f"reading {place[0]}/{place[1]} at {self._next.get(place)}")
        return False

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset still there and the one after the last; waits through outages.

        Asked of the partition's leader: a reader's own end-of-partition may come early after a
        failover.
        """
        place = TopicPartition(topic, partition)
        return wait_through(
            partial(ends_of, self._consumer, place),
            f"ends of {topic}/{partition}",
            stop=self._stop,
        )

    def end_offsets(self) -> dict[Place, int]:
        """The offset after the last record of each partition, as of now."""
        return {place: self.watermarks(*place)[1] for place in self._next}

    def read_to(self, end: Mapping[Place, int]) -> Iterator[list[Row]]:
        """Batches until every partition has been read up to its end; the last may go beyond.

        Waits through outages; raises WaitEnded once `stop` is set.
        """
        while any(self._next[place] < upto for place, upto in end.items()):
            if rows := self.read(READ_MAX, PAUSE_S):
                yield rows
            if self._stop is not None and self._stop.is_set():
                raise WaitEnded(f"stopped while reading to {dict(end)}")

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _place(message: Message) -> Place:
    return str(message.topic()), int(message.partition() or 0)


# What has no error has an offset.
_offset = cast("Callable[[Message], int]", Message.offset)


def _row(message: Message) -> Row:
    # Typed wider than it is: librdkafka hands out a list of pairs with bytes or nothing in them.
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    topic, partition = _place(message)
    return Row(
        topic=topic,
        partition=partition,
        offset=_offset(message),
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        headers={name: value or b"" for name, value in headers},
        value=message.value() or b"",
    )
