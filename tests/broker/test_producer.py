"""The producer: exact over a killed broker, loud about the first record that is not delivered."""

import asyncio
import time
from typing import Any

import pytest

from connectors.kafka.config import MESSAGE_MAX_BYTES, consumer_config, producer_config
from connectors.kafka.consumer import PartitionReader
from connectors.kafka.errors import UndeliveredRecord
from connectors.kafka.producer import Producer
from infra.embedded import EmbeddedBroker
from tests.waiting import WAIT_S, wait_until


def values(bootstrap: str, topic: str) -> list[bytes]:
    """All that stands in partition 0."""
    with PartitionReader(consumer_config(bootstrap, fetch_wait_ms=5), {(topic, 0): 0}) as reader:
        return [row.value for rows in reader.read_to(reader.end_offsets()) for row in rows]


def flush(producer: Producer) -> None:
    wait_until(lambda: producer.flush(0.5) == 0)


def test_each_offset_is_reported_and_key_headers_and_value_arrive(
    any_broker: Any, topics: Any
) -> None:
    topic, began_ms = topics.make("log", partitions=2), time.time() * 1_000
    producer = Producer(producer_config(any_broker.bootstrap))
    offsets: list[int] = []
    for n in range(3):
        producer.append(
            topic,
            b"%d" % n,
            key=b"k",
            partition=1,
            headers=[("kind", b"Tick"), ("v", b"1")],
            on_appended=offsets.append,
        )
    flush(producer)
    assert offsets == [0, 1, 2]
    assert producer.append_and_wait(topic, b"3", key=None, partition=1, timeout_s=WAIT_S) == 3
    config = consumer_config(any_broker.bootstrap, fetch_wait_ms=5)
    with PartitionReader(config, {(topic, 1): 2}) as reader:
        rows = [row for batch in reader.read_to(reader.end_offsets()) for row in batch]
    assert [(r.offset, r.value, r.key) for r in rows] == [(2, b"2", b"k"), (3, b"3", None)]
    assert rows[0].headers == {"kind": b"Tick", "v": b"1"}
    assert began_ms - 1_000 <= rows[0].timestamp_ms <= time.time() * 1_000 + 1_000


async def test_an_asyncio_caller_gets_its_offset_without_any_other_task(
    any_broker: Any, topics: Any
) -> None:
    topic = topics.make("log")
    producer = Producer(producer_config(any_broker.bootstrap))
    found = [
        await producer.append_acknowledged(topic, b"%d" % n, key=None, partition=0)
        for n in range(5)
    ]
    assert found == [0, 1, 2, 3, 4]


async def test_many_asyncio_callers_at_once_get_each_its_own_offset(
    any_broker: Any, topics: Any
) -> None:
    topic = topics.make("log")
    producer = Producer(producer_config(any_broker.bootstrap))
    found = await asyncio.gather(
        *(producer.append_acknowledged(topic, b"%d" % n, key=None, partition=0) for n in range(30))
    )
    standing = values(any_broker.bootstrap, topic)
    assert [standing[offset] for offset in found] == [b"%d" % n for n in range(30)]


async def test_a_failure_is_raised_to_every_asyncio_caller_that_waits(
    kafka: str, topics: Any
) -> None:
    topic = topics.make("log")
    producer = Producer(producer_config(kafka))
    await producer.append_acknowledged(topic, b"0", key=None, partition=0)
    waiting = (producer.append_acknowledged(topic, b"1", key=None, partition=7) for _ in range(3))
    async with asyncio.timeout(WAIT_S):
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in found] == [UndeliveredRecord] * 3


def test_every_record_stands_once_and_in_order_after_the_broker_was_killed_twice(
    real_kafka_cluster: Any,
) -> None:
    kafka = real_kafka_cluster()
    kafka.create_topic("log")
    producer = Producer(producer_config(kafka.bootstrap))
    sent = [b"%06d" % n for n in range(4_000)]
    offsets: list[int] = []
    for n, value in enumerate(sent):
        producer.append("log", value, key=None, partition=0, on_appended=offsets.append)
        if n in (1_000, 2_500):
            kafka.nodes[0].kill()
            kafka.nodes[0].start()
        elif n % 10 == 0:
            producer.poll(0.001)
    flush(producer)
    assert offsets == list(range(4_000))
    assert values(kafka.bootstrap, "log") == sent
    assert producer.health.errors["_TRANSPORT"] > 0


def test_the_first_undelivered_record_makes_every_later_call_raise(kafka: str, topics: Any) -> None:
    topic = topics.make("log")
    producer = Producer(producer_config(kafka))
    producer.append_and_wait(topic, b"0", key=None, partition=0, timeout_s=WAIT_S)
    late: list[int] = []
    with pytest.raises(UndeliveredRecord, match=rf"{topic}/7 .*_UNKNOWN_PARTITION"):
        producer.append_and_wait(topic, b"1", key=None, partition=7, timeout_s=WAIT_S)
    with pytest.raises(UndeliveredRecord, match=f"{topic}/7"):
        producer.append(topic, b"2", key=None, partition=0, on_appended=late.append)
    for call in (producer.check, producer.poll, lambda: producer.flush(1)):
        with pytest.raises(UndeliveredRecord, match=f"{topic}/7"):
            call()
    assert values(kafka, topic) == [b"0"]
    assert late == []


def test_the_first_undelivered_record_is_named_though_a_later_one_is_refused_at_once(
    kafka: str, topics: Any
) -> None:
    topic = topics.make("log")
    producer = Producer(producer_config(kafka))
    # Taken before the client knows the topic; once it does, the next one is not even taken.
    producer.append(topic, b"1", key=None, partition=7)

    def refused() -> str:
        try:
            producer.append(topic, b"2", key=None, partition=8)
        except UndeliveredRecord as error:
            return str(error)
        return ""

    assert f"{topic}/7 was not delivered" in wait_until(refused)


def test_no_callback_runs_for_a_record_that_was_appended_behind_an_undelivered_one(
    kafka: str, topics: Any
) -> None:
    if topics.broker.kind == "embedded":
        pytest.skip("the embedded broker has no topic configuration: it refuses no record")
    topic = topics.make("narrow", max_message_bytes="1000")
    apart = {"batch.num.messages": 1}  # in one batch they would both be refused
    producer = Producer(producer_config(kafka, compression="none") | apart)
    done: list[int] = []
    producer.append(topic, bytes(5_000), key=None, partition=0, on_appended=done.append)
    producer.append(topic, b"behind", key=None, partition=0, on_appended=done.append)
    with pytest.raises(UndeliveredRecord, match=f"{topic}/0 .*MSG_SIZE_TOO_LARGE"):
        producer.flush(WAIT_S)
    assert producer.outstanding == 0
    assert values(kafka, topic) == [b"behind"]
    assert done == []


def test_a_record_above_the_largest_size_is_refused_by_name(kafka: str, topics: Any) -> None:
    topic = topics.make("log")
    producer = Producer(producer_config(kafka))
    with pytest.raises(UndeliveredRecord, match="MSG_SIZE_TOO_LARGE"):
        producer.append(topic, bytes(MESSAGE_MAX_BYTES + 1), key=None, partition=0)
    with pytest.raises(UndeliveredRecord, match="MSG_SIZE_TOO_LARGE"):
        producer.check()


def test_in_an_outage_records_wait_and_none_is_given_up(embedded: EmbeddedBroker) -> None:
    embedded.create_topic("log", 1)
    producer = Producer(producer_config(embedded.bootstrap))
    producer.append_and_wait("log", b"0", key=None, partition=0, timeout_s=WAIT_S)
    embedded.down()
    producer.append("log", b"1", key=None, partition=0)
    assert producer.flush(1.0) == 1
    with pytest.raises(TimeoutError, match="log/0: no acknowledgement in"):
        producer.append_and_wait("log", b"2", key=None, partition=0, timeout_s=0.2)

    def down() -> bool:
        producer.poll()
        return producer.health.down

    wait_until(down)
    embedded.up()
    flush(producer)
    assert not producer.health.down
    assert values(embedded.bootstrap, "log") == [b"0", b"1", b"2"]


def test_a_full_queue_blocks_instead_of_losing_or_raising(embedded: EmbeddedBroker) -> None:
    embedded.create_topic("log", 1)
    config = producer_config(embedded.bootstrap) | {"queue.buffering.max.messages": 10}
    producer = Producer(config)
    for n in range(100):
        producer.append("log", b"%d" % n, key=None, partition=0)
    flush(producer)
    assert values(embedded.bootstrap, "log") == [b"%d" % n for n in range(100)]
