"""A CLOB of a few endpoints on loopback, and the secrets of an account that nobody owns."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connectors.execution.backend import Signed
from connectors.execution.client import VenueClient
from connectors.execution.client_open import address_of, open_client
from connectors.execution.live import LiveBackend
from connectors.execution.opening import ApiCredentials
from connectors.execution.order_hash import order_hash
from schemas.records.base import Account
from schemas.records.journal import OrderRequested
from schemas.records.own import OrderSigned
from schemas.units import format_micro
from schemas.wiring import VenueWiring

TOKEN = "107505882767731489358349912513945399560393482969656700824895970500493757150417"
CONDITION = "0x" + "bd" * 32
KEY = "0x" + "11" * 32
WALLET = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
API_KEY = "3f2b8c1e-0000-4000-8000-00000000abcd"
API_SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0ISE="
API_PASSPHRASE = "passphrase-that-nobody-may-see"
Scripted = str | tuple[int, Any] | tuple[int, Any, dict[str, str]]


class HttpVenue:
    """A CLOB of a few endpoints on loopback, for answers no honest venue gives on demand.

    script: what the next POSTs of /order do. "match" fills whole, "lose" fills and breaks off,
    "hang" fills and never answers, "drop" breaks off unseen; a tuple is (status, body[, headers]).
    posted: hash of every order that arrived; orders: those accepted.
    """

    def __init__(self) -> None:
        self.script: list[Scripted] = []
        self.posted: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.trades: list[dict[str, Any]] = []
        self.tick = 0.01
        self.neg_risk = False
        self.order_answers: list[tuple[int, Any]] = []
        self.asked: list[str] = []
        self.cancel_answers: list[tuple[int, Any]] = []
        self.url = ""

    def app(self) -> web.Application:
        """Its routes."""
        app = web.Application()
        app.router.add_get("/auth/api-keys", self._keys)
        app.router.add_get("/markets-by-token/{token}", self._by_token)
        app.router.add_get("/clob-markets/{condition}", self._market)
        app.router.add_post("/order", self._post)
        app.router.add_delete("/order", self._cancel)
        app.router.add_get("/data/order/{order}", self._order)
        app.router.add_get("/data/orders", self._listed)
        app.router.add_get("/data/trades", self._trades)
        return app

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"apiKeys": [API_KEY]})

    async def _by_token(self, request: web.Request) -> web.Response:
        self.asked.append("markets-by-token")
        token = request.match_info["token"]
        return web.json_response(
            {"condition_id": CONDITION, "primary_token_id": token, "secondary_token_id": "77"}
        )

    async def _market(self, _: web.Request) -> web.Response:
        self.asked.append("clob-markets")
        return web.json_response(
            {
                "t": [{"t": TOKEN, "o": "Up"}, {"t": "77", "o": "Down"}],
                "c": CONDITION,
                "mos": 5,
                "mts": self.tick,
                "nr": self.neg_risk,
                "fd": {"r": 0.07, "e": 1, "to": True},
            }
        )

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        act = self.script.pop(0) if self.script else "match"
        order = order_hash(body["order"], neg_risk=self.neg_risk)
        self.bodies.append(body)
        if act == "drop":
            return self._broken(request)
        self.posted.append(order)
        if isinstance(act, tuple):
            return web.json_response(act[1], status=act[0], headers=act[2] if act[2:] else None)
        if order in self.orders:
            text = f"order {order} is invalid. Duplicated."
            return web.json_response({"error": text}, status=400)
        answer = self._match(order, body["order"])
        if act == "lose":
            return self._broken(request)
        if act == "hang":
            await asyncio.Event().wait()
        return web.json_response(answer)

    def _broken(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _match(self, order: str, wire: dict[str, Any]) -> dict[str, Any]:
        making, taking = int(wire["makerAmount"]), int(wire["takerAmount"])
        shares = taking if wire["side"] == "BUY" else making
        usd = making if wire["side"] == "BUY" else taking
        trade = f"trade-{len(self.orders)}"
        self.trades.append(self.trade_row(trade, order, wire["side"], shares, usd))
        self.orders[order] = self.order_row(order, wire["side"], shares, trade)
        return {
            "success": True, "errorMsg": "", "orderID": order, "status": "matched",
            "makingAmount": format_micro(making), "takingAmount": format_micro(taking),
            "tradeIDs": [trade], "transactionsHashes": [],
        }  # fmt: skip

    def order_row(
        self, order: str, side: str, shares: int, *trades: str, status: str = "MATCHED"
    ) -> dict[str, Any]:
        """One order as /data/order shows it."""
        return {
            "id": order, "status": status, "market": CONDITION, "asset_id": TOKEN, "owner": API_KEY,
            "maker_address": WALLET, "side": side, "price": "0.5", "outcome": "Up",
            "original_size": format_micro(shares), "size_matched": format_micro(shares),
            "order_type": "FAK", "associate_trades": list(trades), "created_at": 1_795_000_000,
            "expiration": "0",
        }  # fmt: skip

    def trade_row(
        self, trade: str, order: str, side: str, shares: int, usd: int, **given: Any
    ) -> dict[str, Any]:
        """One trade as /data/trades shows it: one maker leg on the same token."""
        price = format_micro(usd * 1_000_000 // shares)
        return {
            "id": trade, "market": CONDITION, "asset_id": TOKEN, "owner": API_KEY,
            "maker_address": WALLET, "taker_order_id": order, "side": side, "trader_side": "TAKER",
            "price": price, "size": format_micro(shares), "outcome": "Up",
            "status": "TRADE_STATUS_CONFIRMED", "fee_rate_bps": "0", "bucket_index": 0,
            "transaction_hash": "", "match_time": "1795000000", "last_update": "1795000000",
            "maker_orders": [
                {"order_id": "0xee", "asset_id": TOKEN, "maker_address": WALLET, "owner": "them",
                 "side": "SELL", "price": price, "matched_amount": format_micro(shares),
                 "outcome": "Up"}
            ],
            **given,
        }  # fmt: skip

    async def _order(self, request: web.Request) -> web.Response:
        self.asked.append("order")
        if self.order_answers:
            status, body = self.order_answers.pop(0)
            return web.json_response(body, status=status)
        found = self.orders.get(request.match_info["order"])
        if found is None:
            return web.json_response({"error": "order not found"}, status=404)
        return web.json_response(found)

    async def _cancel(self, request: web.Request) -> web.Response:
        order = (await request.json())["orderID"]
        self.asked.append(f"cancel {order}")
        if self.cancel_answers:
            status, body = self.cancel_answers.pop(0)
            return web.json_response(body, status=status)
        return web.json_response({"canceled": [order], "not_canceled": {}})

    async def _listed(self, request: web.Request) -> web.Response:
        self.asked.append("orders")
        found = self.orders.get(request.query.get("id", ""))
        return web.json_response(_page([found] if found else []))

    async def _trades(self, request: web.Request) -> web.Response:
        self.asked.append(f"trades after={request.query.get('after')}")
        return web.json_response(_page(self.trades))


def _page(rows: list[Any]) -> dict[str, Any]:
    return {"limit": 100, "count": len(rows), "next_cursor": "LTE=", "data": rows}


@asynccontextmanager
async def serving() -> AsyncIterator[HttpVenue]:
    """The little CLOB, serving on a port of its own."""
    venue = HttpVenue()
    runner = web.AppRunner(venue.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    venue.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield venue
    await runner.cleanup()


@pytest.fixture(scope="session")
def serve() -> Callable[[], AbstractAsyncContextManager[HttpVenue]]:
    """Makes little CLOBs."""
    return serving


@pytest.fixture
async def http_venue() -> AsyncIterator[HttpVenue]:
    """One for the test."""
    async with serving() as venue:
        yield venue


@dataclass(frozen=True)
class Secrets:
    """The test account: what may be in no topic, log or error."""

    key: str = KEY
    wallet: str = WALLET
    api_key: str = API_KEY
    secret: str = API_SECRET
    passphrase: str = API_PASSPHRASE

    @property
    def credentials(self) -> ApiCredentials:
        return ApiCredentials(api_key=self.api_key, secret=self.secret, passphrase=self.passphrase)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Key file and credentials file, private."""
        key, creds = folder / "key", folder / "credentials.json"
        key.write_text(self.key + "\n")
        names = {"apiKey": self.api_key, "secret": self.secret, "passphrase": self.passphrase}
        creds.write_text(json.dumps(names))
        key.chmod(0o600)
        creds.chmod(0o600)
        return key, creds

    def leaked(self, text: str) -> list[str]:
        """Which of them stand in a text."""
        bare = self.key.removeprefix("0x")
        return [s for s in (bare, self.api_key, self.secret, self.passphrase) if s in text]


@pytest.fixture(scope="session")
def secrets() -> Secrets:
    """The test account's secrets."""
    return Secrets()


def venue_wiring(url: str) -> VenueWiring:
    """All of the venue's addresses at one loopback server."""
    return VenueWiring(
        clob_url=url,
        gamma_url=url,
        data_url=url,
        relayer_url=url,
        rpc_url=url,
        market_ws_url=url.replace("http", "ws") + "/ws/market",
        user_ws_url=url.replace("http", "ws") + "/ws/user",
        activity_ws_url=url.replace("http", "ws") + "/ws/activity",
    )


@pytest.fixture(scope="session")
def venue_at() -> Callable[[str], VenueWiring]:
    """All of the venue's addresses at one loopback server."""
    return venue_wiring


@asynccontextmanager
async def opened_backend(
    venue: VenueWiring, secrets: Secrets, post_timeout_s: float = 60.0
) -> AsyncIterator[LiveBackend]:
    """The live backend over a venue."""
    open_one = partial(open_client, venue, secrets.key, secrets.wallet, secrets.credentials)
    client = VenueClient(open_one, await open_one(), post_timeout_s=post_timeout_s)
    yield LiveBackend(
        client,
        account=Account("main"),
        wallet=secrets.wallet,
        signer=address_of(secrets.key),
        old_ms=10_000,
    )
    await client.close()


@pytest.fixture(scope="session")
def backend() -> Callable[..., AbstractAsyncContextManager[LiveBackend]]:
    """Opens live backends."""
    return opened_backend


@pytest.fixture
async def live(http_venue: HttpVenue, secrets: Secrets) -> AsyncIterator[LiveBackend]:
    """The live backend over the little venue."""
    async with opened_backend(venue_wiring(http_venue.url), secrets) as opened:
        yield opened


@pytest.fixture(scope="session")
def sign() -> Callable[[LiveBackend, OrderRequested], Awaitable[Signed]]:
    """Signs what must be signable."""

    async def signing(live: LiveBackend, request: OrderRequested) -> Signed:
        built = await live.sign(request)
        assert isinstance(built, Signed), built
        return built

    return signing


@pytest.fixture
def on_tape(make: Any) -> Callable[[Signed], OrderSigned]:
    """A signed order as it stands on the tape."""

    def written(built: Signed) -> OrderSigned:
        record: OrderSigned = make.signed(
            order=built.order, payload=built.payload, maker_micro=built.maker_micro,
            taker_micro=built.taker_micro, side=built.payload["side"],
        )  # fmt: skip
        return record

    return written
