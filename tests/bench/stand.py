"""Where measurements are made: a shard's topics on the real Kafka, processes, and their memory.

Every loop that is timed runs in a process of its own, so that nothing the harness holds slows its
collector down. Whatever is started dies with the harness, and a shard's topics go when it is done.
"""

import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from figures import BenchFailed
from tape import Tape

from connectors.kafka.config import admin_config, producer_config
from connectors.kafka.producer import Headers, Producer
from infra.children import Child
from infra.kafka import tether
from infra.tape import bounds
from infra.topics import apply, declared
from schemas import codec
from schemas.records.base import Record
from schemas.wiring import KafkaWiring

WORK = Path(__file__).with_name("work.py")
WORK_TIMEOUT_S = 600
WAIT_S = 240.0
LOOK_S = 0.02
ANSWER_S = 15.0


@contextmanager
def shard(bootstrap: str) -> Iterator[KafkaWiring]:
    """Every topic as declared, under a prefix of its own; deleted at the end."""
    kafka = KafkaWiring(bootstrap=bootstrap, prefix=f"b{uuid.uuid4().hex[:6]}.")
    apply(bootstrap, prefix=kafka.prefix)
    try:
        yield kafka
    finally:
        admin = AdminClient(admin_config(bootstrap))
        for gone in admin.delete_topics(list(declared(kafka.prefix))).values():
            gone.result(ANSWER_S)


def put(kafka: KafkaWiring, records: list[Record]) -> None:
    """Append records to the tape in order, and wait until all stand."""
    append(kafka, "tape", (("bench", codec.encode(r), codec.headers(r)) for r in records))


def append(kafka: KafkaWiring, topic: str, rows: Iterable[tuple[str, bytes, Headers]]) -> None:
    """Append key, value and headers in order, and wait until all stand."""
    producer = Producer(producer_config(kafka.bootstrap, linger_ms=20), name="bench")
    for key, value, headers in rows:
        producer.append(
            kafka.prefix + topic,
            value,
            key=key.encode(),
            partition=kafka.shard,
            headers=headers,
        )
        producer.poll()
    missing = producer.flush(60)
    if missing:
        raise BenchFailed(f"{missing} records of {topic} were not acknowledged in 60 s")


def save(tape: Tape, file: Path) -> None:
    """One record a line, for processes that read it without a broker."""
    file.write_bytes(b"\n".join(tape.values()) + b"\n")


def loop(name: str, **arguments: Any) -> list[str]:
    """The command of one loop of work.py."""
    return [sys.executable, str(WORK), name, json.dumps(arguments)]


def measured(name: str, **arguments: Any) -> dict[str, float]:
    """Run one loop of work.py in a process of its own; what it found."""
    done = subprocess.run(
        tether.command(loop(name, **arguments)),
        capture_output=True,
        text=True,
        timeout=WORK_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise BenchFailed(f"{name} ended with {done.returncode}:\n{done.stderr[-2_000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def settings(kafka: KafkaWiring, folder: Path, extra: str = "") -> Path:
    """A settings file of a shard; its recovery directory is in the folder."""
    file = folder / "bench.toml"
    file.write_text(
        f'[kafka]\nbootstrap = "{kafka.bootstrap}"\nprefix = "{kafka.prefix}"\n'
        f'[flow]\nrecovery_dir = "{folder}/recovery"\n{extra}'
    )
    return file


@contextmanager
def started(name: str, folder: Path, argv: list[str]) -> Iterator[Child]:
    """A process of ours; ended whatever happens."""
    child = Child(name=name, argv=argv, folder=folder, env={"PYTHONHASHSEED": "0"})
    child.start()
    try:
        yield child
    finally:
        child.stop()


@contextmanager
def running(name: str, folder: Path, config: Path, *words: str) -> Iterator[Child]:
    """One process of the pipeline, as `truecopy` starts it."""
    argv = [sys.executable, "-m", "infra.cli.main", "--config", str(config), *words]
    with started(name, folder, argv) as child:
        yield child


def wait_for(what: str, reached: Callable[[], bool], child: Child) -> None:
    """Wait until something is so while the child lives; raises ChildDied or BenchFailed."""
    deadline = time.monotonic() + WAIT_S
    while not reached():
        child.check()
        if time.monotonic() > deadline:
            raise BenchFailed(f"{child.name}: {what} was not seen in {WAIT_S:.0f} s")
        time.sleep(LOOK_S)


def count(kafka: KafkaWiring, topic: str) -> int:
    """How many records a topic of the shard holds."""
    return bounds(kafka, topic, kafka.shard)[1]


def resident_mb(child: Child) -> float:
    """Resident memory of a process as the kernel counts it, pages shared with others included."""
    assert child.process is not None
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    if found is None:
        raise BenchFailed(f"{child.name} is no longer there: its memory cannot be read")
    return int(found[1]) * 1_024 / 1e6
