"""Where records leave: the shard's tape, the raw topics in turn, quarantine, cursors.

A thin layer over connectors.kafka: it knows topic names, keys and headers, nothing else. The first
record that could not be delivered makes every later call raise, which ends the process.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from connectors.kafka.producer import Producer
from connectors.telemetry.feeds import ConnectorCounts
from schemas import codec
from schemas.records.base import Record
from schemas.records.journal import Cursor, Undecodable
from schemas.wiring import KafkaWiring

RAW_PARTITIONS = 16
SETTLE_POLL_S = 0.01


class Outbox:
    """All that a connector process writes, and what it counts. One thread, one producer."""

    def __init__(self, producer: Producer, kafka: KafkaWiring) -> None:
        self._producer = producer
        self._prefix = kafka.prefix
        self._shard = kafka.shard
        self._turns: Counter[str] = Counter()
        self.counts = ConnectorCounts()
        self.appended = 0

    def tape(self, record: Record, key: str) -> None:
        """Append to the shard's tape; order of calls is order on the tape."""
        self.appended += 1
        self._append("tape", record, key.encode(), self._shard)

    async def tape_acknowledged(self, record: Record, key: str) -> int:
        """The same, and its offset: it and all before it stand on the tape."""
        self.appended += 1
        return await self._producer.append_acknowledged(
            self._prefix + "tape",
            codec.encode(record),
            key=key.encode(),
            partition=self._shard,
            headers=codec.headers(record),
        )

    async def settled(self) -> None:
        """Wait until everything appended so far is acknowledged."""
        while self._producer.outstanding:
            self._producer.poll()
            await asyncio.sleep(SETTLE_POLL_S)

    def raw(self, feed: str, body: bytes, recv_ns: int, conn: str, topic: str = "") -> None:
        """Keep something as received, on raw.<topic or feed>."""
        self.counts.frames[feed] += 1
        name = "raw." + (topic or feed)
        partition = self._turns[name] % RAW_PARTITIONS
        self._turns[name] += 1
        headers = (
            ("feed", feed.encode()),
            ("recv_ns", str(recv_ns).encode()),
            ("conn", conn.encode()),
        )
        self._producer.append(
            self._prefix + name, body, key=None, partition=partition, headers=headers
        )

    def dead(self, record: Undecodable) -> None:
        """Quarantine what could not be decoded."""
        self.counts.dead[record.feed] += 1
        self._append("dead", record, record.feed.encode(), 0)

    def cursor(self, record: Cursor) -> None:
        """Write a cursor; only after the tape acknowledged everything up to it."""
        self._append("cursors", record, f"{record.feed}:{record.subject}".encode(), 0)

    def _append(self, topic: str, record: Record, key: bytes, partition: int) -> None:
        self._producer.append(
            self._prefix + topic,
            codec.encode(record),
            key=key,
            partition=partition,
            headers=codec.headers(record),
        )


class Ids:
    """Ids that are unique for ever: the instance's and a number within it."""

    def __init__(self, producer: str, offset: int) -> None:
        self.instance = f"{producer}-{offset}"
        self._next = 0

    def __call__(self) -> str:
        self._next += 1
        return f"{self.instance}.{self._next}"


def keeper(outbox: Outbox, feed: str, conn: str, topic: str = "") -> Callable[[bytes, int], None]:
    """A function that keeps raw bytes of one feed and connection."""

    def keep(body: bytes, recv_ns: int) -> None:
        outbox.raw(feed, body, recv_ns, conn, topic)

    return keep
