"""The embedded broker: librdkafka's mock cluster, from the client library we install anyway.

For the demo and quick tests: no Java, no download, up at once. Its limits (measured with librdkafka
2.16, 2026-11): it keeps at most 5 MiB or 100,000 batches a partition, then drops the oldest without
a word (a look each second stops the run); it never wakes a waiting fetch (`fetch_wait_ms = 5`); it
has no controller (topics are made here, by a call), no transactions, no configuration, no disk.

`python -m infra.embedded` is it as a process: one JSON line when ready, gone on SIGTERM, exit
code 70 and a line that begins with PartitionOverflow once it has dropped a record.
"""

import ctypes
import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import confluent_kafka
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from connectors.kafka.config import admin_config
from infra.topics import declared

PRODUCER = 0  # enum rd_kafka_type_t
TOPIC_ALREADY_EXISTS = 36
BROKER = 1
ANSWER_TIMEOUT_S = 30.0
WATCH_EVERY_S = 1.0
EXIT_OVERFLOW = 70


class EmbeddedUnavailable(RuntimeError):
    """The client library's mock cluster cannot be used here; the message says why."""


class PartitionOverflow(RuntimeError):
    """The embedded broker has dropped records: nothing read from it can be trusted any more."""


@functools.cache
def _library() -> ctypes.CDLL:
    """The librdkafka inside the confluent_kafka wheel, with the signatures used here.

    rdkafka_mock.h calls this interface experimental: the tests of this module watch over it.
    """
    package = Path(confluent_kafka.__file__).parent
    places = [package.parent / "confluent_kafka.libs", package / ".dylibs"]
    found = [file for place in places for file in sorted(place.glob("librdkafka*"))]
    if not found:
        raise EmbeddedUnavailable(f"no bundled librdkafka in {places[0]}; use a real broker")
    lib = ctypes.CDLL(str(found[0]))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_rtt": (number, [pointer, ctypes.c_int32, number]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class EmbeddedBroker:
    """One mock broker in this process, on a free loopback port, until `close`."""

    def __init__(self) -> None:
        self._lib = _library()
        reason = ctypes.create_string_buffer(512)
        conf = self._lib.rd_kafka_conf_new()
        # Else it warns that this handle, which only carries the mock, has no broker to talk to.
        self._lib.rd_kafka_conf_set(conf, b"log_level", b"3", reason, len(reason))
        self._handle: int | None = self._lib.rd_kafka_new(PRODUCER, conf, reason, len(reason))
        if not self._handle:
            raise EmbeddedUnavailable(f"librdkafka: {reason.value.decode()}")
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._handle, 1)
        if not self._cluster:
            raise EmbeddedUnavailable("librdkafka could not start its mock cluster")
        self.bootstrap: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic; raises ValueError if it is there or the broker refuses."""
        code = self._lib.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        if code == TOPIC_ALREADY_EXISTS:
            raise ValueError(f"topic {name} exists on the embedded broker")
        if code:
            raise ValueError(f"topic {name}, {partitions} partitions: librdkafka error {code}")

    def down(self) -> None:
        """Cut every connection and refuse new ones; the records stay."""
        self._done(self._lib.rd_kafka_mock_broker_set_down(self._cluster, BROKER))

    def up(self) -> None:
        """Accept connections again."""
        self._done(self._lib.rd_kafka_mock_broker_set_up(self._cluster, BROKER))

    def rtt(self, rtt_ms: int) -> None:
        """Delay every answer from now on."""
        self._done(self._lib.rd_kafka_mock_broker_set_rtt(self._cluster, BROKER, rtt_ms))

    def _done(self, code: int) -> None:
        if code:
            raise EmbeddedUnavailable(f"librdkafka error {code}")

    def close(self) -> None:
        """End the broker and forget its records; close its clients first."""
        if self._handle is not None:
            self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
            self._lib.rd_kafka_destroy(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def low_offsets(admin: AdminClient) -> dict[tuple[str, int], int]:
    """The first offset still there in every partition of the broker; one request, 2 ms."""
    known = admin.list_topics(timeout=ANSWER_TIMEOUT_S).topics
    asked = {
        TopicPartition(name, part): OffsetSpec.earliest()  # type: ignore[no-untyped-call]
        for name, topic in known.items()
        for part in topic.partitions
    }
    if not asked:
        return {}
    answers = admin.list_offsets(asked, request_timeout=ANSWER_TIMEOUT_S)
    return {
        (place.topic, place.partition): answer.result(ANSWER_TIMEOUT_S).offset
        for place, answer in answers.items()
    }


def check_nothing_dropped(lows: Mapping[tuple[str, int], int]) -> None:
    """Raise PartitionOverflow if a partition no longer begins at 0."""
    for (topic, partition), low in sorted(lows.items()):
        if low > 0:
            raise PartitionOverflow(
                f"topic {topic} partition {partition} has lost its first {low} records: the "
                "embedded broker keeps 5 MiB or 100,000 batches a partition. Use the real broker "
                "(`docker compose up -d` or `python -m infra.kafka up`), TRUECOPY_KAFKA=host:port"
            )


def serve(prefix: str, shards: int, stop: threading.Event, *, parent_pid: int | None) -> None:
    """Run a broker with the declared topics until `stop`, or until the parent process ends.

    Prints one JSON line when ready. Raises PartitionOverflow as soon as a record was dropped.
    """
    with EmbeddedBroker() as broker:
        for name, topic in declared(prefix, shards=shards).items():
            broker.create_topic(name, topic.partitions)
        admin = AdminClient(admin_config(broker.bootstrap))
        ready = {"event": "ready", "bootstrap": broker.bootstrap, "pid": os.getpid()}
        click.echo(json.dumps(ready))
        while not stop.wait(WATCH_EVERY_S):
            check_nothing_dropped(low_offsets(admin))
            if parent_pid is not None and os.getppid() != parent_pid:
                return


@click.command()
@click.option("--prefix", default="", help="Goes before every topic name.")
@click.option("--shards", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--with-parent", is_flag=True, help="End when the process that started it ends.")
def main(prefix: str, shards: int, with_parent: bool) -> None:
    """The embedded broker as a process, until SIGTERM."""
    parent_pid = os.getppid() if with_parent else None
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve(prefix, shards, stop, parent_pid=parent_pid)
    except PartitionOverflow as overflow:
        click.echo(f"PartitionOverflow: {overflow}", err=True)
        sys.exit(EXIT_OVERFLOW)


if __name__ == "__main__":
    main()
