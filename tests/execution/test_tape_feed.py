"""The tape's reader: what it hands over, what it passes over, and that nobody waits in vain."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectors.execution.feed import TapeFeed
from connectors.execution.kafka_threads import Threaded
from connectors.execution.mirror import Mirror
from connectors.kafka.consumer import Row
from schemas.codec import encode
from schemas.records.base import Record

PLACE = ("tape", 0)
WAIT_S = 60


class HandFed:
    """A reader that brings what the test gives it, and says when it waits for more.

    It never gives up waiting, and the feed's clock stands still: whoever is woken is woken by a
    record or by nothing.
    """

    def __init__(self) -> None:
        self.position = {PLACE: 0}
        self.given: queue.Queue[list[Row] | None] = queue.Queue()
        self.waiting = threading.Event()
        self.ended = False

    def give(self, *records: Record | None) -> None:
        """The next records of the tape at once; None is one of a kind that is not wanted."""
        self.waiting.clear()
        self.given.put([self._row(place, record) for place, record in enumerate(records)])

    def _row(self, place: int, record: Record | None) -> Row:
        kind, value = (b"Depth", b"{}") if record is None else (b"Tick", encode(record))
        return Row("tape", 0, place, 0, None, {"kind": kind}, value)

    def read(self, _most: int, _timeout_s: float) -> list[Row]:
        if self.ended:
            return []
        if self.given.empty():
            self.waiting.set()
        rows = self.given.get(timeout=WAIT_S)
        if rows is None:
            self.ended = True
            return []
        at = self.position[PLACE]
        self.position = {PLACE: at + len(rows)}
        return [row._replace(offset=at + row.offset) for row in rows]

    def close(self) -> None:
        """Nothing to leave."""


class World:
    """A mirror that follows a hand-fed reader; said: what happened, in order."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.mirror = Mirror("paper")
        self.reader = HandFed()

    async def passed(self) -> None:
        """Return once the reader's thread has passed on all it was given and waits for more."""
        assert await asyncio.to_thread(self.reader.waiting.wait, WAIT_S)


@asynccontextmanager
async def following() -> AsyncIterator[World]:
    world = World()
    reader: Any = Threaded(lambda: world.reader)
    async with asyncio.timeout(WAIT_S), reader:

        def told() -> None:
            world.said.append(world.mirror.tick_ms)

        kinds = frozenset({"Tick"})
        feed = TapeFeed(reader, PLACE, world.mirror, kinds, on_rows=told, now_s=lambda: 0.0)
        task = asyncio.create_task(feed.follow())
        await world.passed()
        yield world
        task.cancel()
        world.reader.given.put(None)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A mirror and the reader it follows."""
    async with following() as made:
        yield made


async def test_what_is_passed_over_is_reached_by_who_waited_before_and_by_who_asks_later(
    world: World,
) -> None:
    before = asyncio.create_task(world.mirror.reach(2))
    await asyncio.sleep(0)
    world.reader.give(None, None, None)
    await before
    world.reader.give(None, None)
    await world.passed()
    await world.mirror.reach(4)
    later = asyncio.create_task(world.mirror.reach(5))
    await asyncio.sleep(0)
    assert not later.done()
    world.reader.give(None)
    await later


async def test_records_that_nobody_waits_for_are_not_handed_over(world: World) -> None:
    world.reader.give(None, None, None)
    await world.passed()
    assert world.mirror.position == 0


async def test_a_record_is_folded_when_it_is_reached_and_the_producer_is_heard_before(
    world: World, make: Any
) -> None:
    world.reader.give(None, make.tick(7), None)
    await world.mirror.reach(1)
    assert (world.mirror.tick_ms, world.mirror.position) == (7, 3)
    assert world.said == [None]
