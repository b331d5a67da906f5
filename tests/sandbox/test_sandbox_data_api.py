"""Data API v2 and Gamma: paging, staleness, lag, dust, refusals."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from infra.sandbox.cache import Cache
from infra.sandbox.data_query import BadQueryError, page_of
from infra.sandbox.server import Sandbox

OpenSandbox = Callable[..., Awaitable[Sandbox]]
Web = aiohttp.ClientSession


class FakeClock:
    """Time in the test's hands: a minute of leaders passes at once."""

    def __init__(self) -> None:
        self.now_ms = 1_795_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
async def minute(recordings: Any, make_sandbox: Callable[..., Awaitable[Sandbox]]) -> Sandbox:
    """A sandbox in which a dense third of a minute of leaders has just passed."""
    clock = FakeClock()
    sandbox = await make_sandbox(
        clock=clock,
        seed=7,
        duration_s=24,
        rest_after_s=18,
        resolve_after_s=12,
        leader_rate_per_s=8.0,
    )
    clock.now_ms += 22_000
    return sandbox


async def get(web: Web, sandbox: Sandbox, path: str, **query: str) -> Any:
    async with web.get(sandbox.url + path, params=query) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def pages(web: Web, sandbox: Sandbox, path: str, **query: str) -> list[Any]:
    """All rows of a listing, page by page."""
    rows: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        body = await get(web, sandbox, path, **query, **cursor)
        rows += body["data"]
        if not body["pagination"]["has_more"]:
            assert body["pagination"]["next_cursor"] is None
            return rows
        cursor = {"cursor": body["pagination"]["next_cursor"]}


async def test_pages_together_are_the_whole_list_newest_first(minute: Sandbox, web: Web) -> None:
    (user, *_) = minute.ready()["leaders"]
    query = {"user": user, "taker_only": "false"}
    whole = await pages(web, minute, "/v2/trades", **query, limit="1000")
    small = await pages(web, minute, "/v2/trades", **query, limit="7")
    assert small == whole
    assert len(whole) > 50
    times = [row["timestamp"] for row in whole]
    assert times == sorted(times, reverse=True)


async def test_maker_fills_are_hidden_unless_asked_for(minute: Sandbox, web: Web) -> None:
    hidden = 0
    for user in minute.ready()["leaders"]:
        taken = await pages(web, minute, "/v2/trades", user=user, limit="1000")
        every = await pages(web, minute, "/v2/trades", user=user, limit="1000", taker_only="false")
        hidden += len(every) - len(taken)
    truth = await get(web, minute, "/_sandbox/truth")
    assert hidden == sum(leader["maker_fills"] for leader in truth["leaders"].values()) > 0


async def test_activity_has_trades_splits_merges_and_redemptions(minute: Sandbox, web: Web) -> None:
    truth = await get(web, minute, "/_sandbox/truth")
    for user in minute.ready()["leaders"]:
        rows = await pages(web, minute, "/v2/activity", user=user, limit="1000")
        of_kind = {kind: [r for r in rows if r["type"] == kind] for kind in ("SPLIT", "MERGE")}
        assert len(of_kind["SPLIT"]) == truth["leaders"][user]["splits"]
        assert all(r["outcome_index"] == 999 and r["side"] == "" for r in of_kind["MERGE"])
        upwards = await pages(
            web, minute, "/v2/activity", user=user, limit="9", sort_direction="ASC"
        )
        assert upwards == rows[::-1]


async def test_positions_are_the_truth_above_the_dust_floor(minute: Sandbox, web: Web) -> None:
    truth = await get(web, minute, "/_sandbox/truth")
    for user in minute.ready()["leaders"]:
        held = truth["leaders"][user]["holdings"]
        expected = {
            token: row["shares_micro"]
            for token, row in held.items()
            if row["shares_micro"] >= 100_000
        }
        rows = await pages(web, minute, "/v2/positions", user=user, limit="3")
        assert {r["token_id"]: round(r["current_size"] * 1e6) for r in rows} == expected
        everything = await pages(web, minute, "/v2/positions", user=user, filter_amount="0")
        assert len(everything) == len([r for r in held.values() if r["shares_micro"]])


async def test_redeemed_and_resolved_positions_have_their_status(minute: Sandbox, web: Web) -> None:
    resolved = minute.venue.floor.markets[0]
    (row,) = (await get(web, minute, "/v2/resolutions", condition=resolved.condition_id))["data"]
    assert row["payouts"] == list(resolved.payouts_micro)
    for user in minute.ready()["leaders"]:
        closed = await pages(web, minute, "/v2/positions", user=user, status="CLOSED")
        assert all(r["status"] == "CLOSED" and r["current_size"] == 0 for r in closed)


async def test_prices_are_doubles_off_by_a_hair_and_never_the_exact_ones(
    minute: Sandbox, web: Web
) -> None:
    rows = (await get(web, minute, "/v2/trades", limit="200"))["data"]
    assert all(row["price"] != round(row["price"], 6) for row in rows)


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        ("/v2/trades", {"limit": "1001"}, "limit"),
        ("/v2/trades", {"limit": "0"}, "limit"),
        ("/v2/trades", {"offset": "10"}, "offset"),
        ("/v2/trades", {"start": "1"}, "start"),
        ("/v2/trades", {"user": "nobody"}, "user"),
        ("/v2/trades", {"cursor": "xx"}, "cursor"),
        ("/v2/trades", {"condition": "0x" + "0" * 62}, "condition"),
        ("/v2/activity", {}, "user"),
        ("/v2/positions", {}, "user"),
        ("/v2/positions", {"user": "0x" + "0" * 40, "status": "LOST"}, "status"),
        ("/v2/resolutions", {"condition": "0x" + "0" * 62}, "condition"),
    ],
)
async def test_a_bad_request_names_its_parameter(
    open_sandbox: OpenSandbox, web: Web, path: str, query: dict[str, str], parameter: str
) -> None:
    sandbox = await open_sandbox(markets=2)
    async with web.get(sandbox.url + path, params=query) as response:
        assert response.status == 400
        body = await response.json()
    assert (body["code"], body["parameter"], body["retryable"]) == (
        "invalid_request",
        parameter,
        False,
    )


async def test_a_list_of_users_matches_nothing_and_is_no_error(minute: Sandbox, web: Web) -> None:
    both = ",".join(minute.ready()["leaders"])
    assert (await get(web, minute, "/v2/trades", user=both))["data"] == []


def test_a_cursor_refuses_other_filters_than_those_of_its_first_page() -> None:
    with pytest.raises(BadQueryError, match="repeat them all"):
        page_of({"user": "0x1", "cursor": cursor_for({"user": "0x2"})})


def cursor_for(query: dict[str, str]) -> str:
    page = page_of(query)
    return base64.urlsafe_b64encode(json.dumps([[1, 1], page.filters, 5]).encode()).decode()


def test_a_row_is_visible_only_after_the_index_has_caught_up(
    busy_world: Callable[..., Any],
) -> None:
    world = busy_world(index_lag_ms=5_000)
    world.run(8_000)
    index = world.venue.index
    assert 0 < len(index.visible) < len(index.rows)
    assert all(row.visible_ms <= world.now_ms for row in index.visible)
    assert all(row.visible_ms > world.now_ms for row in index.rows[len(index.visible) :])


async def test_without_a_cache_buster_a_reader_gets_stale_data(
    make_sandbox: Callable[..., Awaitable[Sandbox]], web: Web
) -> None:
    clock = FakeClock()
    sandbox = await make_sandbox(clock=clock, cache_scale=20)
    (user, *_) = sandbox.ready()["leaders"]

    async def ask(**extra: str) -> tuple[int, Any]:
        query = {"user": user, "limit": "1000", **extra}
        async with web.get(sandbox.url + "/v2/trades", params=query) as response:
            assert response.headers["Cache-Control"] == "public, max-age=300"
            return len((await response.json())["data"]), response.headers

    clock.now_ms += 4_000
    first, headers = await ask()
    assert headers["x-cache"].startswith("Miss")
    clock.now_ms += 10_000
    stale, headers = await ask()
    assert (stale, headers["Age"]) == (first, "10")
    assert headers["x-cache"].startswith("Hit")
    fresh, _ = await ask(_="1")
    assert fresh > first
    clock.now_ms += 6_000
    again, headers = await ask()
    assert again > first
    assert "Age" not in headers


def test_the_cache_holds_a_bounded_number_of_answers_and_can_be_off() -> None:
    cache, off = Cache(20), Cache(0)
    for number in range(600):
        cache.put(f"/v2/trades?{number}", b"", 0)
    held = [cache.get("/v2/trades", f"/v2/trades?{n}", 1) is not None for n in range(600)]
    assert held == [False] * 88 + [True] * 512
    off.put("/v2/trades", b"", 0)
    assert off.get("/v2/trades", "/v2/trades", 0) is None


async def test_gamma_lists_open_markets_and_closed_ones_only_on_request(
    minute: Sandbox, web: Web
) -> None:
    resolved = minute.venue.floor.markets[0]
    for path in ("/gamma/markets", "/markets"):
        found = await get(web, minute, path, condition_ids=resolved.condition_id)
        assert found == []
        (row,) = await get(web, minute, path, condition_ids=resolved.condition_id, closed="true")
    assert json.loads(row["clobTokenIds"]) == list(resolved.tokens)
    assert json.loads(row["outcomePrices"]) == [
        "1" if payout else "0" for payout in resolved.payouts_micro
    ]
    assert (row["umaResolutionStatus"], row["closed"]) == ("resolved", True)
    assert row["acceptingOrders"] is False


async def test_gamma_pages_by_keyset_and_knows_events(minute: Sandbox, web: Web) -> None:
    first = await get(web, minute, "/gamma/markets/keyset", limit="4")
    rest = await get(
        web, minute, "/gamma/markets/keyset", limit="4", after_cursor=first["next_cursor"]
    )
    assert "next_cursor" not in rest
    ids = [row["id"] for row in first["markets"] + rest["markets"]]
    assert ids == [str(m.number) for m in minute.venue.floor.markets[1:]]
    slug = first["markets"][0]["slug"]
    event = await get(web, minute, f"/gamma/events/slug/{slug}")
    assert event["markets"][0]["slug"] == slug
    assert event["markets"][0]["feeSchedule"]["rate"] == 0.07


async def test_clob_listings_page_to_their_end_and_show_the_winner(
    minute: Sandbox, web: Web
) -> None:
    body = await get(web, minute, "/markets")
    assert body["next_cursor"] == "LTE="
    by_id = {row["condition_id"]: row for row in body["data"]}
    resolved = minute.venue.floor.markets[0]
    winners = [token["winner"] for token in by_id[resolved.condition_id]["tokens"]]
    assert winners == [payout == 1_000_000 for payout in resolved.payouts_micro]
    one = await get(web, minute, f"/markets/{resolved.condition_id}")
    assert one == by_id[resolved.condition_id]
    async with web.get(minute.url + "/book", params={"token_id": resolved.tokens[0]}) as response:
        assert response.status == 404
        assert await response.json() == {"error": "No orderbook exists for the requested token id"}


async def test_unknown_tokens_are_left_out_of_a_batch_of_books(
    open_sandbox: OpenSandbox, web: Web
) -> None:
    sandbox = await open_sandbox(markets=2)
    tokens = sandbox.venue.floor.markets[1].tokens
    body = [{"token_id": token} for token in (tokens[0], "1", tokens[1])]
    async with web.post(sandbox.url + "/books", json=body) as response:
        books = await response.json()
    assert [book["asset_id"] for book in books] == list(tokens)
