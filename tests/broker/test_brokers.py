"""The brokers themselves: they start, keep what they took, die and come back, and end with us."""

from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.kafka.config import consumer_config, producer_config
from infra.embedded import EmbeddedBroker


def append(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = Producer(producer_config(bootstrap))
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(60) == 0


def read(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    config = consumer_config(bootstrap, fetch_wait_ms=5)
    consumer = Consumer(config)
    consumer.assign([TopicPartition(topic, 0, 0)])
    rows = consumer.consume(count, timeout=60)
    consumer.close()
    return [row.value() for row in rows]


def test_what_was_appended_is_read_in_order_on_both_brokers(any_broker: Any, topics: Any) -> None:
    values = [b"%d" % n for n in range(100)]
    topic = topics.make("log")
    append(any_broker.bootstrap, topic, values)
    assert read(any_broker.bootstrap, topic, 100) == values


def test_an_embedded_broker_that_was_down_still_has_its_records(embedded: EmbeddedBroker) -> None:
    embedded.create_topic("log", 1)
    append(embedded.bootstrap, "log", [b"1"])
    embedded.down()
    embedded.up()
    assert read(embedded.bootstrap, "log", 1) == [b"1"]
