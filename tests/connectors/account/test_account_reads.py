"""Private reads of one account against answers made by hand: no network, no broker."""

import json
from typing import Any

import httpx
import pytest

from connectors.account.reports import Reports, open_order
from connectors.account.trades import Trades, window
from connectors.polymarket.cursors import SLICE_MS, ReadCursor, Span
from connectors.polymarket.own_fills import OwnFills
from connectors.polymarket.wire import Unreadable
from schemas.records.base import Wallet
from schemas.records.own import (
    BalanceReport,
    OpenOrdersReport,
    OwnFill,
    PositionsReport,
    ReportAsked,
)

OWN_KEY = "0a0a0a0a-1b1b-2c2c-3d3d-4e4e4e4e4e4e"
WALLET = Wallet("0x" + "cd" * 20)
CONDITION = "0x" + "bd" * 32
NOW_MS = 1_795_000_000_000


def trade(number: int = 1, *, at_ms: int = NOW_MS, **given: Any) -> dict[str, Any]:
    """A taker row of /data/trades with everything that may be absent left out."""
    return {
        "id": f"trade-{number}",
        "taker_order_id": "0xAA",
        "market": CONDITION,
        "asset_id": "111",
        "side": "BUY",
        "size": "10",
        "price": "0.57",
        "status": "TRADE_STATUS_CONFIRMED",
        "owner": OWN_KEY,
        "match_time": str(at_ms // 1_000),
        **given,
    }


def listing(*rows: Any, after: str = "LTE=") -> httpx.Response:
    return httpx.Response(200, json={"data": list(rows), "next_cursor": after})


def trades_of(desk: Any, *, start_ms: int = NOW_MS - 60_000, overlap_ms: int = 0) -> Trades:
    told: list[Any] = []
    reader = Trades(
        desk.private,
        fills=OwnFills(account=desk.private.account, wallet=WALLET, api_key=OWN_KEY),
        cursor=ReadCursor(start_ms=start_ms, upto_ms=None, overlap_ms=overlap_ms),
        on_news=lambda *news: told.append(news),
    )
    reader.told = told  # type: ignore[attr-defined]
    return reader


def reports_of(desk: Any) -> Reports:
    return Reports(desk.private, wallet=WALLET, data_url="http://data.test", signature_type=2)


async def test_every_page_is_read_and_fills_are_told_oldest_first(desks) -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        if "next_cursor" not in request.url.params:
            return listing(
                trade(3, at_ms=NOW_MS + 2_000), trade(2, at_ms=NOW_MS + 1_000), after="P2"
            )
        return listing(trade(1))

    desk = desks(answer)
    assert await trades_of(desk).read()
    fills = desk.log.records(kind=OwnFill)
    assert [fill.trade for fill in fills] == ["trade-1", "trade-2", "trade-3"]
    assert fills[0].cash_micro == 5_700_000
    assert asked[0] == {"after": str((NOW_MS - 60_000) // 1_000 - 1)}
    assert asked[1] == {**asked[0], "next_cursor": "P2"}, "filters are repeated on every page"
    assert desk.feeds["own_trades"].state(desk.now["ms"]).state == "up"


async def test_what_was_told_is_not_told_again_and_each_new_status_is(desks) -> None:
    rows = [trade(status=f"TRADE_STATUS_{name}") for name in ("MATCHED", "MATCHED", "RETRYING")]
    rows += [trade(status="TRADE_STATUS_FAILED"), trade(status="TRADE_STATUS_MINED")]
    answers = iter(rows)
    desk = desks(lambda _request: listing(next(answers)))
    reader = trades_of(desk)
    for _ in rows:
        assert await reader.read()
    told = [fill.status for fill in desk.log.records(kind=OwnFill)]
    assert told == ["MATCHED", "RETRYING", "FAILED"], "nothing follows a final status"


async def test_a_row_that_cannot_be_read_is_set_aside_once_and_its_feed_is_suspect(desks) -> None:
    bad = trade(2, status="TRADE_STATUS_TELEPORTED", owner="somebody-elses-key")
    rows = [[bad, trade(1)], [bad, trade(1)], [trade(1)]]
    answers = iter(rows)
    desk = desks(lambda _request: listing(*next(answers)))
    reader = trades_of(desk)
    states = []
    for _ in rows:
        assert await reader.read()
        states.append(desk.feeds["own_trades"].state(desk.now["ms"]).state)
    assert states == ["down", "down", "up"], "down: nothing complete was ever read"
    assert len(desk.log.records(kind=OwnFill)) == 1, "the good row counts"
    (aside,) = desk.log.records("dead")
    assert aside.feed == "own_trades"
    assert "TELEPORTED" in aside.reason
    assert b"somebody-elses-key" not in aside.raw


async def test_a_bad_row_after_a_good_read_makes_the_feed_suspect(desks) -> None:
    answers = iter([[trade(1)], ["no trade at all"], [trade(1)]])
    desk = desks(lambda _request: listing(*next(answers)))
    reader = trades_of(desk)
    states = []
    for _ in range(3):
        assert await reader.read()
        states.append(desk.feeds["own_trades"].state(desk.now["ms"]).state)
    assert states == ["up", "suspect", "up"]


async def test_a_trade_that_outlasts_the_window_is_asked_for_by_id_until_it_is_settled(
    desks,
) -> None:
    asked: list[dict[str, str]] = []
    status = {"now": "MATCHED"}

    def answer(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        asked.append(query)
        first = len(asked) == 1
        ghost = trade(status=f"TRADE_STATUS_{status['now']}")
        return listing(ghost) if first or query.get("id") == "trade-1" else listing()

    desk = desks(answer)
    reader = trades_of(desk)
    assert await reader.read()
    desk.now["ms"] += 40_000
    assert await reader.read()  # its window still held the trade's second
    desk.now["ms"] += 40_000
    assert await reader.read()
    assert asked[-1] == {"id": "trade-1"}
    status["now"] = "FAILED"
    count = len(asked)
    assert await reader.read()
    assert len(asked) == count + 1, "not looked up again so soon"
    desk.now["ms"] += 40_000
    assert await reader.read()
    assert [f.status for f in desk.log.records(kind=OwnFill)] == ["MATCHED", "FAILED"]
    cursors = [record.upto_ms for record in desk.log.records("cursors")]
    assert cursors[-1] > NOW_MS + 80_000, "it moves on once the trade is settled"
    assert max(cursors[:-1], default=0) <= NOW_MS, "and never past it before"


async def test_the_cursor_is_written_only_when_all_it_covers_stands_on_the_tape(desks) -> None:
    desk = desks(lambda _request: listing(trade(1)))
    desk.log.outstanding = 3
    polls = []

    def poll() -> None:
        polls.append(desk.log.records("cursors"))
        desk.log.outstanding -= 1

    desk.log.poll = poll
    assert await trades_of(desk).read()
    assert polls == [[], [], []]
    assert len(desk.log.records("cursors")) == 1


async def test_a_long_gap_is_read_in_slices_and_only_the_present_makes_the_feed_fresh(
    desks,
) -> None:
    asked: list[dict[str, str]] = []
    states: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        states.append(desk.feeds["own_trades"].state(desk.now["ms"]).state)
        return listing()

    desk = desks(answer)
    assert await trades_of(desk, start_ms=NOW_MS - 2 * SLICE_MS - 1_000, overlap_ms=60_000).read()
    assert ["before" in query for query in asked] == [True, True, False]
    starts = [int(query["after"]) for query in asked]
    ends = [int(query["before"]) for query in asked[:-1]]
    assert all(start < end for start, end in zip(starts[1:], ends, strict=True)), "no gap between"
    assert states == ["down"] * 3
    assert desk.feeds["own_trades"].state(desk.now["ms"]).state == "up"


@pytest.mark.parametrize(
    ("span", "bounds"),
    [
        (Span(0, None), {"after": "0"}),
        (Span(10_999, None), {"after": "9"}),
        (Span(10_000, 20_500), {"after": "9", "before": "21"}),
    ],
)
def test_bounds_are_whole_seconds_and_one_wider_each_way(span: Span, bounds: dict) -> None:
    assert window(span) == bounds


async def test_rest_names_what_it_told_first_with_the_moment_it_happened(desks) -> None:
    rows = [trade(1, last_update="1795000009"), trade(2), trade(3, last_update="soon")]
    desk = desks(lambda _request: listing(*rows))
    reader = trades_of(desk)
    assert await reader.read()
    assert sorted(reader.told) == [
        ("trade-1", "CONFIRMED", 1_795_000_009_000),
        ("trade-2", "CONFIRMED", 0),
        ("trade-3", "CONFIRMED", 0),
    ]
    assert await reader.read()
    assert len(reader.told) == 3


@pytest.mark.parametrize("status", [401, 403, 425, 500, 503])
async def test_a_refusal_is_no_answer_and_leaves_nothing_on_the_tape(desks, status: int) -> None:
    desk = desks(lambda _request: httpx.Response(status, json={"error": "no"}))
    reports = reports_of(desk)
    assert not await trades_of(desk).read()
    assert not await reports.orders()
    assert not await reports.balance()
    assert not await reports.positions()
    assert {type(record) for record in desk.log.records()} == {ReportAsked}


async def test_an_answer_from_a_cache_is_none_and_makes_the_feed_suspect(desks) -> None:
    age = {"s": "0"}

    def answer(request: httpx.Request) -> httpx.Response:
        body: Any = {"data": [], "pagination": {"has_more": False, "next_cursor": None}}
        if request.url.path == "/balance-allowance":
            body = {"balance": "5"}
        return httpx.Response(200, json=body, headers={"Age": age["s"]})

    desk = desks(answer)
    reports = reports_of(desk)
    assert await reports.positions()
    assert await reports.balance()
    age["s"] = "280"
    assert not await reports.positions()
    assert not await reports.balance()
    assert len(desk.log.records(kind=PositionsReport)) == 1
    assert len(desk.log.records(kind=BalanceReport)) == 1
    for feed in ("own_positions", "own_balance"):
        assert desk.feeds[feed].state(desk.now["ms"]).state == "suspect"


async def test_positions_are_asked_on_the_tape_first_by_an_address_no_cache_has_seen(
    desks,
) -> None:
    seen: list[tuple[int, str, dict[str, str]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked = len(desk.log.records(kind=ReportAsked))
        seen.append((asked, str(request.url), dict(request.url.params)))
        more = "cursor" not in request.url.params
        row = {
            "proxy_wallet": WALLET,
            "token_id": "111" if more else "222",
            "condition_id": CONDITION,
            "current_size": 12.0000004,
        }
        page = {"has_more": more, "next_cursor": "P2" if more else None}
        return httpx.Response(200, json={"data": [row], "pagination": page})

    desk = desks(answer)
    reports = reports_of(desk)
    assert await reports.positions()
    assert await reports.positions()
    assert [asked for asked, _, _ in seen] == [1, 1, 2, 2]
    assert len({url for _, url, _ in seen}) == 4, "never the same address twice"
    assert all(query["user"] == WALLET for _, _, query in seen)
    assert all(float(query["filter_amount"]) == 0 for _, _, query in seen)
    first = desk.log.records(kind=PositionsReport)[0]
    assert [(row.token, row.shares_micro) for row in first.rows] == [
        ("111", 12_000_000),
        ("222", 12_000_000),
    ]
    assert (first.complete, first.floor_micro, first.subject) == (True, 100_000, "main")


async def test_a_position_row_that_cannot_be_read_leaves_the_report_incomplete(desks) -> None:
    good = {
        "proxy_wallet": WALLET,
        "token_id": "111",
        "condition_id": CONDITION,
        "current_size": 1,
    }
    rows = [good, {**good, "current_size": -1}]
    desk = desks(
        lambda _request: httpx.Response(
            200, json={"data": rows, "pagination": {"has_more": False, "next_cursor": None}}
        )
    )
    assert await reports_of(desk).positions()
    (report,) = desk.log.records(kind=PositionsReport)
    assert (report.complete, len(report.rows)) == (False, 1)
    assert len(desk.log.records("dead")) == 1
    assert desk.feeds["own_positions"].state(desk.now["ms"]).state != "up"


ORDER = {
    "id": "0xAB",
    "status": "LIVE",
    "asset_id": "111",
    "side": "SELL",
    "price": "0.575",
    "original_size": "10.5",
    "size_matched": "0.25",
    "owner": OWN_KEY,
}


async def test_open_orders_come_in_our_units_and_a_bad_one_leaves_the_report_incomplete(
    desks,
) -> None:
    answers = iter([[ORDER], [ORDER, {**ORDER, "price": "1.5"}]])
    desk = desks(lambda _request: listing(*next(answers)))
    reports = reports_of(desk)
    assert await reports.orders()
    assert await reports.orders()
    whole, part = desk.log.records(kind=OpenOrdersReport)
    (row,) = whole.rows
    assert (row.order, row.token, row.side) == ("0xab", "111", "SELL")
    assert (row.price_micro, row.shares_micro, row.matched_micro) == (575_000, 10_500_000, 250_000)
    assert (whole.complete, part.complete) == (True, False)
    assert part.rows == whole.rows
    assert desk.feeds["own_orders"].state(desk.now["ms"]).state == "suspect"
    assert len({whole.report, part.report}) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"side": "HOLD"},
        {"price": "-0.1"},
        {"price": "x"},
        {"original_size": "1e3"},
        {"size_matched": ""},
        {"asset_id": "0x12"},
        {"id": 7},
    ],
)
def test_an_order_row_that_is_not_what_it_should_be_is_refused_with_a_reason(change: dict) -> None:
    found = open_order(json.dumps({**ORDER, **change}).encode())
    assert isinstance(found, Unreadable)
    assert found.reason


async def test_the_balance_is_asked_for_with_the_signature_type_and_taken_as_base_units(
    desks,
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        text = "12345678" if len(asked) == 1 else "12.5"
        return httpx.Response(200, json={"balance": text, "allowances": {}})

    desk = desks(answer)
    reports = reports_of(desk)
    assert await reports.balance()
    assert await reports.balance()
    assert dict(asked[0].url.params) == {"asset_type": "COLLATERAL", "signature_type": "2"}
    (report,) = desk.log.records(kind=BalanceReport)
    assert report.usd_micro == 12_345_678
    assert len(desk.log.records("dead")) == 1
    assert desk.feeds["own_balance"].state(desk.now["ms"]).state == "suspect"


async def test_private_reads_are_signed_anew_for_each_request_and_positions_are_not_signed(
    desks,
) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        desk.now["ms"] += 1_500
        page = {"has_more": False, "next_cursor": None}
        return httpx.Response(200, json={"data": [], "next_cursor": "LTE=", "pagination": page})

    desk = desks(answer)
    reports = reports_of(desk)
    await reports.orders()
    await reports.orders()
    await reports.positions()
    first, second, public = seen
    assert first.headers["POLY_ADDRESS"] == "0x" + "ab" * 20
    assert first.headers["POLY_API_KEY"] == OWN_KEY
    assert first.headers["POLY_TIMESTAMP"] != second.headers["POLY_TIMESTAMP"]
    assert first.headers["POLY_SIGNATURE"] != second.headers["POLY_SIGNATURE"]
    assert not [name for name in public.headers if name.upper().startswith("POLY_")]


async def test_bodies_are_kept_with_every_key_hashed(desks) -> None:
    maker = {
        "order_id": "0xbb",
        "matched_amount": "10",
        "price": "0.57",
        "asset_id": "111",
        "owner": "a-makers-key",
        "side": "SELL",
    }
    desk = desks(lambda _request: listing(trade(maker_orders=[maker])))
    assert await trades_of(desk).read()
    (kept,) = [value for topic, value in desk.log.appended if topic == "raw.user"]
    assert b"a-makers-key" not in kept
    assert OWN_KEY.encode() not in kept
    assert b'"id":"trade-1"' in kept.replace(b" ", b"")
    assert len(desk.log.records(kind=OwnFill)) == 1
