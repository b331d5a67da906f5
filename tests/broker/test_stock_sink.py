"""Why Bytewax's own KafkaSink is not used: a record the broker refuses is lost without a word."""

from typing import Any

import bytewax.operators as op
import pytest
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, run_main

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import PartitionReader
from connectors.kafka.errors import UndeliveredRecord
from connectors.kafka.producer import Producer

REFUSED = b"x" * 5_000


@pytest.fixture
def narrow(topics: Any) -> str:
    """A topic that takes at most 1,000 bytes a batch."""
    if topics.broker.kind == "embedded":
        pytest.skip("the embedded broker has no topic configuration")
    name: str = topics.make("narrow", max_message_bytes="1000")
    return name


def standing(bootstrap: str, topic: str) -> list[bytes]:
    with PartitionReader(consumer_config(bootstrap), {(topic, 0): 0}) as reader:
        return [row.value for rows in reader.read_to(reader.end_offsets()) for row in rows]


def test_with_the_stock_sink_the_flow_ends_well_although_a_record_is_lost(
    kafka: str, narrow: str
) -> None:
    flow = Dataflow("stock")
    values = [b"0", REFUSED, b"2"]
    stream = op.input("input", flow, TestingSource(values, batch_size=1))
    messages = op.map("message", stream, lambda value: KafkaSinkMessage(key=None, value=value))
    op.output("output", messages, KafkaSink([kafka], narrow))
    run_main(flow)  # type: ignore[no-untyped-call]
    assert standing(kafka, narrow) == [b"0", b"2"]


def test_with_our_producer_the_same_record_stops_the_process_by_name(
    kafka: str, narrow: str
) -> None:
    producer = Producer(producer_config(kafka, compression="none"))
    producer.append_and_wait(narrow, b"0", key=None, partition=0, timeout_s=60)
    with pytest.raises(UndeliveredRecord, match=rf"{narrow}/0 .*MSG_SIZE_TOO_LARGE"):
        producer.append_and_wait(narrow, REFUSED, key=None, partition=0, timeout_s=60)
    with pytest.raises(UndeliveredRecord, match="MSG_SIZE_TOO_LARGE"):
        producer.append(narrow, b"2", key=None, partition=0)
    assert standing(kafka, narrow) == [b"0"]
