"""The three sockets: who is subscribed to what, and frames on their way out, faults included.

Market (API reference 7.1): `book` of each new asset in one array, re-subscribing an active asset
yields nothing. User (8): credentials in the first frame, wrong ones close the socket. Activity (9):
an empty string first, an empty frame for PING, a subscription without `action` or with filters
yields nothing. Frames wait in a bounded queue; a slow consumer is closed with 1013. Faults strike
data frames only, never PONG or a first snapshot.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from infra.sandbox import wire_market
from infra.sandbox.auth import Credentials
from infra.sandbox.faults import FREEZE_MS, SWAP_HOLD_MS, Faults
from infra.sandbox.records import Emission
from infra.sandbox.rim import Rim

_Frame = TypeVar("_Frame")
FATE_EVERY_S = 1.0
SLOW_CONSUMER = 1013


class Line:
    """One connected socket's way out: a queue, a writer, and the faults that befall them."""

    QUEUE_MAX = 20_000

    def __init__(self, socket: web.WebSocketResponse, faults: Faults, *, freezes: bool) -> None:
        self.socket, self._faults, self._freezes = socket, faults, freezes
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(self.QUEUE_MAX)
        self._held: str | None = None
        self._frozen_until = 0.0
        self._loop = asyncio.get_running_loop()

    @property
    def is_frozen(self) -> bool:
        return self._loop.time() < self._frozen_until

    def send(self, text: str) -> None:
        """A data frame, through the faults."""
        if self.is_frozen or self._faults.draw("drop"):
            return
        if self._held is None and self._faults.draw("swap"):
            self._held = text
            self._loop.call_later(SWAP_HOLD_MS / 1000, self._release)
            return
        self._put(text)
        if self._faults.draw("double"):
            self._put(text)
        self._release()

    def reply(self, text: str) -> None:
        """An answer to the client: PONG, first snapshots; only a freeze withholds the latter."""
        self._put(text)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._put(held)

    def _put(self, text: str | None) -> None:
        if self._queue.full():
            while not self._queue.empty():
                self._queue.get_nowait()
            text = None
        self._queue.put_nowait(text)

    async def write(self) -> None:
        """Send what is queued until the client is gone; None: it was too slow."""
        while not self.socket.closed:
            text = await self._queue.get()
            if text is None:
                await self.socket.close(
                    code=SLOW_CONSUMER, message=b"slow consumer: send buffer full"
                )
                return
            try:
                await self.socket.send_str(text)
            except ConnectionResetError:
                return

    async def meet_fate(self, cut: Callable[[], None]) -> None:
        """Now and then the socket is cut, or goes silent for a while."""
        while not self.socket.closed:
            await asyncio.sleep(FATE_EVERY_S)
            elapsed_ms = int(FATE_EVERY_S * 1000)
            if self._freezes and not self.is_frozen and self._faults.due("freeze", elapsed_ms):
                self._frozen_until = self._loop.time() + FREEZE_MS / 1000
            if self._faults.due("cut", elapsed_ms):
                cut()


class MarketFrame(msgspec.Struct, frozen=True):
    """What a market client sends: a subscription first (type), then operations."""

    assets_ids: list[str]
    type: str = ""
    operation: str = "subscribe"
    custom_feature_enabled: bool | None = None
    initial_dump: bool = True


class SocketAuth(msgspec.Struct, frozen=True, rename="camel"):
    """Credentials in the first frame of a user client."""

    api_key: str
    secret: str
    passphrase: str


class UserFrame(msgspec.Struct, frozen=True):
    """What a user client sends; markets left out mean all."""

    auth: SocketAuth | None = None
    operation: str = ""
    markets: list[str] | None = None


class Topic(msgspec.Struct, frozen=True):
    """A subscription of an activity client; filters are a JSON string."""

    topic: str
    type: str
    filters: str = ""


class ActivityFrame(msgspec.Struct, frozen=True):
    """What an activity client sends; without `action` it is ignored."""

    subscriptions: list[Topic] = []
    action: str = ""


class Subscriber(Protocol):
    """A socket's subscriptions. `receive` returns False to have the socket closed."""

    line: Line

    def wants(self, emission: Emission) -> bool: ...
    def receive(self, text: str) -> bool: ...


class MarketSocket:
    """A market subscriber: which conditions, which tokens, with custom features or not."""

    def __init__(self, rim: Rim, line: Line) -> None:
        self._rim, self.line = rim, line
        self.tokens: set[str] = set()
        self.conditions: dict[str, int] = {}
        self.custom = False

    def wants(self, emission: Emission) -> bool:
        if emission.custom and not self.custom:
            return False
        return emission.everyone or emission.key in self.conditions

    def receive(self, text: str) -> bool:
        if text == "PING":
            self.line.reply("PONG")
            return True
        frame = _decoded(text, MarketFrame)
        if frame is None or frame.operation not in ("subscribe", "unsubscribe"):
            self.line.reply("INVALID OPERATION")
            return True
        if frame.custom_feature_enabled is not None:
            self.custom = frame.custom_feature_enabled
        if frame.operation == "subscribe":
            self._subscribe(frame.assets_ids, dump=frame.initial_dump)
        else:
            self._unsubscribe(frame.assets_ids)
        return True

    def _subscribe(self, assets: list[str], *, dump: bool) -> None:
        now_ms = self._rim.now()
        fresh = [asset for asset in dict.fromkeys(assets) if asset not in self.tokens]
        books = []
        for asset in fresh:
            found = self._rim.venue.floor.by_token.get(asset)
            if found is None or found[0].is_resolved:
                continue
            self.tokens.add(asset)
            condition_id = found[0].condition_id
            self.conditions[condition_id] = self.conditions.get(condition_id, 0) + 1
            books.append(wire_market.first_book_frame(*found, now_ms))
        if books and dump and not self.line.is_frozen:
            self.line.reply(wire_text(books))

    def _unsubscribe(self, assets: list[str]) -> None:
        for asset in self.tokens & set(assets):
            self.tokens.discard(asset)
            condition_id = self._rim.venue.floor.by_token[asset][0].condition_id
            self.conditions[condition_id] -= 1
            if not self.conditions[condition_id]:
                del self.conditions[condition_id]


class UserSocket:
    """A user subscriber: whose, and for which conditions (none: all)."""

    def __init__(self, rim: Rim, line: Line) -> None:
        self._rim, self.line = rim, line
        self.key = ""
        self.markets: set[str] = set()

    def wants(self, emission: Emission) -> bool:
        market = emission.payload["market"]
        return emission.key == self.key and (not self.markets or market in self.markets)

    def receive(self, text: str) -> bool:
        if text == "PING":
            self.line.reply("PONG")
            return True
        frame = _decoded(text, UserFrame)
        if frame is None:
            return False
        markets = set(frame.markets or ())
        if frame.operation == "unsubscribe":
            self.markets -= markets
            return True
        if frame.operation != "subscribe":
            owner = self._owner(frame.auth)
            if owner is None:
                return False
            self.key = owner.key
        self.markets |= markets
        return True

    def _owner(self, auth: SocketAuth | None) -> Credentials | None:
        if auth is None:
            return None
        return self._rim.auth.socket(auth.api_key, auth.secret, auth.passphrase)


class ActivitySocket:
    """An activity subscriber: which types of message."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.types: set[str] = set()

    def wants(self, emission: Emission) -> bool:
        return emission.key in self.types or "*" in self.types

    def receive(self, text: str) -> bool:
        if text == "PING":
            self.line.reply("")
            return True
        frame = _decoded(text, ActivityFrame) or ActivityFrame()
        types = {
            topic.type
            for topic in frame.subscriptions
            if topic.topic == "activity" and not topic.filters
        }
        if frame.action == "subscribe":
            self.types |= types
        elif frame.action == "unsubscribe":
            self.types -= types
        return True


def _decoded(text: str, kind: type[_Frame]) -> _Frame | None:
    """A client's frame, or None for one that is none."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return None


def wire_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
