"""What a flow process shares towards Kafka: one producer for every numbered partition and the
fence, and readers for what stands there.

The producer is made when first used, so that importing a flow module opens no connection. `poll`
is called at the source's every batch: an undelivered record then stops the flow at once, not an
epoch later. Used from the worker's thread only.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from connectors.kafka.config import PROMPT_LINGER_MS, Health, consumer_config, producer_config
from connectors.kafka.consumer import BEGINNING, PartitionReader
from connectors.kafka.producer import Producer

FLUSH_S = 0.5
IN_FLIGHT = 5


@dataclass(slots=True)
class Progress:
    """How far this process has come. Written by the worker's thread, read by whoever asks.

    due: tape offset it takes next. end: the one after the last that is there, as of a moment ago;
    first_end: the same at the start. snapshot_s: monotonic time of the newest snapshot. reading:
    what the tape's client says of its broker. beat: called at every turn of the worker.
    """

    records: int = 0
    due: int = 0
    end: int = 0
    first_end: int | None = None
    snapshot_s: float | None = None
    reading: Health | None = None
    beat: Callable[[], None] = lambda: None

    def behind(self) -> str:
        """Why it has not caught up with the tape as it stood at the start, '' once it has."""
        if self.first_end is None:
            return "not reading yet"
        missing = self.first_end - self.due
        return f"{missing} records of the tape to go" if missing > 0 else ""


class Hub:
    """One per process. stop: ends the flow, and its waiting for a broker that is not there yet."""

    def __init__(
        self,
        *,
        bootstrap: str,
        stop: threading.Event,
        linger_ms: int = PROMPT_LINGER_MS,
        fetch_wait_ms: int = 100,
    ) -> None:
        self.bootstrap = bootstrap
        self.stop = stop
        self.fetch_wait_ms = fetch_wait_ms
        self.progress = Progress()
        self._linger_ms = linger_ms

    @cached_property
    def producer(self) -> Producer:
        """Idempotent, acks=all, without a message time-out."""
        # What one record leads to goes to several partitions side by side, not one by one.
        config = producer_config(self.bootstrap, linger_ms=self._linger_ms, in_flight=IN_FLIGHT)
        return Producer(config, name="flow")

    def poll(self) -> None:
        """Take delivery reports, at every turn; raises UndeliveredRecord for the first failure."""
        self.progress.beat()
        self.producer.poll()

    def settle(self) -> None:
        """Wait until everything is delivered, through an outage if need be; raises the same."""
        while self.producer.flush(FLUSH_S):
            self.progress.beat()

    def reader(self, topic: str, partition: int, start: int) -> PartitionReader:
        """A reader of one partition from an offset on; the caller closes it."""
        return PartitionReader(self._reading(), {(topic, partition): start})

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is there and the one after the last.

        Waits through an outage; raises WaitEnded once `stop` is set.
        """
        # Not from 0: librdkafka sometimes never closes a reader whose offset has left the log.
        start = {(topic, partition): BEGINNING}
        with PartitionReader(self._reading(), start, stop=self.stop) as reader:
            return reader.watermarks(topic, partition)

    def _reading(self) -> dict[str, Any]:
        return consumer_config(self.bootstrap, fetch_wait_ms=self.fetch_wait_ms)
