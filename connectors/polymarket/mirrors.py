"""All books of one connection: which are believed, what is published, what REST must settle.

Sans-I/O, between the session (frames, connection) and tracked.py (one token). Only believed books
are published, as conflated Depths inside a live BookEpoch. A book waits for a snapshot after any
fault; if the socket does not send one in time, REST is asked, at a doubling pause per token.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from connectors.polymarket.book_hash import HashBudget
from connectors.polymarket.conflate import Conflator
from connectors.polymarket.effects import Append, Effect, FetchBooks, Reconnect, RereadMarket
from connectors.polymarket.subscribing import quarantined, resubscribe
from connectors.polymarket.tracked import GRACE_MS, TICK, Check, TrackedBook
from connectors.polymarket.wire import BadValue, stamp_ms, tick_micro
from connectors.polymarket.wire_market import (
    Book,
    BookFrame,
    Change,
    LastTrade,
    PriceChange,
    TickSizeChange,
)
from schemas.codec import encode_levels
from schemas.records.base import Token
from schemas.records.market import BookEpoch, Depth

SNAPSHOT_WAIT_MS = 5_000
NS = 1_000_000


class Mirrors:
    """ids: makes an id that is unique for ever, used for epochs."""

    def __init__(
        self,
        *,
        ids: Callable[[], str],
        depth_levels: int,
        depth_interval_ms: int,
        budget: HashBudget,
        counts: Counter[str],
    ) -> None:
        self._ids = ids
        self._depth_levels = depth_levels
        self._budget = budget
        self._conflator = Conflator(depth_interval_ms)
        self._held = self._conflator.waiting
        self._counts = counts
        self.books: dict[str, TrackedBook] = {}
        self._waiting: dict[str, None] = {}
        self._checking: dict[str, None] = {}
        self._of_market: dict[str, dict[str, None]] = {}
        self.data_ms = 0
        self.proof_ms = 0

    def begin_waiting(self, now_ms: int) -> None:
        """The connection is up and every token subscribed: snapshots are due."""
        self.data_ms = self.proof_ms = 0
        for token, book in self.books.items():
            book.fetch_ms = now_ms + SNAPSHOT_WAIT_MS
            self._waiting[token] = None

    def add(self, token: str, now_ms: int) -> None:
        """A token was subscribed."""
        self.books[token] = TrackedBook(token, fetch_ms=now_ms + SNAPSHOT_WAIT_MS)
        self._waiting[token] = None

    def drop(self, token: str, now_ms: int) -> list[Effect]:
        """Nobody wants the token any more."""
        effects = self._end(token, "unwatched", now_ms)
        del self.books[token]
        self._waiting.pop(token, None)
        self._checking.pop(token, None)
        return effects

    def end_all(self, reason: str, now_ms: int) -> list[Effect]:
        """Nothing mirrored so far is believed any longer; everything starts afresh."""
        effects = [each for token in self.books for each in self._end(token, reason, now_ms)]
        for token, book in self.books.items():
            self.books[token] = TrackedBook(token, gate=book.gate)
        self._checking.clear()
        return effects

    def traded(self, frame: LastTrade) -> None:
        """A trade's price belongs to the market: it enters both tokens' hash."""
        for token in self._of_market.get(frame.market, ()):
            if token in self.books:
                self.books[token].gate.terms.traded(frame.price)

    def changes(self, frame: PriceChange, recv_ns: int) -> list[Effect]:
        """Apply all changes of a frame, then look at each token: its last one states the result.

        Everything the venue does goes through here, hence no call that a test of a field spares.
        """
        try:
            as_of_ms = stamp_ms(frame.timestamp, recv_ns)
        except BadValue as error:
            return self._all_broken(frame, str(error), recv_ns)
        effects: list[Effect] = []
        last: dict[TrackedBook, Change] = {}
        find = self.books.get
        for change in frame.price_changes:
            book = find(change.asset_id)
            if book is None:
                self._counts["unwatched"] += 1
                continue
            try:
                if book.epoch and book.check is None:
                    speaks = book.mirror.change(change, as_of_ms)
                else:
                    speaks = book.apply(change, as_of_ms)
            except BadValue as error:
                effects += self._broken(book, str(error), repr(change), recv_ns)
                continue
            if speaks:
                last[book] = change
            elif book.epoch:
                self._counts["late_change"] += 1
                effects += self._changed(book, recv_ns)
        held = self._held
        for book, change in last.items():
            if book.epoch and not (book.token in held and book.agrees(change)):
                effects += self._look(book, change, frame.timestamp, recv_ns)
        return effects

    def _look(
        self, book: TrackedBook, change: Change, timestamp: str, recv_ns: int
    ) -> list[Effect] | tuple[()]:
        now_ms = recv_ns // NS
        try:
            fault = book.fault(change, timestamp, self._budget, now_ms)
        except BadValue as error:
            return self._broken(book, str(error), repr(change), recv_ns)
        if fault is not None:
            self._counts[fault] += 1
            return self._doubt(book, fault, now_ms)
        if book.token in self._held:
            return ()
        return self._changed(book, recv_ns)

    def _all_broken(self, frame: PriceChange, why: str, recv_ns: int) -> list[Effect]:
        """A frame without a readable moment: nothing in it can be placed."""
        effects: list[Effect] = []
        for change in frame.price_changes:
            if (book := self.books.get(change.asset_id)) is None:
                self._counts["unwatched"] += 1
            else:
                effects += self._broken(book, why, repr(change), recv_ns)
        return effects

    def _changed(self, book: TrackedBook, recv_ns: int) -> list[Effect]:
        publish = self._conflator.changed(book.token, recv_ns // NS)
        return self._depth(book, recv_ns) if publish else []

    def _broken(self, book: TrackedBook, why: str, what: str, recv_ns: int) -> list[Effect]:
        self._counts["unreadable"] += 1
        ended = self._doubt(book, "undecodable_change", recv_ns // NS)
        return [quarantined(why, what.encode(), recv_ns), *ended]

    def snapshot(self, frame: BookFrame, recv_ns: int) -> list[Effect]:
        """A whole book from the socket; within a live epoch it is simply newer."""
        book = self.books.get(frame.asset_id)
        if book is None:
            self._counts["unwatched"] += 1
            return []
        self._of_market.setdefault(frame.market, {})[frame.asset_id] = None
        tick = book.mirror.tick_micro
        try:
            stamp_ms(frame.timestamp, recv_ns)
            installed = book.install_frame(frame)
        except BadValue as error:
            return self._broken(book, str(error), repr(frame), recv_ns)
        if not installed:
            self._counts["old_snapshot"] += 1
            return []
        if book.live and book.mirror.tick_micro == tick:
            return self._changed(book, recv_ns)
        ended = self._end(book.token, "tick_size_change", recv_ns // NS) if book.live else []
        return [*ended, *self._begin(book, "snapshot", recv_ns)]

    def tick_changed(self, frame: TickSizeChange, recv_ns: int) -> list[Effect]:
        """The grid changed: the epoch ends, and REST knows the book on the new one."""
        book = self.books.get(frame.asset_id)
        if book is None:
            return []
        effects = self._end(book.token, "tick_size_change", recv_ns // NS)
        book.framed = None  # a snapshot on the old grid says nothing of quotes on the new one
        book.mirror.tick_micro = None  # if the new one cannot be read, REST has to say it
        try:
            book.mirror.tick_micro = tick_micro(frame.new_tick_size)
            book.mirror.as_of_ms = max(book.mirror.as_of_ms, stamp_ms(frame.timestamp, recv_ns))
        except BadValue as error:
            return [*effects, *self._broken(book, str(error), repr(frame), recv_ns)]
        book.gate.terms.tick_size = frame.new_tick_size
        return [*effects, RereadMarket(frame.asset_id, "tick_size_change")]

    def answered(
        self, asked: Iterable[str], answers: dict[str, Book], asked_ms: int, recv_ns: int
    ) -> list[Effect]:
        """Books from REST: installed where one waits, to be compared where one is believed."""
        effects: list[Effect] = []
        for token in asked:
            book, answer = self.books.get(token), answers.get(token)
            if book is None:
                continue
            if answer is None:
                # Resolved markets have none, and the socket does not say so (7.5).
                self._counts["no_book"] += 1
                effects += [*self._end_live(token, recv_ns), RereadMarket(token, "no_book")]
            elif not book.live:
                effects += self._install(book, answer, asked_ms, recv_ns)
            elif book.check is not None:
                book.check.book, book.check.judge_ms = answer, recv_ns // NS + GRACE_MS
                self._checking[token] = None
        return effects

    def _end_live(self, token: str, recv_ns: int) -> list[Effect]:
        return self._end(token, "no_book", recv_ns // NS) if self.books[token].live else []

    def _install(
        self, book: TrackedBook, answer: Book, asked_ms: int, recv_ns: int
    ) -> list[Effect]:
        try:
            stamp_ms(answer.timestamp, recv_ns)
            refusal = book.install_answer(answer, asked_ms)
        except BadValue as error:
            return self._broken(book, str(error), repr(answer), recv_ns)
        if refusal is None:
            self._of_market.setdefault(answer.market, {})[book.token] = None
            return self._begin(book, "rest_snapshot", recv_ns)
        self._counts[f"refused:{refusal}"] += 1
        if refusal in ("rest_older", "asked_before"):
            return []
        # Only the socket itself can settle it: a new subscription brings a new snapshot.
        now_ms = recv_ns // NS
        book.doubt_everything(now_ms, now_ms + SNAPSHOT_WAIT_MS)
        return resubscribe(book.token)

    def check_begin(self, tokens: Iterable[str], now_ms: int) -> list[str]:
        """These books are about to be asked for comparison; those of them that are believed.

        One whose answer waits for its judgement is not asked for again before that: whoever asks
        more often than a judgement takes would never come to any.
        """
        asked = [
            token
            for token in tokens
            if (book := self.books.get(token)) is not None and book.live and not book.to_judge
        ]
        for token in asked:
            self.books[token].check = Check(asked_ms=now_ms)
        return asked

    def due(self, now_ms: int) -> list[Effect]:
        """What is due by time alone: Depths held back, snapshots to ask for, judgements."""
        effects: list[Effect] = []
        for token in self._conflator.due(now_ms):
            if token in self.books and self.books[token].live:
                effects += self._depth(self.books[token], now_ms * NS)
        wanted = [token for token in self._waiting if self.books[token].fetch_ms <= now_ms]
        for token in wanted:
            self.books[token].fetching(now_ms)
        effects += [FetchBooks(tuple(wanted))] if wanted else []
        for token in list(self._checking):
            effects += self._judge(token, now_ms)
        return effects

    def _judge(self, token: str, now_ms: int) -> list[Effect]:
        book = self.books[token]
        if book.check is None or not book.to_judge:
            del self._checking[token]
            return []
        if now_ms < book.check.judge_ms:
            return []
        del self._checking[token]
        asked_ms = book.check.asked_ms
        try:
            wrong = book.judge_check()
        except BadValue as error:
            return self._broken(book, str(error), token, now_ms * NS)
        if not wrong:
            self.proof_ms = max(self.proof_ms, asked_ms)
            return []
        self._counts["books_differ"] += 1
        if self.data_ms < asked_ms:
            return [Reconnect("frozen")]
        ended = self._doubt(book, "books_differ", now_ms, SNAPSHOT_WAIT_MS)
        reread = [RereadMarket(token, "tick_size_change")] if TICK in dict(wrong) else []
        return [*ended, *resubscribe(token), *reread]

    def _begin(self, book: TrackedBook, reason: str, recv_ns: int) -> list[Effect]:
        if book.mirror.tick_micro is None:
            book.fetch_ms = recv_ns // NS  # later snapshots omit the tick; REST has it always
            return []
        token, epoch = Token(book.token), self._ids()
        book.go_live(epoch, recv_ns // NS)
        self._waiting.pop(token, None)
        self._conflator.forget(token)
        self._conflator.changed(token, recv_ns // NS)
        begun = BookEpoch(token=token, epoch=epoch, state="live", reason=reason)
        return [Append(begun, token), *self._depth(book, recv_ns)]

    def _end(self, token: str, reason: str, now_ms: int, fetch_after_ms: int = 0) -> list[Effect]:
        ended = self.books[token].end(now_ms, first_fetch_ms=fetch_after_ms)
        self._waiting[token] = None
        self._conflator.forget(token)
        if not ended:
            return []
        record = BookEpoch(token=Token(token), epoch=ended, state="ended", reason=reason)
        return [Append(record, token)]

    def _doubt(
        self, book: TrackedBook, reason: str, now_ms: int, fetch_after_ms: int = 0
    ) -> list[Effect]:
        """Something was lost, and it may have been a change of the grid: nothing is kept of it."""
        ended = self._end(book.token, reason, now_ms, fetch_after_ms)
        book.mirror.tick_micro = None
        return ended

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
