"""End to end: sandbox and all processes, the official SDK, real sockets; judged by the demo itself.

Each run is the command a user types. It exits 1 if any promise broke or if it was too thin.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from schemas import codec
from schemas.records.own import OrderSigned

PROMISES = (
    "replay equal",
    "one order an intent",
    "own drift 0",
    "leader drift 0",
    "no corrections needed",
    "targets met",
    "no alarms",
    "rich enough to prove it",
)


def demo(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "infra.cli.main", "demo", "--folder", str(folder), *words]
    env = {name: value for name, value in os.environ.items() if name != "TRUECOPY_KAFKA"}
    return subprocess.run(argv, capture_output=True, text=True, timeout=170, env=env)


def assert_all_held(done: "subprocess.CompletedProcess[str]", folder: Path) -> None:
    logs = "".join(f"\n== {log.name}\n{log.read_text()[-2000:]}" for log in folder.glob("*.log"))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:] + logs
    for promise in PROMISES:
        assert re.search(rf"held\s+{re.escape(promise)}", done.stdout), done.stdout[-4000:]


def processes_of(folder: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [
        line for line in listed.stdout.splitlines() if str(folder) in line and "ps -eo" not in line
    ]


@pytest.mark.timeout(180)
def test_every_promise_holds_on_undisturbed_feeds_and_no_secret_leaves_its_file(
    tmp_path: Path,
) -> None:
    done = demo(tmp_path)
    assert_all_held(done, tmp_path)
    assert processes_of(tmp_path) == []
    key = (tmp_path / "key").read_text().strip()
    secrets = [key, *json.loads((tmp_path / "credentials.json").read_text()).values()]
    private = {"key", "credentials.json"}
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name not in private:
            data = file.read_bytes()
            assert not [s for s in secrets if s.removeprefix("0x").encode() in data], file.name
    assert not [s for s in secrets if s.removeprefix("0x") in done.stdout + done.stderr]


@pytest.mark.timeout(180)
def test_every_promise_holds_with_all_named_faults_on(tmp_path: Path) -> None:
    assert_all_held(demo(tmp_path, "--faults", "all", "--seed", "11"), tmp_path)


@pytest.mark.timeout(180)
def test_killed_dataflow_and_execution_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Three kills of the flow, two of execution, one between OrderSigned and its answer."""
    done = demo(tmp_path, "--kills")
    assert_all_held(done, tmp_path)
    assert re.search(r"held\s+killed as asked", done.stdout), done.stdout[-3000:]
    signed = [
        record
        for line in (tmp_path / "tape.jsonl").read_bytes().splitlines()
        if isinstance(record := codec.decode(line), OrderSigned)
    ]
    assert len({record.intent for record in signed}) >= 20


def test_a_child_that_cannot_start_is_named_with_its_last_lines(tmp_path: Path) -> None:
    done = demo(tmp_path, "--faults", "nonsense")
    assert done.returncode == 1
    assert "sandbox" in done.stdout
    assert "nonsense" in done.stdout
    assert processes_of(tmp_path) == []
