"""Sandboxes, worlds without sockets, and official clients for the tests of this folder."""

import dataclasses
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eth_account import Account
from polymarket import AsyncSecureClient
from polymarket._internal.environment import PRODUCTION_CONFIG, create_environment

from infra.sandbox.books import Recordings
from infra.sandbox.hashing import hex_id
from infra.sandbox.market import Market
from infra.sandbox.matching import Refusal, Terms, limit_terms
from infra.sandbox.records import Answer, Emission, Order
from infra.sandbox.server import Sandbox, system_clock_ms
from infra.sandbox.settings import SandboxSettings
from infra.sandbox.venue import Venue
from tests.waiting import WAIT_S

START_MS = 1_795_000_000_000
QUIET = {"leaders": 0, "stranger_rate_per_s": 0.0, "rival_every": 0}
RECORDED = Path(__file__).parents[2].parent / "shared" / "data"


class World:
    """A venue without sockets, its time in the test's hands."""

    def __init__(self, recordings: Recordings, **settings: Any) -> None:
        self.emitted: list[Emission] = []
        self.settings = SandboxSettings(**settings)
        self.venue = Venue(self.settings, recordings, START_MS, self.emitted.append)
        self.now_ms = START_MS
        self._numbers = itertools.count()

    def run(self, ms: int) -> None:
        self.now_ms += ms
        self.venue.advance(self.now_ms)

    def frames(self, channel: str, kind: str | None = None) -> list[dict[str, Any]]:
        return [
            e.payload
            for e in self.emitted
            if e.channel == channel
            and kind in (None, e.payload.get("event_type"), e.payload.get("type"))
        ]

    def account(self, name: str = "us") -> tuple[str, str]:
        """A wallet with cash, and its API key."""
        wallet, key = hex_id("test", name, size=20), f"key-{name}"
        self.venue.open_account(wallet, key)
        return wallet, key

    def order(self, market: Market, token: int, terms: Terms, name: str = "us") -> Order:
        wallet, key = self.account(name)
        return Order(
            order_id=hex_id("test-order", next(self._numbers)),
            wallet=wallet,
            owner=key,
            market=market,
            token=token,
            terms=terms,
            placed_ms=self.now_ms,
        )

    def submit(self, order: Order) -> Answer | Refusal:
        """What the venue answers, the latency having passed."""
        answers: list[Answer | Refusal] = []
        self.venue.exchange.submit(order, answers.append)
        self.run(self.settings.latency_ms)
        assert len(answers) == 1
        return answers[0]

    def lasting(self) -> Market:
        """A market with both sides that outlasts the planned duration."""
        return next(
            market
            for market in self.venue.floor.markets[2:]
            if market.book.best_bid(0) is not None and market.book.best_ask(0) is not None
        )


def fak_buy(price_micro: int, usd_micro: int) -> Terms:
    """A FAK BUY of a budget at a limit, as the official SDK rounds it."""
    shares = usd_micro * 1_000_000 // price_micro // 100 * 100
    return dataclass_terms("BUY", "FAK", price_micro, usd_micro, shares)


def dataclass_terms(side: str, kind: str, price: int, usd: int, shares: int) -> Terms:
    return Terms(side=side, order_type=kind, usd_micro=usd, shares_micro=shares, price_micro=price)


@pytest.fixture(scope="session")
def recordings() -> Recordings:
    return Recordings()


@pytest.fixture
def world(recordings: Recordings) -> Callable[..., World]:
    """Makes a world; quiet unless told otherwise."""

    def make(**settings: Any) -> World:
        return World(recordings, **(QUIET | settings))

    return make


@pytest.fixture
def busy_world(recordings: Recordings) -> Callable[..., World]:
    """Makes a world with the demo's leaders, strangers and rivals."""
    return lambda **settings: World(recordings, **settings)


@pytest.fixture(scope="session")
def minute_of_seed(recordings: Recordings) -> Callable[[int], World]:
    """Makes the demo's world of a seed, for fixtures that outlive a test."""
    return lambda seed: World(recordings, seed=seed)


@pytest.fixture
def buy() -> Callable[[int, int], Terms]:
    return fak_buy


@pytest.fixture
def sell() -> Callable[[int, int], Terms]:
    def terms(price_micro: int, shares_micro: int) -> Terms:
        usd = shares_micro * price_micro // 1_000_000
        return dataclass_terms("SELL", "FAK", price_micro, usd, shares_micro)

    return terms


@pytest.fixture
def limit() -> Callable[[str, int, int], Terms]:
    return limit_terms


@pytest.fixture
async def make_sandbox(recordings: Recordings) -> AsyncIterator[Callable[..., Awaitable[Sandbox]]]:
    """Starts sandboxes with the demo's leaders; `clock` may be given. All stop at the end."""
    running: list[Sandbox] = []

    async def start(clock: Callable[[], int] = system_clock_ms, **settings: Any) -> Sandbox:
        sandbox = Sandbox(SandboxSettings(**settings), clock=clock, recordings=recordings)
        await sandbox.start()
        running.append(sandbox)
        return sandbox

    yield start
    for sandbox in running:
        await sandbox.stop()


@pytest.fixture
def open_sandbox(
    make_sandbox: Callable[..., Awaitable[Sandbox]],
) -> Callable[..., Awaitable[Sandbox]]:
    """Starts sandboxes that are quiet, with books that stand still, unless told otherwise."""
    return lambda **settings: make_sandbox(**(QUIET | {"speed": 0.001} | settings))


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S)) as session:
        yield session


@pytest.fixture
async def open_client() -> AsyncIterator[Callable[..., Awaitable[AsyncSecureClient]]]:
    """Official clients, unmodified, pointed at a sandbox; each derives its own credentials."""
    clients: list[AsyncSecureClient] = []

    async def connect(sandbox: Sandbox, private_key: str = "0x" + "11" * 32) -> AsyncSecureClient:
        ready = sandbox.ready()
        config = dataclasses.replace(
            PRODUCTION_CONFIG,
            clob_url=ready["clob_url"],
            gamma_url=ready["gamma_url"],
            data_url=ready["data_url"],
            relayer_url=ready["url"],
            rpc_url=ready["url"],
            rfq_url=ready["url"],
            clob_market_ws_url=ready["ws_market"],
            clob_user_ws_url=ready["ws_user"],
        )
        client = await AsyncSecureClient.create(
            private_key=private_key,
            wallet=Account.from_key(private_key).address,
            environment=create_environment(name="loopback", config=config),
        )
        clients.append(client)
        return client

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of others' recordings; tests that need it skip where it is absent."""
    if not RECORDED.is_dir():
        pytest.skip("the recordings are not beside this checkout (../shared/data)")
    return RECORDED
