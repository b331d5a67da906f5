"""Every fault switch does what it says, is counted, and is drawn from the seed."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import websockets

from infra.sandbox.faults import FAULTS, Faults, UnknownFaultError, fault_names
from infra.sandbox.matching import Terms
from infra.sandbox.records import Answer
from infra.sandbox.server import Sandbox
from infra.sandbox.sockets import Line
from tests.waiting import WAIT_S, until

OpenSandbox = Callable[..., Awaitable[Sandbox]]
World = Any


class Wire:
    """A socket that remembers what it was sent."""

    def __init__(self) -> None:
        self.closed = False
        self.texts: list[str] = []

    async def send_str(self, text: str) -> None:
        self.texts.append(text)


async def sent(faults: Faults, frames: list[str]) -> list[str]:
    """What a client gets of frames sent through a line with these faults."""
    wire = Wire()
    line = Line(wire, faults, freezes=True)  # type: ignore[arg-type]
    writer = asyncio.create_task(line.write())
    for frame in frames:
        line.send(frame)
    counts = faults.counts
    await until(lambda: len(wire.texts) >= len(frames) - counts["drop"] + counts["double"])
    writer.cancel()
    await asyncio.wait([writer])
    return wire.texts


FRAMES = [str(number) for number in range(400)]


async def test_without_faults_every_frame_arrives_once_and_in_order() -> None:
    assert await sent(Faults(7, (), {}), FRAMES) == FRAMES


async def test_drop_loses_frames_and_counts_them() -> None:
    faults = Faults(7, ("drop",), {"drop": 0.1})
    got = await sent(faults, FRAMES)
    assert len(FRAMES) - len(got) == faults.counts["drop"] > 10
    assert got == sorted(got, key=int)


async def test_double_sends_frames_twice_and_counts_them() -> None:
    faults = Faults(7, ("double",), {"double": 0.1})
    got = Counter(await sent(faults, FRAMES))
    assert set(got) == set(FRAMES)
    assert sum(count == 2 for count in got.values()) == faults.counts["double"] > 10


async def test_swap_exchanges_neighbours_and_loses_none() -> None:
    faults = Faults(7, ("swap",), {"swap": 0.1})
    got = await sent(faults, FRAMES)
    assert sorted(got, key=int) == FRAMES
    moved = [place for place, frame in enumerate(got) if int(frame) > place]
    assert len(moved) == faults.counts["swap"] > 10
    assert all(abs(int(frame) - place) <= 1 for place, frame in enumerate(got))


async def test_a_swapped_frame_without_a_follower_comes_late_not_never() -> None:
    faults = Faults(7, ("swap",), {"swap": 1.0})
    assert await sent(faults, ["only"]) == ["only"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_drawn_from_the_seed_at_its_rate_only_while_it_is_on(name: str) -> None:
    def draws(seed: int, *names: str) -> list[bool]:
        faults = Faults(seed, names, {name: 0.3})
        return [faults.draw(name) for _ in range(500)]

    assert draws(1, name) == draws(1, name) != draws(2, name)
    assert 100 < sum(draws(1, name)) < 200
    assert draws(1, "all") == (draws(1, name) if FAULTS[name].in_all else draws(1, "none"))
    assert not any(draws(1, "none"))


def test_names_are_checked_and_the_refusal_lists_them() -> None:
    named_only = {"upgrade_429", "ghost_book", "stale_rest", "engine_restart", "delayed"}
    assert fault_names(["all"]) == FAULTS.keys() - named_only
    assert fault_names(["none", ""]) == frozenset()
    with pytest.raises(UnknownFaultError, match="drop, double, swap"):
        fault_names(["droop"])


async def test_cut_ends_sockets_without_a_close_frame(open_sandbox: OpenSandbox) -> None:
    sandbox = await open_sandbox(faults=("cut",), fault_rates={"cut": 60.0})
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            async with asyncio.timeout(WAIT_S):
                await socket.recv()
    assert closed.value.rcvd is None
    assert sandbox.venue.faults.counts["cut"] == 1


async def test_freeze_silences_data_with_pong_alive_until_the_client_reconnects(
    open_sandbox: OpenSandbox,
) -> None:
    sandbox = await open_sandbox(
        faults=("freeze",), fault_rates={"freeze": 60.0}, speed=5.0, stranger_rate_per_s=8.0
    )
    tokens = [token for market in sandbox.venue.floor.markets for token in market.tokens]
    frame = json.dumps({"type": "market", "assets_ids": tokens})

    async def heard(socket: Any, until_text: Callable[[str], bool]) -> list[str]:
        texts: list[str] = []
        async with asyncio.timeout(WAIT_S):
            while not until_text(text := await socket.recv()):
                texts.append(text)
        return texts

    async def on_its_way(socket: Any) -> list[str]:
        await socket.send("PING")
        return await heard(socket, lambda text: text == "PONG")

    async def traded() -> None:
        trades = sandbox.venue.settlement.trades
        wanted = len(trades) + 3
        await until(lambda: len(trades) >= wanted)

    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send(frame)
        await heard(socket, lambda text: "price_change" in text)
        (subscriber,) = sandbox.hub.subscribers["market"]
        line, silence = subscriber.line, ["not frozen yet"]
        while silence:  # until all of a look lay within one freeze
            await until(lambda: line.is_frozen)
            await on_its_way(socket)
            await traded()
            found = await on_its_way(socket)
            silence = found if line.is_frozen else ["the freeze was over before"]
            assert not (found and line.is_frozen)
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send(frame)
        await heard(socket, lambda text: "price_change" in text)
    assert sandbox.venue.faults.counts["freeze"] >= 1


@pytest.fixture
def failing(world: Callable[..., World]) -> World:
    return world(faults=("failed_trade",), fault_rates={"failed_trade": 1.0})


def test_a_failed_trade_is_matched_then_failed_and_leaves_no_trace(
    failing: World, buy: Callable[[int, int], Terms]
) -> None:
    market = failing.lasting()
    wallet, _ = failing.account()
    before = failing.venue.ledger.cash_micro[wallet]
    answer = failing.submit(failing.order(market, 0, buy(950_000, 20_000_000)))
    assert isinstance(answer, Answer)
    assert failing.venue.ledger.cash_micro[wallet] < before
    failing.run(3_000)
    statuses: dict[str, list[str]] = {}
    for frame in failing.frames("user", "trade"):
        statuses.setdefault(frame["id"], []).append(frame["status"])
    assert set(statuses) == set(answer.trade_ids)
    assert all(path == ["MATCHED", "FAILED"] for path in statuses.values())
    assert failing.venue.ledger.cash_micro[wallet] == before
    assert failing.venue.ledger.holding((wallet, market.condition_id, 0)) == 0
    assert not [row for row in failing.venue.index.rows if row.wallet == wallet]
    assert not failing.frames("activity")
    assert failing.venue.faults.counts["failed_trade"] == len(answer.trade_ids)
    failing.venue.ledger.check()


def test_trades_of_leaders_never_fail(busy_world: Callable[..., World]) -> None:
    world = busy_world(faults=("failed_trade",), fault_rates={"failed_trade": 1.0})
    world.run(15_000)
    assert world.venue.settlement.trades
    assert all(t.status != "FAILED" for t in world.venue.settlement.trades.values())


async def test_faults_are_switched_at_run_time_and_named_when_unknown(
    open_sandbox: OpenSandbox, web: aiohttp.ClientSession
) -> None:
    sandbox = await open_sandbox()
    url = sandbox.url + "/_sandbox/faults"
    body = {"faults": ["drop", "cut"], "rates": {"drop": 0.5}}
    async with web.post(url, json=body) as response:
        assert await response.json() == {"on": ["cut", "drop"]}
    async with web.get(url) as response:
        listed = await response.json()
    assert {name for name, row in listed.items() if row["on"]} == {"cut", "drop"}
    assert (listed["drop"]["rate"], listed["drop"]["count"]) == (0.5, 0)
    for wrong in ({"faults": ["droop"]}, {"faults": ["drop"], "rates": {"x": 1}}, {"fault": []}):
        async with web.post(url, json=wrong) as response:
            assert response.status == 400
            assert (await response.json())["error"]
    assert sandbox.venue.faults.on == {"cut", "drop"}
