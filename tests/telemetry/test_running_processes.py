"""Processes as they are deployed: what each says of itself while it starts, works and stops."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from connectors.telemetry.names import METRICS
from infra.topics import declared
from tests.waiting import WAIT_S

ADDRESS = re.compile(r'"health": "(http://[^"]+)"')
CLIENTS = {"public": "public", "flow": "tape"}
"""The Kafka client whose traffic says whether a process has its broker."""
POLICY = """
[[policy.accounts]]
name = "main"
wallet = "0x00000000000000000000000000000000000000a1"
"""


def until(found: Callable[[], Any], what: Callable[[], object]) -> Any:
    """Whatever is found first; `what` says what there was instead."""
    end = time.monotonic() + WAIT_S
    while not (answer := found()):
        assert time.monotonic() < end, what()
        time.sleep(0.1)
    return answer


class Running:
    """One process of the pipeline, its endpoints asked."""

    def __init__(self, words: list[str], config: Path, asked: Callable[[str], Any]) -> None:
        self._asked = asked
        self.log = config.parent / f"{words[0]}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra.cli.main", "--config", str(config), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "TRUECOPY_LOG": "json"},
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def address(self) -> Any:
        found = ADDRESS.search(self.said)
        assert found or self.process.poll() is None, self.said
        return found

    @property
    def health(self) -> Any:
        """Its endpoints, once it has logged where they are."""
        return self._asked(until(self.address, lambda: self.said)[1])

    def ready(self) -> Any:
        """Wait until all conditions hold; its endpoints."""
        health = self.health
        until(lambda: health.get("/readyz").status_code == 200, health.waits_for)
        return health

    def lines(self) -> list[dict[str, str]]:
        """What it logged, line by line."""
        return [json.loads(line) for line in self.said.splitlines()]

    def client_states(self) -> list[str]:
        """What its Kafka clients logged of themselves."""
        return [line["state"] for line in self.lines() if "client" in line]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def leave_nothing(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def config(topics: Any, tmp_path: Path) -> Path:
    """Settings of a paper pipeline that follows nobody, on topics of its own."""
    path = tmp_path / "settings.toml"
    path.write_text(
        f'[kafka]\nbootstrap = "{topics.broker.bootstrap}"\nprefix = "{topics.declare()}"\n'
        f"fetch_wait_ms = 5\n"
        f'[flow]\nrecovery_dir = "{tmp_path}/recovery"\nepoch_s = 0.5\n'
        f'[execution]\nstop_file = "{tmp_path}/STOP"\n{POLICY}'
    )
    return path


@pytest.fixture
def start(config: Path, asked: Callable[[str], Any]) -> Iterator[Callable[..., Running]]:
    """Starts a process; none is left."""
    with ExitStack() as stack:

        def start(*words: str) -> Running:
            running = Running(list(words), config, asked)
            stack.callback(running.leave_nothing)
            return running

        yield start


def test_a_paper_pipeline_becomes_ready_says_so_and_stops_for_a_stop_file(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    """Public waits for a tape, execution for Ticks and a stop file; to be not ready is no fault."""
    public = start("connectors", "public")
    waiting = public.health.waits_for()
    assert waiting["announced"] == "not on the tape yet"
    assert {"cursors", "watch", "market", "activity"} <= set(waiting)
    assert public.health.get("/healthz").status_code == 200
    assert start("policy", "apply").process.wait(WAIT_S) == 0

    flow, execution = start("flow"), start("execution")
    pages = {name: p.ready() for name, p in (("public", public), ("flow", flow))}
    pages["execution"] = execution.ready()
    until(lambda: pages["flow"].value("last_snapshot_seconds") is not None, lambda: flow.said)
    assert pages["public"].value("feed_up", feed="market") == 1
    assert pages["public"].value("produced_total", topic="tape") > 1
    assert pages["flow"].value("events_total", kind="PolicyAdopted") == 1
    assert pages["flow"].value("tape_records_total") > 1
    until(lambda: pages["flow"].value("fold_lag_seconds") < 30, lambda: flow.said)
    assert pages["flow"].value("tape_lag_records") < 1_000
    assert pages["execution"].value("stop_file") == 0
    for name, page in pages.items():
        samples = page.samples()
        builds = [dict(labels) for (metric, labels) in samples if metric == "build_info"]
        assert [(b["process"], b["rules"] != "") for b in builds] == [(name, name == "flow")]
        assert {metric_of(metric) for metric, _ in samples} <= set(METRICS)

    stop_file = tmp_path / "STOP"
    stop_file.touch()
    stopped = pages["execution"].get("/readyz")
    assert stopped.status_code == 503
    assert stopped.json()["stop_file"] == "the stop file is there: nothing is sent"
    assert pages["execution"].get("/healthz").status_code == 200
    assert pages["execution"].value("stop_file") == 1
    until(lambda: "stop_file" in execution.said, lambda: execution.said)
    stop_file.unlink()
    assert execution.ready()
    until(lambda: '"gone"' in execution.said, lambda: execution.said)

    assert [p.stop() for p in (flow, execution, public)] == [0, 0, 0]
    states = [line.get("stop_file") for line in execution.lines() if "stop_file" in line]
    assert states == ["there", "gone"]
    feeds = [line for line in public.lines() if "feed" in line]
    assert {line["feed"]: line["state"] for line in feeds}["market"] == "up"
    assert all({"ts", "level", "logger"} <= line.keys() for line in public.lines())


def metric_of(sample: str) -> str:
    """The metric that a sample belongs to."""
    return re.sub(r"_(bucket|sum|count|created)$", "", sample)


def test_a_port_that_is_taken_ends_the_process_with_the_setting(
    start: Callable[..., Running], config: Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        keys = ("public_port", "flow_port", "execution_port")
        config.write_text(
            config.read_text() + "\n[health]\n" + "".join(f"{key} = {port}\n" for key in keys)
        )
        ended = {
            words[-1]: start(*words)
            for words in (("connectors", "public"), ("flow",), ("execution",))
        }
        for name, running in ended.items():
            assert running.process.wait(WAIT_S) != 0
            assert f"health.{name}_port: cannot listen at 127.0.0.1:{port}" in running.said
            assert "Traceback" not in running.said


def test_a_broker_that_goes_away_makes_not_ready_and_not_unhealthy(
    embedded: Any, start: Callable[..., Running], config: Path
) -> None:
    """And ready again when it is back: nobody has to start anything again."""
    for name, topic in declared(shards=1).items():
        embedded.create_topic(name, topic.partitions)
    lines = config.read_text().splitlines()
    broker = [f'bootstrap = "{embedded.bootstrap}"', 'prefix = ""']
    kept = [line for line in lines if not line.startswith(("bootstrap", "prefix"))]
    config.write_text("\n".join([kept[0], *broker, *kept[1:]]))
    assert start("policy", "apply").process.wait(WAIT_S) == 0
    running = {"public": start("connectors", "public"), "flow": start("flow")}
    pages = {name: process.ready() for name, process in running.items()}
    embedded.down()
    for name, page in pages.items():
        waits = until(page.waits_for, lambda page=page: page.get("/readyz").text)
        assert list(waits) == ["kafka"]
        assert waits["kafka"].startswith(f"{CLIENTS[name]} waits for Kafka: ")
        assert page.get("/healthz").status_code == 200
    embedded.up()
    for process in running.values():
        process.ready()
        assert process.client_states()[0] == "down"
        until(lambda p=process: p.client_states()[-1] == "up", lambda p=process: p.said)
    assert [running[name].stop() for name in ("flow", "public")] == [0, 0]
