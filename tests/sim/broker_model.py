"""Kafka as far as it matters: append order, late acknowledgements, repeats, dead producers.

One partition a topic. A record is appended when it reaches the broker, in the order it was handed
over, and acknowledged a little later; a producer that dies in between leaves records behind that it
never heard of, and loses those still on their way. With `repeats`, what a dying producer sent last
may be appended once more (a retry that its successor does not know of). Never loses or reorders
what it has acknowledged.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from connectors.kafka.consumer import PartitionReader, Row
from connectors.kafka.offsets import Committed

Headers = Sequence[tuple[str, bytes]]
REPEATS_MAX = 3


class Stored(NamedTuple):
    """One record of a topic."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    at_ms: int


@dataclass(slots=True)
class Topic:
    """A log of one partition. watchers hear of every append at once: they are the simulator's."""

    name: str
    rows: list[Stored] = field(default_factory=list)
    watchers: list[Callable[[int, Stored], None]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def append(self, stored: Stored) -> int:
        self.rows.append(stored)
        offset = len(self.rows) - 1
        for watcher in self.watchers:
            watcher(offset, stored)
        self.news.set()
        self.news = asyncio.Event()
        return offset

    def row(self, offset: int) -> Row:
        stored = self.rows[offset]
        headers = dict(stored.headers)
        return Row(self.name, 0, offset, stored.at_ms, stored.key, headers, stored.value)


class Broker:
    """All topics and committed positions. Topics in `forgotten` keep nothing, to bound memory."""

    def __init__(self, now_ms: Callable[[], int], *, forgotten: Sequence[str]) -> None:
        self.now_ms = now_ms
        self._forgotten = tuple(forgotten)
        self._topics: dict[str, Topic] = {}
        self.commits: dict[str, Committed] = {}

    def topic(self, name: str) -> Topic:
        return self._topics.setdefault(name, Topic(name))

    def append(self, name: str, key: bytes | None, value: bytes, headers: Headers) -> int:
        """At once, and acknowledged; -1 for a topic that is not kept."""
        if name.startswith(self._forgotten):
            return -1
        return self.topic(name).append(Stored(key, value, tuple(headers), self.now_ms()))


class Sent(NamedTuple):
    """A record on its way, and who wants to know where it landed."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    done: Callable[[int], None] | None


class SimProducer:
    """Stands in for connectors.kafka.producer.Producer in one process's life."""

    def __init__(
        self,
        broker: Broker,
        chance: random.Random,
        *,
        slow_ms: int,
        stalled: Callable[[], float],
    ) -> None:
        self._broker = broker
        self._chance = chance
        self._slow_ms = slow_ms
        self._stalled = stalled
        self._queue: deque[Sent] = deque()
        self._unacknowledged = 0
        self._landing: asyncio.TimerHandle | None = None
        self._last: deque[Sent] = deque(maxlen=REPEATS_MAX)
        self.dead = False

    @property
    def outstanding(self) -> int:
        return self._unacknowledged

    def append(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        partition: int,
        headers: Headers = (),
        on_appended: Callable[[int], None] | None = None,
    ) -> None:
        if self.dead:
            return
        self._queue.append(Sent(topic, key, value, tuple(headers), on_appended))
        self._unacknowledged += 1
        if self._landing is None:
            self._schedule()

    async def append_acknowledged(self, topic: str, value: bytes, **kept: Any) -> int:
        landed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.append(topic, value, **kept, on_appended=landed.set_result)
        return await landed

    def poll(self, timeout_s: float = 0.0) -> None:
        """Nothing is ever undelivered here: a producer that cannot deliver is a dead one."""

    def _schedule(self) -> None:
        delay_ms = self._chance.randint(1, self._slow_ms)
        loop = asyncio.get_running_loop()
        self._landing = loop.call_later(delay_ms / 1_000 + self._stalled(), self._land)

    def _land(self) -> None:
        """Everything handed over by now reaches the broker in one batch."""
        self._landing = None
        loop = asyncio.get_running_loop()
        batch, self._queue = self._queue, deque()
        landed = []
        for sent in batch:
            offset = self._broker.append(sent.topic, sent.key, sent.value, sent.headers)
            self._last.append(sent)
            landed.append((sent, offset))
        loop.call_later(0.001, self._acknowledge, landed)

    def _acknowledge(self, landed: list[tuple[Sent, int]]) -> None:
        for sent, offset in landed:
            if self.dead:
                return
            self._unacknowledged -= 1
            if sent.done is not None:
                sent.done(offset)

    def kill(self, *, repeats: bool) -> None:
        """The process is gone: a part of what was on its way still arrives, nobody hears of it."""
        if self._landing is not None:
            self._landing.cancel()
        arriving = self._chance.randint(0, len(self._queue))
        for sent in list(self._queue)[:arriving]:
            self._broker.append(sent.topic, sent.key, sent.value, sent.headers)
            self._last.append(sent)
        if repeats:
            for sent in self._last:
                self._broker.append(sent.topic, sent.key, sent.value, sent.headers)
        self._queue.clear()
        self.dead = True


class SimReader:
    """Stands in for PartitionReader on one topic."""

    def __init__(self, broker: Broker, name: str, start: int) -> None:
        self.topic = broker.topic(name)
        self._at = start

    @property
    def position(self) -> Mapping[tuple[str, int], int]:
        return {(self.topic.name, 0): self._at}

    def end_offsets(self) -> Mapping[tuple[str, int], int]:
        return {(self.topic.name, 0): len(self.topic.rows)}

    def read(self, most: int, wait_s: float = 0.0) -> list[Row]:
        end = min(len(self.topic.rows), self._at + most)
        rows = [self.topic.row(offset) for offset in range(self._at, end)]
        self._at = end
        return rows

    def read_to(self, ends: Mapping[tuple[str, int], int]) -> Iterator[list[Row]]:
        end = ends[self.topic.name, 0]
        if self._at < end:
            yield self.read(end - self._at)

    def __enter__(self) -> "SimReader":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    async def call(self, ask: Callable[["SimReader"], Any]) -> Any:
        """As Threaded does: what the reader answers, once there is something to read."""
        if ask is PartitionReader.end_offsets:
            return self.end_offsets()
        while self._at >= len(self.topic.rows):
            await self.topic.news.wait()
        return ask(self)


class SimOffsets:
    """Stands in for Threaded[GroupOffsets] of one group."""

    def __init__(self, broker: Broker, group: str) -> None:
        self._broker = broker
        self._group = group

    def committed(self, topic: str, partition: int) -> Committed | None:
        return self._broker.commits.get(f"{self._group}/{topic}/{partition}")

    def commit(self, topic: str, partition: int, offset: int, metadata: str = "") -> None:
        self._broker.commits[f"{self._group}/{topic}/{partition}"] = Committed(offset, metadata)

    async def call(self, ask: Callable[["SimOffsets"], Any]) -> Any:
        await asyncio.sleep(0.002)
        return ask(self)
