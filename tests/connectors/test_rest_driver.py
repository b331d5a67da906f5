"""The REST driver: answers dated, failures as values, the venue's wishes obeyed, nothing leaked."""

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.polymarket.paging import Pages, read_listing, read_pages
from connectors.polymarket.rest import Answer, Failed, Rest, _whole
from connectors.polymarket.wire import Unreadable
from tests.sim.clockwork import VirtualLoop, run_virtually


def rest(handler: Callable[[httpx.Request], httpx.Response], per_second: int = 1_000) -> Rest:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return Rest(per_second=per_second, client=client)


async def test_an_answer_knows_when_it_was_asked_and_how_old_it_is() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"{}", headers={"age": "280", "x-cache": "Hit"})

    before_ms = time.time_ns() // 1_000_000
    async with rest(handler) as client:
        answer = await client.get("http://x/y")
    assert isinstance(answer, Answer)
    assert answer.age_s == 280
    assert before_ms <= answer.asked_ms <= answer.recv_ns // 1_000_000
    assert client.counts["cached"] == 1
    assert len(client.latencies_ms) == 1


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout("slow"), httpx.ConnectError("no"), httpx.RemoteProtocolError("cut")]
)
async def test_a_transport_error_is_a_value_that_names_the_path_only(error: Exception) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    async with rest(handler) as client:
        failed = await client.get("http://x/path", {"secret": "query"})
    assert failed == Failed(f"{type(error).__name__} at /path")


async def test_a_request_that_awaits_its_budget_for_long_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "connectors.polymarket.rest")
    async with rest(lambda _: httpx.Response(200, content=b"1"), per_second=2) as client:
        asked = [asyncio.create_task(client.get("http://x/y")) for _ in range(9)]
        await asyncio.sleep(0)
        assert client.wait_ms > 2_000
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    said = [r.getMessage() for r in caplog.records if "rest=" in r.getMessage()]
    assert [line.split()[0] for line in said] == ["rest=overloaded"]


def took_s(answers: Callable[[], httpx.Response], per_second: int, asks: Any) -> float:
    """How long the asking took, in virtual time."""
    loop = VirtualLoop(1_790_000_000_000 * 1_000_000)

    async def asked() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answers()))
        async with Rest(per_second=per_second, clock_ns=loop.now_ns, client=client) as made:
            await asks(made)

    run_virtually(loop, asked())
    return loop.time()


def test_a_429_pauses_every_request_as_long_as_the_venue_wants() -> None:
    answers = [httpx.Response(429, headers={"retry-after": "1"}), httpx.Response(200, content=b"1")]
    got: list[Answer | Failed] = []

    async def twice(client: Rest) -> None:
        got.extend([await client.get("http://x/y"), await client.get("http://x/y")])

    assert took_s(lambda: answers.pop(0), 1_000, twice) == pytest.approx(1.0)
    refused, answer = got
    assert refused == Failed("status 429 at /y", 429, 1_000)
    assert isinstance(answer, Answer)


def test_the_budget_spreads_requests_over_time() -> None:
    async def many(client: Rest) -> None:
        await asyncio.gather(*(client.get("http://x/y") for _ in range(30)))

    assert took_s(lambda: httpx.Response(200), 20, many) == pytest.approx(0.5)


async def test_cache_busters_never_repeat_even_when_the_clock_stands_still() -> None:
    client = Rest(per_second=1, clock_ns=lambda: 7, client=httpx.AsyncClient())
    async with client:
        assert len({client.cache_buster() for _ in range(100)}) == 100


async def test_slowness_is_logged_once_when_it_begins_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    took_ms, now_ms = [10, 3_000, 3_000, 10], [0]

    def handler(_: httpx.Request) -> httpx.Response:
        now_ms[0] += took_ms.pop(0)
        return httpx.Response(200)

    client = Rest(
        per_second=1_000,
        clock_ns=lambda: now_ms[0] * 1_000_000,
        client=httpx.AsyncClient(transport=httpx.MockTransport(handler)),
    )
    with caplog.at_level(logging.INFO, "connectors.polymarket.rest"):
        async with client:
            for _ in range(4):
                await client.get("http://x/y", {"token": "hidden"})
    records = caplog.records
    states = [(record.levelname, record.getMessage().split()[0]) for record in records]
    assert states == [("WARNING", "rest=slow"), ("INFO", "rest=normal")]
    assert "hidden" not in caplog.text


async def pages(*bodies: bytes) -> Pages | Failed | Unreadable:
    left = list(bodies)
    async with rest(lambda _: httpx.Response(200, content=left.pop(0))) as client:
        return await read_pages(client, "http://x/v2/trades", {}, lambda _: None)


async def test_pages_without_end_are_given_up() -> None:
    body = b'{"data":[],"pagination":{"has_more":true,"next_cursor":"again"}}'
    async with rest(lambda _: httpx.Response(200, content=body), per_second=100_000) as client:
        found = await read_pages(client, "http://x/y", {}, lambda _: None)
    assert isinstance(found, Failed)
    assert "more than" in found.reason


async def test_one_stale_page_makes_the_whole_answer_stale() -> None:
    answers = [
        httpx.Response(
            200, content=b'{"data":[1],"pagination":{"has_more":true,"next_cursor":"b"}}'
        ),
        httpx.Response(200, content=b'{"data":[2]}', headers={"age": "3"}),
    ]
    async with rest(lambda _: answers.pop(0)) as client:
        found = await read_pages(client, "http://x/y", {}, lambda _: None)
    assert isinstance(found, Pages)
    assert (found.rows, found.stale) == ([b"1", b"2"], True)


async def test_a_body_that_is_no_listing_is_unreadable() -> None:
    assert isinstance(await pages(b"<html>502</html>"), Unreadable)


async def test_a_listing_whose_cursor_repeats_is_a_failure_and_no_end() -> None:
    async with rest(lambda _: httpx.Response(200, content=b'{"data":[1],"next_cursor":"x"}')) as c:
        found = await read_listing(c, "http://x/data/orders", {}, dict, lambda _: None)
    assert found == Failed("cursor 'x' repeats at http://x/data/orders")


async def test_a_private_listing_is_signed_anew_for_each_page_and_ends_at_its_mark() -> None:
    bodies = [b'{"data":[1],"next_cursor":"MTAw"}', b'{"data":[2],"next_cursor":"LTE="}']
    signatures, seen = iter("ab"), []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers["sign"], request.url.params.get("next_cursor")))
        return httpx.Response(200, content=bodies.pop(0))

    async with rest(handler) as client:
        found = await read_listing(
            client, "http://x/y", {}, lambda: {"sign": next(signatures)}, lambda _: None
        )
    assert isinstance(found, Pages)
    assert found.rows == [b"1", b"2"]
    assert seen == [("a", None), ("b", "MTAw")]


def test_a_wrong_setting_ends_the_process_with_its_name(tmp_path: Path) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text("[public]\ntick = 5\n")
    ended = subprocess.run(
        [sys.executable, "-m", "connectors.public", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert ended.returncode == 2
    assert "unknown key public.tick; did you mean tick_ms?" in ended.stderr


def test_a_header_of_any_length_is_seconds_up_to_a_day() -> None:
    texts = (None, "", "x", "-1", "7", "86399", "86401", "9" * 4_300)
    assert [_whole(text) for text in texts] == [0, 0, 0, 0, 7, 86_399, 86_400, 86_400]
