"""The embedded broker as a process: ready line, topics, a clean end, a stop on overflow."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient

from connectors.kafka.config import admin_config, producer_config
from connectors.kafka.producer import Producer
from infra.embedded import (
    EXIT_OVERFLOW,
    EmbeddedBroker,
    PartitionOverflow,
    check_nothing_dropped,
    low_offsets,
)
from infra.kafka.node import listens
from infra.topics import declared
from tests.waiting import WAIT_S

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the broker process with options; gives it and its address."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*options: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.embedded", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready"
        return process, ready["bootstrap"]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_it_starts_with_the_declared_topics_and_ends_cleanly_on_sigterm(start: Start) -> None:
    process, bootstrap = start("--prefix", "demo.", "--shards", "2")
    known = AdminClient(admin_config(bootstrap)).list_topics(timeout=WAIT_S).topics
    counts = {name: len(topic.partitions) for name, topic in known.items()}
    assert counts == {n: t.partitions for n, t in declared("demo.", shards=2).items()}
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0


def test_it_stops_the_run_by_name_as_soon_as_a_partition_has_dropped_a_record(start: Start) -> None:
    process, bootstrap = start()
    producer = Producer(producer_config(bootstrap, compression="none"))
    for _ in range(3):
        producer.append_and_wait("tape", bytes(900_000), key=None, partition=0, timeout_s=WAIT_S)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2.5)  # 2.7 MB are no reason to stop
    for _ in range(5):
        producer.append("tape", bytes(900_000), key=None, partition=0)
    producer.flush(5)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == EXIT_OVERFLOW
    assert said.splitlines()[-1].startswith("PartitionOverflow: topic tape partition 0 has lost")
    assert "python -m infra.kafka up" in said


def test_the_drop_itself_is_silent_which_is_why_somebody_must_look(
    embedded: EmbeddedBroker,
) -> None:
    embedded.create_topic("log", 2)
    producer = Producer(producer_config(embedded.bootstrap, compression="none"))
    offsets = [
        producer.append_and_wait("log", bytes(900_000), key=None, partition=1, timeout_s=WAIT_S)
        for _ in range(8)
    ]
    assert offsets == list(range(8))
    lows = low_offsets(AdminClient(admin_config(embedded.bootstrap)))
    assert lows["log", 0] == 0
    assert lows["log", 1] > 0
    with pytest.raises(PartitionOverflow, match="topic log partition 1 has lost its first"):
        check_nothing_dropped(lows)


def test_with_parent_it_ends_when_the_process_that_started_it_is_killed() -> None:
    code = (
        "import subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'infra.embedded', '--with-parent']\n"
        "child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)\n"
        "print(child.stdout.readline(), end='', flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    ready = json.loads(parent.stdout.readline())
    parent.kill()
    parent.communicate(timeout=WAIT_S)
    port = int(ready["bootstrap"].split(":")[1])
    deadline = time.monotonic() + WAIT_S
    while listens(port):
        if time.monotonic() > deadline:
            os.kill(ready["pid"], signal.SIGKILL)
            pytest.fail(f"the broker outlived its parent by {WAIT_S:.0f} s")
        time.sleep(0.05)
