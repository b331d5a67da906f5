"""The running sandbox: one aiohttp server on a loopback port, and the pump that drives the venue.

In a test: `async with Sandbox(SandboxSettings(seed=7)) as sandbox:` then `sandbox.url`,
`sandbox.ready()`. The clock is a parameter (epoch ms), the system's by default.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from infra.sandbox.auth import Auth
from infra.sandbox.books import Recordings
from infra.sandbox.cache import Cache
from infra.sandbox.http_account import AccountDesk
from infra.sandbox.http_clob import PublicClob
from infra.sandbox.http_control import Control
from infra.sandbox.http_data import DataApi
from infra.sandbox.http_gamma import Gamma
from infra.sandbox.http_orders import OrderDesk
from infra.sandbox.hub import Hub
from infra.sandbox.rim import Rim
from infra.sandbox.settings import SandboxSettings
from infra.sandbox.venue import Venue

HOST = "127.0.0.1"
PUMP_MS = 20
SHUTDOWN_S = 0.5
log = logging.getLogger("sandbox")


def system_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Sandbox:
    """A loopback Polymarket; start it, use `url`, stop it."""

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        clock: Callable[[], int] = system_clock_ms,
        recordings: Recordings | None = None,
    ) -> None:
        self.settings = settings or SandboxSettings()
        self._clock = clock
        self.hub = Hub()
        self.venue = Venue(
            self.settings, recordings or Recordings(), start_ms=clock(), emit=self.hub.emit
        )
        self.rim = Rim(
            settings=self.settings,
            venue=self.venue,
            auth=Auth(self.settings.seed),
            cache=Cache(self.settings.cache_scale),
            clock=clock,
        )
        self._runner: web.AppRunner | None = None
        self._pump: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Bind, serve, and let time run."""
        app = web.Application()
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.settings.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._pump = asyncio.create_task(self._run())
        log.info("sandbox=started port=%d seed=%d", self.port, self.settings.seed)

    async def stop(self) -> None:
        """End every connection and the pump; a failure of the pump is raised here."""
        pump, self._pump = self._pump, None
        runner, self._runner = self._runner, None
        await self.hub.close()
        if runner is not None:
            await runner.cleanup()
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])
            if not pump.cancelled():
                pump.result()
        log.info("sandbox=stopped port=%d", self.port)

    async def failed(self) -> None:
        """Wait for the pump to fail and raise what it failed of; it never ends otherwise."""
        assert self._pump is not None, "start the sandbox first"
        await asyncio.shield(self._pump)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _run(self) -> None:
        while True:
            now_ms = self.rim.now()
            due_ms = self.venue.agenda.next_due_ms
            wait_ms = PUMP_MS if due_ms is None else min(max(due_ms - now_ms, 1), PUMP_MS)
            await asyncio.sleep(wait_ms / 1000)

    def _routes(self) -> list[web.RouteDef]:
        clob, gamma = PublicClob(self.rim), Gamma(self.rim)

        async def markets(request: web.Request) -> web.Response:
            """/markets of the one host: CLOB's listing has no parameter but its cursor."""
            if set(request.query) <= {"next_cursor"}:
                return await clob.markets(request)
            return await gamma.markets(request)

        return [
            *clob.routes(),
            *AccountDesk(self.rim).routes(),
            *OrderDesk(self.rim).routes(),
            *DataApi(self.rim).routes(),
            *gamma.routes(""),
            *gamma.routes("/gamma"),
            *Control(self.rim, self.hub).routes(),
            *self.hub.routes(self.rim),
            web.get("/markets", markets),
            web.get("/gamma/markets", gamma.markets),
        ]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def ready(self) -> dict[str, Any]:
        """Addresses of everything, and whom to follow."""
        socket = f"ws://{HOST}:{self.port}/ws"
        return {
            "event": "ready",
            "url": self.url,
            "clob_url": self.url,
            "data_url": self.url,
            "gamma_url": f"{self.url}/gamma",
            "ws_market": f"{socket}/market",
            "ws_user": f"{socket}/user",
            "ws_activity": f"{socket}/activity",
            "leaders": [leader.wallet for leader in self.venue.leaders],
            "start_ms": self.venue.start_ms,
            "rest_ms": self.venue.start_ms + self.settings.rest_ms,
            "resolve_ms": self.venue.start_ms + self.settings.resolve_ms,
            "seed": self.settings.seed,
            "faults": sorted(self.venue.faults.on),
        }
