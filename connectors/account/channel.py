"""User channel driver: one connection, its fills onto the tape, its gaps handed to REST.

The session decides; this file does what it says and tells how far the channel may be believed:
suspect from its opening, or from a frame that could not be read, until REST has proven our trades
by a question asked later.
"""

import random
from collections.abc import Callable

from connectors.polymarket.backoff import Backoff
from connectors.polymarket.effects import Append, Effect, Quarantine, Resync
from connectors.polymarket.health import ReadFeed, socket_state
from connectors.polymarket.outbox import Ids, Outbox
from connectors.polymarket.stream import Stream
from connectors.polymarket.user import OPENED, ORDER_EVENT, UserSession
from schemas.records.own import FillStatus
from schemas.records.system import FeedState

USER = "user"
NS = 1_000_000


class Channel:
    """clean takes secrets out of a frame before it is kept; resync is told why to read again."""

    def __init__(
        self,
        *,
        session: UserSession,
        url: str,
        outbox: Outbox,
        ids: Ids,
        clock_ns: Callable[[], int],
        clean: Callable[[bytes], bytes],
        proof: ReadFeed,
        resync: Callable[[str], None],
    ) -> None:
        self._session = session
        self._outbox = outbox
        self._ids = ids
        self._clock_ns = clock_ns
        self._clean = clean
        self._proof = proof
        self._resync = resync
        self._conn = ids()
        self._doubt_ms = 0
        self._stream = Stream(
            name=f"user:{self._conn}",
            url=url,
            session=session,
            perform=self._perform,
            keep=self._keep,
            clock_ns=clock_ns,
            backoff=Backoff(random.random),
            on_lost=self._outbox.counts.lost(USER),
        )

    async def run(self) -> None:
        """Stay connected until cancelled."""
        await self._stream.run()

    def rest_said(self, trade: str, status: FillStatus, happened_ms: int) -> None:
        """REST was first to tell a transition."""
        self._session.rest_said(trade, status, happened_ms, self._now_ms())

    def state(self, now_ms: int) -> FeedState:
        """What a Tick says of the channel."""
        session = self._session
        state = socket_state(
            wanted=True, connected=session.connected, fresh_ms=session.fresh_ms, now_ms=now_ms
        )
        if state.state == "up" and min(self._proof.asked_ms.values()) <= self._doubt_ms:
            return FeedState(state="suspect", last_data_ms=state.last_data_ms)
        return state

    def _now_ms(self) -> int:
        return self._clock_ns() // NS

    def _keep(self, raw: bytes, recv_ns: int) -> None:
        self._outbox.raw(USER, self._clean(raw), recv_ns, self._conn)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Append():
                self._outbox.tape(effect.record, effect.key)
            case Quarantine():
                self._outbox.dead(effect.record)
            case Resync():
                if effect.why == OPENED:
                    self._conn = self._ids()
                if effect.why != ORDER_EVENT:
                    self._doubt_ms = self._now_ms()
                self._resync(effect.why)
            case _:
                raise AssertionError(f"a user session does not want {effect}")
