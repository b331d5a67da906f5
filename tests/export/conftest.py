"""Topics to export, the recorded run, and what must be found in the files afterwards."""

import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka.config import admin_config, consumer_config, producer_config
from connectors.kafka.consumer import PartitionReader
from flows.engine.launch import run
from flows.export import DEFAULT_LIMITS, Export, build, identity_of
from flows.export_ahead import SPAN_ROWS
from flows.export_source import Tally, places_of
from flows.exporting.slices import Limits, Rows
from flows.exporting.tables import TOPICS
from infra.kafka import tether
from schemas import codec
from schemas.records.base import Record
from schemas.records.system import Genesis
from schemas.wiring import KafkaWiring
from tests.waiting import WAIT_S

RUN = Path(__file__).with_name("run.jsonl.gz")
ROOT = RUN.parents[2]


class Sent(NamedTuple):
    """One record as it is given to Kafka."""

    topic: str
    partition: int
    timestamp_ms: int
    key: bytes | None
    headers: list[tuple[str, bytes]]
    value: bytes | None


class Stored(NamedTuple):
    """One record as Kafka holds it, or as a file holds it."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: list[tuple[str, bytes]]
    value: bytes | None


def read_run() -> list[Sent]:
    def line(text: bytes) -> Sent:
        topic, partition, at, key, headers, value = msgspec.json.decode(text)
        pairs = [(name, said.encode()) for name, said in headers]
        return Sent(topic, partition, at, key and key.encode(), pairs, value.encode())

    return [line(text) for text in gzip.decompress(RUN.read_bytes()).split(b"\n")]


@pytest.fixture(scope="session")
def recorded_run() -> list[Sent]:
    """Half a minute of the demo, every topic; record_run.py made it."""
    return read_run()


def of(record: Record, at_ms: int = 1_795_000_000_000, topic: str = "tape") -> Sent:
    return Sent(topic, 0, at_ms, b"k", list(codec.headers(record)), codec.encode(record))


@pytest.fixture
def as_sent() -> Callable[..., Sent]:
    """A record as its writer would send it."""
    return of


def make_rows(values: list[Any], first: int = 0, at_ms: int = 1_795_000_000_000) -> Rows:
    sent = [v if isinstance(v, Sent) else Sent("", 0, at_ms, None, [], v) for v in values]
    return Rows(
        offsets=list(range(first, first + len(sent))),
        timestamps_ms=[s.timestamp_ms for s in sent],
        keys=[s.key for s in sent],
        headers=[list(s.headers) for s in sent],
        values=[s.value for s in sent],
    )


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., Rows]:
    """Values, or Sents, as the source would hand them on."""
    return make_rows


def stored_in(folder: Path, topic: str) -> list[Stored]:
    """Every record that the archive has of a topic, in order; doubled ones twice."""
    columns = ["partition", "offset", "timestamp", "key", "headers", "value", "topic", "kind"]
    found = []
    for file in sorted((folder / f"topic={topic}").rglob("*.parquet")):
        table = pq.ParquetFile(file).read(columns=columns)
        assert set(table["topic"].to_pylist()) == {topic}
        assert {f"kind={kind}" for kind in table["kind"].to_pylist()} == {file.parts[-3]}
        table = table.set_column(2, "timestamp", table["timestamp"].cast("int64"))
        for row in table.to_pylist():
            headers = [(pair["name"], pair["value"]) for pair in row["headers"]]
            del row["topic"], row["kind"]
            row["timestamp_ms"] = row.pop("timestamp")
            found.append(Stored(**{**row, "headers": headers}))
    return sorted(found, key=lambda row: (row.partition, row.offset))


@pytest.fixture
def stored() -> Callable[[Path, str], list[Stored]]:
    return stored_in


class Ended(NamedTuple):
    """A process that has ended: its code and its words."""

    code: int
    said: str


class Pipeline:
    """The topics of one pipeline, and exports of them."""

    def __init__(self, kafka: KafkaWiring) -> None:
        self.kafka = kafka
        self.processes: list[subprocess.Popen[bytes]] = []
        self._producer = Producer(producer_config(kafka.bootstrap, linger_ms=5))

    def send(self, *records: Sent) -> None:
        for sent in records:
            self._producer.produce(
                self.kafka.prefix + sent.topic,
                value=sent.value,
                key=sent.key,
                headers=sent.headers,
                partition=sent.partition,
                timestamp=sent.timestamp_ms,
            )
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def begin(self, tape_id: str = "t1") -> None:
        self.send(of(Genesis(tape_id=tape_id, schema=1, shard=0, accounts=())))

    def export(
        self,
        folder: Path,
        *,
        limits: Limits = DEFAULT_LIMITS,
        every_s: float = 20,
        processes: int = 1,
        span_rows: int = SPAN_ROWS,
        code: int = 0,
    ) -> Tally:
        """`truecopy export --once` in this process, with this exit code."""
        stop, tally = threading.Event(), Tally()
        identity = identity_of(self.kafka, folder, stop=stop)
        plan = Export(
            kafka=self.kafka,
            folder=folder,
            tape_id=identity.tape_id,
            places=places_of(self.kafka, stop=stop),
            once=True,
            group=None,
            limits=limits,
            processes=processes,
            span_rows=span_rows,
        )
        found = run(
            build(plan, stop=stop, tally=tally),
            stop=stop,
            epoch_s=every_s,
            recovery_dir=folder / ".state",
            identity=identity,
        )
        assert found == code
        return tally

    def start(self, folder: Path, *options: str) -> subprocess.Popen[bytes]:
        """`truecopy export` as a process of its own."""
        return self.run_python(
            ["-m", "infra.cli.main", "export", "--folder", str(folder), *options]
        )

    def run_python(self, words: list[str], **environ: str) -> subprocess.Popen[bytes]:
        """A process with this pipeline's settings, dead with the tests at the latest."""
        env = {
            **os.environ,
            "TRUECOPY_KAFKA": self.kafka.bootstrap,
            "TRUECOPY__KAFKA__PREFIX": self.kafka.prefix,
            "TRUECOPY__KAFKA__FETCH_WAIT_MS": str(self.kafka.fetch_wait_ms),
            **environ,
        }
        process = subprocess.Popen(
            tether.command([sys.executable, *words]),
            env=env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.processes.append(process)
        return process

    def export_apart(self, folder: Path) -> "Ended":
        """`truecopy export --once` as a process, to its end."""
        process = self.start(folder, "--once")
        said, _ = process.communicate(timeout=WAIT_S)
        return Ended(process.returncode, said.decode())

    def beside(self, prefix: str) -> "Pipeline":
        """Another pipeline on the same broker."""
        kafka = msgspec.structs.replace(self.kafka, prefix=self.kafka.prefix + prefix)
        other = Pipeline(kafka)
        other.processes = self.processes
        return other

    def delete_before(self, topic: str, offset: int) -> None:
        """Do what retention does: partition 0 begins at this offset from now on."""
        place = TopicPartition(self.kafka.prefix + topic, 0, offset)
        admin = AdminClient(admin_config(self.kafka.bootstrap))
        for done in admin.delete_records([place]).values():
            done.result(WAIT_S)

    def standing(self, topic: str) -> list[Stored]:
        """What Kafka holds of a topic, in order."""
        name, found = self.kafka.prefix + topic, []
        places = [p for p in places_of(self.kafka, stop=threading.Event()) if p.topic == topic]
        # Questions queue behind a waiting fetch, and there are many partitions to ask about.
        config = consumer_config(self.kafka.bootstrap, fetch_wait_ms=5)
        with PartitionReader(config, {(name, place.partition): -2 for place in places}) as reader:
            ends = {where: upto for where, upto in reader.end_offsets().items() if upto}
            for rows in reader.read_to(ends):
                found += [
                    Stored(
                        r.partition, r.offset, r.timestamp_ms, r.key, [*r.headers.items()], r.value
                    )
                    for r in rows
                ]
        return sorted(found, key=lambda row: (row.partition, row.offset))

    def assert_exported(self, folder: Path) -> int:
        """Every record of every topic is in the files exactly once, byte for byte; how many."""
        total = 0
        for topic in TOPICS:
            expected = self.standing(topic)
            assert stored_in(folder, topic) == expected, topic
            total += len(expected)
        return total


@pytest.fixture
def make_pipeline() -> Iterator[Callable[..., Pipeline]]:
    made: list[Pipeline] = []

    def make(bootstrap: str, prefix: str = "", wait_ms: int = 5) -> Pipeline:
        kafka = KafkaWiring(bootstrap=bootstrap, prefix=prefix, fetch_wait_ms=wait_ms)
        made.append(Pipeline(kafka))
        return made[-1]

    yield make
    for pipeline in made:
        for process in pipeline.processes:
            process.kill()
            process.wait(WAIT_S)


@pytest.fixture
def pipeline(topics: Any, make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """All topics, empty, on the session's broker."""
    wait_ms = 5 if topics.broker.kind == "embedded" else 100
    return make_pipeline(topics.broker.bootstrap, topics.declare(), wait_ms)


@pytest.fixture
def wait_until() -> Callable[..., None]:
    def wait(what: Callable[[], Any], why: str, timeout_s: float = WAIT_S) -> None:
        end = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < end, f"{why}: not within {timeout_s} s"
            time.sleep(0.02)

    return wait
