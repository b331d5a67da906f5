"""Planted bugs in what is seen: leaders' trades, reports, books and feeds."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from connectors.polymarket import book, book_hash, fills, mirrors, reads, tracked
from connectors.public import leader as leader_reads
from flows.core import account, clock, gates, market, subjects, window
from flows.core import fills as fill_groups
from flows.core.reconcile import Interval
from tests.sim.mutants import Patch, mutant

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
            known.mirror.tick_micro = mirrors.tick_micro(frame.new_tick_size)
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

    def blindly(self: Any, answer: Any, asked_ms: int) -> Any:
        self.quoted = self.framed = None
        self.doubted_ms = 0
        return install(self, answer, asked_ms)

    return [(tracked.TrackedBook, "install_answer", blindly)]


@mutant(
    "increases go on while the leaders' feeds are silent",
    rule_test="tests/core/test_refusal_ladder.py",
)
def increases_on_silent_leaders() -> list[Patch]:
    gate = gates.increase_gate

    def blind(*args: Any) -> Any:
        held = gate(*args)
        return None if held is not None and held.reason == "leader_feed_stale" else held

    return [(gates, "increase_gate", blind)]
