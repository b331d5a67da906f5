"""The account connector in front of a sandbox and a broker, and its parts in front of neither."""

import asyncio
import contextlib
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import confluent_kafka
import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve

from connectors.account.main import run_account
from connectors.account.private import PrivateReads
from connectors.kafka.config import consumer_config
from connectors.kafka.consumer import BEGINNING, PartitionReader, Row
from connectors.polymarket.credentials import Credentials
from connectors.polymarket.health import ReadFeed
from connectors.polymarket.outbox import RAW_PARTITIONS, Ids, Outbox
from connectors.polymarket.reads import Reads
from connectors.polymarket.redact import redact
from connectors.polymarket.rest import Rest
from infra.embedded import EmbeddedBroker
from infra.sandbox.books import Recordings
from infra.sandbox.hashing import hex_id
from infra.sandbox.market import Market
from infra.sandbox.matching import Terms, limit_terms
from infra.sandbox.records import Order
from infra.sandbox.server import Sandbox
from infra.sandbox.settings import SandboxSettings
from infra.topics import declared
from schemas import codec
from schemas.records.base import Account, Record
from schemas.records.own import OwnFill
from schemas.records.system import Genesis, Tick
from schemas.settings import Settings, parse
from schemas.wiring import KafkaWiring
from tests.waiting import WAIT_S

QUICK = {
    "speed": 0.001,
    "leaders": 0,
    "stranger_rate_per_s": 0.0,
    "rival_every": 0,
    "latency_ms": 5,
    "mined_ms": 150,
    "confirmed_ms": 150,
    "index_lag_ms": 100,
    "cache_scale": 1,
}
POLLS = {
    "tick_ms": 50,
    "trades_poll_ms": 300,
    "orders_poll_ms": 300,
    "positions_poll_ms": 300,
    "balance_poll_ms": 300,
    "redemptions_poll_ms": 300,
    "rest_per_second": 50,
}


class Venue:
    """A sandbox with one account of ours, traded by hand and from inside."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.wallet = hex_id("account-test", "us", size=20)
        self.credentials = sandbox.rim.auth.credentials(self.wallet, 0)
        sandbox.rim.auth.admit(self.credentials)
        sandbox.venue.open_account(self.wallet, self.credentials.key)
        self._numbers = itertools.count()

    @property
    def secrets(self) -> tuple[str, str, str]:
        made = self.credentials
        return made.key, made.secret, made.passphrase

    def market(self) -> Market:
        """One with both sides that outlasts the test."""
        return next(
            market
            for market in self.sandbox.venue.floor.markets[2:]
            if market.book.best_bid(0) is not None and market.book.best_ask(0) is not None
        )

    def buy(self, market: Market, usd_micro: int = 20_000_000, token: int = 0) -> Order:
        """A FAK BUY of a budget, whatever the price up to 0.99."""
        shares = usd_micro * 1_000_000 // 990_000 // 100 * 100
        return self.send(market, token, _terms("BUY", "FAK", 990_000, usd_micro, shares))

    def sell(self, market: Market, shares_micro: int, token: int = 0) -> Order:
        """A FAK SELL, whatever the price down to 0.01."""
        usd = shares_micro // 100
        return self.send(market, token, _terms("SELL", "FAK", 10_000, usd, shares_micro))

    def rest(self, market: Market, price_micro: int, shares_micro: int, token: int = 0) -> Order:
        """A GTC BUY."""
        return self.send(market, token, limit_terms("BUY", price_micro, shares_micro))

    def send(self, market: Market, token: int, terms: Terms) -> Order:
        order = Order(
            order_id=hex_id("account-test-order", next(self._numbers)),
            wallet=self.wallet,
            owner=self.credentials.key,
            market=market,
            token=token,
            terms=terms,
            placed_ms=self.sandbox.rim.now(),
        )
        self.sandbox.venue.exchange.submit(order, lambda _answer: None)
        return order

    def held(self, market: Market, token: int = 0) -> int:
        """What the venue's own ledger says we hold."""
        return self.sandbox.venue.ledger.shares_micro[self.wallet, market.condition_id, token]

    def cash(self) -> int:
        """Collateral by the venue's own ledger."""
        return self.sandbox.venue.ledger.cash_micro[self.wallet]

    def all_trades(self) -> list[Any]:
        return list(self.sandbox.venue.settlement.trades.values())

    def trades(self) -> int:
        return len(self.all_trades())

    def hit_bids(self, market: Market, price_micro: int, shares_micro: int) -> None:
        """A stranger sells into the book."""
        terms = limit_terms("SELL", price_micro, shares_micro)
        self.sandbox.venue.exchange.trade_now(
            self.sandbox.venue.liquidity.stranger(), "", market, 0, terms
        )

    def cut(self) -> None:
        """Every user socket is gone, without a close frame."""
        for subscriber in list(self.sandbox.hub.subscribers["user"]):
            transport = subscriber.line.socket._req.transport
            if transport is not None:
                transport.abort()


def _terms(side: str, kind: str, price: int, usd: int, shares: int) -> Terms:
    return Terms(side=side, order_type=kind, usd_micro=usd, shares_micro=shares, price_micro=price)


class Topics:
    """Everything on the broker, read on demand; `until` waits for something to be there."""

    def __init__(self, wiring: KafkaWiring) -> None:
        self._wiring = wiring
        self._readers: dict[str, PartitionReader] = {}
        self._rows: dict[str, list[Row]] = {}

    async def rows(self, topic: str) -> list[Row]:
        """All rows of a topic so far."""
        return await asyncio.to_thread(self._read, topic)

    def _read(self, topic: str) -> list[Row]:
        name = self._wiring.prefix + topic
        count = RAW_PARTITIONS if topic.startswith("raw.") else 1
        if topic not in self._readers:
            config = consumer_config(self._wiring.bootstrap, fetch_wait_ms=5)
            start = {(name, part): BEGINNING for part in range(count)}
            self._readers[topic] = PartitionReader(config, start, name="test", missing_s=30)
        reader, rows = self._readers[topic], self._rows.setdefault(topic, [])
        for batch in reader.read_to(reader.end_offsets()):
            rows += batch
        return rows

    async def tape(self, kind: type[Any] = Record) -> list[Any]:
        """All records of a kind on the tape so far."""
        records = [codec.decode(row.value) for row in await self.rows("tape")]
        return [record for record in records if isinstance(record, kind)]

    async def until(
        self, kind: type[Any], what: Callable[[list[Any]], Any], wait_s: float = WAIT_S
    ) -> list[Any]:
        """The tape's records of a kind once `what` holds for them."""
        deadline = time.monotonic() + wait_s
        while True:
            found = await self.tape(kind)
            if what(found):
                return found
            assert time.monotonic() < deadline, f"{kind.__name__} after {wait_s} s: {found[-8:]}"
            await asyncio.sleep(0.05)

    async def cursors(self, feed: str) -> list[Any]:
        """All cursors of a feed written so far, deletions left out."""
        found = [codec.decode(row.value) for row in await self.rows("cursors") if row.value]
        return [cursor for cursor in found if cursor.feed == feed]

    async def everything(self) -> bytes:
        """All bytes of all topics, headers and keys included."""
        names = ("tape", "dead", "cursors", "raw.user", "raw.data", "journal")
        rows = [row for name in names for row in await self.rows(name)]
        return b"\n".join(
            b"|".join([row.key or b"", *row.headers.values(), row.value]) for row in rows
        )

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()


class DullChannel:
    """A user channel that takes credentials and says nothing but, if it is told to, PONG."""

    def __init__(self, *, pongs: bool) -> None:
        self._pongs = pongs
        self.opened = 0
        self.pinged = 0
        self.url = ""

    async def serve(self, connection: ServerConnection) -> None:
        self.opened += 1
        async for frame in connection:
            if self._pongs and frame == "PING":
                self.pinged += 1
                await connection.send("PONG")


@dataclass
class Connector:
    """A run of the connector inside the test's loop."""

    task: asyncio.Task[None]
    stop: asyncio.Event

    async def stopped(self) -> None:
        """Ask it to stop. Raises what it raised."""
        self.stop.set()
        async with asyncio.timeout(WAIT_S):
            await self.task

    async def killed(self) -> None:
        """End it where it stands, without a last word."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@dataclass
class Stage:
    """Sandbox, broker, topics, and connectors in front of them."""

    venue: Venue
    topics: Topics
    settings: Settings
    started: list[Connector] = field(default_factory=list)

    def start(self, settings: Settings | None = None) -> Connector:
        stop = asyncio.Event()
        task = asyncio.create_task(run_account(settings or self.settings, stop))
        connector = Connector(task, stop)
        self.started.append(connector)
        return connector

    async def ready(self) -> None:
        """Wait until every feed is up."""
        await self.topics.until(
            Tick, lambda t: t and all(feed.state == "up" for feed in t[-1].feeds.values())
        )

    async def positions(self) -> dict[str, int]:
        """What the fills on the tape add up to, by token: failed ones not counted."""
        return position_of(await self.topics.tape(OwnFill))


def position_of(fills: list[OwnFill]) -> dict[str, int]:
    """Shares by token, each fill by its identity and newest status."""
    newest: dict[tuple[str, str], OwnFill] = {}
    for fill in fills:
        newest[fill.trade, fill.order if fill.role == "MAKER" else ""] = fill
    held: dict[str, int] = {}
    for fill in newest.values():
        if fill.status != "FAILED":
            signed = fill.shares_micro if fill.side == "BUY" else -fill.shares_micro
            held[fill.token] = held.get(fill.token, 0) + signed
    return held


def write_credentials(path: Path, made: Any) -> Path:
    """A private file as `truecopy credentials` writes it."""
    text = {"apiKey": made.key, "secret": made.secret, "passphrase": made.passphrase}
    path.write_text(json.dumps(text))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def recorded_books() -> Recordings:
    return Recordings()


@pytest.fixture(scope="session")
def shared_broker() -> Iterator[EmbeddedBroker]:
    """One embedded broker for all tests here; each has topics of its own."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def new_tape(shared_broker: EmbeddedBroker) -> Callable[..., KafkaWiring]:
    """Makes the declared topics, but for those left out, with the beginning of a tape."""

    def make(
        broker: EmbeddedBroker = shared_broker, *, begun: bool = True, **partitions: int
    ) -> KafkaWiring:
        prefix = f"a{uuid.uuid4().hex[:8]}."
        for name, topic in declared().items():
            count = partitions.get(name.replace(".", "_"), topic.partitions)
            broker.create_topic(prefix + name, count)
        wiring = KafkaWiring(
            bootstrap=broker.bootstrap, prefix=prefix, linger_ms=5, fetch_wait_ms=5
        )
        if begun:
            begin_tape(wiring)
        return wiring

    return make


def begin_tape(wiring: KafkaWiring) -> None:
    """Put Genesis on the tape."""
    genesis = Genesis(tape_id="0" * 16, schema=1, shard=0, accounts=(Account("main"),))
    append(wiring, "tape", b"genesis", codec.encode(genesis))


def append(wiring: KafkaWiring, topic: str, key: bytes, value: bytes | None) -> None:
    """Put one record on a topic and wait for it; without idempotence, which costs half a second."""
    producer = confluent_kafka.Producer({"bootstrap.servers": wiring.bootstrap, "linger.ms": 0})
    producer.produce(wiring.prefix + topic, value, key=key, partition=0)
    assert producer.flush(WAIT_S) == 0


@pytest.fixture(name="append")
def append_fixture() -> Callable[..., None]:
    """Puts one record on a topic."""
    return append


@pytest.fixture(name="begin_tape")
def begin_tape_fixture() -> Callable[[KafkaWiring], None]:
    """Puts Genesis on a tape."""
    return begin_tape


@pytest.fixture
async def stages(
    new_tape: Callable[..., KafkaWiring], recorded_books: Recordings, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Stage]]]:
    """Makes a stage; sandbox settings by name, others in `account` and `venue`."""
    stack = contextlib.AsyncExitStack()

    async def make(
        *,
        kafka: KafkaWiring | None = None,
        account: dict[str, Any] | None = None,
        venue: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Stage:
        sandbox = Sandbox(SandboxSettings(**(QUICK | settings)), recordings=recorded_books)
        await stack.enter_async_context(sandbox)
        site, ready = Venue(sandbox), sandbox.ready()
        file = write_credentials(tmp_path / "credentials.json", site.credentials)
        kafka = kafka or new_tape()
        topics = Topics(kafka)
        stack.callback(topics.close)
        document = {
            "kafka": {
                "bootstrap": kafka.bootstrap,
                "prefix": kafka.prefix,
                "linger_ms": kafka.linger_ms,
                "fetch_wait_ms": kafka.fetch_wait_ms,
            },
            "venue": {
                "clob_url": ready["clob_url"],
                "data_url": ready["data_url"],
                "user_ws_url": ready["ws_user"],
                **(venue or {}),
            },
            "account": {
                **POLLS,
                "wallet": site.wallet,
                "credentials_file": str(file),
                **(account or {}),
            },
        }
        stage = Stage(site, topics, parse(document))
        stack.push_async_callback(_end, stage)
        return stage

    async with stack:
        yield make


async def _end(stage: Stage) -> None:
    for connector in stage.started:
        if not connector.task.done():
            await connector.killed()


@pytest.fixture
async def dull_channels() -> AsyncIterator[Callable[..., Awaitable[DullChannel]]]:
    """Makes dull channels; `pongs` says whether they answer PING."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(*, pongs: bool) -> DullChannel:
            channel = DullChannel(pongs=pongs)
            server = await stack.enter_async_context(serve(channel.serve, "127.0.0.1", 0))
            port = next(iter(server.sockets)).getsockname()[1]
            channel.url = f"ws://127.0.0.1:{port}"
            return channel

        yield make


class FakeLog:
    """Stands where the producer stands: keeps what is appended, acknowledges at once."""

    def __init__(self) -> None:
        self.outstanding = 0
        self.appended: list[tuple[str, bytes]] = []

    def append(self, topic: str, value: bytes, **_rest: Any) -> None:
        self.appended.append((topic, value))

    async def append_acknowledged(self, topic: str, value: bytes, **rest: Any) -> int:
        self.append(topic, value, **rest)
        return len(self.appended) - 1

    def poll(self) -> None:
        return

    def records(self, topic: str = "tape", kind: type[Any] = Record) -> list[Any]:
        found = [codec.decode(value) for name, value in self.appended if name == topic]
        return [record for record in found if isinstance(record, kind)]


@dataclass
class Desk:
    """Private reads against a handler of requests, no network and no broker."""

    log: FakeLog
    private: PrivateReads
    feeds: dict[str, ReadFeed]
    credentials: Credentials
    now: dict[str, int]


OWN_KEY = "0a0a0a0a-1b1b-2c2c-3d3d-4e4e4e4e4e4e"
OWN_FEEDS = ("own_trades", "own_orders", "own_positions", "own_balance", "own_redemptions")


@pytest.fixture
async def desks() -> AsyncIterator[Callable[..., Desk]]:
    """Makes a desk from `answer(request) -> httpx.Response`; `now["ms"]` is its clock."""
    clients: list[httpx.AsyncClient] = []

    def make(answer: Callable[[httpx.Request], httpx.Response]) -> Desk:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        clients.append(client)
        now = {"ms": 1_795_000_000_000}
        log = FakeLog()
        feeds = {name: ReadFeed(1_000_000) for name in OWN_FEEDS}
        for feed in feeds.values():
            feed.follow("main")
        credentials = Credentials(api_key=OWN_KEY, secret="c2VjcmV0LXNlY3JldA==", passphrase="pp-1")

        def clean(body: bytes) -> bytes:
            return redact(body.decode(errors="replace"), credentials).encode()

        def clock_ns() -> int:
            now["ms"] += 1
            return now["ms"] * 1_000_000

        reads = Reads(
            rest=Rest(per_second=1_000, clock_ns=clock_ns, client=client),
            outbox=Outbox(log, KafkaWiring()),  # type: ignore[arg-type]
            ids=Ids("account", 7),
            feeds=feeds,
            raw_topic="user",
            clean=clean,
        )
        private = PrivateReads(
            reads=reads,
            clob_url="http://clob.test",
            account=Account("main"),
            signer="0x" + "ab" * 20,
            credentials=credentials,
        )
        return Desk(log, private, feeds, credentials, now)

    yield make
    for client in clients:
        await client.aclose()
