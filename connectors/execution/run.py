"""The execution process: reads the tape to its end, then works on orders until it is told to stop.

Puts the parts together; decides nothing. The signing key is read here and nowhere else.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

from connectors.execution import ledger, paper_ledger
from connectors.execution.ahead import Ahead
from connectors.execution.backend import Backend
from connectors.execution.feed import (
    Commits,
    OrdersFeed,
    TapeFeed,
    TapeWriter,
    position_of,
    unseen,
)
from connectors.execution.intake import Backlog
from connectors.execution.kafka_threads import Threaded
from connectors.execution.mirror import Mirror
from connectors.execution.paper import PRODUCER, PaperVenue
from connectors.execution.permit import (
    NotPermitted,
    check_permission,
)
from connectors.execution.plan import Rules
from connectors.execution.said import Said
from connectors.execution.sink import Checkpoint, Outside, Sink, no_checkpoint
from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import PartitionReader, Place, Row, WaitEnded
from connectors.kafka.offsets import GroupOffsets
from connectors.kafka.producer import Producer
from connectors.kafka.tape import other_fills, tape_id
from schemas.policy import PolicyError, check_served
from schemas.records.base import Account, Intent, Wallet
from schemas.records.journal import OrderRequested
from schemas.settings import Settings
from schemas.wiring import KafkaWiring, Wiring

log = logging.getLogger("truecopy.execution")

STOP_GRACE_S: Final = 3.0
"""How long what is in the air may take to be written down when the process is told to stop."""

Job = Callable[[], Awaitable[None]]


async def run_execution(
    settings: Settings,
    live: bool,
    stop: asyncio.Event,
    *,
    checkpoint: Checkpoint = no_checkpoint,
    clock_ns: Callable[[], int] = time.time_ns,
) -> None:
    """Run until `stop`. What ends it early is raised, by name; NotPermitted before it begins."""
    wiring = settings.wiring
    trading_live = check_permission(wiring, live=live)
    try:
        check_served(settings.policy)
    except PolicyError as error:
        raise NotPermitted(str(error)) from error
    producer = Producer(producer_config(wiring.kafka.bootstrap), name="execution")
    tape = _place(wiring.kafka, "tape")
    stopped = Path(wiring.execution.stop_file).exists
    said = Said(wiring.execution, stopped=stopped, clock_ns=clock_ns)
    said.writes(producer, wiring.kafka)
    jobs: list[Job] = [producer.keep_polling, said.watch]
    async with AsyncExitStack() as stack:
        stack.enter_context(said.telemetry.served(wiring.health))
        tape_named = await _fits(wiring.kafka, trading_live, stop)
        if tape_named is None:
            return
        # It reads nothing and is only asked where the tape ends, so it never waits behind a read.
        ends = await _reader(wiring.kafka, {}, stack)
        outside = Outside(
            append=TapeWriter(producer, tape).append,
            tape_end=partial(ends.call, lambda reader: reader.watermarks(*tape)[1]),
            clock_ns=clock_ns,
            stopped=stopped,
            posted=said.posted,
            executor=f"{wiring.execution.producer}-{os.getpid()}",
            checkpoint=checkpoint,
        )
        glance: Callable[[Row], None] = unseen
        if trading_live:
            # Here: paper is keyless, and does without the client and what it costs.
            from connectors.execution.live_open import live_backend

            backend: Backend = (live_one := await live_backend(wiring, stack))
            mirror = Mirror(PRODUCER)
            ahead = Ahead(live_one.know)
            jobs.append(ahead.run)
            glance = ahead.glance
        else:
            backend = paper = _paper_venue(settings, outside)
            mirror = Mirror(PRODUCER, [paper.ledger.observe])
            paper.attach(mirror)
            jobs.append(paper.run)
        tape_of = (tape_named, mirror)
        await _run(wiring, backend, tape_of, outside, said, producer, jobs, glance, stop, stack)


async def _fits(kafka: KafkaWiring, live: bool, stop: asyncio.Event) -> str | None:
    """Wait for the tape's beginning, before anything is opened or written; None if stopped.

    The tape's id. Raises NotPermitted if fills of the other kind stand on it.
    """
    config = consumer_config(kafka.bootstrap, fetch_wait_ms=kafka.fetch_wait_ms)
    place, halted = _place(kafka, "tape"), threading.Event()

    def look() -> tuple[str, str]:
        named = tape_id(config, place, halted)
        return named, other_fills(config, place, halted, live=live)

    looking = asyncio.create_task(asyncio.to_thread(look))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([looking, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        halted.set()
        stopping.cancel()
    try:
        named, refused = await looking
    except WaitEnded:
        return None
    if refused:
        raise NotPermitted(f"{refused}. See RUNBOOK.md#live-refused")
    return named


async def _run(
    wiring: Wiring,
    backend: Backend,
    tape_of: tuple[str, Mirror],
    outside: Outside,
    said: Said,
    producer: Producer,
    jobs: Sequence[Job],
    glance: Callable[[Row], None],
    stop: asyncio.Event,
    stack: AsyncExitStack,
) -> None:
    tape, orders = _place(wiring.kafka, "tape"), _place(wiring.kafka, "orders")
    tape_named, mirror = tape_of
    group = f"truecopy-{wiring.execution.producer}"
    offsets = Threaded(lambda: GroupOffsets(wiring.kafka.bootstrap, group))
    await stack.enter_async_context(offsets)
    start = position_of(await offsets.call(lambda o: o.committed(*orders)), tape_named)
    # The paper ledger is the fold of the whole tape; live needs what is still open, no more.
    mirror.position = 0 if backend.name == "paper" else start.tape
    kinds = ledger.KINDS | {"Tick"}
    if backend.name == "paper":
        kinds |= paper_ledger.KINDS
    reader = await _reader(wiring.kafka, {tape: mirror.position}, stack)
    feed = TapeFeed(reader, tape, mirror, kinds, on_rows=producer.poll, glance=glance)
    said.reads(mirror, lambda: feed.rows_s)
    await feed.catch_up()
    said.tape_read()
    at = (mirror.position, start.offset)
    log.info("execution=%s state=ready backend=%s tape=%d orders=%d", group, backend.name, *at)
    execution = wiring.execution
    rules = Rules(
        clock_skew_max_ms=execution.clock_skew_max_ms,
        lookup_every_ms=execution.lookup_every_ms,
        absent_after_ms=execution.absent_after_ms,
    )
    sink = Sink(
        backend=backend, mirror=mirror, rules=rules, workers=execution.workers, outside=outside
    )
    backlog = Backlog(start)
    commits = Commits(offsets, orders, backlog, mirror, tape_named)
    workers = Workers(sink, backlog, backend.accounts, stop)
    orders_reader = await _reader(wiring.kafka, {orders: start.offset}, stack)
    taking = OrdersFeed(orders_reader, start, backlog, workers.take, on_end=said.orders_read)
    await workers.run([feed.follow, commits.for_ever, taking.follow, *jobs])
    await commits.once()
    open_now, void = len(backlog), mirror.ledger.void
    log.info("execution=%s state=stopped open=%d void=%d", group, open_now, void)


class Workers:
    """One task for each open intent, next to the jobs that serve them all."""

    def __init__(
        self, sink: Sink, backlog: Backlog, accounts: frozenset[Account], stop: asyncio.Event
    ) -> None:
        self._sink = sink
        self._backlog = backlog
        self._accounts = accounts
        self._stop = stop
        self._tasks: dict[Intent, asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()

    def take(self, request: OrderRequested) -> None:
        """Begin with one order; one of an account that is not served here is somebody else's."""
        if request.account not in self._accounts:
            said = (request.intent, request.account)
            log.warning("intent=%s state=skipped account=%s reason=not_served_here", *said)
            self._backlog.finish(request.intent)
            return
        task = self._group.create_task(self._work(request))
        self._tasks[request.intent] = task
        task.add_done_callback(lambda _: self._tasks.pop(request.intent, None))

    async def run(self, jobs: Sequence[Job]) -> None:
        """Run the jobs until stop, then let what is in the air be written down."""
        async with self._group as group:
            running = [group.create_task(_endless(job)) for job in jobs]
            await self._stop.wait()
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=STOP_GRACE_S)
            for task in (*running, *self._tasks.values()):
                task.cancel()

    async def _work(self, request: OrderRequested) -> None:
        if await self._sink.work(request, self._stop):
            self._backlog.finish(request.intent)


async def _endless(job: Job) -> None:
    await job()


def _place(kafka: KafkaWiring, topic: str) -> Place:
    return f"{kafka.prefix}{topic}", kafka.shard


async def _reader(
    kafka: KafkaWiring, start: Mapping[Place, int], stack: AsyncExitStack
) -> Threaded[PartitionReader]:
    config = consumer_config(kafka.bootstrap, fetch_wait_ms=kafka.fetch_wait_ms)
    name = "-".join(["execution", *(topic for topic, _ in start)])
    reader = Threaded(lambda: PartitionReader(config, start, name=name))
    return await stack.enter_async_context(reader)


def _paper_venue(settings: Settings, outside: Outside) -> PaperVenue:
    wallets = {Account(a.name): Wallet(a.wallet) for a in settings.policy.accounts}
    if not wallets:
        raise NotPermitted("policy.accounts is empty: paper needs at least one account to trade")
    return PaperVenue(
        settings.wiring.execution.paper,
        wallets,
        tick_ms=settings.wiring.account.tick_ms,
        append=outside.append,
        clock_ns=outside.clock_ns,
    )
