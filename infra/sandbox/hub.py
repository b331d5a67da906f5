"""Connections: a socket is accepted, served until either side ends it, and forgotten."""

import asyncio
from collections.abc import Callable

from aiohttp import WSMsgType, web

from infra.sandbox.records import Emission
from infra.sandbox.rim import Handler, Rim
from infra.sandbox.sockets import (
    ActivitySocket,
    Line,
    MarketSocket,
    Subscriber,
    UserSocket,
    wire_text,
)

CREDENTIALS_REFUSED = 4001
CHANNELS = ("market", "user", "activity")


class Hub:
    """All sockets by channel; `emit` hands the venue's frames to those that want them."""

    def __init__(self) -> None:
        self.subscribers: dict[str, set[Subscriber]] = {name: set() for name in CHANNELS}
        self.accepted: dict[str, int] = dict.fromkeys(CHANNELS, 0)

    def emit(self, emission: Emission) -> None:
        """Called by the venue as things happen; never waits."""
        wanting = [s for s in self.subscribers[emission.channel] if s.wants(emission)]
        if wanting:
            text = wire_text(emission.payload)
            for subscriber in wanting:
                subscriber.line.send(text)

    def routes(self, rim: Rim) -> list[web.RouteDef]:
        def market(line: Line) -> Subscriber:
            return MarketSocket(rim, line)

        def user(line: Line) -> Subscriber:
            return UserSocket(rim, line)

        makers = {"market": market, "user": user, "activity": ActivitySocket}
        return [
            web.get(f"/ws/{channel}", self._handler(rim, channel, make))
            for channel, make in makers.items()
        ]

    def _handler(self, rim: Rim, channel: str, make: Callable[[Line], Subscriber]) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            if rim.venue.faults.draw("upgrade_429"):
                return web.Response(status=429, headers={"Retry-After": "1"})
            socket = web.WebSocketResponse(compress=False, max_msg_size=0)
            await socket.prepare(request)
            line = Line(socket, rim.venue.faults, freezes=channel != "user")
            if channel == "activity":
                line.reply("")
            await self._serve(request, channel, make(line))
            return socket

        return serve

    async def _serve(self, request: web.Request, channel: str, subscriber: Subscriber) -> None:
        line = subscriber.line

        def cut() -> None:
            if request.transport is not None:
                request.transport.abort()

        self.accepted[channel] += 1
        self.subscribers[channel].add(subscriber)
        helpers = [asyncio.ensure_future(line.write()), asyncio.ensure_future(line.meet_fate(cut))]
        try:
            async for message in line.socket:
                if message.type is WSMsgType.TEXT and not subscriber.receive(message.data):
                    await line.socket.close(code=CREDENTIALS_REFUSED)
        finally:
            self.subscribers[channel].discard(subscriber)
            for helper in helpers:
                helper.cancel()
            await asyncio.wait(helpers)
            for helper in helpers:
                if not helper.cancelled():
                    helper.result()

    async def close(self) -> None:
        """End every socket; clients see 1001."""
        everyone = [s for group in self.subscribers.values() for s in group]
        await asyncio.gather(*(s.line.socket.close(code=1001) for s in everyone))
