"""`python -m infra.kafka up|down|status`: a lasting single-node Kafka on loopback, without Docker.

`up` stays in the foreground, prints the bootstrap address once it serves, and stops the broker in
order on SIGTERM or Ctrl-C. Its folder holds the log, the configuration and a lock that lives as
long as `up` does: who holds it is running, whatever the pid file says. A broker that ends by itself
ends `up` with its last lines.
"""

import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click

from infra.kafka.cluster import KafkaCluster, archived
from infra.kafka.install import SMALL_HEAP, KafkaUnavailable, version
from infra.kafka.node import listens

WATCH_EVERY_S = 0.5
DOWN_TIMEOUT_S = 60.0
# Seconds of silence that a busy machine may take without the broker being declared dead.
CALM_SESSIONS = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/kafka"),
    show_default=True,
    help="Folder of the log; it outlives the broker.",
)


@click.group()
def main() -> None:
    """Apache Kafka on this machine, without Docker (Java 17 and, once, Maven)."""


@main.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=9092, show_default=True)
@data_option
def up(port: int, data: Path) -> None:
    """Run the broker in the foreground until SIGTERM or Ctrl-C."""
    data.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _held(data):
        if listens(port):
            raise click.ClickException(f"port {port} is taken; choose another with --port")
        try:
            _serve(port, data, stop)
        except KafkaUnavailable as reason:
            raise click.ClickException(str(reason)) from reason


@contextlib.contextmanager
def _held(data: Path) -> Iterator[None]:
    with (data / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise click.ClickException(f"a broker is running on {data} already") from held
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _serve(port: int, data: Path, stop: threading.Event) -> None:
    jvm = [*SMALL_HEAP, *archived()]
    cluster = KafkaCluster(home=data, ports=[port], jvm=jvm, properties=CALM_SESSIONS)
    with cluster:
        click.echo(f"Apache Kafka {version()} ready at {cluster.bootstrap}")
        node = cluster.nodes[0]
        while not stop.wait(WATCH_EVERY_S):
            if not node.running:
                raise KafkaUnavailable(f"the broker ended by itself:\n{node.log_tail}")


def holder(data: Path) -> int | None:
    """The pid of the `up` that holds the folder, or None."""
    if not (data / "lock").exists():
        return None
    with (data / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read() or 0)
    return None


@main.command()
@data_option
def down(data: Path) -> None:
    """Stop the broker that runs on the folder, and wait until it has ended."""
    pid = holder(data)
    if not pid:
        click.echo(f"no broker is running on {data}")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    while holder(data) == pid:
        if time.monotonic() > deadline:
            raise click.ClickException(f"process {pid} has not ended in {DOWN_TIMEOUT_S:.0f} s")
        time.sleep(0.05)
    click.echo(f"stopped the broker on {data}")


@main.command()
@data_option
def status(data: Path) -> None:
    """Say whether a broker runs on the folder; exit code 1 if not."""
    pid = holder(data)
    if not pid:
        click.echo(f"no broker is running on {data}")
        sys.exit(1)
    click.echo(f"a broker is running on {data}, pid {pid}")


if __name__ == "__main__":
    main()
