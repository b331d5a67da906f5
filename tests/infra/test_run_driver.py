"""The supervisor's driver over real processes that do nothing but answer for their health."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from infra.children import Child
from infra.kafka.node import free_ports
from infra.run.driver import Driver
from infra.run.parts import FLOW_FINAL, Part
from infra.run.relay import Follower, labelled, put_aside, shown
from infra.run.supervisor import Limits, Supervisor, Verdict
from tests.waiting import WAIT_S

# A busy machine lets everybody wait for an answer: only the one test is impatient.
QUICK = Limits(pause_ms=50, begin_ms=600_000, ill_ms=600_000, patience_ms=60_000)
IMPATIENT = replace(QUICK, ill_ms=300)
CHILD = """
import http.server, pathlib, signal, sys
port, folder, name = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ill = (folder / (name + ".ill")).exists() and self.path == "/healthz"
        self.send_response(503 if ill else 200)
        self.end_headers()
        self.wfile.write(b"its loop stands still" if ill else b'{"tape": true}')
    def log_message(self, *words):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("child=" + name + " state=up", file=sys.stderr, flush=True)
http.server.HTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""


@dataclass
class Running:
    """A run under way: its driver, children, what was shown, and its end."""

    driver: Driver
    children: Mapping[str, Child]
    health: Mapping[str, str]
    shown: list[str]
    ends: asyncio.Task[Verdict]

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for a condition; fails if it never comes or the run ends before."""
        async with asyncio.timeout(WAIT_S):
            while not true():
                assert not self.ends.done(), f"the run ended before {what}"
                await asyncio.sleep(0.02)

    async def answers(self, name: str) -> bool:
        """Whether the process serves."""
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.get(f"{self.health[name]}/readyz")).status_code == 200
            except httpx.HTTPError:
                return False

    async def up(self) -> None:
        """Wait until every process serves."""
        async with asyncio.timeout(WAIT_S):
            waiting = set(self.children)
            while waiting:
                waiting = {name for name in waiting if not await self.answers(name)}
                await asyncio.sleep(0.02)

    def pid(self, name: str) -> int:
        """The process id of a child now."""
        process = self.children[name].process
        assert process is not None
        return process.pid


@asynccontextmanager
async def running(folder: Path, limits: Limits = QUICK) -> AsyncIterator[Running]:
    """Three processes under a supervisor; ended whatever happens."""
    (folder / "child.py").write_text(CHILD)
    names = ("public", "flow", "execution")
    parts = [Part(n, (), "port", FLOW_FINAL if n == "flow" else {}) for n in names]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    children = {
        n: Child(n, [sys.executable, str(folder / "child.py"), str(p), str(folder), n], folder, {})
        for n, p in ports.items()
    }
    health = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    supervisor = Supervisor(parts, limits=limits, jitter=lambda: 0.0)
    lines: list[str] = []
    driver = Driver(supervisor, children, health, lines.append)
    ends = asyncio.create_task(driver.run())
    try:
        yield Running(driver, children, health, lines, ends)
    finally:
        ends.cancel()
        await asyncio.gather(ends, return_exceptions=True)
        assert not [name for name, child in children.items() if child.running()]


async def test_a_killed_process_is_started_again_and_a_stop_ends_them_all(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as run:
        await run.up()
        others = [run.pid("flow"), run.pid("execution")]
        before = run.pid("public")
        os.kill(before, 9)
        await run.until(lambda: run.pid("public") != before, "the restart")
        await run.up()
        assert [run.pid("flow"), run.pid("execution")] == others, "the others go on"
        assert "public     | child=public state=up" in run.shown
        run.driver.stop()
        assert await asyncio.wait_for(run.ends, WAIT_S) == Verdict()


async def test_a_process_that_says_it_is_ill_is_ended_and_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running(tmp_path, IMPATIENT) as run:
        # The driver itself must have seen it well: one that never was has longer to become so.
        await run.until(lambda: "child=flow state=ready" in caplog.text, "the flow's readiness")
        before = run.pid("flow")
        (tmp_path / "flow.ill").touch()
        await run.until(lambda: run.pid("flow") != before, "the restart")
        (tmp_path / "flow.ill").unlink()
        await run.up()


async def test_a_code_that_no_start_can_cure_ends_the_run_with_it(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.up()
        source = (tmp_path / "child.py").read_text()
        (tmp_path / "child.py").write_text("import sys; sys.exit(88)\n" + source)
        os.kill(run.pid("flow"), 9)
        verdict = await asyncio.wait_for(run.ends, WAIT_S)
        assert verdict.code == 88
        assert "RUNBOOK.md#flow-exit-88" in verdict.reason


async def test_whatever_goes_wrong_in_the_driver_no_process_is_left(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.up()
        run.ends.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run.ends
        assert not any(child.running() for child in run.children.values())


def test_of_the_logs_states_warnings_and_last_words_are_shown() -> None:
    head = "ts=2026-11-24T02:22:44.123Z level={} logger=a.b "
    assert shown(head.format("info") + "socket=market state=up")
    assert shown(head.format("warning") + "client=x error=y")
    assert shown('{"client": "x", "ts": "2026-11-24T02:22:44.123Z", "level": "error"}')
    assert shown('{"socket": "market", "state": "up", "level": "info"}')
    last = "flow=copytrade state=stopped code=87 error=Diverged reason='journal record 7'"
    assert shown(head.format("error") + last)
    assert shown("Error: the tape is empty: `truecopy policy apply` begins it")
    assert not shown(head.format("info") + "tape_began_ms=7")
    assert not shown('{"tape_began_ms": "7", "level": "info"}')
    assert not shown('  File "somewhere.py", line 7, in work')


def test_a_log_is_followed_in_whole_lines_from_its_end_also_when_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "flow.log"
    log.write_text("x=1 state=old\n")
    follower = Follower("flow", log)
    with log.open("a") as file:
        file.write("x=2 state=ne")
        file.flush()
        assert list(follower.look()) == []
        file.write("w\nnothing\n")
    assert list(follower.look()) == [labelled("flow", "x=2 state=new")]
    log.rename(tmp_path / "flow.log.1")
    assert list(follower.look()) == []
    log.write_text("a=1 state=b\n")
    assert list(follower.look()) == [labelled("flow", "a=1 state=b")]


def test_only_a_large_log_is_put_aside(tmp_path: Path) -> None:
    small, large = tmp_path / "small.log", tmp_path / "large.log"
    small.write_text("x\n")
    with large.open("wb") as file:
        file.truncate((16 << 20) + 1)
    for log in (small, large, tmp_path / "none.log"):
        put_aside(log)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["large.log.1", "small.log"]
