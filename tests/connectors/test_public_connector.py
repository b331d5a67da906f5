"""The public role end to end: real sockets and REST against the sandbox, records on a real topic.

What counts is what stands on the tape, held against the sandbox's own ledger and books.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import PartitionReader, Row
from connectors.kafka.producer import Producer
from connectors.public.leaders import CURSOR_FEEDS
from connectors.public.main import run_public
from infra.sandbox.books import Recordings
from infra.sandbox.leaders import REDEEM_AFTER_MS
from infra.sandbox.server import Sandbox, system_clock_ms
from infra.sandbox.settings import SandboxSettings
from schemas import codec
from schemas.codec import decode_levels
from schemas.records.journal import Watch
from schemas.records.leader import LeaderFills, LeaderMove, ReadDone
from schemas.records.market import BookEpoch, Depth, MarketMeta, MarketResolved
from schemas.records.own import PositionsReport, ReportAsked
from schemas.records.system import ConnectorStarted, Genesis, Tick
from schemas.settings import parse

QUICK = {
    "trades_poll_ms": 500,
    "activity_poll_ms": 700,
    "positions_poll_ms": 1_000,
    "markets_poll_ms": 2_000,
    "books_check_ms": 1_000,
    "index_lag_ms": 1_000,
    "market_silence_ms": 2_500,
    "activity_silence_ms": 2_500,
    "rest_per_second": 50,
}
WAIT_S = 90
"""Long enough for a machine that is busy with something else."""


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    return Recordings()


class Clock:
    """The venue's clock; `stop` freezes the whole venue."""

    def __init__(self) -> None:
        self.stopped_ms: int | None = None

    def __call__(self) -> int:
        return system_clock_ms() if self.stopped_ms is None else self.stopped_ms

    def stop(self) -> None:
        self.stopped_ms = system_clock_ms()


class Stage:
    """One sandbox, topics of its own, and connectors that are started and stopped over them."""

    def __init__(self, sandbox: Sandbox, clock: Clock, topics: Any) -> None:
        self.sandbox, self.clock, self.topics = sandbox, clock, topics
        for name, partitions in {"tape": 1, "watch": 1, "cursors": 1, "dead": 1}.items():
            topics.make(name, partitions)
        for name in ("raw.market", "raw.activity", "raw.data"):
            topics.make(name, 16)
        self.bootstrap = topics.broker.bootstrap
        self.producer = Producer(producer_config(self.bootstrap), name="stage")
        self.watched = 0
        self._reader: PartitionReader | None = None
        self._records: list[Any] = []
        self.tokens: dict[str, None] = {}

    async def begin(self) -> None:
        genesis = Genesis(tape_id="t", schema=1, shard=0, accounts=())
        await self.put("tape", codec.encode(genesis), codec.headers(genesis))

    async def put(self, topic: str, value: bytes, headers: Any = (), key: bytes = b"k") -> None:
        await self.producer.append_acknowledged(
            self.topics.prefix + topic, value, key=key, partition=0, headers=headers
        )

    async def watch(self, what: Any, subject: str, *, on: bool = True) -> None:
        record = Watch(what=what, subject=subject, on=on, why="test")
        envelope = codec.Envelope(n=self.watched, cause=0, rules=1)
        self.watched += 1
        key = f"{what}:{subject}".encode()
        await self.put("watch", codec.seal(record, envelope), codec.headers(record), key)

    async def watch_everything(self) -> None:
        for leader in self.sandbox.venue.leaders:
            await self.watch("wallet", leader.wallet)
        for market in self.sandbox.venue.floor.markets:
            for token in market.tokens:
                self.tokens[token] = None
                await self.watch("token", token)

    def settings(self, **public: Any) -> Any:
        ready = self.sandbox.ready()
        kafka = {"bootstrap": self.bootstrap, "prefix": self.topics.prefix, "fetch_wait_ms": 5}
        venue = {
            "clob_url": ready["clob_url"],
            "data_url": ready["data_url"],
            "gamma_url": ready["gamma_url"],
            "market_ws_url": ready["ws_market"],
            "activity_ws_url": ready["ws_activity"],
        }
        return parse({"kafka": kafka, "venue": venue, "public": {**QUICK, **public}})

    def rows(self, topic: str, partitions: int = 1) -> list[Row]:
        places = {(self.topics.prefix + topic, number): 0 for number in range(partitions)}
        config = consumer_config(self.bootstrap, group="stage", fetch_wait_ms=5)
        with PartitionReader(config, places) as reader:
            return [row for rows in reader.read_to(reader.end_offsets()) for row in rows]

    async def tape(self) -> list[Any]:
        """All of it so far."""
        await asyncio.to_thread(self._read_on)
        return list(self._records)

    def _read_on(self) -> None:
        if self._reader is None:
            config = consumer_config(self.bootstrap, group="stage", fetch_wait_ms=5)
            self._reader = PartitionReader(config, {(self.topics.prefix + "tape", 0): 0})
        for rows in self._reader.read_to(self._reader.end_offsets()):
            self._records += [codec.decode(row.value) for row in rows]

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    async def until(self, found: Callable[[list[Any]], bool]) -> list[Any]:
        """The tape, once it shows what is waited for."""
        deadline = time.monotonic() + WAIT_S
        while not found(records := await self.tape()):
            kinds = Counter(type(record).__name__ for record in records)
            assert time.monotonic() < deadline, f"not in {WAIT_S} s; on the tape: {kinds}"
            await asyncio.sleep(0.3)
        return records

    async def cursors(self, wanted: list[bytes]) -> None:
        """Wait until exactly these cursors are written."""
        deadline = time.monotonic() + WAIT_S
        while (found := {r.key for r in await asyncio.to_thread(self.rows, "cursors")}) != {
            *wanted
        }:
            assert time.monotonic() < deadline, f"cursors after {WAIT_S} s: {found}"
            await asyncio.sleep(0.1)


async def trading_goes_on(stage: Stage) -> None:
    """Let the leaders trade for a while, whoever reads it."""
    venue = stage.sandbox.venue
    leaders = {leader.wallet for leader in venue.leaders}
    upto, deadline = len(venue.index.rows), time.monotonic() + WAIT_S
    while sum(row.wallet in leaders for row in venue.index.rows[upto:]) < 10:
        assert time.monotonic() < deadline, f"{venue.index.rows[upto:]} in {WAIT_S} s"
        await asyncio.sleep(0.05)


class Running:
    """One connector process's work as a task."""

    def __init__(self, stage: Stage, **public: Any) -> None:
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(run_public(stage.settings(**public), self.stop))

    async def end(self) -> None:
        """Stop it."""
        self.stop.set()
        async with asyncio.timeout(WAIT_S):
            await self.task


@pytest.fixture
async def stage(topics: Any, recordings: Recordings) -> AsyncIterator[Callable[..., Any]]:
    """Makes a stage; everything is stopped at the end."""
    sandboxes: list[Sandbox] = []
    stages: list[Stage] = []

    async def make(**settings: Any) -> Stage:
        clock = Clock()
        usual = {"seed": 11, "speed": 1.0, "leader_rate_per_s": 4.0, "index_lag_ms": 300}
        wanted = {**usual, "cache_scale": 1, **settings}
        sandbox = Sandbox(SandboxSettings(**wanted), clock=clock, recordings=recordings)
        await sandbox.start()
        sandboxes.append(sandbox)
        made = Stage(sandbox, clock, topics)
        stages.append(made)
        await made.begin()
        return made

    yield make
    for each in stages:
        each.close()
    for sandbox in sandboxes:
        await sandbox.stop()


@pytest.fixture
async def connector() -> AsyncIterator[Callable[..., Running]]:
    """Starts connectors; what still runs at the end is stopped."""
    running: list[Running] = []

    def start(stage: Stage, **public: Any) -> Running:
        running.append(Running(stage, **public))
        return running[-1]

    yield start
    for each in running:
        if not each.task.done():
            await each.end()


def stated(records: list[Any], source: str) -> dict[str, LeaderFills]:
    """Newest (REST) or largest (feed) total of each group."""
    found: dict[str, LeaderFills] = {}
    for record in records:
        if isinstance(record, LeaderFills) and record.source == source:
            known = found.get(record.group)
            if known is None or source == "rest" or record.shares_micro > known.shares_micro:
                found[record.group] = record
    return found


def net(totals: dict[str, LeaderFills]) -> dict[tuple[str, str, str], int]:
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for record in totals.values():
        sums[record.leader, record.token, record.side] += record.shares_micro
    return dict(sums)


def true_fills(stage: Stage, from_ms: int) -> dict[tuple[str, str, str], int]:
    """What the sandbox's own index says the leaders traded since."""
    leaders = {leader.wallet for leader in stage.sandbox.venue.leaders}
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for row in stage.sandbox.venue.index.rows:
        if row.kind == "TRADE" and row.wallet in leaders and row.ts_s >= from_ms // 1_000:
            sums[row.wallet, row.market.tokens[row.token], row.side] += row.shares_micro
    return dict(sums)


def in_flight(stage: Stage) -> bool:
    """Whether the venue has yet to show something that a leader did."""
    venue = stage.sandbox.venue
    leaders = {leader.wallet for leader in venue.leaders}
    unseen = venue.index.rows[len(venue.index.visible) :]
    return any(row.wallet in leaders for row in unseen) or any(
        trade.status == "MATCHED" and leaders & {leg.wallet for leg in trade.legs}
        for trade in venue.settlement.trades.values()
    )


def redeemed(stage: Stage) -> bool:
    """Whether the leaders have had the time to redeem what resolved."""
    venue = stage.sandbox.venue
    ended_ms = [m.resolved_ms for m in venue.floor.markets if m.is_resolved]
    return all(venue.agenda.now_ms > ms + REDEEM_AFTER_MS[1] for ms in ended_ms)


def read_since(stage: Stage, records: list[Any], since_ms: int) -> bool:
    """Whether every leader's every read was asked again since and answered."""
    asked = {r.report for r in records if isinstance(r, ReportAsked) and r.asked_ms >= since_ms}
    done = {
        (r.leader, r.source) for r in records if isinstance(r, ReadDone) and r.asked_ms >= since_ms
    }
    done |= {
        (r.subject, "positions")
        for r in records
        if isinstance(r, PositionsReport) and r.report in asked
    }
    leaders = [leader.wallet for leader in stage.sandbox.venue.leaders]
    return done >= {
        (wallet, read) for wallet in leaders for read in ("trades", "activity", "positions")
    }


async def rest_and_settle(stage: Stage) -> list[Any]:
    """Leaders rest, everything in flight lands, every poll sees it; the tape by then."""
    stage.sandbox.venue.faults.switch(())
    stage.sandbox.venue.rest()
    deadline = time.monotonic() + WAIT_S
    while in_flight(stage) or not redeemed(stage):
        assert time.monotonic() < deadline, "the venue still has something in flight"
        await asyncio.sleep(0.05)
    landed_ms = stage.clock()
    return await stage.until(lambda records: read_since(stage, records, landed_ms))


def all_up(record: Any) -> bool:
    """Whether this is a Tick of a connector that hears everything."""
    return isinstance(record, Tick) and all(f.state == "up" for f in record.feeds.values())


async def hears_all(stage: Stage) -> None:
    """Wait until the newest Tick says that every feed is up."""
    await stage.until(
        lambda records: all_up(next((r for r in reversed(records) if isinstance(r, Tick)), None))
    )


async def frozen(stage: Stage) -> list[Any]:
    """The venue stands still; the tape once it has the books that the venue has."""
    stage.clock.stop()
    return await stage.until(lambda records: not differing(stage, records))


def books(records: list[Any]) -> dict[str, tuple[dict[int, int], dict[int, int]]]:
    """The newest Depth of every token whose epoch is live at the end."""
    live: dict[str, str] = {}
    newest: dict[str, Depth] = {}
    for record in records:
        if isinstance(record, BookEpoch) and record.state == "live":
            live[record.token] = record.epoch
        elif isinstance(record, BookEpoch) and live.get(record.token) == record.epoch:
            del live[record.token]
        elif isinstance(record, Depth):
            assert live.get(record.token) == record.epoch, "a Depth outside of a live epoch"
            newest[record.token] = record
    return {
        token: (dict(decode_levels(newest[token].bids)), dict(decode_levels(newest[token].asks)))
        for token in live
    }


def true_books(stage: Stage) -> dict[str, tuple[dict[int, int], dict[int, int]]]:
    return {
        market.tokens[token]: (
            dict(market.book.levels[token][0]),
            dict(market.book.levels[token][1]),
        )
        for market in stage.sandbox.venue.floor.markets
        for token in (0, 1)
        if not market.is_resolved and market.tokens[token] in stage.tokens
    }


def differing(stage: Stage, records: list[Any]) -> list[str]:
    """Tokens whose book on the tape is not the venue's, 20 levels a side."""
    found, true = books(records), true_books(stage)
    nothing: tuple[dict[int, int], dict[int, int]] = ({}, {})
    return [
        token
        for token in found.keys() | true.keys()
        if token not in found
        or any(
            mine != {price: theirs.get(price) for price in mine}
            or len(mine) != min(len(theirs), 20)
            for mine, theirs in zip(found[token], true.get(token, nothing), strict=True)
        )
    ]


def has_seen_all(stage: Stage, records: list[Any]) -> bool:
    """Whether there is something of each kind to look at."""
    kinds = Counter(type(record).__name__ for record in records)
    return bool(
        len(stated(records, "rest")) > 10
        and kinds["MarketMeta"] >= len(stage.tokens) // 2
        and kinds["MarketResolved"]
        and kinds["LeaderMove"]
        and any(all_up(record) for record in records)
    )


async def test_the_tape_tells_what_the_venue_knows(
    stage: Callable[..., Any], connector: Callable[..., Running]
) -> None:
    """One undisturbed run, looked at from all sides."""
    made = await stage(resolve_after_s=4, duration_s=120)
    began_ms = made.clock() - 60_000
    await made.watch_everything()
    running = connector(made)
    await made.until(lambda records: has_seen_all(made, records))
    await rest_and_settle(made)
    records = await frozen(made)
    await running.end()

    assert isinstance(records[1], ConnectorStarted)
    assert net(stated(records, "rest")) == true_fills(made, began_ms)
    reads = [record for record in records if isinstance(record, ReadDone)]
    named = {group for read in reads for group in read.present}
    assert stated(records, "rest").keys() <= named

    kinds = Counter(type(record).__name__ for record in records)
    # A market whose payouts are read before the catalogue calls it closed is told as resolved only.
    assert kinds["MarketClosed"] <= kinds["MarketResolved"] == 1
    resolved = next(record for record in records if isinstance(record, MarketResolved))
    (market,) = [m for m in made.sandbox.venue.floor.markets if m.is_resolved]
    assert resolved.payouts == dict(zip(market.tokens, market.payouts_micro, strict=True))

    check_moves(made, records, began_ms)
    check_reports(made, records)
    check_ticks(records)
    await check_raw(made)


def check_moves(made: Any, records: list[Any], from_ms: int) -> None:
    found: dict[tuple[str, str], int] = defaultdict(int)
    newest = {r.group: r for r in records if isinstance(r, LeaderMove)}
    for record in newest.values():
        for token, shares in record.delta_micro.items():
            found[record.leader, token] += shares
    true: dict[tuple[str, str], int] = defaultdict(int)
    leaders = {leader.wallet for leader in made.sandbox.venue.leaders}
    for row in made.sandbox.venue.index.rows:
        if row.wallet not in leaders or row.kind == "TRADE" or row.ts_s < from_ms // 1_000:
            continue
        touched = row.market.tokens if row.token is None else [row.market.tokens[row.token]]
        for token in touched:
            true[row.wallet, token] += (
                row.shares_micro if row.kind == "SPLIT" else -row.shares_micro
            )
    assert true
    assert found == true


def check_reports(made: Any, records: list[Any]) -> None:
    asked = {r.report: i for i, r in enumerate(records) if isinstance(r, ReportAsked)}
    newest: dict[str, PositionsReport] = {}
    for place, record in enumerate(records):
        if isinstance(record, PositionsReport):
            assert asked[record.report] < place
            newest[record.subject] = record
    for wallet, positions in made.sandbox.venue.index.positions.items():
        if wallet in newest:
            held = {
                token: held.shares_micro
                for token, held in positions.items()
                if held.shares_micro >= newest[wallet].floor_micro
            }
            shown = {row.token: row.shares_micro for row in newest[wallet].rows}
            assert newest[wallet].complete
            assert {t: s for t, s in shown.items() if s >= newest[wallet].floor_micro} == held
    assert len(newest) == len(made.sandbox.venue.leaders)


def check_ticks(records: list[Any]) -> None:
    ticks = [record for record in records if isinstance(record, Tick)]
    assert [tick.seq for tick in ticks] == list(range(len(ticks)))
    assert set(ticks[-1].feeds) == {"market", "activity", "trades", "moves", "positions"}


async def check_raw(made: Any) -> None:
    for topic in ("raw.market", "raw.activity", "raw.data"):
        rows = await asyncio.to_thread(made.rows, topic, 16)
        per_partition = Counter(row.partition for row in rows)
        assert max(per_partition.values()) - min(per_partition.values()) <= 1
        assert all(row.headers.keys() == {"feed", "recv_ns", "conn"} for row in rows)
    assert await asyncio.to_thread(made.rows, "dead") == []


async def test_after_drops_doubles_swaps_cuts_and_freezes_the_tape_is_right_again(
    stage: Callable[..., Any], connector: Callable[..., Running]
) -> None:
    """Promise R3: same books and same totals after resync, and every epoch's end has a reason."""
    faults = ("drop", "double", "swap", "cut", "freeze")
    rates = {"drop": 0.05, "double": 0.05, "swap": 0.05, "cut": 8.0, "freeze": 8.0}
    made = await stage(resolve_after_s=100, duration_s=120)
    began_ms = made.clock() - 60_000
    await made.watch_everything()
    made.sandbox.venue.faults.switch(faults, rates)
    connector(made)
    struck = made.sandbox.venue.faults.counts
    await made.until(
        lambda records: (
            all(struck[name] for name in ("drop", "double", "swap"))
            and bool(struck["cut"] + struck["freeze"])
            and len(stated(records, "rest")) > 10
        )
    )
    await rest_and_settle(made)
    await hears_all(made)  # a freeze that began just before lasts 8 s at most
    records = await frozen(made)

    ended = [r.reason for r in records if isinstance(r, BookEpoch) and r.state == "ended"]
    assert ended
    assert all(ended)
    assert net(stated(records, "rest")) == true_fills(made, began_ms)


async def test_a_lost_cursor_costs_a_read_and_never_a_fill(
    stage: Callable[..., Any], connector: Callable[..., Running]
) -> None:
    made = await stage(resolve_after_s=100, duration_s=120)
    await made.watch_everything()
    began_ms = made.clock()
    running = connector(made, overlap_ms=1_000)
    keys = [
        f"{feed}:{leader.wallet}".encode()
        for leader in made.sandbox.venue.leaders
        for feed in CURSOR_FEEDS
    ]
    await made.cursors(keys)
    await running.end()
    await trading_goes_on(made)
    for key in keys:
        await made.put("cursors", b"", key=key)
    running = connector(made, overlap_ms=1_000)
    await rest_and_settle(made)
    await running.end()
    records = await made.tape()
    found = stated(records, "rest")
    since = {g: r for g, r in found.items() if r.venue_ms >= began_ms // 1_000 * 1_000}
    assert net(since) == true_fills(made, began_ms)
    starts = [r for r in records if isinstance(r, ConnectorStarted)]
    assert len(starts) == 2
    lives = {r.epoch.split(".")[0] for r in records if isinstance(r, BookEpoch)}
    assert len(lives) == 2


async def test_rotating_activity_connections_lose_no_fill(
    stage: Callable[..., Any], connector: Callable[..., Running]
) -> None:
    """Make before break: what REST knows of the time in between, the feed had seen as well."""
    made = await stage(resolve_after_s=100, duration_s=120)
    await made.watch_everything()
    # Patient with silence: a connection that is given up for it would lose what rotation does not.
    patient = {"activity_silence_ms": 60_000}
    connector(made, activity_rotate_ms=1_000, activity_sockets=1, **patient)
    await made.until(lambda records: bool(stated(records, "feed")))
    from_ms, accepted = made.clock() + 1_000, made.sandbox.hub.accepted
    rotated = accepted["activity"] + 4

    def between(records: list[Any], upto_ms: int) -> dict[str, int]:
        rest = stated(records, "rest")
        return {g: r.shares_micro for g, r in rest.items() if from_ms <= r.venue_ms < upto_ms}

    await made.until(
        lambda records: (
            accepted["activity"] >= rotated and len(between(records, made.clock() - 1_000)) > 10
        )
    )
    upto_ms = made.clock() - 1_000
    await rest_and_settle(made)
    records = await made.until(
        lambda records: between(records, upto_ms).keys() <= stated(records, "feed").keys()
    )
    feed, wanted = stated(records, "feed"), between(records, upto_ms)
    assert len(wanted) > 10
    assert wanted == {group: feed[group].shares_micro for group in wanted}


async def test_subscriptions_follow_the_watch_topic_and_nothing_else(
    stage: Callable[..., Any], connector: Callable[..., Running]
) -> None:
    made = await stage(resolve_after_s=100, duration_s=120)
    first, second = made.sandbox.venue.floor.markets[1].tokens
    running = connector(made)
    await made.until(lambda records: any(isinstance(r, Tick) for r in records))
    assert made.sandbox.hub.accepted == {"market": 0, "user": 0, "activity": 0}
    ticks = [record for record in await made.tape() if isinstance(record, Tick)]
    assert all(feed.state == "up" for tick in ticks for feed in tick.feeds.values())

    await made.watch("token", first)
    await made.until(lambda records: any(isinstance(r, Depth) for r in records))
    await made.watch("token", second)
    await made.watch("token", first, on=False)
    records = await made.until(
        lambda records: {r.token for r in records if isinstance(r, Depth)} == {first, second}
    )
    await made.until(
        lambda records: any(
            isinstance(r, BookEpoch) and (r.token, r.reason) == (first, "unwatched")
            for r in records
        )
    )
    assert not any(isinstance(record, LeaderFills) for record in records)
    records = await made.until(lambda records: any(isinstance(r, MarketMeta) for r in records))
    assert {r.condition for r in records if isinstance(r, MarketMeta)} == {
        made.sandbox.venue.floor.markets[1].condition_id
    }
    await running.end()


async def test_two_connectors_share_the_tokens_out_and_both_follow_the_wallets(
    stage: Callable[..., Any], connector: Callable[..., Running]
) -> None:
    made = await stage(resolve_after_s=100, duration_s=120)
    await made.watch_everything()
    connector(made, producer="even", parts=2, part=0)
    connector(made, producer="odd", parts=2, part=1)
    records = await made.until(
        lambda records: (
            {r.token for r in records if isinstance(r, Depth)} == set(made.tokens)
            and {r.instance.split("-")[0] for r in records if isinstance(r, LeaderFills)}
            == {"even", "odd"}
        )
    )
    for record in records:
        if isinstance(record, Depth):
            assert record.epoch.split("-")[0] == ("odd" if int(record.token) % 2 else "even")
