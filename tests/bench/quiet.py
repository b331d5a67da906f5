"""A venue where nothing happens: as many markets as asked for, a book of each, and no trade ever.

`python quiet.py TOKENS` serves on a free port of loopback and says so in one line of JSON. It is
there to hold a connector's memory against the number of tokens; the sandbox plays recordings of a
few markets. Private reads answer 404, so the account connector only waits.
"""

import asyncio
import json
import sys
from typing import Any

from aiohttp import WSMsgType, web
from scene import Scene, Shape

from schemas.records.base import Token

LEVELS = 40
STAMP = "1795000000000"


class Quiet:
    """The markets and their answers."""

    def __init__(self, tokens: int) -> None:
        self.scene = Scene(Shape(records=0, tokens=tokens))
        self.number: dict[str, int] = {token: n for n, token in enumerate(self.scene.tokens)}
        self.of_condition: dict[str, list[Token]] = {
            self.scene.condition(n): self.scene.tokens[n : n + 2] for n in range(0, tokens, 2)
        }

    def book(self, token: str) -> dict[str, Any]:
        """A whole book, best last as the venue has it."""
        sizes = [
            f"{(self.number[token] * 7 + n * 13) % 90_000 / 10 + 5:.1f}" for n in range(LEVELS)
        ]
        return {
            "market": self.scene.condition(self.number[token]),
            "asset_id": token,
            "timestamp": STAMP,
            "bids": [{"price": f"{0.01 * (n + 1):.2f}", "size": s} for n, s in enumerate(sizes)],
            "asks": [{"price": f"{0.99 - 0.01 * n:.2f}", "size": s} for n, s in enumerate(sizes)],
            "tick_size": "0.01",
            "min_order_size": "5",
            "neg_risk": False,
        }

    async def by_token(self, request: web.Request) -> web.Response:
        """Which market a token belongs to."""
        token = request.match_info["token"]
        return web.json_response({"condition_id": self.scene.condition(self.number[token])})

    async def clob_market(self, request: web.Request) -> web.Response:
        """A market's tokens, tick, minimum and fee."""
        tokens = self.of_condition[request.match_info["condition"]]
        pair = [{"t": t, "o": name} for t, name in zip(tokens, ("Yes", "No"), strict=False)]
        fee = {"r": "0.07", "e": 1}
        return web.json_response({"t": pair, "mos": "5", "mts": "0.01", "fd": fee, "ao": True})

    async def gamma(self, request: web.Request) -> web.Response:
        """A market's title and state."""
        condition = request.query["condition_ids"]
        return web.json_response(
            {"markets": [{"conditionId": condition, "question": f"Will {condition} happen?"}]}
        )

    async def nothing(self, _request: web.Request) -> web.Response:
        """A listing of the Data API without a row."""
        return web.json_response({"data": []})

    async def books(self, request: web.Request) -> web.Response:
        """The books asked for."""
        return web.json_response([self.book(row["token_id"]) for row in await request.json()])

    async def market_socket(self, request: web.Request) -> web.WebSocketResponse:
        """A `book` frame for each token subscribed."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data == "PING":
                await socket.send_str("PONG")
            elif message.type is WSMsgType.TEXT:
                asked = json.loads(message.data)
                for token in asked["assets_ids"] if asked.get("operation") != "unsubscribe" else ():
                    await socket.send_json([{"event_type": "book", **self.book(token)}])
        return socket

    async def silent_socket(self, request: web.Request) -> web.WebSocketResponse:
        """A feed without data."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    def app(self) -> web.Application:
        """Everything by its path."""
        app = web.Application()
        app.router.add_get("/markets-by-token/{token}", self.by_token)
        app.router.add_get("/clob-markets/{condition}", self.clob_market)
        app.router.add_get("/markets/keyset", self.gamma)
        for listing in ("trades", "activity", "positions"):
            app.router.add_get(f"/v2/{listing}", self.nothing)
        app.router.add_post("/books", self.books)
        app.router.add_get("/ws/market", self.market_socket)
        app.router.add_get("/ws/{other}", self.silent_socket)
        return app


async def serve(tokens: int) -> None:
    """Serve until ended."""
    runner = web.AppRunner(Quiet(tokens).app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(json.dumps({"at": f"{host}:{port}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
