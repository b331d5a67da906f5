"""Activity feed driver: several connections to one feed, replaced before they tire.

The feed freezes while connected, so each connection is retired after a while, but only once its
successor has shown data (make before break). When no connection was there, or a message could not
be read, the feed is suspect until REST has read every leader by a question asked later.
"""

import asyncio
import random
from collections.abc import Callable

from connectors.polymarket.activity import ActivitySession
from connectors.polymarket.backoff import Backoff
from connectors.polymarket.effects import Append, Effect, Quarantine, Resync
from connectors.polymarket.health import socket_state
from connectors.polymarket.outbox import Ids, Outbox, keeper
from connectors.polymarket.stream import Stream
from schemas.records.system import FeedState
from schemas.wiring import PublicWiring, VenueWiring

LOOK_S = 0.1
PROOF_LOOKS = 300


class ActivityFeed:
    """backfill is called when REST must read again; read_since says how far it has got."""

    def __init__(
        self,
        *,
        wiring: PublicWiring,
        venue: VenueWiring,
        outbox: Outbox,
        ids: Ids,
        clock_ns: Callable[[], int],
        follows: Callable[[str], bool],
        backfill: Callable[[], None],
        read_since: Callable[[], int],
        heard: Callable[[str], None],
    ) -> None:
        self._heard = heard
        self._wiring = wiring
        self._venue = venue
        self._outbox = outbox
        self._ids = ids
        self._clock_ns = clock_ns
        self._follows = follows
        self._backfill = backfill
        self._read_since = read_since
        self._sessions: list[ActivitySession] = []
        self._fresh_ms = 0
        self._doubt_ms = 0
        self._wanted = asyncio.Event()

    def want(self, *, wanted: bool) -> None:
        """Whether any wallet is followed; without one no connection is made."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    def state(self, now_ms: int) -> FeedState:
        """As fresh as its freshest connection."""
        up = [session for session in self._sessions if session.connected]
        self._fresh_ms = max([self._fresh_ms, *(session.fresh_ms for session in up)])
        state = socket_state(
            wanted=self._wanted.is_set(),
            connected=bool(up),
            fresh_ms=self._fresh_ms if any(session.proven for session in up) else 0,
            now_ms=now_ms,
        )
        if state.state == "up" and self._wanted.is_set() and self._read_since() <= self._doubt_ms:
            return FeedState(state="suspect", last_data_ms=state.last_data_ms)
        return state

    async def run(self) -> None:
        """Keep all connections until cancelled; they are rotated one after the other."""
        count = self._wiring.activity_sockets
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                first_ms = self._wiring.activity_rotate_ms * (number + 1) // count
                group.create_task(self._slot(first_ms))

    async def _slot(self, first_ms: int) -> None:
        """One place among the connections: a stream, and its successor when its time has come."""
        life_ms = first_ms
        stream, task = None, None
        try:
            while True:
                if not self._wanted.is_set():
                    await self._retire(stream, task)
                    stream, task = None, None
                    await self._wanted.wait()
                old, old_task = stream, task
                stream = self._stream()
                task = asyncio.create_task(stream.run())
                await self._proven(stream.session, task)
                await self._retire(old, old_task)
                await self._live(task, life_ms)
                life_ms = self._wiring.activity_rotate_ms
        finally:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def _retire(
        self, stream: Stream[ActivitySession] | None, task: asyncio.Task[None] | None
    ) -> None:
        if stream is not None and task is not None:
            stream.retire("rotated")
            await asyncio.wait([task])
            task.result()
            self._sessions.remove(stream.session)

    async def _proven(self, session: ActivitySession, task: asyncio.Task[None]) -> None:
        """Until the connection has shown data; a quiet venue proves nothing either way."""
        for _ in range(PROOF_LOOKS):
            if session.proven:
                return
            await asyncio.wait([task], timeout=LOOK_S)
            if task.done():
                task.result()

    async def _live(self, task: asyncio.Task[None], life_ms: int) -> None:
        """Until it is time for a successor, or nobody is followed; a failed stream is raised."""
        loop = asyncio.get_running_loop()
        due = loop.time() + life_ms / 1_000
        while loop.time() < due and self._wanted.is_set():
            await asyncio.wait([task], timeout=LOOK_S)
            if task.done():
                task.result()

    def _stream(self) -> Stream[ActivitySession]:
        session = ActivitySession(
            ids=self._ids, follows=self._follows, silence_ms=self._wiring.activity_silence_ms
        )
        name = self._ids()
        self._sessions.append(session)
        return Stream(
            name=f"activity:{name}",
            url=self._venue.activity_ws_url,
            session=session,
            perform=self._perform,
            keep=keeper(self._outbox, "activity", name),
            clock_ns=self._clock_ns,
            backoff=Backoff(random.random),
            on_lost=self._outbox.counts.lost("activity"),
        )

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Append():
                self._outbox.tape(effect.record, effect.key)
                self._heard(effect.key)
            case Quarantine():
                self._outbox.dead(effect.record)
            case Resync():
                # A second connection that was listening all the while has missed nothing.
                alone = not any(session.proven for session in self._sessions)
                if effect.why != "opened" or alone:
                    self._doubt_ms = self._clock_ns() // 1_000_000
                self._backfill()
            case _:
                raise AssertionError(f"an activity session does not want {effect}")
