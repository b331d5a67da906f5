"""What a flow process shares towards Kafka: one producer for every numbered partition and the
fence, and readers for what stands there.

The producer is made when first used, so that importing a flow module opens no connection. `poll`
is called at the source's every batch: an undelivered record then stops the flow at once, not an
epoch later. Used from the worker's thread only.
"""

import threading
from functools import cached_property
from typing import Any

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import PartitionReader
from connectors.kafka.producer import Producer

FLUSH_S = 0.5


class Hub:
    """One per process. stop: ends the flow, and its waiting for a broker that is not there yet."""

    def __init__(
        self,
        *,
        bootstrap: str,
        stop: threading.Event,
        linger_ms: int = 1,
        fetch_wait_ms: int = 100,
    ) -> None:
        self.bootstrap = bootstrap
        self.stop = stop
        self.fetch_wait_ms = fetch_wait_ms
        self._linger_ms = linger_ms

    @cached_property
    def producer(self) -> Producer:
        """Idempotent, acks=all, without a message time-out."""
        return Producer(producer_config(self.bootstrap, linger_ms=self._linger_ms), name="flow")

    def poll(self) -> None:
        """Take delivery reports; raises UndeliveredRecord for the first that failed."""
        self.producer.poll()

    def settle(self) -> None:
        """Wait until everything is delivered, through an outage if need be; raises the same."""
        while self.producer.flush(FLUSH_S):
            pass

    def reader(self, topic: str, partition: int, start: int) -> PartitionReader:
        """A reader of one partition from an offset on; the caller closes it."""
        return PartitionReader(self._reading(), {(topic, partition): start})

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is there and the one after the last.

        Waits through an outage; raises WaitEnded once `stop` is set.
        """
        start = {(topic, partition): 0}
        with PartitionReader(self._reading(), start, stop=self.stop) as reader:
            return reader.watermarks(topic, partition)

    def _reading(self) -> dict[str, Any]:
        return consumer_config(self.bootstrap, fetch_wait_ms=self.fetch_wait_ms)
