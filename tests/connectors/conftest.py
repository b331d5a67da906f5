"""Helpers of the connector tests: venue frames of our own making, and recordings where they are.

Frames are built here by hand, with a book hash computed by `py-clob-client-v2`'s own function, so
that the cores are held against somebody else's idea of the venue.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from py_clob_client_v2.clob_types import OrderBookSummary, OrderSummary
from py_clob_client_v2.utilities import generate_orderbook_summary_hash

from connectors.polymarket.book_hash import HashBudget
from connectors.polymarket.effects import Append, Effect
from connectors.polymarket.outbox import Ids, Outbox
from connectors.polymarket.reads import Reads
from connectors.polymarket.rest import Rest
from connectors.polymarket.session import MarketSession
from connectors.public.catalogue import Catalogue
from connectors.public.leaders import read_feeds
from schemas.codec import decode, decode_levels
from schemas.records.base import Record
from schemas.records.market import BookEpoch, Depth
from schemas.wiring import KafkaWiring, PublicWiring, VenueWiring

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data"
MARKET = "0x" + "ab" * 32
UP, DOWN = "101", "202"
MS = 1_000_000


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of others' recordings; tests that need it skip where it is absent."""
    if not RECORDED.is_dir():
        pytest.skip("the recordings are not beside this checkout (../shared/data)")
    return RECORDED


class Venue:
    """A book as the venue keeps it: says what it sends when a level changes."""

    def __init__(
        self, token: str = UP, *, tick: str = "0.01", now_ms: int = 1_790_000_000_000
    ) -> None:
        self.token, self.tick, self.now_ms = token, tick, now_ms
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.last_trade = "0.500"

    def levels(self, side: dict[str, str], *, descending: bool) -> list[dict[str, str]]:
        ordered = sorted(side.items(), key=lambda level: float(level[0]), reverse=descending)
        return [{"price": price, "size": size} for price, size in ordered]

    def book(self, **changed: Any) -> dict[str, Any]:
        """The whole summary, hash included, as REST and the first frame have it."""
        body: dict[str, Any] = {
            "market": MARKET,
            "asset_id": self.token,
            "timestamp": str(self.now_ms),
            "hash": "",
            "bids": self.levels(self.bids, descending=False),
            "asks": self.levels(self.asks, descending=True),
            "min_order_size": "5",
            "tick_size": self.tick,
            "neg_risk": False,
            "last_trade_price": self.last_trade,
        }
        summary = OrderBookSummary(
            **{
                **body,
                "bids": [OrderSummary(**level) for level in body["bids"]],
                "asks": [OrderSummary(**level) for level in body["asks"]],
            }
        )
        return {**body, "hash": generate_orderbook_summary_hash(summary), **changed}

    def snapshot(self, **changed: Any) -> bytes:
        """A `book` frame."""
        return json.dumps({"event_type": "book", **self.book(**changed)}).encode()

    def tick_change(self, tick: str) -> bytes:
        """The frame that says a millisecond later that the grid is this one now."""
        self.now_ms += 1
        said = {"market": MARKET, "asset_id": self.token, "old_tick_size": "0.01"}
        said |= {"new_tick_size": tick, "timestamp": str(self.now_ms)}
        return json.dumps({"event_type": "tick_size_change", **said}).encode()

    def quotes(self) -> tuple[str, str]:
        bids = sorted(self.bids, key=float)
        asks = sorted(self.asks, key=float)
        return (bids[-1] if bids else ""), (asks[0] if asks else "")

    def set(self, side: str, price: str, size: str) -> None:
        """Change one level, without saying so."""
        levels = self.bids if side == "BUY" else self.asks
        if float(size) == 0:
            levels.pop(price, None)
        else:
            levels[price] = size

    def change(self, side: str, price: str, size: str, **changed: Any) -> bytes:
        """Change one level a millisecond later, and the frame that says so."""
        self.now_ms += 1
        self.set(side, price, size)
        bid, ask = self.quotes()
        row = {
            "asset_id": self.token,
            "price": price,
            "size": size,
            "side": side,
            "hash": self.book()["hash"],
            "best_bid": bid,
            "best_ask": ask,
            **changed,
        }
        return self.frame([row])

    def frame(self, rows: list[dict[str, Any]]) -> bytes:
        return json.dumps(
            {
                "event_type": "price_change",
                "market": MARKET,
                "timestamp": str(self.now_ms),
                "price_changes": rows,
            }
        ).encode()

    def depth(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """What a mirror should hold, best first."""
        bids = sorted(((float(p), float(s)) for p, s in self.bids.items()), reverse=True)
        return bids, sorted((float(p), float(s)) for p, s in self.asks.items())


@pytest.fixture
def venue() -> Venue:
    """A two-sided book of three levels a side."""
    made = Venue()
    made.bids.update({"0.46": "30", "0.47": "20.5", "0.48": "10"})
    made.asks.update({"0.50": "11", "0.51": "21", "0.53": "31.25"})
    return made


class Desk:
    """A session with its clock: what it does as plain values."""

    def __init__(self, **settings: Any) -> None:
        numbers = iter(range(1, 1_000_000))
        self.now_ms = 1_790_000_000_000
        self.session = MarketSession(
            ids=lambda: f"public-7.{next(numbers)}",
            **{
                "depth_levels": 20,
                "depth_interval_ms": 250,
                "silence_ms": 30_000,
                "budget": HashBudget(1_000_000),
                **settings,
            },
        )
        self.effects: list[Effect] = []

    def open(self, *tokens: str) -> "Desk":
        self.did(self.session.follow(tokens, [], self.now_ms))
        return self.did(self.session.opened(self.now_ms))

    def did(self, effects: Iterable[Effect]) -> "Desk":
        self.effects += effects
        return self

    def hear(self, *frames: bytes) -> "Desk":
        """Frames one after the other, a millisecond apart."""
        for frame in frames:
            self.now_ms += 1
            self.did(self.session.receive(frame, self.now_ms * MS))
        return self

    def wait(self, ms: int) -> "Desk":
        """Time passes, looked at often."""
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.now_ms = min(self.now_ms + 50, until_ms)
            self.did(self.session.tick(self.now_ms))
        return self

    def taken(self) -> list[Effect]:
        effects, self.effects = self.effects, []
        return effects

    def records(self) -> list[Record]:
        return [effect.record for effect in self.taken() if isinstance(effect, Append)]

    def epochs(self) -> list[tuple[str, str]]:
        return [(r.state, r.reason) for r in self.records() if isinstance(r, BookEpoch)]

    def last_depth(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]] | None:
        """The newest Depth's levels in shares and dollars."""
        depths = [r for r in self.records() if isinstance(r, Depth)]
        return levels_of(depths[-1]) if depths else None

    def mirrored(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        bids, asks = self.session.mirrors.books[UP].mirror.top(1_000)
        return human(bids), human(asks)


def human(levels: list[tuple[int, int]]) -> list[tuple[float, float]]:
    return [(price / MS, size / MS) for price, size in levels]


def levels_of(depth: Depth) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    return human(decode_levels(depth.bids)), human(decode_levels(depth.asks))


@pytest.fixture(scope="session")
def desk() -> Callable[..., Desk]:
    """Makes a session; `Desk.open(*tokens)` connects it."""
    return Desk


@pytest.fixture(scope="session")
def new_venue() -> Callable[..., Venue]:
    """Makes a venue-side book of a token."""
    return Venue


class MemoryProducer:
    """A producer that acknowledges everything at once and remembers it in order."""

    def __init__(self) -> None:
        self.log: list[tuple[str, bytes]] = []
        self.outstanding = 0

    def append(self, topic: str, value: bytes, **_: Any) -> None:
        self.log.append((topic, value))

    async def append_acknowledged(self, topic: str, value: bytes, **_: Any) -> int:
        self.append(topic, value)
        return len(self.log) - 1

    def poll(self) -> None:
        """Nothing is ever outstanding."""


class Desktop:
    """The public role's reads over a scripted venue: `answer(path, body, **headers)` scripts it."""

    def __init__(self) -> None:
        self.now_ms = 1_790_000_000_000
        self.asked: list[httpx.URL] = []
        self.scripts: dict[str, list[httpx.Response | Exception]] = {}
        self.producer = MemoryProducer()
        wiring, kafka = PublicWiring(), KafkaWiring()
        self.venue = VenueWiring(
            clob_url="http://clob", gamma_url="http://gamma", data_url="http://data"
        )
        self.outbox = Outbox(self.producer, kafka)  # type: ignore[arg-type]
        self.ids = Ids("public", 7)
        self.rest = Rest(
            per_second=1_000,
            clock_ns=lambda: self.now_ms * MS,
            client=httpx.AsyncClient(transport=httpx.MockTransport(self._answer)),
        )
        self.feeds = read_feeds(wiring)
        self.reads = Reads(
            rest=self.rest, outbox=self.outbox, ids=self.ids, feeds=self.feeds, raw_topic="data"
        )
        self.catalogue = Catalogue(
            venue=self.venue, poll_ms=20_000, outbox=self.outbox, rest=self.rest, ids=self.ids
        )

    def answer(self, path: str, *bodies: Any, status: int = 200, **headers: str) -> "Desktop":
        """The next answers of a path, in order; the last one is repeated."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for body in bodies:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            made = httpx.Response(status, content=content, headers=named)
            self.scripts.setdefault(path, []).append(made)
        return self

    def fails(self, path: str, error: Exception) -> "Desktop":
        self.scripts.setdefault(path, []).append(error)
        return self

    def forget(self, path: str) -> "Desktop":
        self.scripts.pop(path, None)
        return self

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        script = self.scripts.get(request.url.path)
        if not script:
            return httpx.Response(404, json={"error": "not found"})
        found = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found.status_code, content=found.content, headers=found.headers)

    def records(self, topic: str = "tape") -> list[Record]:
        """What stands on a topic, in order."""
        return [decode(value) for name, value in self.producer.log if name == topic]

    def order(self) -> list[str]:
        """Kinds of records in the order they were appended, raw ones left out."""
        kept = [pair for pair in self.producer.log if not pair[0].startswith("raw.")]
        return [type(decode(value)).__name__ for _, value in kept]


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    made = Desktop()
    async with made.rest:
        yield made
