"""What lies between the processes and the venue: sockets and REST that misbehave on purpose.

Sockets carry the sandbox's own subscriptions; each has one delay, so order holds unless a fault
breaks it. PONG answers go on while a socket is frozen. Faults strike data frames, as they do at the
venue; first snapshots and PONGs only suffer from a freeze or a cut.
"""

import asyncio
import json
import random
from collections import deque
from typing import Any, NamedTuple

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.http11 import Response

from infra.sandbox.hub import CHANNELS
from infra.sandbox.records import Emission
from infra.sandbox.sockets import ActivitySocket, MarketSocket, Subscriber, UserSocket, wire_text
from tests.sim.clockwork import VirtualLoop
from tests.sim.mischief import Fault, Mischief
from tests.sim.town import HOST, Request, Town

SWAP_HOLD_S = 0.25
CLOSED = object()


class Reply(NamedTuple):
    """What a connector reads of an httpx response; making a real one takes a fifth of the time."""

    status_code: int
    content: bytes
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


class Line:
    """A socket's way from the venue to the process; also what the process calls a connection."""

    def __init__(self, network: "Network", channel: str, delay_s: float) -> None:
        self._network, self._channel, self._delay_s = network, channel, delay_s
        self._loop = asyncio.get_running_loop()
        self._under_way: deque[Any] = deque()
        self._arrived: asyncio.Queue[Any] = asyncio.Queue()
        self._held: str | None = None
        self._frozen_until = 0.0
        self.subscriber: Subscriber | None = None

    @property
    def is_frozen(self) -> bool:
        return self._loop.time() < self._frozen_until

    def send(self, text: str) -> None:
        """A data frame of the venue, through the faults."""
        take = self._network.mischief.take
        if self.is_frozen or take("drop", self._channel):
            return
        if self._channel == "user" and '"MINED"' in text and take("retrying", "venue"):
            self._deliver(text.replace('"MINED"', '"RETRYING"'))
        if take("garbled", self._channel):
            self._deliver(text[: len(text) // 2])
            return
        if late := take("late", self._channel):
            self._loop.call_later(late.strength / 1_000, self._deliver, text)
            return
        if self._held is None and take("swap", self._channel):
            self._held = text
            self._loop.call_later(SWAP_HOLD_S, self._release)
            return
        self._deliver(text)
        if take("double", self._channel):
            self._deliver(text)
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._deliver(held)

    def reply(self, text: str) -> None:
        """An answer to the client."""
        self._deliver(text)

    def _deliver(self, item: Any) -> None:
        # Timers of one moment fire in no particular order, so each only says "the next one".
        self._under_way.append(item)
        self._loop.call_later(self._delay_s, self._arrive)

    def _arrive(self) -> None:
        self._arrived.put_nowait(self._under_way.popleft())

    def freeze(self, for_ms: int) -> None:
        self._frozen_until = self._loop.time() + for_ms / 1_000

    def cut(self) -> None:
        """The connection is gone; what was under way is lost."""
        self._arrived.put_nowait(CLOSED)
        self._network.forget(self)

    async def recv(self, *, decode: bool) -> bytes:
        item = await self._arrived.get()
        if item is CLOSED:
            raise ConnectionClosedError(None, None)
        return item.encode() if isinstance(item, str) else item

    async def send_text(self, text: str) -> None:
        await asyncio.sleep(self._delay_s)
        if self.subscriber is not None and not self.subscriber.receive(text):
            self.cut()


class Connection:
    """What websockets' connect() gives: an async context manager around a connection."""

    def __init__(self, network: "Network", channel: str) -> None:
        self._network, self._channel = network, channel
        self._line: Line | None = None

    async def __aenter__(self) -> "Connection":
        await asyncio.sleep(self._network.delay_s())
        if self._network.mischief.take("upgrade_429", self._channel):
            raise InvalidStatus(Response(429, "Too Many Requests", Headers()))
        self._line = self._network.opened(self._channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._line is not None:
            self._network.forget(self._line)

    async def recv(self, *, decode: bool) -> bytes:
        assert self._line is not None
        return await self._line.recv(decode=decode)

    async def send(self, text: str) -> None:
        assert self._line is not None
        await self._line.send_text(text)


class Network:
    """All sockets and all REST of one world. `connect` goes where websockets.connect was."""

    def __init__(self, loop: VirtualLoop, mischief: Mischief, chance: random.Random) -> None:
        self._loop = loop
        self.mischief = mischief
        self._chance = chance
        self.lines: dict[str, list[Line]] = {name: [] for name in CHANNELS}
        self._slow_until = 0.0
        self._slow_s = 0.0
        self._answers: dict[str, bytes] = {}
        self.hidden: dict[str, None] = {}
        self.town: Town | None = None

    def delay_s(self) -> float:
        return self._chance.randint(2, 40) / 1_000

    def connect(self, url: str, **_: object) -> Connection:
        return Connection(self, url.rsplit("/", 1)[1])

    def opened(self, channel: str) -> Line:
        assert self.town is not None
        line = Line(self, channel, self.delay_s())
        makers = {"market": MarketSocket, "user": UserSocket}
        if channel == "activity":
            line.reply("")
            line.subscriber = ActivitySocket(line)  # type: ignore[arg-type]
        else:
            line.subscriber = makers[channel](self.town.rim, line)  # type: ignore[arg-type]
        self.lines[channel].append(line)
        return line

    def forget(self, line: Line) -> None:
        for lines in self.lines.values():
            if line in lines:
                lines.remove(line)

    def emit(self, emission: Emission) -> None:
        """The venue's frames to those that want them."""
        if emission.channel == "activity" and self._hides(emission.payload):
            return
        text = ""
        for line in list(self.lines[emission.channel]):
            if line.subscriber is not None and line.subscriber.wants(emission):
                text = text or wire_text(emission.payload)
                line.send(text)

    def _hides(self, message: dict[str, Any]) -> bool:
        """A leader's transaction that no list of trades ever shows (only his positions do)."""
        row = message["payload"]
        tx = row["transactionHash"]
        his = tx not in self.hidden and row["proxyWallet"] in self._leaders()
        if his and self.mischief.take("lost_row", "leader"):
            self.hidden[tx] = None
        return tx in self.hidden

    def _leaders(self) -> list[str]:
        return self.town.leaders if self.town is not None else []

    def strike(self, fault: Fault) -> None:
        """A fault that waits for no frame."""
        lines = self.lines.get(fault.target, [])
        if fault.kind == "cut":
            for line in list(lines):
                line.cut()
        elif fault.kind == "freeze":
            for line in lines:
                line.freeze(fault.strength)
        elif fault.kind == "rest_slow":
            self._slow_s = fault.strength / 1_000
            self._slow_until = self._loop.time() + 3.0

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Any = None,
        headers: Any = None,
        json: object = None,  # httpx's own name
    ) -> Reply:
        """One REST request of a connector, as httpx's client answers it."""
        assert self.town is not None
        slow_s = self._slow_s if self._loop.time() < self._slow_until else 0.0
        await asyncio.sleep(self.delay_s() + slow_s)
        take = self.mischief.take
        if take("rest_500", "rest"):
            return Reply(500, b"oops")
        if take("rest_429", "rest"):
            return Reply(429, b"slow down", {"retry-after": "1"})
        request = Request(method, url.removeprefix(HOST), params=params, headers=headers, json=json)
        response = await self.town.answer(request)
        body, age = bytes(response.body or b""), {}
        asked = f"{request.path}?{request.query.get('user', '')}"
        if asked in self._answers and take("rest_cached", "rest"):
            body, age = self._answers[asked], {"age": "17", "x-cache": "Hit from cloudfront"}
        elif response.status == 200:
            self._answers[asked] = body
        if self.hidden and request.path == "/v2/trades":
            body = _without(body, self.hidden)
        if request.path == "/books" and take("ghost_book", "rest"):
            body = _ghosts(body)
        if take("rest_cut_short", "rest"):
            body = body[: len(body) * 2 // 3]
        await asyncio.sleep(self.delay_s())
        return Reply(response.status, body, age)

    async def aclose(self) -> None:
        """Nothing to close."""


def _without(body: bytes, hidden: dict[str, None]) -> bytes:
    answer = json.loads(body)
    if "data" in answer:
        answer["data"] = [r for r in answer["data"] if r["transaction_hash"] not in hidden]
    return json.dumps(answer).encode()


def _ghosts(body: bytes) -> bytes:
    """Books at 0.01/0.99 under true names and times (complaint of 2024 to 2026)."""
    books = json.loads(body)
    for book in books:
        book["bids"] = [{"price": "0.01", "size": "5000"}]
        book["asks"] = [{"price": "0.99", "size": "5000"}]
    return json.dumps(books).encode()
