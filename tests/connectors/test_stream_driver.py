"""The WebSocket driver over real sockets on loopback: dialling, dying, retiring, losing nothing."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import Request, Response, Server, ServerConnection, serve

from connectors.kafka.errors import UndeliveredRecord
from connectors.polymarket.backoff import Backoff
from connectors.polymarket.effects import Append, Effect, Quarantine
from connectors.polymarket.process import every, run_until
from connectors.polymarket.stream import Stream
from schemas.records.market import BookEpoch
from tests.sim.clockwork import VirtualLoop, run_virtually

UP = "101"
WAIT_S = 30
"""Long enough for a machine that is busy with something else."""
Serve = Callable[[ServerConnection], Awaitable[None]]


class Line:
    """A stream to a server of the test's own, with all that came out of it."""

    def __init__(
        self, session: Any, url: str, perform: Callable[[Effect], None] | None = None
    ) -> None:
        self.effects: list[Effect] = []
        self.raw: list[bytes] = []
        self.stream = Stream(
            name="test",
            url=url,
            session=session,
            perform=perform or self.effects.append,
            keep=lambda raw, _: self.raw.append(raw),
            clock_ns=time.time_ns,
            backoff=Backoff(lambda: 0.1, base_ms=100),
        )
        self.task = asyncio.create_task(self.stream.run())

    def epochs(self) -> list[tuple[str, str]]:
        records = [effect.record for effect in self.effects if isinstance(effect, Append)]
        return [(r.state, r.reason) for r in records if isinstance(r, BookEpoch)]

    async def until(self, *epochs: tuple[str, str]) -> None:
        deadline = time.monotonic() + WAIT_S
        while self.epochs()[: len(epochs)] != list(epochs):
            assert not self.task.done()
            assert time.monotonic() < deadline, f"in {WAIT_S} s only {self.epochs()}"
            await asyncio.wait([self.task], timeout=0.02)


@pytest.fixture
async def lines(desk: Callable[..., Any]) -> AsyncIterator[Callable[..., Awaitable[Line]]]:
    """Serves what a test's coroutine does with a connection, and connects a session to it."""
    servers: list[Server] = []
    made: list[Line] = []

    async def make(
        handler: Serve, request: Any = None, perform: Any = None, **settings: Any
    ) -> Line:
        server = await serve(handler, "127.0.0.1", 0, process_request=request)
        servers.append(server)
        session = desk(**settings).session
        session.follow([UP], [], 0)
        port = server.sockets[0].getsockname()[1]
        made.append(Line(session, f"ws://127.0.0.1:{port}", perform))
        return made[-1]

    yield make
    for line in made:
        line.task.cancel()
        await asyncio.wait([line.task])
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_a_cut_connection_ends_its_epochs_and_is_dialled_again(
    lines: Callable[..., Awaitable[Line]], venue: Any
) -> None:
    async def serve_once(connection: ServerConnection) -> None:
        assert json.loads(await connection.recv())["assets_ids"] == [UP]
        await connection.send(venue.snapshot().decode())
        await asyncio.sleep(0.1)
        connection.transport.abort()

    line = await lines(serve_once)
    begun = ("live", "snapshot")
    await line.until(begun, ("ended", "closed_1006"), begun, ("ended", "closed_1006"), begun)


async def test_a_close_names_its_code(lines: Callable[..., Awaitable[Line]], venue: Any) -> None:
    async def too_slow(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(venue.snapshot().decode())
        await connection.close(1013, "slow consumer: send buffer full")

    line = await lines(too_slow)
    await line.until(("live", "snapshot"), ("ended", "closed_1013"))


async def test_a_snapshot_larger_than_a_mebibyte_is_read_whole(
    lines: Callable[..., Awaitable[Line]], venue: Any
) -> None:
    async def large(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(venue.snapshot(note="x" * 3_000_000).decode())
        await connection.wait_closed()

    line = await lines(large)
    await line.until(("live", "snapshot"))
    assert [len(raw) > 3_000_000 for raw in line.raw] == [True]


async def test_a_garbage_frame_is_kept_put_aside_and_answered_by_a_new_connection(
    lines: Callable[..., Awaitable[Line]], venue: Any
) -> None:
    async def garbled(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(venue.snapshot().decode())
        await connection.send("[{")
        await connection.wait_closed()

    line = await lines(garbled)
    begun = ("live", "snapshot")
    await line.until(begun, ("ended", "undecodable_frame"), begun)
    assert b"[{" in line.raw
    put_aside = [effect for effect in line.effects if isinstance(effect, Quarantine)]
    assert put_aside[0].record.raw == b"[{"


async def test_a_frozen_connection_with_pong_alive_is_replaced(
    lines: Callable[..., Awaitable[Line]], venue: Any
) -> None:
    async def frozen(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(venue.snapshot().decode())
        async for text in connection:
            if text == "PING":
                await connection.send("PONG")

    line = await lines(frozen, silence_ms=300)
    begun = ("live", "snapshot")
    await line.until(begun, ("ended", "silent"), begun)


async def test_an_upgrade_refused_with_429_is_not_tried_again_for_seconds(
    lines: Callable[..., Awaitable[Line]], caplog: pytest.LogCaptureFixture
) -> None:
    tries = []

    def refuse(_: ServerConnection, request: Request) -> Response:
        tries.append(request.path)
        return Response(HTTPStatus.TOO_MANY_REQUESTS.value, "Too Many", request.headers, b"")

    async def never(_: ServerConnection) -> None:
        raise AssertionError("the upgrade was refused")

    line = await lines(never, refuse)
    async with asyncio.timeout(WAIT_S):
        while not (said := [m for r in caplog.records if "upgrade_429" in (m := r.getMessage())]):
            assert not line.task.done()
            await asyncio.sleep(0.02)
    assert said == ["socket=test state=down reason=upgrade_429 retry_ms=5000"]
    assert len(tries) == 1


async def test_a_venue_that_is_away_is_one_log_line_however_often_it_is_dialled(
    lines: Callable[..., Awaitable[Line]], venue: Any, caplog: pytest.LogCaptureFixture
) -> None:
    dialled = 0

    def refuse_twice(_: ServerConnection, request: Request) -> Response | None:
        nonlocal dialled
        dialled += 1
        if dialled % 3 == 0:
            return None
        return Response(HTTPStatus.BAD_GATEWAY.value, "Bad", request.headers, b"")

    async def brief(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(venue.snapshot().decode())
        await connection.close(1001)

    caplog.set_level(logging.INFO)
    line = await lines(brief, refuse_twice)
    begun, ended = ("live", "snapshot"), ("ended", "closed_1001")
    await line.until(begun, ended, begun, ended, begun)
    said = [m for r in caplog.records if (m := r.getMessage()).startswith("socket=test ")]
    states = [text.split()[1] for text in said][:5]
    assert states == ["state=down", "state=up", "state=down", "state=up", "state=down"]
    assert "reason=upgrade_502" in said[0]
    assert "reason=closed_1001" in said[2]


async def test_retiring_closes_the_connection_and_ends_the_run(
    lines: Callable[..., Awaitable[Line]], venue: Any
) -> None:
    async def patient(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(venue.snapshot().decode())
        await connection.wait_closed()

    line = await lines(patient)
    await line.until(("live", "snapshot"))
    line.stream.retire("rotated")
    async with asyncio.timeout(WAIT_S):
        await line.task
    assert line.epochs()[-1] == ("ended", "rotated")


async def test_a_cancelled_stream_ends_its_epochs_first(
    lines: Callable[..., Awaitable[Line]], venue: Any
) -> None:
    async def patient(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(venue.snapshot().decode())
        await connection.wait_closed()

    line = await lines(patient)
    await line.until(("live", "snapshot"))
    line.task.cancel()
    await asyncio.wait([line.task], timeout=WAIT_S)
    assert line.epochs()[-1] == ("ended", "stopped")


async def test_an_effect_that_cannot_be_done_ends_the_stream_with_its_error(
    lines: Callable[..., Awaitable[Line]], venue: Any
) -> None:
    """The first undelivered record must end the process, not a reconnect loop."""

    async def patient(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(venue.snapshot().decode())
        await connection.wait_closed()

    def undelivered(_: Effect) -> None:
        raise UndeliveredRecord("record for tape/0 was not delivered")

    line = await lines(patient, perform=undelivered)
    with pytest.raises(UndeliveredRecord):
        async with asyncio.timeout(WAIT_S):
            await line.task


async def test_one_part_that_fails_ends_all_and_its_error_is_raised() -> None:
    ended = []

    async def patient() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("patient")

    async def failing() -> None:
        await asyncio.sleep(0.01)
        raise UndeliveredRecord("record for tape/0 was not delivered")

    with pytest.raises(UndeliveredRecord):
        await run_until(asyncio.Event(), [patient(), failing()])
    assert ended == ["patient"]


async def test_a_part_that_ends_by_itself_is_an_error() -> None:
    async def short() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="ended by itself"):
        await run_until(asyncio.Event(), [short()])


def test_stop_ends_all_parts_quietly() -> None:
    loop = VirtualLoop(0)

    async def stopped() -> None:
        stop = asyncio.Event()
        loop.call_later(0.02, stop.set)
        await run_until(stop, [asyncio.sleep(60)])
        assert loop.time() == pytest.approx(0.02)

    run_virtually(loop, stopped())


def test_work_is_done_at_its_interval_and_sooner_when_poked() -> None:
    loop, times = VirtualLoop(0), []

    async def work() -> None:
        times.append(round(loop.time()))

    async def poked() -> None:
        poke = asyncio.Event()
        task = asyncio.create_task(every(lambda: 10_000, poke, work))
        await asyncio.sleep(13)
        poke.set()
        await asyncio.sleep(12)
        assert not task.done()

    run_virtually(loop, poked())
    assert times == [0, 10, 13, 23]
