"""Which of Kafka's errors are waited through and which end the process: the table, row by row."""

import threading
from functools import partial

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import WaitEnded, ends_of, wait_through
from connectors.kafka.errors import (
    ClientFatal,
    Fenced,
    KafkaFailed,
    NeedsOperator,
    Verdict,
    classify,
    failure,
    stop_if_fatal,
)

TABLE = [
    ("_TRANSPORT", False, Verdict.WAIT),
    ("_ALL_BROKERS_DOWN", False, Verdict.WAIT),
    ("_UNKNOWN_PARTITION", False, Verdict.WAIT),
    ("NOT_LEADER_FOR_PARTITION", False, Verdict.WAIT),
    ("_TIMED_OUT", False, Verdict.WAIT),
    ("_DESTROY_BROKER", False, Verdict.WAIT),
    ("CONCURRENT_TRANSACTIONS", False, Verdict.WAIT),
    ("COORDINATOR_LOAD_IN_PROGRESS", False, Verdict.WAIT),
    ("_PARTITION_EOF", False, Verdict.END_OF_PARTITION),
    ("_MSG_TIMED_OUT", False, Verdict.UNKNOWN),
    ("_FENCED", True, Verdict.SUPERSEDED),
    ("INVALID_PRODUCER_EPOCH", True, Verdict.SUPERSEDED),
    ("_AUTO_OFFSET_RESET", False, Verdict.REFUSED),
    ("OFFSET_OUT_OF_RANGE", False, Verdict.REFUSED),
    ("TOPIC_AUTHORIZATION_FAILED", False, Verdict.REFUSED),
    ("GROUP_AUTHORIZATION_FAILED", False, Verdict.REFUSED),
    ("MSG_SIZE_TOO_LARGE", False, Verdict.REFUSED),
    ("OUT_OF_ORDER_SEQUENCE_NUMBER", True, Verdict.RESTART),
    ("_TRANSPORT", True, Verdict.RESTART),
    ("_BAD_MSG", False, Verdict.RESTART),
    ("UNKNOWN", False, Verdict.RESTART),
]


@pytest.mark.parametrize(("name", "fatal", "verdict"), TABLE)
def test_each_error_has_its_verdict(name: str, fatal: bool, verdict: Verdict) -> None:
    assert classify(getattr(KafkaError, name), fatal=fatal) is verdict


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("_FENCED", Fenced),
        ("OFFSET_OUT_OF_RANGE", NeedsOperator),
        ("_MSG_TIMED_OUT", ClientFatal),
        ("_BAD_MSG", ClientFatal),
    ],
)
def test_an_error_that_ends_the_process_names_itself_and_what_was_done(
    name: str, kind: type[KafkaFailed]
) -> None:
    with pytest.raises(kind, match=f"reading tape/0: {name}: "):
        stop_if_fatal(KafkaError(getattr(KafkaError, name)), "reading tape/0")


@pytest.mark.parametrize("name", ["_TRANSPORT", "_PARTITION_EOF", "LEADER_NOT_AVAILABLE"])
def test_an_error_that_passes_calls_for_nothing(name: str) -> None:
    assert failure(KafkaError(getattr(KafkaError, name)), "reading") is None


def test_a_call_is_repeated_until_its_passing_errors_have_passed() -> None:
    answers = [KafkaError._TRANSPORT, KafkaError.LEADER_NOT_AVAILABLE, None]

    def call() -> str:
        if code := answers.pop(0):
            raise KafkaException(KafkaError(code))
        return "answer"

    assert wait_through(call, "a test") == "answer"
    assert answers == []


def test_a_partition_said_to_be_unknown_is_asked_for_anew() -> None:
    """A client that asked while its broker woke believed so for ten minutes, and longer."""

    class Misled:
        asked = ""

        def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
            if self.asked != place.topic:
                raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
            return 3, 8

        def list_topics(self, topic: str, timeout: float) -> None:
            self.asked = topic

    ask = partial(ends_of, Misled(), TopicPartition("journal", 0))
    assert wait_through(ask, "a test") == (3, 8)


def test_while_a_broker_is_away_nothing_more_is_asked_of_it() -> None:
    class Away:
        def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    with pytest.raises(KafkaException, match="_TRANSPORT"):
        ends_of(Away(), TopicPartition("journal", 0))  # type: ignore[arg-type]


def test_waiting_ends_with_an_error_that_does_not_pass() -> None:
    def call() -> None:
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(NeedsOperator, match="a test: TOPIC_AUTHORIZATION_FAILED"):
        wait_through(call, "a test")


def test_waiting_ends_when_the_process_is_to_stop() -> None:
    stop = threading.Event()

    def call() -> None:
        stop.set()
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    with pytest.raises(WaitEnded, match="a test"):
        wait_through(call, "a test", stop=stop)


def test_waiting_ends_when_its_time_is_up() -> None:
    def call() -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    with pytest.raises(WaitEnded, match=r"a test: _TRANSPORT for 0\.2 s"):
        wait_through(call, "a test", timeout_s=0.2)


def test_settings_that_lose_or_skip_records_are_named_and_never_left_to_defaults() -> None:
    producer = producer_config("127.0.0.1:1")
    assert (producer["acks"], producer["enable.idempotence"]) == ("all", True)
    assert producer["message.timeout.ms"] == 0
    consumer = consumer_config("127.0.0.1:1")
    assert consumer["isolation.level"] == "read_uncommitted"
    assert consumer["auto.offset.reset"] == "error"
    assert consumer["enable.auto.commit"] is False
    committed = consumer_config("127.0.0.1:1", isolation="read_committed")
    assert committed["isolation.level"] == "read_committed"
