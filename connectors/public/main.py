"""The public connector process: parts put together, nothing decided here.

Order: it announces itself on the tape (that record's offset makes its instance), reads cursors,
then follows the watch topic and runs until told to stop. Whatever fails ends the process, the first
undelivered record above all; what stands is read back by the next one.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.producer import Producer
from connectors.kafka.tape import tape_began_ms
from connectors.polymarket.outbox import Ids, Outbox
from connectors.polymarket.process import run_until, tick_forever
from connectors.polymarket.reads import Reads
from connectors.polymarket.rest import Rest
from connectors.polymarket.watchlist import follow_watch, read_cursors
from connectors.public.activity import ActivityFeed
from connectors.public.books import Books
from connectors.public.catalogue import Catalogue
from connectors.public.leaders import CURSOR_FEEDS, Leaders, read_feeds
from connectors.telemetry.clients import away, export_producer
from connectors.telemetry.feeds import FeedBoard
from connectors.telemetry.health import beating
from connectors.telemetry.server import Telemetry
from schemas.records.journal import Watch
from schemas.records.system import ConnectorStarted, FeedState
from schemas.settings import Settings

LOG = logging.getLogger(__name__)
SOCKETS = ("market", "activity")
FLUSH_S = 2.0
POLL_S = 0.05
"""Appends that are waited for poll by themselves; this is for noticing failures."""


class Public:
    """All parts of one process, wired together."""

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        rest: Rest,
        ids: Ids,
        cursors: dict[tuple[str, str], int],
    ) -> None:
        wiring, venue = settings.wiring.public, settings.wiring.venue
        self._wiring = wiring
        self._feeds = read_feeds(wiring)
        self._outbox = outbox
        self.catalogue = Catalogue(
            venue=venue, poll_ms=wiring.markets_poll_ms, outbox=outbox, rest=rest, ids=ids
        )
        reads = Reads(rest=rest, outbox=outbox, ids=ids, feeds=self._feeds, raw_topic="data")
        self.leaders = Leaders(
            wiring=wiring,
            venue=venue,
            reads=reads,
            catalogue=self.catalogue,
            cursors=cursors,
            listening=lambda: self.activity.state(rest.now_ms()).state == "up",
        )
        self.books = Books(
            wiring=wiring,
            venue=venue,
            outbox=outbox,
            rest=rest,
            ids=ids,
            clock_ns=time.time_ns,
            reread=self.catalogue.reread,
        )
        self.activity = ActivityFeed(
            wiring=wiring,
            venue=venue,
            outbox=outbox,
            ids=ids,
            clock_ns=time.time_ns,
            follows=self.leaders.follows,
            backfill=self.leaders.poke,
            read_since=self.leaders.trades_read_since,
            heard=self.leaders.heard,
        )

    def parts(self) -> list[Coroutine[Any, Any, None]]:
        """What runs until cancelled."""
        return [
            self.books.run(),
            self.activity.run(),
            self.leaders.run(),
            self.catalogue.run(),
        ]

    def watch(self, record: Watch, written_ms: int) -> None:
        """What the decisions want to see has changed."""
        if record.what == "wallet":
            self.leaders.follow(record.subject, written_ms, on=record.on)
            self.activity.want(wanted=self.leaders.some)
        elif int(record.subject) % self._wiring.parts == self._wiring.part:
            self.books.follow(record.subject, on=record.on)
            self.catalogue.follow(record.subject, on=record.on)

    def feeds(self, now_ms: int) -> dict[str, FeedState]:
        """What a Tick says."""
        return {
            "market": self.books.state(now_ms),
            "activity": self.activity.state(now_ms),
            **{name: feed.state(now_ms) for name, feed in self._feeds.items()},
        }


class Said:
    """What the process says of itself: conditions of readiness, and the feeds of its Ticks."""

    def __init__(self) -> None:
        self.telemetry = Telemetry("public")
        ready = self.telemetry.readiness
        self.announced = ready.latch("announced", "not on the tape yet")
        self.cursors_read = ready.latch("cursors", "not read yet")
        self.watch_read = ready.latch("watch", "not read to its end yet")
        self.board = FeedBoard()
        self.board.export(self.telemetry)
        # Up as well where there is nothing to watch: there is nothing it could miss.
        for name in SOCKETS:
            ready.require(name, partial(self.board.down, name))

    def writes(self, producer: Producer, outbox: Outbox, prefix: str) -> None:
        """Export what leaves, and require that it can."""
        export_producer(self.telemetry, producer, prefix)
        outbox.counts.export(self.telemetry)
        self.telemetry.readiness.require("kafka", lambda: away(producer.health))


async def run_public(settings: Settings, stop: asyncio.Event) -> None:
    """Run until stop is set; raises what ended it otherwise."""
    halted, said = threading.Event(), Said()
    try:
        with said.telemetry.served(settings.wiring.health):
            await run_until(stop, [beating(said.telemetry.heart), _run(settings, halted, said)])
    finally:
        halted.set()


async def _run(settings: Settings, halted: threading.Event, said: Said) -> None:
    kafka, wiring = settings.wiring.kafka, settings.wiring.public
    reading = consumer_config(
        kafka.bootstrap, group=f"truecopy-{wiring.producer}", fetch_wait_ms=kafka.fetch_wait_ms
    )
    tape, cursors_topic = kafka.prefix + "tape", kafka.prefix + "cursors"
    await asyncio.to_thread(tape_began_ms, reading, (tape, kafka.shard), halted)
    producer = Producer(
        producer_config(kafka.bootstrap, linger_ms=kafka.linger_ms), name=wiring.producer
    )
    outbox = Outbox(producer, kafka)
    said.writes(producer, outbox, kafka.prefix)
    started = ConnectorStarted(producer=wiring.producer, role="public")
    ids = Ids(wiring.producer, await outbox.tape_acknowledged(started, wiring.producer))
    LOG.info("connector=%s state=started instance=%s", wiring.producer, ids.instance)
    said.announced()
    cursors = await asyncio.to_thread(read_cursors, reading, cursors_topic, CURSOR_FEEDS, halted)
    said.cursors_read()
    try:
        async with Rest(per_second=wiring.rest_per_second) as rest:
            said.telemetry.metrics.read("rest_requests_total", lambda: rest.counts)
            said.telemetry.metrics.read("rest_wait_seconds", lambda: rest.wait_ms / 1_000)
            public = Public(settings, outbox, rest, ids, cursors)
            ticks = tick_forever(
                outbox,
                producer=wiring.producer,
                every_ms=wiring.tick_ms,
                clock_ns=time.time_ns,
                feeds=said.board.watching(public.feeds),
            )
            topic = kafka.prefix + "watch"
            watch = follow_watch(
                reading, topic, kafka.shard, public.watch, halted, on_end=said.watch_read
            )
            await run_until(
                asyncio.Event(), [producer.keep_polling(POLL_S), ticks, watch, *public.parts()]
            )
    finally:
        missing = producer.flush(FLUSH_S)
        LOG.info("connector=%s state=stopped unflushed=%d", wiring.producer, missing)
