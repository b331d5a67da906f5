"""One connection to the market channel, sans-I/O: what to send, append, fetch, and when to give up.

Feed it bytes and the time; do what it answers. It subscribes, mirrors each token's book
(tracked.py), publishes conflated Depths of believed books only, pings, and notices a connection
that is open but dead: PONG proves nothing (silent freezes for hours, API reference 7.5), data
does, or a REST book that agrees. Never drops anything silently: unreadable frames are quarantined
and end every epoch of the connection, since what they held is unknown.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable

from connectors.polymarket.book_hash import HashBudget
from connectors.polymarket.conflate import Conflator
from connectors.polymarket.effects import (
    Append,
    Effect,
    FetchBooks,
    Quarantine,
    Reconnect,
    RereadMarket,
    Send,
)
from connectors.polymarket.tracked import GRACE_MS, Check, TrackedBook
from connectors.polymarket.wire import BadValue, Unknown, Unreadable, epoch_ms, price_micro
from connectors.polymarket.wire_market import (
    Book,
    BookFrame,
    Change,
    LastTrade,
    MarketFrame,
    MarketResolvedFrame,
    NewMarket,
    PriceChange,
    TickSizeChange,
    decode_market,
)
from schemas.codec import encode_levels
from schemas.records.base import Token
from schemas.records.journal import Undecodable
from schemas.records.market import BookEpoch, Depth

PING_MS = 10_000
PONG_SILENCE_MS = 30_000
SNAPSHOT_WAIT_MS = 5_000
NS = 1_000_000


class MarketSession:
    """ids: makes an id that is unique for ever, used for epochs."""

    def __init__(
        self,
        *,
        ids: Callable[[], str],
        depth_levels: int,
        depth_interval_ms: int,
        silence_ms: int,
        budget: HashBudget,
    ) -> None:
        self._ids = ids
        self._depth_levels = depth_levels
        self._silence_ms = silence_ms
        self._budget = budget
        self._conflator = Conflator(depth_interval_ms)
        self._books: dict[str, TrackedBook] = {}
        self._waiting: dict[str, None] = {}
        self._checking: dict[str, None] = {}
        self._of_market: dict[str, dict[str, None]] = {}
        self._opened_ms = self._ping_ms = self._pong_ms = self._data_ms = self._proof_ms = 0
        self.connected = False
        self.counts: Counter[str] = Counter()

    @property
    def tokens(self) -> list[str]:
        """Tokens of this connection."""
        return list(self._books)

    @property
    def live_tokens(self) -> list[str]:
        """Tokens whose book is believed."""
        return [token for token, book in self._books.items() if book.live]

    @property
    def fresh_ms(self) -> int:
        """Newest moment at which this connection is known to have been right."""
        return max(self._data_ms, self._proof_ms)

    def opened(self, now_ms: int) -> list[Effect]:
        """The connection is up: subscribe at once, an unsubscribed one is closed."""
        self.connected = True
        self._opened_ms = self._ping_ms = self._pong_ms = self._data_ms = now_ms
        for book in self._books.values():
            book.fetch_ms = now_ms + SNAPSHOT_WAIT_MS
            self._waiting[book.token] = None
        first = {
            "type": "market",
            "assets_ids": list(self._books),
            "custom_feature_enabled": True,
            "initial_dump": True,
        }
        return [Send(json.dumps(first))]

    def closed(self, reason: str, now_ms: int) -> list[Effect]:
        """The connection is gone: nothing it mirrored is believed, and all of it starts afresh."""
        self.connected = False
        effects = [each for token in self._books for each in self._end(token, reason, now_ms)]
        for token in self._books:
            self._books[token] = TrackedBook(token, gate=self._books[token].gate)
        self._checking.clear()
        return effects

    def follow(self, add: Iterable[str], drop: Iterable[str], now_ms: int) -> list[Effect]:
        """Subscribe and unsubscribe tokens."""
        effects: list[Effect] = []
        gone = [token for token in drop if token in self._books]
        for token in gone:
            effects += self._end(token, "unwatched", now_ms)
            del self._books[token]
            self._waiting.pop(token, None)
            self._checking.pop(token, None)
            self._conflator.forget(token)
        new = [token for token in add if token not in self._books]
        for token in new:
            self._books[token] = TrackedBook(token, fetch_ms=now_ms + SNAPSHOT_WAIT_MS)
            self._waiting[token] = None
        if self.connected:
            effects += [_operation("unsubscribe", gone)] if gone else []
            effects += [_operation("subscribe", new)] if new else []
        return effects

    def receive(self, raw: bytes, recv_ns: int) -> list[Effect]:
        """One message of the venue."""
        now_ms = recv_ns // NS
        if raw == b"PONG":
            self._pong_ms = now_ms
            return []
        effects: list[Effect] = []
        for frame in decode_market(raw):
            effects += self._frame(frame, recv_ns, now_ms)
        return effects

    def _frame(
        self, frame: MarketFrame | Unknown | Unreadable, recv_ns: int, now_ms: int
    ) -> list[Effect]:
        match frame:
            case PriceChange():
                return self._changes(frame, recv_ns, now_ms)
            case BookFrame():
                return self._snapshot(frame, recv_ns, now_ms)
            case Unreadable():
                return self._unreadable(frame, recv_ns)
            case Unknown():
                self.counts[f"unknown:{frame.type}"[:64]] += 1
                return []
            case NewMarket():
                return []
            case MarketResolvedFrame():
                return [RereadMarket(frame.market, "market_resolved")]
        self._data_ms = now_ms
        if isinstance(frame, LastTrade):
            for token in self._of_market.get(frame.market, ()):
                if token in self._books:
                    self._books[token].gate.terms.traded(frame.price)
        elif isinstance(frame, TickSizeChange) and frame.asset_id in self._books:
            return self._tick_changed(frame, recv_ns, now_ms)
        return []

    def _unreadable(self, frame: Unreadable, recv_ns: int) -> list[Effect]:
        self.counts["unreadable"] += 1
        return [_quarantine(frame.reason, frame.raw, recv_ns), Reconnect("undecodable_frame")]

    def _changes(self, frame: PriceChange, recv_ns: int, now_ms: int) -> list[Effect]:
        """Apply all changes of a frame, then look at each token: its last one states the result."""
        self._data_ms = now_ms
        effects: list[Effect] = []
        last: dict[str, Change] = {}
        for change in frame.price_changes:
            book = self._books.get(change.asset_id)
            if book is None:
                self.counts["unwatched"] += 1
                continue
            try:
                book.apply(change, epoch_ms(frame.timestamp))
            except BadValue as error:
                effects += self._broken(book, str(error), repr(change), recv_ns)
                continue
            last[change.asset_id] = change
        for token, change in last.items():
            effects += self._look(self._books[token], change, frame.timestamp, recv_ns, now_ms)
        return effects

    def _look(
        self, book: TrackedBook, change: Change, timestamp: str, recv_ns: int, now_ms: int
    ) -> list[Effect]:
        if not book.live:
            return []
        try:
            fault = book.fault(change, timestamp, self._budget, now_ms)
        except BadValue as error:
            return self._broken(book, str(error), repr(change), recv_ns)
        if fault is not None:
            self.counts[fault] += 1
            return self._end(book.token, fault, now_ms)
        return self._changed(book, recv_ns, now_ms)

    def _changed(self, book: TrackedBook, recv_ns: int, now_ms: int) -> list[Effect]:
        if self._conflator.changed(book.token, now_ms):
            return self._depth(book, recv_ns)
        return []

    def _broken(self, book: TrackedBook, why: str, what: str, recv_ns: int) -> list[Effect]:
        self.counts["unreadable"] += 1
        ended = self._end(book.token, "undecodable_change", recv_ns // NS)
        return [_quarantine(why, what.encode(), recv_ns), *ended]

    def _snapshot(self, frame: BookFrame, recv_ns: int, now_ms: int) -> list[Effect]:
        self._data_ms = now_ms
        book = self._books.get(frame.asset_id)
        if book is None:
            self.counts["unwatched"] += 1
            return []
        self._of_market.setdefault(frame.market, {})[frame.asset_id] = None
        tick = book.mirror.tick_micro
        try:
            installed = book.install_frame(frame)
        except BadValue as error:
            return self._broken(book, str(error), repr(frame), recv_ns)
        if not installed:
            self.counts["old_snapshot"] += 1
            return []
        if book.live and book.mirror.tick_micro == tick:
            return self._changed(book, recv_ns, now_ms)
        ended = self._end(book.token, "tick_size_change", now_ms) if book.live else []
        return [*ended, *self._begin(book, "snapshot", recv_ns)]

    def _tick_changed(self, frame: TickSizeChange, recv_ns: int, now_ms: int) -> list[Effect]:
        book = self._books[frame.asset_id]
        effects = self._end(book.token, "tick_size_change", now_ms)
        try:
            book.mirror.tick_micro = price_micro(frame.new_tick_size)
            book.mirror.as_of_ms = max(book.mirror.as_of_ms, epoch_ms(frame.timestamp))
        except BadValue as error:
            return [*effects, *self._broken(book, str(error), repr(frame), recv_ns)]
        book.gate.terms.tick_size = frame.new_tick_size
        return [*effects, RereadMarket(frame.asset_id, "tick_size_change")]

    def books_answered(
        self, asked: Iterable[str], answers: dict[str, Book], asked_ms: int, recv_ns: int
    ) -> list[Effect]:
        """An answer of POST /books: installs books that wait, compares those that are believed.

        One asked before this connection was there proves nothing about what it has missed.
        """
        effects: list[Effect] = []
        if not self.connected or asked_ms < self._opened_ms:
            return effects
        for token in asked:
            book, answer = self._books.get(token), answers.get(token)
            if book is None:
                continue
            if answer is None:
                self.counts["no_book"] += 1
                book.check = None
                effects.append(RereadMarket(token, "no_book"))
            elif not book.live:
                effects += self._install(book, answer, recv_ns)
            elif book.check is not None:
                book.check.book, book.check.judge_ms = answer, recv_ns // NS + GRACE_MS
                self._checking[token] = None
        return effects

    def _install(self, book: TrackedBook, answer: Book, recv_ns: int) -> list[Effect]:
        try:
            refusal = book.install_answer(answer)
        except BadValue as error:
            return self._broken(book, str(error), repr(answer), recv_ns)
        if refusal is None:
            self._of_market.setdefault(answer.market, {})[book.token] = None
            return self._begin(book, "rest_snapshot", recv_ns)
        self.counts[f"refused:{refusal}"] += 1
        if refusal == "rest_older":
            return []
        # Only the socket itself can settle it: a new subscription brings a new snapshot.
        book.echo = None
        book.kept.clear()
        book.overflown = False
        book.fetch_ms = recv_ns // NS + SNAPSHOT_WAIT_MS
        return self._resubscribe(book.token)

    def check_begin(self, tokens: Iterable[str], now_ms: int) -> list[str]:
        """Books of these tokens are about to be asked for comparison; those that are believed."""
        asked = [t for t in tokens if (book := self._books.get(t)) is not None and book.live]
        for token in asked:
            self._books[token].check = Check(asked_ms=now_ms)
        return asked

    def tick(self, now_ms: int) -> list[Effect]:
        """What is due by time alone."""
        if not self.connected:
            return []
        effects: list[Effect] = []
        for token in self._conflator.due(now_ms):
            if token in self._books and self._books[token].live:
                effects += self._depth(self._books[token], now_ms * NS)
        effects += self._fetches(now_ms)
        for token in [t for t in self._checking if self._judgeable(t, now_ms)]:
            effects += self._judge(token, now_ms)
        if now_ms - self._ping_ms >= PING_MS:
            self._ping_ms = now_ms
            effects.append(Send("PING"))
        if now_ms - self._pong_ms >= PONG_SILENCE_MS:
            effects.append(Reconnect("no_pong"))
        elif self._books and now_ms - self._data_ms >= self._silence_ms:
            effects.append(Reconnect("silent"))
        return effects

    def _fetches(self, now_ms: int) -> list[Effect]:
        due = [token for token in self._waiting if self._books[token].fetch_ms <= now_ms]
        for token in due:
            self._books[token].fetching(now_ms)
        return [FetchBooks(tuple(due))] if due else []

    def _judgeable(self, token: str, now_ms: int) -> bool:
        check = self._books[token].check
        return check is None or now_ms >= check.judge_ms

    def _judge(self, token: str, now_ms: int) -> list[Effect]:
        del self._checking[token]
        book = self._books[token]
        if book.check is None:
            return []
        asked_ms = book.check.asked_ms
        try:
            wrong = book.judge_check()
        except BadValue as error:
            return self._broken(book, str(error), token, now_ms * NS)
        if not wrong:
            self._proof_ms = max(self._proof_ms, asked_ms)
            return []
        self.counts["books_differ"] += 1
        if self._data_ms < asked_ms:
            return [Reconnect("frozen")]
        ended = self._end(token, "books_differ", now_ms, SNAPSHOT_WAIT_MS)
        return [*ended, *self._resubscribe(token)]

    def _resubscribe(self, token: str) -> list[Effect]:
        """A plain second subscribe is a duplicate without a snapshot: leave first (7.1)."""
        return [_operation("unsubscribe", [token]), _operation("subscribe", [token])]

    def _begin(self, book: TrackedBook, reason: str, recv_ns: int) -> list[Effect]:
        if book.mirror.tick_micro is None:
            book.fetch_ms = recv_ns // NS  # a later snapshot omits the tick; REST has it always
            return []
        token, epoch = Token(book.token), self._ids()
        book.go_live(epoch, recv_ns // NS)
        self._waiting.pop(token, None)
        begun = BookEpoch(token=token, epoch=epoch, state="live", reason=reason)
        self._conflator.forget(token)
        self._conflator.changed(token, recv_ns // NS)
        return [Append(begun, token), *self._depth(book, recv_ns)]

    def _end(self, token: str, reason: str, now_ms: int, fetch_after_ms: int = 0) -> list[Effect]:
        book = self._books[token]
        ended = book.end(now_ms, first_fetch_ms=fetch_after_ms)
        self._waiting[token] = None
        if not ended:
            return []
        self._conflator.forget(token)
        record = BookEpoch(token=Token(token), epoch=ended, state="ended", reason=reason)
        return [Append(record, token)]

    def _depth(self, book: TrackedBook, recv_ns: int) -> list[Effect]:
        try:
            bids, asks = book.mirror.top(self._depth_levels)
        except BadValue as error:
            return self._broken(book, str(error), book.token, recv_ns)
        assert book.mirror.tick_micro is not None
        record = Depth(
            token=Token(book.token),
            epoch=book.epoch,
            as_of_ms=book.mirror.as_of_ms,
            recv_ns=recv_ns,
            tick_micro=book.mirror.tick_micro,
            bids=encode_levels(bids),
            asks=encode_levels(asks),
        )
        return [Append(record, book.token)]


def _operation(name: str, tokens: list[str]) -> Send:
    body: dict[str, object] = {"operation": name, "assets_ids": tokens}
    if name == "subscribe":
        body["custom_feature_enabled"] = True
    return Send(json.dumps(body))


def _quarantine(reason: str, raw: bytes, recv_ns: int) -> Quarantine:
    return Quarantine(Undecodable(feed="market", reason=reason, raw=raw, recv_ns=recv_ns))
