"""The four processes, each one life at a time: the product's own parts on the simulator's outside.

The connectors run whole (sessions, sockets, polls, ticks), the dataflow runs its three steps and
numbered sinks under the engine's contract (snapshots at epoch ends, a tail written again after a
crash), execution runs whole but for its client. A kill loses everything that is not on a topic.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from connectors.account.main import AccountFeeds
from connectors.account.start import Begun
from connectors.execution import ledger
from connectors.execution.feed import Commits, OrdersFeed, TapeFeed, TapeWriter, position_of
from connectors.execution.intake import Backlog
from connectors.execution.mirror import Mirror
from connectors.execution.plan import Rules
from connectors.execution.run import Workers
from connectors.execution.sink import Outside, Sink
from connectors.polymarket.credentials import Credentials
from connectors.polymarket.outbox import Ids, Outbox
from connectors.polymarket.process import run_until, tick_forever
from connectors.polymarket.rest import Rest
from connectors.polymarket.watchlist import Newest, take
from connectors.public.main import Public
from flows import copytrade
from flows.core import RULES, fold
from flows.core.leaders import LeadersState
from flows.core.planning import PlanState
from flows.core.sealing import SealState
from flows.engine.fence import Fence
from flows.engine.rows import TapeRow
from flows.engine.sink import NumberedPart
from flows.engine.stateful import FoldLogic
from schemas import codec
from schemas.records.base import Account
from schemas.records.journal import Cursor
from schemas.records.system import ConnectorStarted, FlowStarted
from schemas.settings import Settings
from tests.sim.broker_model import Broker, SimOffsets, SimProducer, SimReader

ClockNs = Callable[[], int]
READ_MAX = 400
TAIL_MAX = 8


async def run_public(
    settings: Settings, broker: Broker, producer: SimProducer, network: Any, clock_ns: ClockNs
) -> None:
    """The public connector, as connectors.public.main puts it together."""
    wiring = settings.wiring.public
    outbox = Outbox(producer, settings.wiring.kafka)  # type: ignore[arg-type]
    started = ConnectorStarted(producer=wiring.producer, role="public")
    ids = Ids(wiring.producer, await outbox.tape_acknowledged(started, wiring.producer))
    rest = Rest(per_second=wiring.rest_per_second, clock_ns=clock_ns, client=network)
    public = Public(settings, outbox, rest, ids, cursors(broker))
    ticks = tick_forever(
        outbox,
        producer=wiring.producer,
        every_ms=wiring.tick_ms,
        clock_ns=clock_ns,
        feeds=public.feeds,
    )
    watch = follow_watch(broker, public)
    await run_until(asyncio.Event(), [ticks, watch, *public.parts()])


async def follow_watch(broker: Broker, public: Public) -> None:
    """Every record of the watch topic from its beginning, in order, for ever."""
    reader, newest = SimReader(broker, "watch", 0), Newest()
    while True:
        for row in await reader.call(lambda each: each.read(READ_MAX)):
            take(row, newest, public.watch)


def cursors(broker: Broker) -> dict[tuple[str, str], int]:
    """Newest cursor of each feed and subject."""
    found: dict[tuple[str, str], int] = {}
    for stored in broker.topic("cursors").rows:
        record = codec.decode(stored.value)
        if isinstance(record, Cursor):
            found[record.feed, record.subject] = record.upto_ms
    return found


async def run_account(
    settings: Settings,
    broker: Broker,
    producer: SimProducer,
    network: Any,
    clock_ns: ClockNs,
    credentials: Credentials,
) -> None:
    """The account connector, as connectors.account.main puts it together."""
    wiring = settings.wiring.account
    kept = {
        feed: ms for (feed, subject), ms in cursors(broker).items() if subject == wiring.account
    }
    start = Begun(tape_ms=broker.topic("tape").rows[0].at_ms, upto_ms=kept)
    outbox = Outbox(producer, settings.wiring.kafka)  # type: ignore[arg-type]
    started = ConnectorStarted(producer=wiring.producer, role="account")
    ids = Ids(wiring.producer, await outbox.tape_acknowledged(started, wiring.producer))
    rest = Rest(per_second=wiring.rest_per_second, clock_ns=clock_ns, client=network)
    account = AccountFeeds(
        settings, credentials=credentials, outbox=outbox, rest=rest, ids=ids, start=start
    )
    ticks = tick_forever(
        outbox,
        producer=wiring.producer,
        every_ms=wiring.tick_ms,
        clock_ns=clock_ns,
        feeds=account.feeds,
        account=Account(wiring.account),
    )
    polls = [poll.run() for poll in account.polls.values()]
    await run_until(asyncio.Event(), [ticks, account.channel.run(), *polls])


async def run_execution(
    settings: Settings,
    broker: Broker,
    producer: SimProducer,
    backend: Any,
    clock_ns: ClockNs,
    checkpoint: Callable[[str], Any],
    executor: str,
) -> None:
    """Execution, as connectors.execution.run puts it together, on the world's exchange."""
    execution, tape, orders = settings.wiring.execution, ("tape", 0), ("orders", 0)
    offsets = SimOffsets(broker, f"truecopy-{execution.producer}")
    start = position_of(await offsets.call(lambda o: o.committed(*orders)), TAPE_ID)
    mirror = Mirror("execution")
    mirror.position = start.tape
    reader = SimReader(broker, "tape", start.tape)
    feed = TapeFeed(reader, tape, mirror, ledger.KINDS | {"Tick"})  # type: ignore[arg-type]

    async def tape_end() -> int:
        await asyncio.sleep(0.002)
        return len(broker.topic("tape").rows)

    async def stopped_for_ever() -> None:
        await asyncio.Event().wait()

    outside = Outside(
        append=TapeWriter(producer, tape).append,  # type: ignore[arg-type]
        tape_end=tape_end,
        clock_ns=clock_ns,
        stopped=lambda: False,
        executor=executor,
        checkpoint=checkpoint,
    )
    await feed.catch_up()
    rules = Rules(
        clock_skew_max_ms=execution.clock_skew_max_ms,
        lookup_every_ms=execution.lookup_every_ms,
        absent_after_ms=execution.absent_after_ms,
    )
    sink = Sink(
        backend=backend, mirror=mirror, rules=rules, workers=execution.workers, outside=outside
    )
    backlog = Backlog(start)
    commits = Commits(offsets, orders, backlog, mirror, TAPE_ID)  # type: ignore[arg-type]
    workers = Workers(sink, backlog, backend.accounts, asyncio.Event())
    orders_reader = SimReader(broker, "orders", start.offset)
    taking = OrdersFeed(orders_reader, start, backlog, workers.take)  # type: ignore[arg-type]
    await workers.run([feed.follow, commits.for_ever, taking.follow, stopped_for_ever])


class FlowHub:
    """Stands in for flows.engine.hub.Hub: output records wait here until they are flushed."""

    def __init__(self, broker: Broker, chance: random.Random) -> None:
        self._broker, self._chance = broker, chance
        self._queue: deque[tuple[str, bytes | None, bytes, Any, Callable[[int], None]]] = deque()
        self.producer = self

    def append(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        partition: int,
        headers: Any,
        on_appended: Callable[[int], None],
    ) -> None:
        self._queue.append((topic, key, value, headers, on_appended))

    def poll(self) -> None:
        """A part of what waits has been delivered by now."""
        self._deliver(self._chance.randint(0, len(self._queue)))

    def settle(self) -> None:
        self._deliver(len(self._queue))

    def _deliver(self, count: int) -> None:
        for _ in range(count):
            topic, key, value, headers, on_appended = self._queue.popleft()
            on_appended(self._broker.append(topic, key, value, headers))

    def kill(self) -> None:
        """Some of what was on its way arrives, the rest is lost."""
        for topic, key, value, headers, _ in list(self._queue)[: self._chance.randint(0, 3)]:
            self._broker.append(topic, key, value, headers)
        self._queue.clear()

    def reader(self, topic: str, partition: int, start: int) -> SimReader:
        return SimReader(self._broker, topic, start)

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, len(self._broker.topic(topic).rows)


OUTPUTS = {"journal": False, "orders": False, "watch": True}
STEPS: list[tuple[Callable[[], Any], Callable[[Any, Any], list[Any]]]] = [
    (LeadersState, fold.window_all),
    (PlanState, fold.join_and_size_all),
    (SealState, fold.seal_all),
]


class FlowSnapshot(msgspec.Struct, frozen=True):
    """What an epoch's end keeps: source position, states of the steps, places of the sinks."""

    position: int
    steps: tuple[Any, ...]
    sinks: dict[str, Any]


class Flow:
    """One life of the dataflow. store keeps its snapshots and outlives it."""

    def __init__(
        self, broker: Broker, hub: FlowHub, resumed: FlowSnapshot | None, chance: random.Random
    ) -> None:
        self._broker, self._hub, self._chance = broker, hub, chance
        self.fence = Fence.writing(self._announce, rules=RULES)
        self.fence.begin()
        self._reader = SimReader(broker, "tape", resumed.position if resumed else 0)
        states = resumed.steps if resumed else (None,) * len(STEPS)
        self._steps = [
            FoldLogic(partial(copytrade.Step, make, apply), lambda entry: entry.offset, state)
            for (make, apply), state in zip(STEPS, states, strict=True)
        ]
        places = resumed.sinks if resumed else {}
        self._sinks = {
            name: NumberedPart(hub, name, 0, places.get(name), compacted)  # type: ignore[arg-type]
            for name, compacted in OUTPUTS.items()
        }

    def _announce(self) -> int:
        record = FlowStarted(shard=0, rules=RULES)
        return self._broker.append("tape", b"flow", codec.encode(record), codec.headers(record))

    async def run(
        self, epoch_ms: int, keep: Callable[[FlowSnapshot], None], paused: Callable[[], float]
    ) -> None:
        """Batches in, records out, a snapshot at each epoch's end; for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time() + epoch_ms / 1_000
        caught_up = self._reader.end_offsets()["tape", 0]
        while True:
            # A tail is written again slowly, so that an epoch may end in its midst.
            behind = self._reader.position["tape", 0] < caught_up
            most = self._chance.randint(1, TAIL_MAX if behind else READ_MAX)
            rows = await self._reader.call(lambda reader, most=most: reader.read(most))
            await asyncio.sleep(paused() or (0.05 if behind else 0.0))
            self.batch([TapeRow(row.offset, row.value) for row in rows])
            if loop.time() >= due:
                due = loop.time() + epoch_ms / 1_000
                keep(self.snapshot())

    def batch(self, rows: list[TapeRow]) -> None:
        """One batch through all steps into the sinks."""
        items: list[Any] = copytrade._decode(self.fence, rows)
        # FoldLogic checks each step's offsets; only the last step gives no entries but records.
        for step in self._steps:
            items = list(step.on_batch(items)[0])
        for name, sink in self._sinks.items():
            sink.write_batch(copytrade._only(name, items))

    def snapshot(self) -> FlowSnapshot:
        return FlowSnapshot(
            position=self._reader.position["tape", 0],
            sinks={name: sink.snapshot() for name, sink in self._sinks.items()},
            steps=tuple(step.snapshot() for step in self._steps),
        )


ACCOUNT = Account("main")
TAPE_ID = "sim"
