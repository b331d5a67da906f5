"""End to end: sandbox and all processes, the official SDK, real sockets; judged by the demo itself.

Each run is the command a user types. It exits 1 if any promise broke or if it was too thin.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from connectors.kafka.config import producer_config
from connectors.kafka.producer import Producer
from infra.demo.evidence import numbered_values
from infra.tape import rows_now
from schemas import codec
from schemas.records.own import OrderSigned
from schemas.wiring import KafkaWiring

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
    return subprocess.run(argv, capture_output=True, text=True, timeout=540, env=env)


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


def test_every_promise_holds_with_all_named_faults_on(tmp_path: Path) -> None:
    assert_all_held(demo(tmp_path, "--faults", "all", "--seed", "11"), tmp_path)


def test_killed_dataflow_and_execution_lose_nothing_and_double_nothing(
    tmp_path: Path, kafka: str, topics: Any
) -> None:
    """Three kills of the flow, two of execution, one between OrderSigned and its answer.

    A fresh run of the flow over the recorded tape then writes the same journal and orders.
    """
    # Longer than the demo: on a busy machine execution is dead or starting for half of a minute.
    done = demo(tmp_path, "--kills", "--seconds", "80")
    assert_all_held(done, tmp_path)
    assert re.search(r"held\s+killed as asked", done.stdout), done.stdout[-3000:]
    signed = [
        record
        for line in (tmp_path / "tape.jsonl").read_bytes().splitlines()
        if isinstance(record := codec.decode(line), OrderSigned)
    ]
    assert len({record.intent for record in signed}) >= 20
    assert_a_fresh_run_writes_the_same(tmp_path, kafka, topics)


def assert_a_fresh_run_writes_the_same(folder: Path, kafka: str, topics: Any) -> None:
    for name in ("tape", "replayed.journal", "replayed.orders", "replayed.watch"):
        topics.make(name)
    tape = (folder / "tape.jsonl").read_bytes().splitlines()
    producer = Producer(producer_config(kafka))
    for value in tape:
        producer.append(f"{topics.prefix}tape", value, key=None, partition=0)
    assert producer.flush(120) == 0
    replayed = f"{topics.prefix}replayed."
    script = Path(__file__).with_name("replay_flow.py")
    argv = [sys.executable, str(script), kafka, topics.prefix, replayed, str(len(tape) - 1)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("journal", "orders"):
        again = numbered_values(
            list(rows_now(KafkaWiring(bootstrap=kafka, prefix=replayed), name, 0))
        )
        once: list[bytes] = []
        for value in (folder / f"{name}.jsonl").read_bytes().splitlines():
            if codec.unseal(value)[0].n == len(once):
                once.append(value)
        assert again == once, name


def test_a_child_that_cannot_start_is_named_with_its_last_lines(tmp_path: Path) -> None:
    done = demo(tmp_path, "--faults", "nonsense")
    assert done.returncode == 1
    assert "sandbox" in done.stdout
    assert "nonsense" in done.stdout
    assert processes_of(tmp_path) == []
