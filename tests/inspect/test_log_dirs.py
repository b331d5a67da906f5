"""DescribeLogDirs by hand: the answer's form, what may be wrong with it, and a real broker's."""

import struct

import pytest

from infra.inspect.broker import Broker
from infra.inspect.logdirs import NoAnswer, request, sizes, sizes_in
from schemas.wiring import KafkaWiring


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def answer(topics: dict[str, list[tuple[int, int, bool]]], code: int = 0) -> bytes:
    """A version 1 answer about one log directory: partition, bytes and future of each topic."""
    body = struct.pack(">iii", 1, 0, 1) + struct.pack(">h", code) + text("/data")
    body += struct.pack(">i", len(topics))
    for name, partitions in topics.items():
        body += text(name) + struct.pack(">i", len(partitions))
        for number, size, future in partitions:
            body += struct.pack(">iqqb", number, size, 0, future)
    return body


def test_each_partitions_bytes_are_read() -> None:
    told = answer({"tape": [(0, 500, False)], "raw": [(0, 7, False), (1, 9, False)]})
    assert sizes_in(told) == {("tape", 0): 500, ("raw", 0): 7, ("raw", 1): 9}


def test_a_copy_that_is_being_moved_does_not_count() -> None:
    assert sizes_in(answer({"tape": [(0, 500, False), (0, 20, True)]})) == {("tape", 0): 500}


def test_an_error_of_the_broker_is_said() -> None:
    with pytest.raises(NoAnswer, match="error 31 for the log directory /data"):
        sizes_in(answer({}, code=31))


@pytest.mark.parametrize("cut", [1, 9, 20, 30])
def test_an_answer_in_another_form_is_said(cut: int) -> None:
    with pytest.raises(NoAnswer, match="an answer in another form"):
        sizes_in(answer({"tape": [(0, 500, False)]})[:cut])


def test_the_question_states_its_own_length() -> None:
    (length,) = struct.unpack(">i", request()[:4])
    assert length == len(request()) - 4


def test_a_broker_that_is_not_there_is_named() -> None:
    with pytest.raises(NoAnswer, match=r"broker 3 at 127\.0\.0\.1:1"):
        sizes({3: ("127.0.0.1", 1)})


def test_a_real_broker_tells_more_bytes_after_a_record(shelf) -> None:
    broker = Broker(KafkaWiring(bootstrap=shelf.bootstrap, prefix=shelf.prefix))
    if broker.embedded:
        pytest.skip("the embedded broker does not tell bytes")
    place = (f"{shelf.prefix}tape", 0)
    before = sizes(broker.brokers)[place]
    shelf.put("tape", bytes(range(256)) * 40)
    assert sizes(broker.brokers)[place] > before
