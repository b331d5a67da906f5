"""The sockets keep the venue's rules: first frames, snapshots, keep-alives, who hears what."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import websockets
from polymarket import AsyncSecureClient
from websockets.asyncio.client import ClientConnection

from infra.sandbox.server import Sandbox
from infra.sandbox.sockets import Line, MarketSocket
from schemas.units import format_micro
from tests.waiting import WAIT_S

OpenSandbox = Callable[..., Awaitable[Sandbox]]
OpenClient = Callable[..., Awaitable[AsyncSecureClient]]
BUSY = {"leaders": 2, "stranger_rate_per_s": 4.0, "leader_rate_per_s": 10.0, "speed": 3.0}


async def received(socket: ClientConnection) -> Any:
    async with asyncio.timeout(WAIT_S):
        return await socket.recv()


async def frames(
    socket: ClientConnection, enough: Callable[[list[Any]], Any] | None = None
) -> list[Any]:
    """JSON frames until there are enough, arrays flattened; with no condition, all that were sent
    before the answer to a PING."""
    found: list[Any] = []
    if enough is None:
        await socket.send("PING")
    while enough is None or not enough(found):
        text = await received(socket)
        if text == "PONG":
            return found
        body = json.loads(text) if text else []
        found += body if isinstance(body, list) else [body]
    return found


async def all_frames(socket: ClientConnection, enough: Callable[[list[Any]], Any]) -> list[Any]:
    """Until there are enough, and what was sent with them."""
    return await frames(socket, enough) + await frames(socket)


def kinds(found: list[Any]) -> set[str]:
    return {frame["event_type"] for frame in found}


def subscription(*assets: str, **extra: Any) -> str:
    return json.dumps({"type": "market", "assets_ids": list(assets), **extra})


async def test_a_market_subscription_starts_with_one_array_of_whole_books(
    open_sandbox: OpenSandbox,
) -> None:
    sandbox = await open_sandbox()
    tokens = [t for market in sandbox.venue.floor.markets[2:4] for t in market.tokens]
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send(subscription(*tokens, "unknown"))
        books = json.loads(await received(socket))
        assert [book["asset_id"] for book in books] == tokens
        keys = {"event_type", "market", "asset_id", "timestamp", "hash", "bids", "asks"}
        extra = {"min_order_size", "tick_size", "neg_risk", "last_trade_price"}
        assert all(set(book) == keys | extra for book in books)


async def test_resubscribing_an_active_asset_yields_nothing_and_a_new_one_its_book(
    open_sandbox: OpenSandbox,
) -> None:
    sandbox = await open_sandbox()
    first, second = sandbox.venue.floor.markets[2].tokens
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send(subscription(first))
        await received(socket)
        for assets in ([first], [first, second], [second]):
            await socket.send(json.dumps({"operation": "subscribe", "assets_ids": assets}))
        await socket.send(json.dumps({"operation": "unsubscribe", "assets_ids": [first]}))
        await socket.send(json.dumps({"operation": "subscribe", "assets_ids": [first]}))
        found = [frame for frame in await frames(socket) if frame["event_type"] == "book"]
        assert [frame["asset_id"] for frame in found] == [second, first]


async def test_the_initial_dump_can_be_declined(open_sandbox: OpenSandbox) -> None:
    sandbox = await open_sandbox()
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send(
            subscription(sandbox.venue.floor.markets[2].tokens[0], initial_dump=False)
        )
        assert await frames(socket) == []


async def test_a_text_ping_is_answered_and_nonsense_is_named(open_sandbox: OpenSandbox) -> None:
    sandbox = await open_sandbox()
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send("PING")
        assert await received(socket) == "PONG"
        for nonsense in ("hello", "{}", '{"type":"market"}', '{"assets_ids":[[1]]}', "[1]"):
            await socket.send(nonsense)
            assert await received(socket) == "INVALID OPERATION"


async def test_a_subscriber_hears_its_markets_only_and_custom_frames_only_if_asked(
    open_sandbox: OpenSandbox,
) -> None:
    sandbox = await open_sandbox(**BUSY)
    market = sandbox.venue.floor.markets[3]
    url = sandbox.ready()["ws_market"]
    async with websockets.connect(url) as plain, websockets.connect(url) as custom:
        await plain.send(subscription(market.tokens[0]))
        await custom.send(subscription(market.tokens[0], custom_feature_enabled=True))
        await frames(custom, lambda found: {"price_change", "best_bid_ask"} <= kinds(found))
        heard = await all_frames(plain, lambda found: "price_change" in kinds(found))
    assert {frame["market"] for frame in heard} == {market.condition_id}
    assert kinds(heard) <= {"book", "price_change", "last_trade_price", "tick_size_change"}


async def test_a_trade_is_printed_and_both_books_are_shown_again_without_two_keys(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    client = await open_client(sandbox)
    market = sandbox.venue.floor.markets[2]
    ask = market.book.best_ask(0)
    assert ask is not None
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send(subscription(*market.tokens))
        await received(socket)
        order = await client.create_market_order(
            side="BUY", asset_id=market.tokens[0], amount="10", max_price=format_micro(ask)
        )
        answer = await client.post_order(order)
        assert answer.ok
        trade, *books = await all_frames(socket, lambda found: len(found) >= 3)
    assert (trade["event_type"], trade["side"]) == ("last_trade_price", "BUY")
    assert trade["size"] == str(answer.taking_amount)
    assert [book["asset_id"] for book in books] == list(market.tokens)
    assert all("tick_size" not in book and "last_trade_price" not in book for book in books)


async def test_the_activity_feed_starts_empty_answers_ping_empty_and_needs_an_action(
    open_sandbox: OpenSandbox,
) -> None:
    sandbox = await open_sandbox(**BUSY)
    topic = [{"topic": "activity", "type": "*"}]
    url = sandbox.ready()["ws_activity"]
    async with websockets.connect(url) as socket, websockets.connect(url) as other:
        assert await received(socket) == ""
        await socket.send(json.dumps({"subscriptions": topic}))
        filtered = [{"topic": "activity", "type": "*", "filters": '{"event_slug":"x"}'}]
        await socket.send(json.dumps({"action": "subscribe", "subscriptions": filtered}))
        await other.send(json.dumps({"action": "subscribe", "subscriptions": topic}))
        await frames(other, lambda found: len(found) > 5)  # there is something to hear
        await socket.send("PING")
        assert await received(socket) == ""
        await socket.send(json.dumps({"action": "subscribe", "subscriptions": topic}))
        (heard,) = await frames(socket, bool)
        assert heard["topic"] == "activity"


async def test_activity_has_one_taker_row_a_transaction_and_a_trades_row_a_fill(
    busy_world: Callable[..., Any],
) -> None:
    world = busy_world(seed=6)
    world.run(20_000)
    matched = world.frames("activity", "orders_matched")
    rows = [frame["payload"] for frame in world.frames("activity", "trades")]
    assert len({frame["payload"]["transactionHash"] for frame in matched}) == len(matched)
    for frame in matched:
        taker = frame["payload"]
        mine = [
            row
            for row in rows
            if (row["transactionHash"], row["proxyWallet"], row["asset"], row["side"])
            == (taker["transactionHash"], taker["proxyWallet"], taker["asset"], taker["side"])
        ]
        assert sum(round(row["size"] * 1e6) for row in mine) >= round(taker["size"] * 1e6)
        assert taker["timestamp"] < 10**11 < frame["timestamp"]


async def test_wrong_credentials_close_the_user_socket(open_sandbox: OpenSandbox) -> None:
    sandbox = await open_sandbox()
    async with websockets.connect(sandbox.ready()["ws_user"]) as socket:
        auth = {"apiKey": "a", "secret": "b", "passphrase": "c"}
        await socket.send(json.dumps({"type": "user", "auth": auth}))
        with pytest.raises(websockets.ConnectionClosed):
            await received(socket)


async def user_socket(sandbox: Sandbox, *markets: str) -> ClientConnection:
    owner = next(iter(sandbox.rim.auth.by_key.values()))
    socket = await websockets.connect(sandbox.ready()["ws_user"])
    auth = {"apiKey": owner.key, "secret": owner.secret, "passphrase": owner.passphrase}
    await socket.send(json.dumps({"type": "user", "auth": auth, "markets": list(markets)}))
    await socket.send("PING")
    assert await received(socket) == "PONG"
    return socket


def confirmed(frame: Any) -> bool:
    return bool(frame["event_type"] == "trade" and frame["status"] == "CONFIRMED")


async def test_a_trade_goes_matched_mined_confirmed_on_the_user_channel(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    client = await open_client(sandbox)
    market = sandbox.venue.floor.markets[2]
    async with await user_socket(sandbox) as socket:
        order = await client.create_market_order(
            side="BUY", asset_id=market.tokens[0], amount="10", max_price="0.95"
        )
        answer = await client.post_order(order)
        assert answer.ok
        heard = await all_frames(
            socket, lambda found: {t["id"] for t in found if confirmed(t)} == {*answer.trade_ids}
        )
    trades = [frame for frame in heard if frame["event_type"] == "trade"]
    for trade_id in answer.trade_ids:
        mine = [trade for trade in trades if trade["id"] == trade_id]
        assert [trade["status"] for trade in mine] == ["MATCHED", "MINED", "CONFIRMED"]
        assert mine[0]["transaction_hash"] == ""
        assert mine[1]["transaction_hash"] == mine[2]["transaction_hash"] != ""
        assert all(trade["trader_side"] == "TAKER" for trade in mine)
    (update,) = [frame for frame in heard if frame["event_type"] == "order"]
    assert (update["type"], update["status"], update["original_size"]) == (
        "UPDATE",
        "MATCHED",
        "10",
    )
    assert update["size_matched"] == str(answer.taking_amount)


async def test_a_resting_order_is_placed_filled_as_maker_and_cancelled_on_the_user_channel(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    maker = await open_client(sandbox)
    market = sandbox.venue.floor.markets[2]
    ask = market.book.best_ask(0)
    assert ask is not None
    inside = format_micro(ask - 10_000)
    async with await user_socket(sandbox) as socket:
        order = await maker.create_limit_order(
            asset_id=market.tokens[0], price=inside, size="30", side="BUY"
        )
        placed = await maker.post_order(order)
        assert placed.ok
        other = await open_client(sandbox, "0x" + "33" * 32)
        counter = await other.create_market_order(
            side="BUY", asset_id=market.tokens[1], amount="5", max_price="0.95"
        )
        assert (await other.post_order(counter)).ok
        await maker.cancel_order(order_id=str(placed.order_id))
        heard = await all_frames(
            socket,
            lambda found: "trade" in kinds(found) and found[-1].get("type") == "CANCELLATION",
        )
    orders = [frame for frame in heard if frame["event_type"] == "order"]
    assert [frame["type"] for frame in orders] == ["PLACEMENT", "UPDATE", "CANCELLATION"]
    trade = next(frame for frame in heard if frame["event_type"] == "trade")
    assert trade["trader_side"] == "MAKER"
    (mine,) = [m for m in trade["maker_orders"] if m["order_id"] == placed.order_id]
    assert (mine["side"], mine["asset_id"]) == ("BUY", market.tokens[0])
    assert mine["matched_amount"] == orders[1]["size_matched"]


async def test_the_user_channel_can_be_narrowed_to_markets(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    client = await open_client(sandbox)
    one, other = sandbox.venue.floor.markets[2:4]
    async with await user_socket(sandbox, other.condition_id) as socket:
        for market in (one, other):
            order = await client.create_limit_order(
                asset_id=market.tokens[0], price="0.02", size="10", side="BUY"
            )
            assert (await client.post_order(order)).ok
        heard = await all_frames(socket, bool)
    assert {frame["market"] for frame in heard} == {other.condition_id}


async def test_a_slow_consumer_is_closed_with_1013(open_sandbox: OpenSandbox) -> None:
    sandbox = await open_sandbox()
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send(subscription(sandbox.venue.floor.markets[2].tokens[0]))
        await received(socket)
        (subscriber,) = sandbox.hub.subscribers["market"]
        assert isinstance(subscriber, MarketSocket)
        for _ in range(Line.QUEUE_MAX + 1):
            subscriber.line.send("{}")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await received(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
