"""A group's positions, written and read by hand; no member of the group ever joins.

A position may carry a note (Kafka's commit metadata, 4,096 bytes at most by default), written in
one step with it. Works on the real and on the embedded broker.
"""

import threading
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.kafka.config import consumer_config
from connectors.kafka.consumer import ANSWER_TIMEOUT_S, wait_through


class Committed(NamedTuple):
    """A group's position in a partition: the offset due next, and what was noted with it."""

    offset: int
    metadata: str


class GroupOffsets:
    """Positions of one group. Waits through outages; raises KafkaFailed for what does not pass.

    stop: ends the waiting with WaitEnded. Use one instance from one thread, and close it.
    """

    def __init__(self, bootstrap: str, group: str, *, stop: threading.Event | None = None) -> None:
        self._group = group
        self._stop = stop
        self._consumer = Consumer(consumer_config(bootstrap, group=group))

    def commit(self, topic: str, partition: int, offset: int, metadata: str = "") -> None:
        """Write the position down, and return once it is."""
        place = TopicPartition(topic, partition, offset, metadata)
        wait_through(lambda: self._commit(place), self._what("commit", place), stop=self._stop)

    def committed(self, topic: str, partition: int) -> Committed | None:
        """The position last written down; None only if there never was one."""
        place = TopicPartition(topic, partition)
        found = wait_through(
            lambda: self._committed(place), self._what("position", place), stop=self._stop
        )
        return None if found.offset < 0 else Committed(found.offset, found.metadata or "")

    def _what(self, doing: str, place: TopicPartition) -> str:
        return f"{doing} of group {self._group} on {place.topic}/{place.partition}"

    def _commit(self, place: TopicPartition) -> None:
        for done in self._consumer.commit(offsets=[place], asynchronous=False) or []:
            _raise_error_of(done)

    def _committed(self, place: TopicPartition) -> TopicPartition:
        found = self._consumer.committed([place], timeout=ANSWER_TIMEOUT_S)[0]
        _raise_error_of(found)
        return found

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def _raise_error_of(place: TopicPartition) -> None:
    if place.error is not None:
        raise KafkaException(place.error)
