"""The venue of one world: the sandbox's machine behind a REST door, driven by virtual time.

The exchange, settlement, index, leaders and every answer's bytes are the sandbox's own; only the
HTTP server is left out. What it is asked, and what really is, can be read here.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from multidict import MultiDict

from infra.sandbox.auth import Auth
from infra.sandbox.cache import Cache
from infra.sandbox.http_account import AccountDesk
from infra.sandbox.http_clob import PublicClob
from infra.sandbox.http_data import DataApi
from infra.sandbox.http_gamma import Gamma
from infra.sandbox.market import Market
from infra.sandbox.records import Emission, Order
from infra.sandbox.rim import Rim
from infra.sandbox.settings import SandboxSettings
from infra.sandbox.venue import Venue
from schemas.records.base import Token, Wallet
from tests.sim.books_model import DrawnRecordings
from tests.sim.clockwork import VirtualLoop
from tests.sim.mischief import Mischief

HOST = "http://venue"
OWN_WALLET = "0x" + "a1" * 20
PUMP_S = 0.03
Handler = Callable[[Any], Any]


class Request:
    """What a handler reads of an aiohttp request. url: a path, its query in params."""

    def __init__(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        json: object,
    ) -> None:
        self.method, self.path = method, url
        self.query = MultiDict(params or {})
        self.headers = dict(headers or {})
        self._body = b"" if json is None else msgspec.json.encode(json)
        self.match_info: Mapping[str, str] = {}

    @property
    def path_qs(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    async def read(self) -> bytes:
        return self._body


class Town:
    """Venue, leaders and strangers. emit takes the frames for the sockets."""

    def __init__(
        self,
        loop: VirtualLoop,
        settings: SandboxSettings,
        recordings: DrawnRecordings,
        mischief: Mischief,
        emit: Callable[[Emission], None],
    ) -> None:
        self._loop = loop
        self.venue = Venue(settings, recordings, loop.now_ms(), emit)  # type: ignore[arg-type]
        self.venue.faults.draw = lambda name: mischief.take(name, "venue") is not None  # type: ignore[method-assign]
        self.rim = Rim(
            settings=settings,
            venue=self.venue,
            auth=Auth(settings.seed),
            cache=Cache(settings.cache_scale),
            clock=loop.now_ms,
        )
        self.credentials = self.rim.auth.credentials(OWN_WALLET, 0)
        self.rim.auth.admit(self.credentials)
        self.venue.open_account(OWN_WALLET, self.credentials.key)
        self.own_orders: dict[str, Order] = {}
        self._routes = self._compiled()
        self._known: dict[tuple[str, str], tuple[Handler, Mapping[str, str]] | None] = {}

    def _compiled(self) -> list[tuple[str, re.Pattern[str], Handler]]:
        routes = [
            *PublicClob(self.rim).routes(),
            *AccountDesk(self.rim).routes(),
            *DataApi(self.rim).routes(),
            *Gamma(self.rim).routes("/gamma"),
        ]
        return [(r.method, _pattern(r.path), r.handler) for r in routes]

    async def answer(self, request: Request) -> web.Response:
        """What the venue answers, without any delay."""
        asked = request.method, request.path
        if asked not in self._known:
            self._known[asked] = self._route(*asked)
        route = self._known[asked]
        if route is None:
            return web.Response(status=404, body=b"{}")
        handler, request.match_info = route
        response = await handler(request)
        assert isinstance(response, web.Response)
        return response

    def _route(self, method: str, path: str) -> tuple[Handler, Mapping[str, str]] | None:
        for of, pattern, handler in self._routes:
            if of == method and (found := pattern.fullmatch(path)):
                return handler, found.groupdict()
        return None

    async def run(self) -> None:
        """Let time pass at the venue."""
        while True:
            self.rim.now()
            await asyncio.sleep(PUMP_S)

    # What really is

    def held_micro(self, wallet: str, market: Market, token: int) -> int:
        """Shares of a wallet, matched ones included."""
        key = (wallet, market.condition_id, token)
        ledger = self.venue.ledger
        return ledger.shares_micro[key] + ledger.pending_shares_micro[key]

    def tokens(self) -> list[tuple[Token, Market, int]]:
        """Every token ever listed."""
        return [
            (market.tokens[k], market, k) for market in self.venue.floor.markets for k in (0, 1)
        ]

    @property
    def leaders(self) -> list[Wallet]:
        return [Wallet(leader.wallet) for leader in self.venue.leaders]


def _pattern(path: str) -> re.Pattern[str]:
    """An aiohttp path with {name} and {name:regex} as a regular expression."""
    made = re.sub(r"\{(\w+):([^}]+)\}", r"(?P<\1>\2)", path)
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", made))
