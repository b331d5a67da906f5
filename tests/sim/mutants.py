"""Known bugs, planted one at a time into the running product: can the simulator fail?

Each mutant replaces a function or two while it is switched on and edits no file. They are bugs
that copiers of wallets are known to have, or that this design exists to prevent.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from connectors.account import trades as own_trades
from connectors.execution import ledger as execution_ledger
from connectors.execution import plan as execution_plan
from connectors.execution import sink as execution_sink
from connectors.polymarket import activity as activity_session
from connectors.polymarket import book, book_hash, fills, mirrors, reads, tracked
from connectors.public import leader as leader_reads
from flows import copytrade
from flows.core import (
    account,
    booking,
    clock,
    gates,
    market,
    ordering,
    orders,
    planning,
    positions,
    progress,
    sizing,
    subjects,
    window,
)
from flows.core import fills as fill_groups
from flows.core.reconcile import Interval
from flows.engine import sink as numbered
from schemas.records import market as market_records

Patch = tuple[Any, str, Any]
MUTANTS: dict[str, "Mutant"] = {}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug. rule_test: the test that catches it where the simulator need not."""

    name: str
    what: str
    patches: Callable[[], list[Patch]]
    rule_test: str = ""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The product has this bug inside."""
        with ExitStack() as stack:
            for owner, name, changed in self.patches():
                stack.enter_context(patch.object(owner, name, changed))
            yield


def mutant(what: str, rule_test: str = "") -> Callable[[Callable[[], list[Patch]]], None]:
    """Register a function that makes a mutant's patches under its own name."""

    def register(patches: Callable[[], list[Patch]]) -> None:
        name = patches.__name__
        MUTANTS[name] = Mutant(name=name, what=what, patches=patches, rule_test=rule_test)

    return register


# What leaders did


def _first_of_each(rows: Iterable[Any], key: Callable[[Any], Any]) -> list[Any]:
    return list({key(row): row for row in reversed(list(rows))}.values())[::-1]


def _deduped(key: Callable[[Any], Any]) -> list[Patch]:
    totals, add = leader_reads.answer_totals, fills.FeedTotals.add

    def fewer(rows: Iterable[Any], unreadable: Iterable[str]) -> Any:
        return totals(_first_of_each(rows, key), unreadable)

    def once(self: Any, row: Any, recv_ns: int) -> Any:
        seen = self.__dict__.setdefault("seen", set())
        if key(row) in seen:
            return None
        seen.add(key(row))
        return add(self, row, recv_ns)

    return [(leader_reads, "answer_totals", fewer), (fills.FeedTotals, "add", once)]


@mutant("one fill a transaction hash")
def deduplicated_by_transaction() -> list[Patch]:
    return _deduped(lambda row: row.tx)


@mutant("two identical rows are one")
def deduplicated_by_content() -> list[Patch]:
    return _deduped(lambda row: (row.tx, row.token, row.side, row.shares_micro, row.cash_micro))


@mutant("MERGE rows are passed over")
def merge_ignored() -> list[Patch]:
    sort = leader_reads.sort_rows

    def without(rows: Any) -> Any:
        return sort([row for row in rows if row.type != "MERGE"])

    return [(leader_reads, "sort_rows", without)]


@mutant("trades are asked for as taker only, the venue's default")
def maker_fills_not_asked_for() -> list[Patch]:
    pages = reads.Reads.data_pages

    async def takers(self: Any, feed: str, subject: str, url: str, params: Any) -> Any:
        return await pages(self, feed, subject, url, {**params, "taker_only": "true"})

    return [(reads.Reads, "data_pages", takers)]


@mutant("what REST tells after the feed counts a second time")
def late_trade_counted_again() -> list[Patch]:
    observe = fill_groups.LeaderGroups.observe

    def twice(self: Any, record: Any) -> Any:
        known = self.groups.get(record.group)
        if known is not None and record.source == "rest" and not known.rest:
            more = known.shares_micro + record.shares_micro
            record = type(record)(
                **{f: getattr(record, f) for f in record.__struct_fields__} | {"shares_micro": more}
            )
        return observe(self, record)

    return [(fill_groups.LeaderGroups, "observe", twice)]


@mutant("netting windows close by the process's clock")
def window_closed_by_wall_clock() -> list[Patch]:
    def due(self: Any, now_ms: int, quiet_ms: int, net_window_ms: int) -> bool:
        wall_ms = 1_790_000_000_000 + int(asyncio.get_running_loop().time() * 1_000)
        return bool(wall_ms - self.touched_ms >= quiet_ms)

    return [(window.Window, "due", due)]


@mutant("a holding from before the follow is copied")
def baseline_copied() -> list[Patch]:
    return [(account, "excess", lambda exposure, baseline: max(exposure, 0))]


@mutant("an Up and a Down of one market are both bought")
def pairs_taken_for_views() -> list[Patch]:
    return [(account, "unpaired", lambda excesses: list(excesses))]


# Reports


@mutant("a report is held against what we know when it arrives")
def report_judged_on_arrival() -> list[Patch]:
    compare = subjects.compare

    def at_once(rebuilt: Any, **numbers: Any) -> Any:
        now = rebuilt.total_micro
        row, name = numbers["row_micro"], numbers["report"]
        if row is None:
            return compare(rebuilt, **numbers)
        return Interval(row - now, row - now, name)

    return [
        (subjects, "compare", at_once),
        (subjects.Subject, "due", lambda self, now_ms, lag_ms: list(self.waiting)),
    ]


@mutant("a token missing from one report was sold")
def missing_means_sold() -> list[Patch]:
    compare, verdict = subjects.compare, subjects.verdict

    def sold(rebuilt: Any, **numbers: Any) -> Any:
        if numbers["row_micro"] is not None:
            return compare(rebuilt, **numbers)
        return Interval(-rebuilt.total_micro, -rebuilt.total_micro, "missing")

    def at_once(row: Any) -> Any:
        newest = row[-1]
        if newest.report == "missing" and not newest.agrees:
            return newest
        return verdict(row)

    return [(subjects, "compare", sold), (subjects, "verdict", at_once)]


# Our own orders and fills


@mutant("a fill that failed on its way to settlement stays booked")
def failed_not_reversed() -> list[Patch]:
    settle = positions.Position.settle

    def kept(self: Any, key: str, status: str) -> Any:
        return settle(self, key, "CONFIRMED" if status == "FAILED" else status)

    return [(positions.Position, "settle", kept)]


@mutant("the user channel's fill and REST's are two")
def fill_known_by_its_source() -> list[Patch]:
    key = booking.fill_key
    return [(booking, "fill_key", lambda record: f"{key(record)}:{record.source}")]


@mutant("fills come by the user channel alone")
def own_trades_never_read() -> list[Patch]:
    async def nothing(self: Any) -> bool:
        self._private.reads.feeds[own_trades.TRADES].read(
            self._private.account,
            asked_ms=self._private.reads.rest.now_ms(),
            answered_ms=self._private.reads.rest.now_ms(),
        )
        return True

    return [(own_trades.Trades, "read", nothing)]


@mutant("shares are sold before their purchase is confirmed")
def sold_above_confirmed() -> list[Patch]:
    everything = property(lambda self: max(self.shares_micro, 0))
    return [(positions.Position, "sellable_micro", everything)]


@mutant("caps know nothing of orders in the air")
def caps_without_pending() -> list[Patch]:
    return [(orders.Order, "reserved_usd_micro", property(lambda self: 0))]


@mutant("an order frees its token when the venue answers, not when its fills are there")
def token_freed_at_the_answer() -> list[Patch]:
    evolve = progress.evolve_progress

    def freed(state: Any, event: Any, *rest: Any) -> None:
        evolve(state, event, *rest)
        if event.state == "accepted":
            state.working.pop(event.token, None)

    return [(progress, "evolve_progress", freed), (planning.progress, "evolve_progress", freed)]


@mutant("no answer means refused")
def unknown_taken_for_refused() -> list[Patch]:
    happening = progress._happening

    def sure(record: Any) -> Any:
        found = happening(record)
        return "refused" if found == "unknown" else found

    return [(progress, "_happening", sure)]


@mutant("an unanswered order is signed anew")
def signed_again_when_unanswered() -> list[Patch]:
    plan, signed = execution_sink.plan, execution_ledger.Ledger._signed

    def again(life: Any, valid_until_ms: int, witness: Any, moment: Any, rules: Any) -> Any:
        unsure = life.state == "unknown" and moment.latest_ms <= valid_until_ms
        if unsure and witness.posts == 1:
            return execution_plan.Sign()
        return plan(life, valid_until_ms, witness, moment, rules)

    def newest(self: Any, offset: int, record: Any) -> None:
        signed(self, offset, record)
        life = self.life(record.intent)
        life.signed, life.signed_at = record, offset
        life.state = "signed"
        self._intents[record.order] = record.intent

    return [(execution_sink, "plan", again), (execution_ledger.Ledger, "_signed", newest)]


@mutant("of two signed orders the one with the earlier time counts, not the first on the tape")
def signatures_ordered_by_time() -> list[Patch]:
    signed = execution_ledger.Ledger._signed

    def by_time(self: Any, offset: int, record: Any) -> None:
        signed(self, offset, record)
        life = self.life(record.intent)
        if life.signed is not None and record.signed_ns > life.signed.signed_ns - 2_000_000_000:
            life.signed, life.signed_at = record, offset
            self._intents[record.order] = record.intent

    return [(execution_ledger.Ledger, "_signed", by_time)]


@mutant("orders are sent after their time")
def sent_after_its_time() -> list[Patch]:
    plan = execution_sink.plan

    def later(life: Any, valid_until_ms: int, *rest: Any) -> Any:
        return plan(life, valid_until_ms + 20_000, *rest)

    return [(execution_sink, "plan", later)]


@mutant("one look-up that finds nothing proves that nothing arrived")
def absent_at_the_first_look() -> list[Patch]:
    def proven(witness: Any, valid_until_ms: int, rules: Any) -> bool:
        return witness.absent_first_ms is not None

    return [
        (execution_plan, "_absence_proven", proven),
        (execution_plan, "_may_post", lambda life, witness: witness.mine and not witness.posts),
    ]


# Books and feeds


@mutant("the book of an ended epoch is still priced")
def ended_book_still_used() -> list[Patch]:
    observe = market.Markets.observe_epoch

    def only_live(self: Any, record: Any) -> None:
        if record.state == "live":
            observe(self, record)

    return [
        (market.Markets, "observe_epoch", only_live),
        (market.Markets, "observe_connector", lambda self, record: None),
    ]


@mutant("of two live books the one with the newer venue time counts, not the newer on the tape")
def books_ordered_by_time() -> list[Patch]:
    def newest(self: Any) -> Any:
        books = [book for book in self.live.values() if book is not None]
        return min(books, key=lambda book: book.depth.recv_ns) if books else None

    def never_ends(self: Any, record: Any) -> None:
        self.epochs.setdefault(record.token, market.Epochs()).live.setdefault(record.epoch, None)

    return [
        (market.Epochs, "newest", newest),
        (market.Markets, "observe_connector", lambda self, record: None),
        (market.Markets, "observe_epoch", never_ends),
    ]


@mutant("a feed that has said nothing for long still prices orders")
def stale_feed_still_used() -> list[Patch]:
    def young(self: Any, producer: str, name: str, silence_ms: int) -> int | None:
        return 0 if producer in self.producers else None

    return [(clock.FoldClock, "producer_feed_age_ms", young)]


@mutant("a tick change goes on in the same epoch")
def tick_change_without_epoch() -> list[Patch]:
    def on(self: Any, frame: Any, recv_ns: int) -> list[Any]:
        known = self.books.get(frame.asset_id)
        if known is not None:
            known.mirror.tick_micro = mirrors.price_micro(frame.new_tick_size)
        return []

    return [(mirrors.Mirrors, "tick_changed", on)]


@mutant("the quotes that come with every change are not compared with the mirror")
def quotes_not_compared() -> list[Patch]:
    return [
        (book.Mirror, "contradiction", lambda self, change: None),
        (book_hash.HashGate, "gates", lambda self: False),
        (tracked.TrackedBook, "judge_check", lambda self: []),
    ]


@mutant("REST books are believed whatever the socket said")
def ghost_books_believed() -> list[Patch]:
    install = tracked.TrackedBook.install_answer

    def blindly(self: Any, answer: Any) -> Any:
        self.echo = None
        self.kept.clear()
        return install(self, answer)

    return [(tracked.TrackedBook, "install_answer", blindly)]


@mutant("a connection that was silent for long is not replaced")
def silence_is_not_noticed() -> list[Patch]:
    tick = activity_session.ActivitySession.tick

    def patient(self: Any, now_ms: int) -> list[Any]:
        self._data_ms = max(self._data_ms, now_ms - 1)
        return tick(self, now_ms)

    return [(activity_session.ActivitySession, "tick", patient)]


# Decisions and their record


@mutant("limits reach ten cents beyond the slippage")
def limit_beyond_the_slippage() -> list[Patch]:
    limit = sizing.slippage_limit

    def further(side: Any, touch: int, slippage: int, tick: int) -> int:
        return limit(side, touch, slippage + 100_000, tick)

    return [(sizing, "slippage_limit", further)]


@mutant("a resolved market keeps its positions and gaps")
def resolution_ignored() -> list[Patch]:
    end = market.Markets.observe_end

    def only_closed(self: Any, record: Any) -> None:
        if isinstance(record, market_records.MarketClosed):
            end(self, record)

    return [(market.Markets, "observe_end", only_closed)]


@mutant("a hold is never looked at again")
def holds_never_looked_at_again() -> list[Patch]:
    held = ordering.evolve_held

    def for_ever(state: Any, event: Any, fold_clock: Any) -> None:
        held(state, event, fold_clock)
        state.holds[event.token].again_ms = 1 << 62

    world = planning._observe_world

    def asleep(state: Any, offset: int, record: Any) -> None:
        before = dict(state.touched)
        world(state, offset, record)
        if isinstance(record, market_records.Depth):
            state.touched.clear()
            state.touched.update(before)

    return [
        (ordering, "evolve_held", for_ever),
        (planning.ordering, "evolve_held", for_ever),
        (planning, "_observe_world", asleep),
    ]


@mutant("touched tokens are planned in a set's order, another one in each process")
def planned_in_a_sets_order() -> list[Patch]:
    decide = planning.decide

    def unordered(state: Any, offset: int, record: Any) -> Any:
        shuffled = sorted(state.touched, key=lambda place: hash((place, id(state))))
        state.touched.clear()
        state.touched.update(dict.fromkeys(shuffled))
        return decide(state, offset, record)

    return [(planning, "decide", unordered)]


@mutant("a step's snapshot is one epoch old")
def snapshot_an_epoch_old() -> list[Patch]:
    snapshot = copytrade.Step.snapshot

    def older(self: Any) -> bytes:
        now = snapshot(self)
        before: bytes = self.__dict__.get("before", now)
        self.__dict__["before"] = now
        return before

    return [(copytrade.Step, "snapshot", older)]


@mutant("a second crash forgets the tail that the first one left to be written again")
def tail_forgotten_at_the_second_crash() -> list[Patch]:
    def at_the_end(self: Any) -> Any:
        self._hub.settle()
        return self._end, self._back.next_number

    return [(numbered.NumberedPart, "snapshot", at_the_end)]


@mutant("the flow decides again after a crash instead of comparing with what it wrote")
def tail_written_again() -> list[Patch]:
    match = numbered.ReadBack.match

    def never(self: Any, row: Any) -> bool:
        match(self, row)
        return False

    return [(numbered.ReadBack, "match", never)]


@mutant("increases go on while the leaders' feeds are silent")
def increases_on_silent_leaders() -> list[Patch]:
    gate = gates.increase_gate

    def blind(*args: Any) -> Any:
        held = gate(*args)
        return None if held is not None and held.reason == "leader_feed_stale" else held

    return [(gates, "increase_gate", blind)]
