"""Market channel driver: tokens spread over connections, books asked over REST at a bounded rate.

The sessions decide what is believed; this file gives each its share of tokens, answers its wishes
for snapshots, and sends the rotating comparison round (design 3.3).
"""

import asyncio
import random
from collections.abc import Callable

from connectors.polymarket.backoff import Backoff
from connectors.polymarket.book_hash import HashBudget
from connectors.polymarket.effects import Append, Effect, FetchBooks, Quarantine, RereadMarket
from connectors.polymarket.health import socket_state
from connectors.polymarket.outbox import Ids, Outbox, keeper
from connectors.polymarket.rest import Failed, Rest
from connectors.polymarket.session import MarketSession
from connectors.polymarket.stream import Stream
from connectors.polymarket.wire import Unreadable
from connectors.polymarket.wire_market import Book, decode_books
from schemas.records.journal import Undecodable
from schemas.records.system import FeedState
from schemas.wiring import PublicWiring, VenueWiring

FETCH_EVERY_S = 0.1


class Books:
    """reread is told which market's metadata is out of date, and why."""

    def __init__(
        self,
        *,
        wiring: PublicWiring,
        venue: VenueWiring,
        outbox: Outbox,
        rest: Rest,
        ids: Ids,
        clock_ns: Callable[[], int],
        reread: Callable[[str, str], None],
    ) -> None:
        self._wiring = wiring
        self._venue = venue
        self._outbox = outbox
        self._rest = rest
        self._ids = ids
        self._clock_ns = clock_ns
        self._reread = reread
        self._budget = HashBudget(wiring.hash_budget_us_per_s)
        self._streams: list[Stream[MarketSession]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted: dict[str, None] = {}
        self._checked = 0

    def state(self, now_ms: int) -> FeedState:
        """As fresh as the stalest connection: each is the only witness of its tokens."""
        busy = [stream.session for stream in self._streams if stream.session.tokens]
        up = [session for session in busy if session.connected]
        return socket_state(
            wanted=bool(busy),
            connected=bool(up),
            fresh_ms=min((session.fresh_ms for session in up if session.fresh_ms), default=0),
            now_ms=now_ms,
        )

    def follow(self, token: str, *, on: bool) -> None:
        """Mirror a token's book, or no longer."""
        home = next((each for each in self._streams if token in each.session.tokens), None)
        if on and home is None:
            home = self._roomy()
            home.submit(home.session.follow([token], [], home.now_ms()))
        elif not on and home is not None:
            home.submit(home.session.follow([], [token], home.now_ms()))
            if not home.session.tokens:
                self._streams.remove(home)
                home.retire("no_tokens")

    def _roomy(self) -> Stream[MarketSession]:
        for stream in self._streams:
            if len(stream.session.tokens) < self._wiring.tokens_per_socket:
                return stream
        return self._open()

    def _open(self) -> Stream[MarketSession]:
        name = self._ids()
        session = MarketSession(
            ids=self._ids,
            depth_levels=self._wiring.depth_levels,
            depth_interval_ms=self._wiring.depth_interval_ms,
            silence_ms=self._wiring.market_silence_ms,
            budget=self._budget,
        )
        stream = Stream(
            name=f"market:{name}",
            url=self._venue.market_ws_url,
            session=session,
            perform=self._perform,
            keep=keeper(self._outbox, "market", name),
            clock_ns=self._clock_ns,
            backoff=Backoff(random.random),
            on_lost=self._outbox.counts.lost("market"),
        )
        self._streams.append(stream)
        self._tasks.add(asyncio.create_task(stream.run()))
        return stream

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Append():
                self._outbox.tape(effect.record, effect.key)
                self._outbox.counts.appended(effect.record)
            case Quarantine():
                self._outbox.dead(effect.record)
            case FetchBooks():
                self._wanted.update(dict.fromkeys(effect.tokens))
            case RereadMarket():
                self._reread(effect.subject, effect.why)
            case _:
                raise AssertionError(f"a market session does not want {effect}")

    async def run(self) -> None:
        """Serve wishes and comparisons until cancelled; a stream that fails fails this."""
        due_ms = 0
        try:
            while True:
                self._raise_failed()
                now_ms = self._rest.now_ms()
                if self._wanted:
                    batch = list(self._wanted)[: self._wiring.books_check_size]
                    for token in batch:
                        del self._wanted[token]
                    await self._fetch(batch)
                elif now_ms >= due_ms:
                    due_ms = now_ms + self._wiring.books_check_ms
                    await self._fetch(self._begin_check(now_ms))
                else:
                    await asyncio.sleep(FETCH_EVERY_S)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def _raise_failed(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    def _begin_check(self, now_ms: int) -> list[str]:
        """The next tokens in rotation, some of every connection."""
        live = [token for stream in self._streams for token in stream.session.live_tokens]
        if not live:
            return []
        size = min(self._wiring.books_check_size, len(live))
        start = self._checked % len(live)
        chosen = (live + live)[start : start + size]
        self._checked = start + size
        return [
            token
            for stream in self._streams
            for token in stream.session.check_begin(chosen, now_ms)
        ]

    async def _fetch(self, tokens: list[str]) -> None:
        if not tokens:
            return
        body = [{"token_id": token} for token in tokens]
        answer = await self._rest.post(self._venue.clob_url + "/books", body)
        if isinstance(answer, Failed):
            return
        self._outbox.raw("books", answer.body, answer.recv_ns, self._ids.instance, "data")
        told, books = told_of(tokens, self._decoded(answer.body, answer.recv_ns))
        for stream in list(self._streams):
            answered = stream.session.books_answered
            stream.submit(answered(told, books, answer.asked_ms, answer.recv_ns))

    def _decoded(self, body: bytes, recv_ns: int) -> list[Book | Unreadable]:
        found = list(decode_books(body))
        for each in found:
            if isinstance(each, Unreadable):
                self._outbox.dead(
                    Undecodable(feed="books", reason=each.reason, raw=each.raw, recv_ns=recv_ns)
                )
        return found


def told_of(tokens: list[str], found: list[Book | Unreadable]) -> tuple[list[str], dict[str, Book]]:
    """The tokens of which an answer says something, and their books.

    A token without a book in a whole answer has none at the venue. Where a part cannot be read,
    nothing is known of what is missing: to take that for "no book" ended every book of the round.
    """
    books = {each.asset_id: each for each in found if not isinstance(each, Unreadable)}
    whole = len(books) == len(found)
    return tokens if whole else [token for token in tokens if token in books], books
