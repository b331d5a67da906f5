"""`python -m infra.kafka`, and the promise that no JVM is left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.kafka.config import admin_config, consumer_config, producer_config
from connectors.kafka.consumer import PartitionReader
from connectors.kafka.producer import Producer
from infra.kafka import install
from infra.kafka.__main__ import main
from infra.kafka.node import free_ports, listens
from infra.topics import apply as apply_topics
from infra.topics import declared
from tests.waiting import WAIT_S, wait_until


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Any]:
    """Starts `up` on one folder and port; gives the process once it says that it serves."""
    if reason := install.missing():
        pytest.skip(f"no real Kafka: {reason}")
    processes: list[subprocess.Popen[str]] = []
    [port] = free_ports(1)

    def start() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "infra.kafka", "up"]
        process = subprocess.Popen(
            [*command, "--port", str(port), "--data", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == f"Apache Kafka {install.version()} ready at 127.0.0.1:{port}\n"
        return process, f"127.0.0.1:{port}"

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output.strip()


def falls_silent(port: int) -> bool:
    deadline = time.monotonic() + WAIT_S
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not listens(port)


def children(pid: int) -> list[int]:
    """Child processes, whichever thread started them."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]


def test_up_serves_until_down_and_ends_by_name_with_its_broker(up: Any, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    assert run("status", *data) == (1, f"no broker is running on {tmp_path}")
    assert run("down", *data) == (0, f"no broker is running on {tmp_path}")
    process, _ = up()
    assert run("status", *data) == (0, f"a broker is running on {tmp_path}, pid {process.pid}")
    assert run("up", *data) == (1, f"Error: a broker is running on {tmp_path} already")
    assert run("down", *data) == (0, f"stopped the broker on {tmp_path}")
    assert process.wait(WAIT_S) == 0
    process, bootstrap = up()
    found = str(AdminClient(admin_config(bootstrap)).list_topics(timeout=WAIT_S).cluster_id)
    assert found == (tmp_path / "cluster.id").read_text()
    [java] = children(process.pid)
    os.kill(java, signal.SIGKILL)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert said.startswith("Error: the broker ended by itself")


def test_up_that_is_killed_takes_its_jvm_along_and_loses_nothing(up: Any) -> None:
    process, bootstrap = up()
    admin = AdminClient(admin_config(bootstrap))
    admin.create_topics([NewTopic("log", 1)])["log"].result(WAIT_S)
    producer = Producer(producer_config(bootstrap))
    assert producer.append_and_wait("log", b"0", key=None, partition=0, timeout_s=WAIT_S) == 0
    process.kill()
    process.wait()
    assert falls_silent(int(bootstrap.split(":")[1]))
    up()
    assert producer.append_and_wait("log", b"1", key=None, partition=0, timeout_s=WAIT_S) == 1
    with PartitionReader(consumer_config(bootstrap), {("log", 0): 0}) as reader:
        rows = [row for batch in reader.read_to(reader.end_offsets()) for row in batch]
    assert [row.value for row in rows] == [b"0", b"1"]


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run("up", "--port", str(port), "--data", str(tmp_path)) == (
            1,
            f"Error: port {port} is taken; choose another with --port",
        )


def test_a_node_outlives_the_thread_that_started_it_but_not_the_process(
    real_kafka_cluster: Any, tmp_path: Path
) -> None:
    code = (
        "import sys, threading, time\n"
        "from pathlib import Path\n"
        "from infra.kafka.cluster import KafkaCluster\n"
        "kafka = KafkaCluster(home=Path(sys.argv[1]))\n"
        "starter = threading.Thread(target=kafka.start)\n"
        "starter.start()\n"
        "starter.join()\n"
        "time.sleep(0.5)\n"
        "print(kafka.nodes[0].running, kafka.nodes[0].port, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    running, port = parent.stdout.readline().split()
    assert (running, listens(int(port))) == ("True", True)
    parent.kill()
    parent.communicate(timeout=WAIT_S)
    assert falls_silent(int(port))


def test_docker_and_maven_start_the_same_kafka() -> None:
    compose = Path(__file__).parents[2] / "docker-compose.yml"
    assert f"image: apache/kafka:{install.version()}\n" in compose.read_text()


def test_three_nodes_serve_on_while_the_leader_is_killed(real_kafka_cluster: Any) -> None:
    kafka = real_kafka_cluster(nodes=3)
    kafka.create_topic("log")
    producer = Producer(producer_config(kafka.bootstrap))
    assert producer.append_and_wait("log", b"0", key=None, partition=0, timeout_s=WAIT_S) == 0
    admin = AdminClient(admin_config(kafka.bootstrap))

    def replicated() -> bool:
        found = admin.list_topics("log", timeout=WAIT_S).topics["log"].partitions.get(0)
        return found is not None and len(found.isrs) == 3

    wait_until(replicated)  # else the one that is killed may be the only one that has the record
    leader = kafka.leader("log")
    leader.kill()
    assert producer.append_and_wait("log", b"1", key=None, partition=0, timeout_s=WAIT_S) == 1
    wait_until(lambda: kafka.leader("log").number != leader.number)


def test_topics_are_applied_on_three_nodes_that_hear_of_them_one_after_the_other(
    real_kafka_cluster: Any,
) -> None:
    kafka = real_kafka_cluster(nodes=3)
    # Several times: which node answers for metadata and which for configuration is drawn.
    for prefix in ("a.", "b.", "c."):
        made = apply_topics(kafka.bootstrap, prefix=prefix)
        assert {step.action for step in made} == {"create"}
        apply_topics(kafka.bootstrap, prefix=prefix)
    admin = AdminClient(admin_config(kafka.bootstrap))
    wanted = {name for prefix in ("a.", "b.", "c.") for name in declared(prefix)}

    def listed() -> set[str]:
        topics = admin.list_topics(timeout=WAIT_S).topics
        return {name for name in topics if "." in name[:2]}

    # The node that answers here need not be the one that `apply` heard last.
    wait_until(lambda: listed() == wanted, lambda: sorted(listed() ^ wanted))
