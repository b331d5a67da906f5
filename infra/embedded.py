"""The embedded broker: librdkafka's mock cluster, from the client library we install anyway.

For the demo and quick tests: no Java, no download, up at once. What it does not do (measured with
librdkafka 2.16, 2026-11): it keeps at most 5 MiB or 100,000 batches a partition and then drops the
oldest without a word (`Watch` stops the run), it never wakes a waiting fetch (`fetch_wait_ms = 5`),
it has no controller (topics are made here, by a call), no transactions, no configuration, no disk.

`python -m infra.embedded` is it as a process: one JSON line when ready, gone on SIGTERM.
"""

import ctypes
import functools
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka

CLUSTER_ID_PREFIX = "mockCluster"
"""How every mock cluster calls itself in its metadata; no other broker does."""

PRODUCER = 0  # enum rd_kafka_type_t
TOPIC_ALREADY_EXISTS = 36
BROKER = 1
ANSWER_TIMEOUT_S = 5.0


class EmbeddedUnavailable(RuntimeError):
    """The client library's mock cluster cannot be used here; the message says why."""


class PartitionOverflow(RuntimeError):
    """The embedded broker has dropped records: nothing read from it can be trusted any more."""


@functools.cache
def _library() -> ctypes.CDLL:
    """The librdkafka inside the confluent_kafka wheel, with the signatures used here.

    rdkafka_mock.h calls this interface experimental; it is unchanged since 1.3 (2019).
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
