"""Misbehaviours that strike by name only, each through real HTTP and sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Any

import aiohttp
import pytest
import websockets
from polymarket import AsyncSecureClient, RequestRejectedError

from infra.sandbox.faults import FAULTS, fault_names
from infra.sandbox.server import Sandbox
from tests.sandbox.test_sandbox_sdk import all_of, liquid
from tests.waiting import until_answered

OpenSandbox = Callable[..., Awaitable[Sandbox]]
OpenClient = Callable[[Sandbox], Awaitable[AsyncSecureClient]]
BY_NAME = ("upgrade_429", "ghost_book", "stale_rest", "engine_restart", "delayed")


def test_all_leaves_out_what_strikes_by_name_only() -> None:
    assert fault_names(["all"]) == FAULTS.keys() - set(BY_NAME)
    assert fault_names(BY_NAME) == set(BY_NAME)


@pytest.mark.parametrize("channel", ["ws_market", "ws_user", "ws_activity"])
async def test_an_upgrade_is_refused_with_429_and_taken_afterwards(
    open_sandbox: OpenSandbox, channel: str
) -> None:
    sandbox = await open_sandbox(faults=("upgrade_429",), fault_rates={"upgrade_429": 1.0})
    url = sandbox.ready()[channel]
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(url):
            raise AssertionError("it was taken")
    assert refused.value.response.status_code == 429
    assert sandbox.venue.faults.counts["upgrade_429"] == 1
    sandbox.venue.faults.switch(())
    async with websockets.connect(url):
        return


async def test_a_ghost_book_has_a_true_name_and_no_true_quote(
    open_sandbox: OpenSandbox, web: aiohttp.ClientSession
) -> None:
    sandbox = await open_sandbox(faults=("ghost_book",), fault_rates={"ghost_book": 1.0})
    token = liquid(sandbox).tokens[0]
    async with web.get(f"{sandbox.url}/book", params={"token_id": token}) as response:
        book = await response.json()
    async with web.post(f"{sandbox.url}/books", json=[{"token_id": token}]) as response:
        (other,) = await response.json()
    for ghost in (book, other):
        assert ghost["asset_id"] == token
        assert [level["price"] for level in (*ghost["bids"], *ghost["asks"])] == ["0.01", "0.99"]
    sandbox.venue.faults.switch(())
    async with web.get(f"{sandbox.url}/book", params={"token_id": token}) as response:
        true = await response.json()
    assert len(true["bids"]) + len(true["asks"]) > 2


async def test_a_stale_answer_comes_to_a_new_url_and_tells_its_age(
    open_sandbox: OpenSandbox, web: aiohttp.ClientSession
) -> None:
    sandbox = await open_sandbox(
        faults=("stale_rest",), fault_rates={"stale_rest": 1.0}, stranger_rate_per_s=20.0
    )

    async def ask(buster: str) -> tuple[bytes, Any]:
        async with web.get(f"{sandbox.url}/v2/trades", params={"_": buster}) as response:
            return await response.read(), response.headers

    first, fresh = await ask("1")
    assert "Age" not in fresh
    await asyncio.sleep(1.6)
    second, headers = await ask("2")
    assert (second, headers["x-cache"]) == (first, "Hit from cloudfront")
    assert int(headers["Age"]) >= 1
    sandbox.venue.faults.switch(())
    third, headers = await ask("3")
    assert third != first
    assert "Age" not in headers


async def test_the_engine_restarts_then_takes_post_only_orders_then_all(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox(faults=("engine_restart",), fault_rates={"engine_restart": 1.0})
    client, market = await open_client(sandbox), liquid(sandbox)

    async def post() -> int:
        order = await client.create_market_order(
            side="BUY", asset_id=market.tokens[0], amount="10", max_price="0.95"
        )
        try:
            await client.post_order(order)
        except RequestRejectedError as error:
            return error.status
        return 200

    assert await post() == 425
    sandbox.venue.faults.switch(())
    answers = [await post()]
    while answers[-1] != 200:
        await asyncio.sleep(0.1)
        answers.append(await post())
    assert [status for status, _ in groupby(answers)] == [425, 503, 200]


async def test_a_delayed_order_is_pending_and_matched_afterwards(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox(
        faults=("delayed",), fault_rates={"delayed": 1.0}, latency_ms=2_000, seed=2
    )
    client, market = await open_client(sandbox), liquid(sandbox)
    order = await client.create_market_order(
        side="BUY", asset_id=market.tokens[0], amount="10", max_price="0.95"
    )
    answer = await client.post_order(order)
    assert answer.status == "delayed"
    assert not await all_of(client.list_account_trades())
    await until_answered(lambda: all_of(client.list_account_trades()))


async def test_a_tick_changes_on_demand_with_whole_books_on_the_new_one(
    open_sandbox: OpenSandbox, web: aiohttp.ClientSession
) -> None:
    sandbox = await open_sandbox()
    market = next(m for m in sandbox.venue.floor.markets[2:] if m.tick_micro == 10_000)
    url = f"{sandbox.url}/_sandbox/tick/{market.condition_id}"
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send(json.dumps({"type": "market", "assets_ids": list(market.tokens)}))
        await socket.recv()
        async with web.post(url) as response:
            assert await response.json() == {"refined": True}
        kinds: list[str] = []
        async with asyncio.timeout(5):
            while kinds.count("tick_size_change") < 2 or kinds[-1] != "book":
                frames = json.loads(await socket.recv())
                rows = frames if isinstance(frames, list) else [frames]
                kinds += [row["event_type"] for row in rows]
    assert market.tick_micro == 1_000
    async with web.post(url) as response:
        assert await response.json() == {"refined": False}
    async with web.post(f"{sandbox.url}/_sandbox/tick/0xnone") as response:
        assert response.status == 404
