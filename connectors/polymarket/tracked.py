"""One token's book from its first snapshot to its end: when its mirror may be believed.

waiting -> live -> waiting: a snapshot makes it live under a new epoch; a contradiction (quotes,
hash, a level that REST shows otherwise), a tick change or the end of the connection ends the epoch.
While waiting, changes are kept, so that a REST snapshot can be brought up to date by those not
older than itself. A REST snapshot whose quotes the socket contradicts is not believed (ghost books
at 0.01/0.99 were served over REST for months). Sans-I/O, one level below the session.
"""

from dataclasses import dataclass, field

from connectors.polymarket.book import ASKS, BIDS, Mirror, differing, echo_of
from connectors.polymarket.book_hash import HashBudget, HashGate, matches
from connectors.polymarket.wire import BadValue, epoch_ms, price_micro, tick_micro
from connectors.polymarket.wire_market import Book, Change

KEPT_CHANGES_MAX = 4_096
FETCH_FIRST_MS = 500
FETCH_CAP_MS = 30_000
STABLE_MS = 60_000
TICK = "TICK"
GRACE_MS = 1_000
"""A change that REST shows already may still be on its way here for so long (p95 37 ms)."""


@dataclass(slots=True)
class Check:
    """A comparison with REST under way: levels touched since the asking prove nothing."""

    asked_ms: int
    touched: set[tuple[str, int]] = field(default_factory=set)
    book: Book | None = None
    judge_ms: int = 0


@dataclass(slots=True, eq=False)
class TrackedBook:
    """Mirror, gate and life of one token. epoch is "" while waiting.

    doubted_ms: when the socket contradicted REST, 0 once that is settled.
    """

    token: str
    mirror: Mirror = field(default_factory=Mirror)
    gate: HashGate = field(default_factory=HashGate)
    epoch: str = ""
    live_since_ms: int = 0
    kept: list[tuple[Change, int]] = field(default_factory=list)
    overflown: bool = False
    quoted: Change | None = None
    framed: tuple[int | None, int | None] | None = None
    suspect_mirror: Mirror | None = None
    check: Check | None = None
    attempts: int = 0
    fetch_ms: int = 0
    doubted_ms: int = 0

    @property
    def live(self) -> bool:
        """Whether the mirror is believed."""
        return bool(self.epoch)

    @property
    def to_judge(self) -> bool:
        """Whether REST has answered a comparison that is not judged yet."""
        return self.check is not None and self.check.book is not None

    def go_live(self, epoch: str, now_ms: int) -> None:
        """Believe the mirror from here."""
        self.epoch, self.live_since_ms = epoch, now_ms
        self.kept.clear()
        self.overflown = False
        self.suspect_mirror = None
        self.doubted_ms = 0

    def end(self, now_ms: int, *, first_fetch_ms: int = 0) -> str:
        """Believe it no longer; the epoch that ended. A snapshot is due after first_fetch_ms."""
        ended, self.epoch, self.check = self.epoch, "", None
        if ended and now_ms - self.live_since_ms >= STABLE_MS:
            self.attempts = 0
        self.fetch_ms = now_ms + max(first_fetch_ms, self._pause_ms())
        return ended

    def _pause_ms(self) -> int:
        """No pause before the first snapshot, then doubling: a quirk is no storm of requests."""
        return min(FETCH_FIRST_MS << (self.attempts - 1), FETCH_CAP_MS) if self.attempts else 0

    def fetching(self, now_ms: int) -> None:
        """A snapshot is being asked for; the next one not before a doubled pause."""
        self.attempts = min(self.attempts + 1, 16)
        self.fetch_ms = now_ms + max(self._pause_ms(), FETCH_FIRST_MS)

    def doubt_everything(self, now_ms: int, fetch_ms: int) -> None:
        """What socket and REST said contradicts itself: only a fresh snapshot counts."""
        self.doubted_ms = now_ms
        self.quoted = self.framed = None
        self.kept.clear()
        self.overflown = False
        self.fetch_ms = fetch_ms

    def apply(self, change: Change, as_of_ms: int) -> bool:
        """Take one change in; raises BadValue. Whether its quotes and hash speak of the mirror."""
        self.framed = None
        if not self.live:
            self._keep(change, as_of_ms)
            return False
        if self.check is not None:
            self.check.touched.add((change.side, price_micro(change.price)))
        return self.mirror.change(change, as_of_ms)

    def _keep(self, change: Change, as_of_ms: int) -> None:
        self.quoted = change if echo_of(change) else self.quoted
        if len(self.kept) >= KEPT_CHANGES_MAX:
            self.kept.clear()
            self.overflown = True
        self.kept.append((change, as_of_ms))

    def agrees(self, change: Change) -> bool:
        """Whether there is no fault, in the one case that is nearly all: both quotes are stated,
        they are the mirror's, and there is no hash to look at. False says nothing: ask `fault`.
        """
        bid, ask = change.best_bid, change.best_ask
        if bid is None or ask is None or (change.hash and self.gate.confirmed):
            return False
        bids, asks = self.mirror.bid_order, self.mirror.ask_order
        try:
            bid_micro, ask_micro = BIDS[bid], ASKS[ask]
        except BadValue:
            return False
        if bid_micro != (bids[-1] if bids else None) or ask_micro != (asks[0] if asks else None):
            return False
        self.quoted = change
        return True

    def fault(self, change: Change, timestamp: str, budget: HashBudget, now_ms: int) -> str | None:
        """What contradicts the mirror after a frame whose last change of this token this is."""
        found = self.mirror.contradiction(change)
        if change.best_bid is not None and change.best_ask is not None:
            self.quoted = change
        if found is not None or not change.hash or not self.gate.confirmed:
            return found
        levels = len(self.mirror.bids) + len(self.mirror.asks)
        if not budget.afford(levels, now_ms):
            return None
        if matches(self.mirror, self.gate.terms, self.token, timestamp, change.hash):
            return None
        if not self.gate.gates():
            return None
        self.suspect_mirror = self.mirror.copy()
        self.gate.failed()
        return "hash"

    def install_frame(self, book: Book) -> bool:
        """Take a snapshot from the socket; False if it is older than what we have. BadValue."""
        as_of_ms = epoch_ms(book.timestamp)
        if as_of_ms < (self.mirror.as_of_ms if self.live else self.mirror.snapshot_ms):
            return False
        self._judge_hash_alarm(book)
        self.mirror.install(book, as_of_ms)
        self.gate.snapshot(book, self.mirror)
        for change, change_ms in self.kept:
            if change_ms > as_of_ms:  # frames out of order: the change overtook the snapshot
                self.mirror.change(change, change_ms)
        self.check = None
        self.framed = (self.mirror.best_bid, self.mirror.best_ask)
        return True

    def install_answer(self, book: Book, asked_ms: int) -> str | None:
        """Take a REST snapshot and bring it up to date; why not, if it cannot be believed.

        After a contradiction it needs the socket's word: a ghost may well be served again.
        """
        if asked_ms <= self.doubted_ms:
            return "asked_before"
        as_of_ms = epoch_ms(book.timestamp)
        if as_of_ms < self.mirror.as_of_ms:
            return "rest_older"
        if self.overflown:
            return "too_many_changes"
        self._judge_hash_alarm(book)
        fresh = Mirror()
        fresh.tick_micro = self.mirror.tick_micro
        fresh.install(book, as_of_ms)
        self.gate.snapshot(book, fresh)
        for change, change_ms in self.kept:
            if change_ms >= as_of_ms:
                fresh.change(change, change_ms)
        # The socket's newest word on the quotes: a snapshot's own, until a change says its own.
        echo = self.framed or (echo_of(self.quoted) if self.quoted is not None else None)
        if echo is None and self.doubted_ms:
            return "unconfirmed"
        if echo not in (None, (fresh.best_bid, fresh.best_ask)):
            return "quotes_differ"
        self.mirror = fresh
        return None

    def _judge_hash_alarm(self, book: Book) -> None:
        """Was the hash right to end the epoch? Its mirror, brought forward, is compared."""
        suspect, self.suspect_mirror = self.suspect_mirror, None
        if suspect is None:
            return
        as_of_ms = epoch_ms(book.timestamp)
        for change, change_ms in self.kept:
            if change_ms <= as_of_ms:
                suspect.change(change, change_ms)
        if differing(suspect, book, set()):
            self.gate.was_right()

    def judge_check(self) -> list[tuple[str, int]]:
        """Levels, and the tick, where REST proves the mirror wrong; ends the comparison.

        A grid changes only between two snapshots, so an answer from before the last one says
        nothing of it. The socket tells a change once: lost, nothing else there shows it while
        prices stay on the old grid, and the venue refuses every order.
        """
        check, self.check = self.check, None
        if check is None or check.book is None:
            return []
        wrong, book = differing(self.mirror, check.book, check.touched), check.book
        if book.tick_size and epoch_ms(book.timestamp) >= self.mirror.snapshot_ms:
            told = tick_micro(book.tick_size)
            wrong += [(TICK, told)] if told != self.mirror.tick_micro else []
        return wrong
