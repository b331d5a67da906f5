"""The sink alone, against topics that somebody has written to before."""

import threading
from typing import Any

import pytest

from flows.engine.errors import Diverged, StartRefused
from flows.engine.hub import Hub
from flows.engine.rows import NUMBER_HEADER, OutRow
from flows.engine.sink import NumberedPart, NumberedSink
from flows.engine.watermarks import first_offset


@pytest.fixture
def hub(kafka: str) -> Hub:
    return Hub(bootstrap=kafka, stop=threading.Event(), linger_ms=5, fetch_wait_ms=5)


@pytest.fixture
def topic(topics: Any) -> str:
    return str(topics.make("numbered"))


def row(number: int, key: bytes | None = None) -> OutRow:
    return OutRow(number, key, b"value %d" % number, (("kind", b"Test"),))


def write(hub: Hub, topic: str, rows: list[OutRow]) -> None:
    """Rows as an earlier writer left them."""
    for number, key, value, headers in rows:
        numbered = (*headers, (NUMBER_HEADER, b"%d" % number))
        hub.producer.append(topic, value, key=key, partition=0, headers=numbered)
    hub.settle()


def numbers(hub: Hub, topic: str) -> list[int]:
    end = hub.watermarks(topic, 0)[1]
    with hub.reader(topic, 0, 0) as reader:
        batches = list(reader.read_to({(topic, 0): end}))
    return [int(found.headers[NUMBER_HEADER]) for batch in batches for found in batch]


def part(hub: Hub, topic: str, resumed: tuple[int, int] | None, **options: bool) -> NumberedPart:
    return NumberedSink(hub, topic, [0], **options).build_part("sink", "0", resumed)


def test_each_snapshot_says_where_and_with_which_number_to_go_on(hub: Hub, topic: str) -> None:
    sink = part(hub, topic, None)
    sink.write_batch([row(0), row(1)])
    assert sink.snapshot() == (2, 2)
    sink.write_batch([row(2)])
    assert sink.snapshot() == (3, 3)
    again = part(hub, topic, (2, 2))
    assert again.snapshot() == (2, 2), "one record stands and is not yet written again"
    again.write_batch([row(2), row(3)])
    assert again.snapshot() == (4, 4)
    assert numbers(hub, topic) == [0, 1, 2, 3]


def test_a_record_without_a_number_stops_the_read_back(hub: Hub, topic: str) -> None:
    hub.producer.append_and_wait(topic, b"stranger", key=None, partition=0)
    with pytest.raises(Diverged, match=r"offset 0 carries no number .* somebody else wrote it"):
        part(hub, topic, None)


def test_in_a_compacted_topic_gone_numbers_are_not_written_again(hub: Hub, topic: str) -> None:
    write(hub, topic, [row(2, b"a"), row(4, b"b")])
    sink = part(hub, topic, None, compacted=True)
    sink.write_batch([row(n, b"b" if n % 2 == 0 and n != 2 else b"a") for n in range(6)])
    sink.snapshot()
    assert numbers(hub, topic) == [2, 4, 5]


def test_a_key_that_a_zombie_set_back_is_set_right_at_the_next_start(hub: Hub, topic: str) -> None:
    """Compaction keeps the last record of a key; readers of it take the highest number."""
    write(hub, topic, [row(0, b"a"), row(1, b"b"), row(2, b"a"), row(0, b"a")])
    part(hub, topic, (3, 3), compacted=True).snapshot()
    assert numbers(hub, topic) == [0, 1, 2, 0, 2]


def test_a_key_that_is_no_partition_of_this_process_is_an_error(hub: Hub) -> None:
    sink = NumberedSink(hub, "any", [10, 2])
    assert [sink.part_fn(key) for key in sink.list_parts()] == [0, 1]
    with pytest.raises(ValueError, match="3"):
        sink.part_fn("3")


@pytest.mark.parametrize(
    ("resumed", "low", "end", "compacted", "start"),
    [
        (None, 0, 0, False, 0),
        (None, 0, 9, False, 0),
        (5, 0, 9, False, 5),
        (5, 5, 9, False, 5),
        (9, 0, 9, False, 9),
        (None, 4, 9, True, 4),
        (2, 4, 9, True, 4),
    ],
)
def test_a_whole_log_is_read_from_where_the_snapshot_ends(
    resumed: int | None, low: int, end: int, compacted: bool, start: int
) -> None:
    found = first_offset(resumed, low=low, end=end, where="tape/0", compacted=compacted)
    assert found == start


@pytest.mark.parametrize(
    ("resumed", "low", "end", "compacted", "said"),
    [
        (None, 4, 9, False, "tape/0 begins at offset 4, not at 0, and there is no snapshot"),
        (3, 4, 9, False, "offset 3 of tape/0, which now begins at 4: 1 records are gone"),
        (10, 0, 9, False, "offset 10 of tape/0, which ends at 9"),
        (10, 0, 9, True, "offset 10 of tape/0, which ends at 9"),
    ],
)
def test_a_log_that_is_not_whole_is_refused(
    resumed: int | None, low: int, end: int, compacted: bool, said: str
) -> None:
    with pytest.raises(StartRefused, match=rf"{said}.*truecopy rebuild"):
        first_offset(resumed, low=low, end=end, where="tape/0", compacted=compacted)
