"""The sandbox as a program, and its control paths: ready line, clean end, truth, orders, rest."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from polymarket import AsyncSecureClient

from infra.sandbox.__main__ import parse
from infra.sandbox.server import Sandbox
from tests.waiting import WAIT_S, until, until_answered

OpenSandbox = Callable[..., Awaitable[Sandbox]]
OpenClient = Callable[..., Awaitable[AsyncSecureClient]]


@pytest.fixture
async def program() -> AsyncIterator[Callable[..., Awaitable[asyncio.subprocess.Process]]]:
    """Starts the sandbox as a program; all are dead at the end."""
    running: list[asyncio.subprocess.Process] = []

    async def start(*options: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "infra.sandbox",
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_program_says_ready_in_one_line_serves_loopback_and_ends_on_sigterm(
    program: Callable[..., Awaitable[asyncio.subprocess.Process]], web: aiohttp.ClientSession
) -> None:
    process = await program("--seed", "3", "--markets", "3", "--faults", "drop,cut")
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        ready = json.loads(await process.stdout.readline())
    assert ready["event"] == "ready"
    assert ready["url"].startswith("http://127.0.0.1:")
    assert len(ready["leaders"]) == 2
    assert ready["faults"] == ["cut", "drop"]
    async with web.get(ready["url"] + "/ok") as response:
        assert await response.json() == "OK"
    async with web.ws_connect(ready["ws_market"]):
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            rest = await process.stdout.read()
            assert await process.wait() == 0
    assert rest == b""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--faults", "droop"], "droop"),
        (["--markets", "0"], "markets 0"),
        (["--host", "0.0.0.0"], "--host"),
        (["--speed", "fast"], "speed"),
        (["--fault-rates", "drop"], "name=rate"),
        (["--fault-rates", "drop=often"], "float"),
    ],
)
def test_a_wrong_option_is_named_and_ends_with_2(
    options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(options)
    assert ended.value.code == 2
    assert named in capsys.readouterr().err


def test_every_setting_is_an_option() -> None:
    settings = parse(
        ["--leader-rate-per-s", "1.5", "--faults", "all", "--fault-rates", "drop=0.5,cut=9"]
    )
    assert settings.leader_rate_per_s == 1.5
    assert "lost_answer" in settings.faults
    assert settings.fault_rates == {"drop": 0.5, "cut": 9.0}


async def test_truth_tells_holdings_statistics_and_what_became_of_our_orders(
    open_sandbox: OpenSandbox, open_client: OpenClient, web: aiohttp.ClientSession
) -> None:
    sandbox = await open_sandbox(leaders=2)
    client = await open_client(sandbox)
    market = sandbox.venue.floor.markets[2]
    order = await client.create_market_order(
        side="BUY", asset_id=market.tokens[0], amount="10", max_price="0.95"
    )
    answer = await client.post_order(order)
    assert answer.ok
    trades = sandbox.venue.settlement.trades
    await until(lambda: {trades[t].status for t in answer.trade_ids} == {"CONFIRMED"})
    async with web.get(sandbox.url + "/_sandbox/truth") as response:
        truth = await response.json()
    wallet = str(client.wallet).lower()
    ours = truth["accounts"][wallet]
    bought = int(answer.taking_amount * 1_000_000)
    holding = ours["holdings"][market.tokens[0]]
    assert (holding["shares_micro"], holding["settled_micro"]) == (bought, bought)
    assert holding["outcome"] == "Up"
    assert ours["cash_micro"] == 10**10 - int(answer.making_amount * 10**6) - ours["fees_micro"]
    assert (ours["orders"], ours["accepted"], ours["trades"]) == (
        1,
        1,
        {"CONFIRMED": len(answer.trade_ids)},
    )
    for leader in sandbox.ready()["leaders"]:
        assert truth["leaders"][leader]["holdings"]
    async with web.get(sandbox.url + "/_sandbox/orders") as response:
        (row,) = (await response.json())["orders"]
    assert row["order_id"] == answer.order_id
    assert (row["arrivals"], row["accepted"], row["status"]) == (1, 1, "MATCHED")
    assert sum(trade["shares_micro"] for trade in row["trades"]) == bought


async def test_the_order_log_counts_every_arrival_of_a_hash(
    open_sandbox: OpenSandbox, open_client: OpenClient, web: aiohttp.ClientSession
) -> None:
    sandbox = await open_sandbox()
    client = await open_client(sandbox)
    order = await client.create_market_order(
        side="BUY",
        asset_id=sandbox.venue.floor.markets[2].tokens[0],
        amount="10",
        max_price="0.95",
    )
    await asyncio.gather(*(client.post_order(order) for _ in range(3)), return_exceptions=True)
    async with web.get(sandbox.url + "/_sandbox/orders") as response:
        (row,) = (await response.json())["orders"]
    assert (row["arrivals"], row["accepted"], len(row["refusals"])) == (3, 1, 2)


async def test_leaders_rest_on_request(
    make_sandbox: Callable[..., Awaitable[Sandbox]], web: aiohttp.ClientSession
) -> None:
    sandbox = await make_sandbox(leader_rate_per_s=50.0)

    async def orders() -> int:
        async with web.get(sandbox.url + "/_sandbox/truth") as response:
            truth: dict[str, Any] = await response.json()
        return sum(leader["orders"] for leader in truth["leaders"].values())

    await until_answered(orders)
    async with web.post(sandbox.url + "/_sandbox/rest") as response:
        assert await response.json() == {"resting": True}
    before = await orders()
    upto_ms = sandbox.rim.now() + 500
    await until(lambda: sandbox.venue.agenda.now_ms > upto_ms)
    assert await orders() == before


async def test_a_pump_that_fails_is_not_swallowed(recordings: Any) -> None:
    sandbox = Sandbox(recordings=recordings)
    await sandbox.start()

    def breaks() -> None:
        raise RuntimeError("broken on purpose")

    sandbox.venue.agenda.after(0, breaks)
    with pytest.raises(RuntimeError, match="on purpose"):
        async with asyncio.timeout(WAIT_S):
            await sandbox.failed()
    with pytest.raises(RuntimeError, match="on purpose"):
        await sandbox.stop()
