"""The reader: waits through outages, ends with named errors only, skips nothing; group offsets."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer as PlainProducer

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import BEGINNING, PartitionReader, Row, WaitEnded
from connectors.kafka.errors import NeedsOperator, TopicMissing
from connectors.kafka.offsets import Committed, GroupOffsets
from connectors.kafka.producer import Producer
from infra.embedded import EmbeddedBroker
from infra.kafka.node import Node
from tests.waiting import WAIT_S


def append(bootstrap: str, topic: str, values: list[bytes], partition: int = 0) -> None:
    producer = Producer(producer_config(bootstrap))
    for value in values:
        producer.append(topic, value, key=None, partition=partition)
    deadline = time.monotonic() + WAIT_S
    while producer.flush(0.5):
        assert time.monotonic() < deadline


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % n for n in range(first, first + count)]


def read(reader: PartitionReader, count: int) -> list[Row]:
    """So many records; fails if they do not come within a minute."""
    rows: list[Row] = []
    deadline = time.monotonic() + WAIT_S
    while len(rows) < count:
        assert time.monotonic() < deadline, f"{len(rows)} of {count} records"
        rows += reader.read(count - len(rows), 0.1)
    return rows


def test_several_partitions_are_read_each_in_order_from_its_own_offset(
    any_broker: Any, topics: Any
) -> None:
    topic = topics.make("log", partitions=3)
    for partition in range(3):
        append(any_broker.bootstrap, topic, numbered(50), partition)
    config = consumer_config(any_broker.bootstrap, fetch_wait_ms=5)
    with PartitionReader(config, {(topic, 0): 0, (topic, 2): 40}) as reader:
        assert reader.end_offsets() == {(topic, 0): 50, (topic, 2): 50}
        rows = [row for batch in reader.read_to(reader.end_offsets()) for row in batch]
        assert reader.position == {(topic, 0): 50, (topic, 2): 50}
    assert [r.value for r in rows if r.partition == 0] == numbered(50)
    assert [(r.offset, r.value) for r in rows if r.partition == 2] == list(
        zip(range(40, 50), numbered(10, first=40), strict=True)
    )
    assert {r.partition for r in rows} == {0, 2}


def test_reading_waits_for_the_first_record_and_no_longer(kafka: str, topics: Any) -> None:
    topic = topics.make("log")
    with PartitionReader(consumer_config(kafka), {(topic, 0): 0}) as reader:
        begun = time.monotonic()
        assert reader.read(10, 0.5) == []  # the end of the partition is no reason to return
        assert time.monotonic() - begun >= 0.5
        timer = threading.Timer(0.3, append, (kafka, topic, [b"0"]))
        timer.start()
        assert [row.value for row in reader.read(10, WAIT_S)] == [b"0"]
        timer.join()
        append(kafka, topic, numbered(5))
        assert len(read(reader, 3)) == 3


def test_an_empty_partition_is_read_to_its_end_at_once(any_broker: Any, topics: Any) -> None:
    topic = topics.make("log")
    config = consumer_config(any_broker.bootstrap, fetch_wait_ms=5)
    with PartitionReader(config, {(topic, 0): BEGINNING}) as reader:
        assert list(reader.read_to(reader.end_offsets())) == []
        assert reader.watermarks(topic, 0) == (0, 0)


def killed(node: Node) -> Callable[[], None]:
    node.kill()
    return node.start


def stopped(node: Node) -> Callable[[], None]:
    node.pause()
    return node.resume


@pytest.mark.parametrize("outage", [killed, stopped])
def test_reader_and_positions_wait_through_an_outage_and_nothing_is_missed(
    real_kafka_cluster: Any, outage: Callable[[Node], Callable[[], None]]
) -> None:
    kafka = real_kafka_cluster()
    kafka.create_topic("log")
    append(kafka.bootstrap, "log", numbered(100))
    positions = GroupOffsets(kafka.bootstrap, "executor")
    positions.commit("log", 0, 50)
    with PartitionReader(consumer_config(kafka.bootstrap), {("log", 0): 0}) as reader:
        rows = read(reader, 100)
        end_outage = outage(kafka.nodes[0])
        assert reader.read(10, 1.0) == []
        # Asked in the middle of the outage: these answers must wait, too.
        timer = threading.Timer(1.0, end_outage)
        timer.start()
        positions.commit("log", 0, 100, "noted")
        assert positions.committed("log", 0) == Committed(offset=100, metadata="noted")
        assert reader.end_offsets() == {("log", 0): 100}
        timer.join()
        append(kafka.bootstrap, "log", numbered(100, first=100))
        rows += read(reader, 100)
    positions.close()
    assert [(row.offset, row.value) for row in rows] == list(enumerate(numbered(200)))


def test_an_offset_beyond_the_end_is_a_named_error_never_a_jump(
    any_broker: Any, topics: Any
) -> None:
    topic = topics.make("log")
    append(any_broker.bootstrap, topic, numbered(5))
    config = consumer_config(any_broker.bootstrap, fetch_wait_ms=5)
    with (
        PartitionReader(config, {(topic, 0): 1_000}) as reader,
        pytest.raises(NeedsOperator, match=rf"reading {topic}/0 at 1000: _AUTO_OFFSET_RESET"),
    ):
        read(reader, 1)


def test_an_offset_before_the_beginning_is_a_named_error_never_a_jump(
    embedded: EmbeddedBroker,
) -> None:
    embedded.create_topic("log", 1)
    producer = Producer(producer_config(embedded.bootstrap, compression="none"))
    for _ in range(8):  # 7.2 MB: the embedded broker drops the first records
        producer.append_and_wait("log", bytes(900_000), key=None, partition=0, timeout_s=WAIT_S)
    config = consumer_config(embedded.bootstrap, fetch_wait_ms=5)
    with PartitionReader(config, {("log", 0): 0}) as reader:
        assert reader.watermarks("log", 0)[0] > 0
        with pytest.raises(NeedsOperator, match="_AUTO_OFFSET_RESET"):
            read(reader, 1)


def test_a_topic_that_is_not_there_is_named_and_not_created(any_broker: Any, topics: Any) -> None:
    config = consumer_config(any_broker.bootstrap)
    for _ in range(2):  # were it created by the first asking, the second would find it
        with pytest.raises(TopicMissing, match="no partition 0 of topic nowhere; check the prefix"):
            PartitionReader(config, {("nowhere", 0): 0}, missing_s=0.3)
    topic = topics.make("log", partitions=1)
    with pytest.raises(TopicMissing, match=f"no partition 1 of topic {topic}"):
        PartitionReader(config, {(topic, 1): 0}, missing_s=0.3)


def test_an_open_transaction_hides_records_only_from_a_reader_that_asks_for_it(
    kafka: str, topics: Any
) -> None:
    if topics.broker.kind == "embedded":
        pytest.skip("the embedded broker has no transactions")
    topic = topics.make("log")
    open_one = PlainProducer(producer_config(kafka) | {"transactional.id": topic})
    open_one.init_transactions(WAIT_S)
    open_one.begin_transaction()
    open_one.produce(topic, b"0", partition=0)
    assert open_one.flush(WAIT_S) == 0
    with PartitionReader(consumer_config(kafka), {(topic, 0): 0}) as uncommitted:
        assert [row.value for row in read(uncommitted, 1)] == [b"0"]
    config = consumer_config(kafka, isolation="read_committed")
    with PartitionReader(config, {(topic, 0): 0}) as committed:
        assert committed.read(1, 1.0) == []
        open_one.commit_transaction(WAIT_S)
        assert [row.value for row in read(committed, 1)] == [b"0"]


def test_waiting_for_an_end_that_never_comes_is_ended_by_the_stop_event(
    embedded: EmbeddedBroker,
) -> None:
    embedded.create_topic("log", 1)
    stop = threading.Event()
    config = consumer_config(embedded.bootstrap, fetch_wait_ms=5)
    with PartitionReader(config, {("log", 0): 0}, stop=stop) as reader:
        embedded.down()
        timer = threading.Timer(0.5, stop.set)
        timer.start()
        with pytest.raises(WaitEnded):
            list(reader.read_to({("log", 0): 1}))
        with pytest.raises(WaitEnded, match="ends of log/0"):
            reader.end_offsets()
        timer.join()


def test_a_position_is_kept_with_its_note_per_group_and_partition(
    any_broker: Any, topics: Any
) -> None:
    topic = topics.make("orders", partitions=2)
    offsets = GroupOffsets(any_broker.bootstrap, f"{topic}.executor")
    assert offsets.committed(topic, 0) is None
    offsets.commit(topic, 0, 17, "12345")
    offsets.commit(topic, 1, 3)
    offsets.commit(topic, 0, 18, "12346")
    offsets.close()
    again = GroupOffsets(any_broker.bootstrap, f"{topic}.executor")
    assert again.committed(topic, 0) == Committed(offset=18, metadata="12346")
    assert again.committed(topic, 1) == Committed(offset=3, metadata="")
    again.close()
    other = GroupOffsets(any_broker.bootstrap, f"{topic}.another")
    assert other.committed(topic, 0) is None
    other.close()
