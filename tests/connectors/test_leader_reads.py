"""A leader read over REST: in full or not at all, in an order that no crash turns into a loss."""

import json
from typing import Any

import httpx
import pytest

from connectors.polymarket.cursors import ReadCursor
from connectors.public.leader import POSITIONS, TRADES, Leader
from schemas.records.base import Wallet
from schemas.records.journal import Cursor, Undecodable
from schemas.records.leader import LeaderFills, LeaderIncomplete, LeaderMove, ReadDone
from schemas.records.own import PositionsReport

WALLET = Wallet("0x" + "1f" * 20)
CONDITION = "0x" + "cd" * 32
T, A, P, TOKENS = "/v2/trades", "/v2/activity", "/v2/positions", "/v2/tokens"


def page(*rows: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    return {"data": list(rows), "pagination": {"has_more": bool(cursor), "next_cursor": cursor}}


def trade(number: int = 0, **changed: Any) -> dict[str, Any]:
    return {
        "proxy_wallet": WALLET,
        "side": "BUY",
        "token_id": "77",
        "condition_id": CONDITION,
        "size": 10,
        "price": 0.5,
        "timestamp": 1_789_999_900 + number,
        "transaction_hash": f"0x{number:064x}",
        **changed,
    }


def move(type_: str, **changed: Any) -> dict[str, Any]:
    return {**trade(**changed), "type": type_, "usdc_size": 10, "token_id": "", "side": ""}


@pytest.fixture
def leader(desktop: Any) -> Leader:
    def cursor() -> ReadCursor:
        return ReadCursor(start_ms=desktop.now_ms - 30_000, upto_ms=None, overlap_ms=60_000)

    for feed in desktop.feeds.values():
        feed.follow(WALLET)
    return Leader(
        wallet=WALLET,
        reads=desktop.reads,
        catalogue=desktop.catalogue,
        data_url="http://data",
        lag_ms=10_000,
        trades=cursor(),
        moves=cursor(),
        on_news=lambda: None,
    )


async def test_rows_go_first_then_the_read_then_the_cursor(desktop: Any, leader: Leader) -> None:
    desktop.answer(T, page(trade(1), trade(1), trade(2)))
    await leader.read_trades()
    assert desktop.order() == ["LeaderFills", "LeaderFills", "ReadDone", "Cursor"]
    first, _, done = desktop.records()
    assert isinstance(first, LeaderFills)
    assert (first.rows, first.shares_micro, first.cash_micro) == (2, 20_000_000, 10_000_000)
    assert isinstance(done, ReadDone)
    assert done.instance == first.instance
    assert len(done.present) == 2
    assert (done.from_ms, done.upto_ms) == (desktop.now_ms - 90_000, desktop.now_ms - 10_000)
    (cursor,) = desktop.records("cursors")
    assert cursor == Cursor(feed="trades", subject=WALLET, upto_ms=desktop.now_ms - 10_000)
    assert desktop.feeds[TRADES].state(desktop.now_ms).state == "up"


async def test_every_page_is_read_with_all_filters_and_a_fresh_cache_buster(
    desktop: Any, leader: Leader
) -> None:
    desktop.answer(T, page(trade(1), cursor="two"), page(cursor="three"), page(trade(1)))
    await leader.read_trades()
    fills = [r for r in desktop.records() if isinstance(r, LeaderFills)]
    assert [(r.rows, r.shares_micro) for r in fills] == [(2, 20_000_000)]
    queries = [dict(url.params) for url in desktop.asked]
    assert [query.get("cursor") for query in queries] == [None, "two", "three"]
    assert len({query["_"] for query in queries}) == 3
    for query in queries:
        assert (query["user"], query["taker_only"], query["limit"]) == (WALLET, "false", "1000")
        assert query["start"] == str((desktop.now_ms - 90_000) // 1_000)


@pytest.mark.parametrize("second", [None, b"<html>"])
async def test_an_answer_that_lacks_a_page_is_no_answer(
    desktop: Any, leader: Leader, second: bytes | None
) -> None:
    """A group cut by a page would be stated too small."""
    desktop.answer(T, page(trade(1), cursor="two"))
    if second is None:
        desktop.fails(T, httpx.ReadTimeout("slow"))
    else:
        desktop.answer(T, second)
    await leader.read_trades()
    assert desktop.records() == []
    assert desktop.records("cursors") == []
    assert desktop.feeds[TRADES].state(desktop.now_ms).state == "down"


async def test_a_cached_answer_is_not_believed_and_makes_the_feed_suspect(
    desktop: Any, leader: Leader
) -> None:
    desktop.answer(T, page(trade(1)))
    await leader.read_trades()
    desktop.forget(T).answer(T, page(), age="280", x_cache="Hit from cloudfront")
    desktop.now_ms += 4_000
    await leader.read_trades()
    assert desktop.order().count("ReadDone") == 1
    assert desktop.feeds[TRADES].state(desktop.now_ms).state == "suspect"
    desktop.forget(T).answer(T, page(trade(1)), age="2")
    desktop.now_ms += 4_000
    await leader.read_trades()
    assert desktop.feeds[TRADES].state(desktop.now_ms).state == "up"


async def test_groups_that_did_not_change_are_named_but_not_appended_again(
    desktop: Any, leader: Leader
) -> None:
    desktop.answer(T, page(trade(1)), page(trade(1), trade(2)))
    await leader.read_trades()
    desktop.now_ms += 4_000
    await leader.read_trades()
    records = desktop.records()
    fills = [record for record in records if isinstance(record, LeaderFills)]
    assert [len(r.present) for r in records if isinstance(r, ReadDone)] == [1, 2]
    assert len(fills) == len({record.group for record in fills}) == 2


@pytest.mark.parametrize(
    "bad", [{"size": "many"}, {"side": ""}, {"proxy_wallet": "0x" + "2e" * 20}]
)
async def test_one_bad_row_is_put_aside_once_and_does_not_lose_the_page(
    desktop: Any, leader: Leader, bad: dict[str, Any]
) -> None:
    desktop.answer(T, page(trade(1), trade(1, **bad), trade(2)))
    await leader.read_trades()
    desktop.now_ms += 4_000
    await leader.read_trades()
    fills = [r for r in desktop.records() if isinstance(r, LeaderFills)]
    marks = [r for r in desktop.records() if isinstance(r, LeaderIncomplete)]
    (dead,) = desktop.records("dead")
    assert [record.tx for record in fills] == [trade(2)["transaction_hash"]]
    assert len(marks) == 1
    assert isinstance(dead, Undecodable)
    assert json.loads(dead.raw) == trade(1, **bad)
    assert not [r for r in desktop.records() if isinstance(r, ReadDone)]
    assert desktop.feeds[TRADES].state(desktop.now_ms).state == "down"


async def test_a_bad_row_is_left_behind_once_the_overlap_has_passed_it(
    desktop: Any, leader: Leader
) -> None:
    desktop.answer(T, page(trade(1, size="many")))
    await leader.read_trades()
    desktop.forget(T).answer(T, page())
    desktop.now_ms += 80_000
    await leader.read_trades()
    assert desktop.order()[-2:] == ["ReadDone", "Cursor"]
    start = int(desktop.asked[-1].params["start"]) * 1_000
    assert start > trade(1)["timestamp"] * 1_000


async def test_a_restart_reads_from_the_cursor_and_a_lost_one_from_the_beginning_of_the_follow(
    desktop: Any,
) -> None:
    follow_ms = desktop.now_ms - 3_600_000
    kept = ReadCursor(start_ms=follow_ms, upto_ms=desktop.now_ms - 9_000, overlap_ms=60_000)
    lost = ReadCursor(start_ms=follow_ms, upto_ms=None, overlap_ms=60_000)
    assert kept.next_span(desktop.now_ms).from_ms == desktop.now_ms - 69_000
    assert lost.next_span(desktop.now_ms).from_ms == follow_ms - 60_000


TWO_TOKENS = {
    "data": [
        {"token_id": "22", "condition_id": CONDITION, "outcome_index": 1},
        {"token_id": "11", "condition_id": CONDITION, "outcome_index": 0},
    ]
}


async def test_moves_are_stated_after_their_tokens_were_looked_up(
    desktop: Any, leader: Leader
) -> None:
    desktop.answer(TOKENS, TWO_TOKENS).answer(
        A, page(move("SPLIT"), {**trade(), "type": "TRADE"}, move("REWARD"))
    )
    await leader.read_moves()
    assert desktop.order() == ["LeaderMove", "ReadDone", "Cursor"]
    split, done = desktop.records()
    assert isinstance(split, LeaderMove)
    assert split.delta_micro == {"11": 10_000_000, "22": 10_000_000}
    assert split.cash_micro == -10_000_000
    assert isinstance(done, ReadDone)
    assert (done.source, done.present) == ("activity", (split.group,))


async def test_a_failed_look_up_says_nothing_and_is_tried_again(
    desktop: Any, leader: Leader
) -> None:
    desktop.answer(A, page(move("SPLIT")))
    desktop.fails(TOKENS, httpx.ConnectError("down")).answer(TOKENS, TWO_TOKENS)
    await leader.read_moves()
    assert desktop.records() == []
    await leader.read_moves()
    assert desktop.order() == ["LeaderMove", "ReadDone", "Cursor"]


@pytest.mark.parametrize("type_", ["CONVERSION", "MIGRATION", "TELEPORT"])
async def test_what_cannot_be_followed_makes_the_leader_incomplete_once(
    desktop: Any, leader: Leader, type_: str
) -> None:
    desktop.answer(A, page(move(type_)))
    await leader.read_moves()
    desktop.now_ms += 5_000
    await leader.read_moves()
    marks = [r for r in desktop.records() if isinstance(r, LeaderIncomplete)]
    assert len(marks) == 1
    assert type_.lower() in marks[0].reason.lower()


async def test_a_combo_is_ignored_and_the_answer_stays_complete(
    desktop: Any, leader: Leader
) -> None:
    desktop.answer(A, page({**move("SPLIT"), "is_combo": True}))
    await leader.read_moves()
    assert desktop.order() == ["ReadDone", "Cursor"]


def holding(token: str, size: Any) -> dict[str, Any]:
    return {
        "proxy_wallet": WALLET,
        "token_id": token,
        "condition_id": CONDITION,
        "current_size": size,
    }


async def test_positions_are_asked_on_the_tape_before_they_are_asked_at_the_venue(
    desktop: Any, leader: Leader
) -> None:
    desktop.answer(P, page(holding("11", 8316.5628)))
    await leader.read_positions()
    assert desktop.order() == ["ReportAsked", "PositionsReport"]
    asked, report = desktop.records()
    assert isinstance(report, PositionsReport)
    assert report.report == asked.report
    assert (report.subject, report.complete, report.floor_micro) == (WALLET, True, 100_000)
    assert [(row.token, row.shares_micro) for row in report.rows] == [("11", 8_316_562_800)]
    assert desktop.asked[0].params["filter_amount"] == "0"


async def test_a_report_with_an_unreadable_row_is_incomplete(desktop: Any, leader: Leader) -> None:
    desktop.answer(P, page(holding("11", 5), holding("22", "many")))
    await leader.read_positions()
    report = desktop.records()[-1]
    assert isinstance(report, PositionsReport)
    assert not report.complete
    assert [row.token for row in report.rows] == ["11"]
    assert len(desktop.records("dead")) == 1
    assert desktop.feeds[POSITIONS].state(desktop.now_ms).state == "down"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refused_read_appends_nothing_but_the_question(
    desktop: Any, leader: Leader, status: int
) -> None:
    desktop.answer(P, {"error": "later"}, status=status)
    await leader.read_positions()
    assert desktop.order() == ["ReportAsked"]


async def test_a_report_that_lists_a_token_twice_is_incomplete(
    desktop: Any, leader: Leader
) -> None:
    """A page shifted between two requests: what it pushed out is not known."""
    desktop.answer(P, page(holding("11", 5), holding("11", 5)))
    await leader.read_positions()
    report = desktop.records()[-1]
    assert isinstance(report, PositionsReport)
    assert not report.complete
