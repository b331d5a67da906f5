"""Redemptions of our wallet, read from its activity: no network, no broker."""

from typing import Any

import httpx
import pytest

from connectors.account.redemptions import REREAD_MS, Redemptions
from connectors.polymarket.cursors import SLICE_MS, ReadCursor
from schemas.records.base import Wallet
from schemas.records.own import OwnRedemption

WALLET = Wallet("0x" + "cd" * 20)
CONDITION = "0x" + "bd" * 32
TX = "0x" + "EE" * 32
NOW_MS = 1_795_000_000_000
FEED = "own_redemptions"


def row(size: float = 10.0, **given: Any) -> dict[str, Any]:
    return {
        "proxy_wallet": WALLET,
        "type": "REDEEM",
        "timestamp": NOW_MS // 1_000 - 5,
        "condition_id": CONDITION,
        "token_id": "111",
        "size": size,
        "usdc_size": size,
        "transaction_hash": TX,
        "outcome_index": 0,
        "is_combo": False,
        **given,
    }


def page(*rows: Any, cursor: str | None = None) -> httpx.Response:
    more = {"has_more": cursor is not None, "next_cursor": cursor}
    return httpx.Response(200, json={"data": list(rows), "pagination": more})


def reader_of(desk: Any, *, start_ms: int = NOW_MS - 60_000) -> Redemptions:
    return Redemptions(
        desk.private,
        wallet=WALLET,
        data_url="http://data.test",
        cursor=ReadCursor(start_ms=start_ms, upto_ms=None, overlap_ms=REREAD_MS),
    )


def told(desk: Any) -> list[tuple[str, int, int]]:
    return [(r.token, r.shares_micro, r.cash_micro) for r in desk.log.records(kind=OwnRedemption)]


def state(desk: Any) -> str:
    return str(desk.feeds[FEED].state(desk.now["ms"]).state)


async def test_each_outcome_of_a_redemption_is_told_with_its_shares_and_dollars(desks) -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        if "cursor" not in request.url.params:
            return page(row(10.0000004), cursor="P2")
        return page(row(3, token_id="222", usdc_size=0))

    desk = desks(answer)
    assert await reader_of(desk).read()
    assert told(desk) == [("111", 10_000_000, 10_000_000), ("222", 3_000_000, 0)]
    first = desk.log.records(kind=OwnRedemption)[0]
    assert (first.account, first.source, first.tx) == ("main", "rest", TX.lower())
    assert (first.condition, first.venue_ms) == (CONDITION, NOW_MS - 5_000)
    assert (asked[0]["user"], asked[0]["type"]) == (WALLET, "REDEEM")
    assert int(asked[0]["start"]) == (NOW_MS - 60_000 - REREAD_MS) // 1_000
    assert state(desk) == "up"


async def test_what_was_told_is_told_again_only_when_its_total_changes(desks) -> None:
    answers = iter([[row(10)], [row(10)], [row(10), row(2)], []])
    desk = desks(lambda _request: page(*next(answers)))
    reader = reader_of(desk)
    for _ in range(4):
        assert await reader.read()
    assert told(desk) == [("111", 10_000_000, 10_000_000), ("111", 12_000_000, 12_000_000)]


async def test_other_activity_and_combos_are_no_redemptions(desks) -> None:
    kinds = ("TRADE", "SPLIT", "MERGE", "CONVERSION", "REWARD", "SOMETHING_NEW")
    rows = [*(row(type=kind) for kind in kinds), row(is_combo=True)]
    desk = desks(lambda _request: page(*rows))
    assert await reader_of(desk).read()
    assert not told(desk)
    assert not desk.log.records("dead")
    assert state(desk) == "up"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"token_id": None}, "names no token"),
        ({"token_id": ""}, "names no token"),
        ({"transaction_hash": ""}, "names no transaction"),
        ({"proxy_wallet": "0x" + "99" * 20}, "a row of 0x99"),
        ({"size": -1}, "size -1 is negative"),
        ({"usdc_size": -1}, "usdc_size -1 is negative"),
        ({"condition_id": "no condition"}, "condition"),
        ({"timestamp": "soon"}, "timestamp"),
    ],
    ids=lambda bad: str(bad)[:24],
)
async def test_a_row_that_cannot_be_read_is_set_aside_and_its_transaction_waits(
    desks, bad: dict[str, Any], why: str
) -> None:
    other = row(4, transaction_hash="0x" + "aa" * 32)
    torn = row(**bad)
    answers = iter([[torn, row(7, token_id="222"), other], [row(), row(7, token_id="222"), other]])
    desk = desks(lambda _request: page(*next(answers)))
    reader = reader_of(desk)
    assert await reader.read()
    (aside,) = desk.log.records("dead")
    assert aside.feed == FEED
    assert why in aside.reason
    assert state(desk) != "up"
    whole = bad.get("transaction_hash") == ""
    assert ("222", 7_000_000, 7_000_000) not in told(desk) or whole
    assert ("111", 4_000_000, 4_000_000) in told(desk)
    assert await reader.read()
    assert ("222", 7_000_000, 7_000_000) in told(desk)
    assert state(desk) == "up"


@pytest.mark.parametrize("status", [401, 425, 500])
async def test_a_refusal_is_no_answer(desks, status: int) -> None:
    desk = desks(lambda _request: httpx.Response(status, json={"error": "no"}))
    assert not await reader_of(desk).read()
    assert not desk.log.records()
    assert not desk.log.records("cursors")


async def test_the_cursor_is_written_when_all_it_covers_stands_on_the_tape(desks) -> None:
    desk = desks(lambda _request: page(row()))
    desk.log.outstanding = 2
    seen = []

    def poll() -> None:
        seen.append(list(desk.log.records("cursors")))
        desk.log.outstanding -= 1

    desk.log.poll = poll
    assert await reader_of(desk).read()
    assert seen == [[], []]
    (cursor,) = desk.log.records("cursors")
    assert (cursor.feed, cursor.subject) == (FEED, "main")
    assert cursor.upto_ms > NOW_MS - 60_000


async def test_a_long_gap_is_read_in_slices_without_a_hole_between(desks) -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        return page()

    desk = desks(answer)
    assert await reader_of(desk, start_ms=NOW_MS - 2 * SLICE_MS - 1_000).read()
    assert ["end" in query for query in asked] == [True, True, False]
    starts = [int(query["start"]) for query in asked]
    ends = [int(query["end"]) for query in asked[:-1]]
    assert all(start < end for start, end in zip(starts[1:], ends, strict=True))
