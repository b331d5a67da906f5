"""WebSocket driver: connects, feeds a sans-I/O session, does what it says, connects again.

One reader, one writer and one timer a connection; frames leave through a bounded queue. It stamps
receipt, keeps raw frames, and decides nothing but when to dial. Frames may be larger than a
mebibyte and protocol pings are not used (API reference 7.1, 7.5).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from connectors.polymarket.backoff import Backoff
from connectors.polymarket.effects import Effect, Reconnect, Send

LOG = logging.getLogger(__name__)

NS = 1_000_000
OPEN_TIMEOUT_S = 10
CLOSE_TIMEOUT_S = 1
TIMER_S = 0.05
OUTGOING_MAX = 1_000
REFUSED_WAIT_MS = 5_000
"""An upgrade refused with 403 or 429 is a block by address: dial slowly (API reference 9)."""


class Session(Protocol):
    """What a connection is driven by."""

    connected: bool

    def opened(self, now_ms: int) -> list[Effect]: ...
    def receive(self, raw: bytes, recv_ns: int) -> list[Effect]: ...
    def tick(self, now_ms: int) -> list[Effect]: ...
    def closed(self, reason: str, now_ms: int) -> list[Effect]: ...


S = TypeVar("S", bound=Session)


class Stream(Generic[S]):
    """perform does all effects but Send and Reconnect; keep takes raw frames with their receipt.

    on_lost is called whenever a connection ended, or could not be made, and will be dialled again.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        session: S,
        perform: Callable[[Effect], None],
        keep: Callable[[bytes, int], None],
        clock_ns: Callable[[], int],
        backoff: Backoff,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.session = session
        self._url = url
        self._perform = perform
        self._keep = keep
        self._clock_ns = clock_ns
        self._backoff = backoff
        self._on_lost = on_lost
        self._outgoing: asyncio.Queue[str] = asyncio.Queue(OUTGOING_MAX)
        self._reason = ""
        self._ended = asyncio.Event()
        self._retired = False
        self._down = False

    def now_ms(self) -> int:
        """Wall clock."""
        return self._clock_ns() // NS

    def submit(self, effects: list[Effect]) -> None:
        """Do what the session said, from wherever it was asked."""
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect.text)
                case Reconnect():
                    self._end(effect.reason)
                case _:
                    self._perform(effect)

    def _send(self, text: str) -> None:
        if self._outgoing.full():
            self._end("outgoing_queue_full")
        else:
            self._outgoing.put_nowait(text)

    def _end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._ended.set()

    def retire(self, reason: str) -> None:
        """Close the connection and let `run` return."""
        self._retired = True
        self._end(reason)

    async def run(self) -> None:
        """Connect again and again until retired; cancelled, the session is closed all the same."""
        while True:
            began_ms = self.now_ms()
            reason, least_ms = await self._once()
            if self._retired:
                LOG.info("socket=%s state=retired reason=%s", self.name, reason)
                return
            self._on_lost()
            wait_ms = self._backoff.failed(lasted_ms=self.now_ms() - began_ms, least_ms=least_ms)
            # Dialling in vain changes nothing: one line, however long the venue is away.
            level = logging.DEBUG if self._down else logging.WARNING
            self._down = True
            LOG.log(level, "socket=%s state=down reason=%s retry_ms=%d", self.name, reason, wait_ms)
            await asyncio.sleep(wait_ms / 1_000)

    async def _once(self) -> tuple[str, int]:
        """One connection from dialling to its end: why it ended, and the least wait after it."""
        self._reason = ""
        self._ended.clear()
        self._outgoing = asyncio.Queue(OUTGOING_MAX)
        try:
            async with connect(
                self._url,
                max_size=None,
                ping_interval=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                compression=None,
                proxy=None,
            ) as connection:
                return await self._live(connection), 0
        except InvalidStatus as error:
            status = error.response.status_code
            return f"upgrade_{status}", REFUSED_WAIT_MS if status in (403, 429) else 0
        except (OSError, TimeoutError, InvalidHandshake) as error:
            return f"{type(error).__name__}", 0

    async def _live(self, connection: ClientConnection) -> str:
        LOG.info("socket=%s state=up", self.name)
        self._down = False
        tasks = [
            asyncio.create_task(self._read(connection)),
            asyncio.create_task(self._write(connection)),
            asyncio.create_task(self._timer()),
            asyncio.create_task(self._wait_end()),
        ]
        try:
            self.submit(self.session.opened(self.now_ms()))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return self._why(done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            reason = self._reason or "stopped"
            for effect in self.session.closed(reason, self.now_ms()):
                self._perform(effect)

    def _why(self, done: set[asyncio.Task[None]]) -> str:
        for task in done:
            error = task.exception()
            if isinstance(error, ConnectionClosed):
                code = error.rcvd.code if error.rcvd is not None else 1006
                self._reason = self._reason or f"closed_{code}"
            elif error is not None:
                raise error
        self._reason = self._reason or "connection_lost"
        return self._reason

    async def _read(self, connection: ClientConnection) -> None:
        while True:
            raw = await connection.recv(decode=False)
            recv_ns = self._clock_ns()
            if raw and raw != b"PONG":
                self._keep(raw, recv_ns)
            self.submit(self.session.receive(raw, recv_ns))

    async def _write(self, connection: ClientConnection) -> None:
        while True:
            await connection.send(await self._outgoing.get())

    async def _timer(self) -> None:
        while True:
            await asyncio.sleep(TIMER_S)
            self.submit(self.session.tick(self.now_ms()))

    async def _wait_end(self) -> None:
        await self._ended.wait()
