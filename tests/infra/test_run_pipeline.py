"""`truecopy run --paper` as a user starts it: all ready, a killed process back, a clean end."""

import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.children import Child
from infra.topics import declared
from tests.waiting import WAIT_S

TRUECOPY = [sys.executable, "-m", "infra.cli.main"]
READY = "pipeline=all state=ready"
WALLET = "0x" + "ab" * 20
STARTED = re.compile(r"child=(\w+) state=started pid=(\d+)")


def wait_until(true: Callable[[], bool], what: str, child: Child) -> None:
    """Wait for a condition while the process lives; fails with its last lines."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        child.check()
        assert time.monotonic() < deadline, f"{what} did not come\n{child.tail()}"
        time.sleep(0.05)


def pids(child: Child) -> dict[str, int]:
    """The newest process id of each process that the supervisor has started."""
    return {name: int(pid) for name, pid in STARTED.findall(child.log.read_text())}


def gone(pid: int) -> bool:
    """Whether no process has this id, or only one that nobody has buried yet."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Starts a program: name, its words, and variables of its environment; ended whatever comes."""
    children: list[Child] = []

    def launch(name: str, argv: list[str], **env: str) -> Child:
        child = Child(name, argv, tmp_path, env)
        children.append(child)
        child.start()
        return child

    yield launch
    for child in reversed(children):
        child.stop()


def venue_variables(venue: dict[str, Any]) -> dict[str, str]:
    """Variables that put the sandbox in the venue's place."""
    addresses = {
        "clob": venue["clob_url"],
        "gamma": venue["gamma_url"],
        "data": venue["data_url"],
        "relayer": venue["url"],
        "rpc": venue["url"],
        "market_ws": venue["ws_market"],
        "user_ws": venue["ws_user"],
        "activity_ws": venue["ws_activity"],
    }
    return {f"TRUECOPY__VENUE__{n.upper()}_URL": address for n, address in addresses.items()}


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_paper_pipeline_is_ready_heals_itself_and_ends_clean(
    topics: Any, launched: Callable[..., Child], tmp_path: Path
) -> None:
    """From `truecopy init` on, with no key and no wallet anywhere."""
    sandbox = launched("sandbox", [sys.executable, "-m", "infra.sandbox", "--markets", "2"])
    venue = sandbox.ready(WAIT_S)
    prefix = f"run-{secrets.token_hex(4)}."
    if topics.broker.kind == "embedded":
        prefix = topics.declare()
    else:
        topics.made += declared(prefix)
    config = str(tmp_path / "my.toml")
    words = ["init", config, "--yes", "--kafka", topics.broker.bootstrap]
    words += [word for wallet in venue["leaders"] for word in ("--leader", wallet.lower())]
    asked = launched("init", [*TRUECOPY, *words])
    assert asked.process is not None
    assert asked.process.wait(WAIT_S) == 0, asked.tail()
    ports = {
        f"TRUECOPY__HEALTH__{name}_PORT": "0"
        for name in ("PUBLIC", "ACCOUNT", "FLOW", "EXECUTION", "EXPORT")
    }
    run = launched(
        "run",
        [*TRUECOPY, "--config", config, "run", "--paper", "--logs", str(tmp_path / "logs")],
        **venue_variables(venue),
        **ports,
        TRUECOPY_KAFKA=topics.broker.bootstrap,
        TRUECOPY__KAFKA__PREFIX=prefix,
        TRUECOPY__KAFKA__FETCH_WAIT_MS="5",
        TRUECOPY__FLOW__RECOVERY_DIR=str(tmp_path / "recovery"),
        TRUECOPY__EXECUTION__STOP_FILE=str(tmp_path / "STOP"),
    )

    def ready_after(event: str) -> bool:
        return READY in run.log.read_text().partition(event)[2]

    wait_until(lambda: ready_after("state=starting"), "readiness", run)
    before = pids(run)
    assert set(before) == {"public", "flow", "execution"}
    os.kill(before["flow"], signal.SIGKILL)
    killed = "child=flow state=ended code=-9"
    wait_until(lambda: ready_after(killed), "readiness after a kill", run)
    after = pids(run)
    assert after["flow"] != before["flow"]
    assert (after["public"], after["execution"]) == (before["public"], before["execution"])
    assert run.stop(WAIT_S) == 0, run.tail()
    assert all(gone(pid) for pid in after.values())
    told = [line for line in run.log.read_text().splitlines() if "state=stopped code=0" in line]
    ended = [re.findall(r"child=(\w+)", line) for line in told]
    assert ended == [["flow"], ["execution"], ["public"]]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tethers a process")
def test_with_a_killed_supervisor_every_process_ends_also_its_own_broker(
    launched: Callable[..., Child], tmp_path: Path
) -> None:
    config = tmp_path / "my.toml"
    config.write_text(f'[[policy.accounts]]\nname = "main"\nwallet = "{WALLET}"\n')
    nowhere = {f"{kind}_url": "http://127.0.0.1:1" for kind in ("clob", "gamma", "data")}
    sockets = {f"ws_{kind}": "ws://127.0.0.1:1" for kind in ("market", "user", "activity")}
    words = ["run", "--broker", "embedded", "--logs", str(tmp_path / "logs")]
    supervisor = launched(
        "supervisor",
        [*TRUECOPY, "--config", str(config), *words],
        **venue_variables({"url": "http://127.0.0.1:1", **nowhere, **sockets}),
        TRUECOPY_KAFKA="127.0.0.1:1",
    )
    wait_until(lambda: len(pids(supervisor)) == 4, "four processes", supervisor)
    children = pids(supervisor)
    assert set(children) == {"broker", "public", "flow", "execution"}
    assert not any(gone(pid) for pid in children.values())
    supervisor.kill()
    deadline = time.monotonic() + WAIT_S
    while not all(gone(pid) for pid in children.values()):
        assert time.monotonic() < deadline, f"left behind: {children}"
        time.sleep(0.05)
