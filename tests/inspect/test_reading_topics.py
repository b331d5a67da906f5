"""Reading a topic: from a place on, the last that match, merged by time, and what comes after."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.consumer import Row
from infra.inspect.broker import Bounds, Broker, UnknownTopic, choose
from infra.inspect.filters import Filter
from infra.inspect.names import Names
from infra.inspect.places import At, Since
from infra.inspect.reading import BeyondEnd, between, last_of
from infra.inspect.tail import Tail, TapeNames
from schemas import codec
from schemas.records.base import Record
from schemas.records.market import MarketMeta
from schemas.records.system import FlowStarted
from schemas.wiring import KafkaWiring

IDLE_MAX = 100


@pytest.fixture
def broker(shelf: Any) -> Callable[[], Broker]:
    """A look at the test's broker, as it is when called."""
    kafka = KafkaWiring(bootstrap=shelf.bootstrap, prefix=shelf.prefix, fetch_wait_ms=5)
    return lambda: Broker(kafka)


def started(shard: int) -> bytes:
    return codec.encode(FlowStarted(shard=shard, rules=1))


def tail_of(broker: Broker, topic: str, wanted: Filter = Filter()) -> Tail:  # noqa: B008
    return Tail(broker, broker.topic(topic).places, wanted, None)


def shards(items: Iterator[Any]) -> list[int]:
    return [item.record.shard for item in items]


# The last that match, without a broker.


def partition(values: list[bool], low: int) -> tuple[list[Row], Callable[[int, int], list[Row]]]:
    rows = [Row("t", 0, low + i, i, None, {}, b"1" if v else b"") for i, v in enumerate(values)]
    return rows, lambda start, end: [row for row in rows if start <= row.offset < end]


@given(st.lists(st.booleans(), max_size=200), st.integers(0, 1_000), st.integers(1, 30))
def test_the_last_that_match_are_found_however_far_back_they_lie(
    values: list[bool], low: int, count: int
) -> None:
    rows, read = partition(values, low)
    found = last_of(read, Bounds(low, low + len(rows)), count, lambda row: bool(row.value))
    assert found == [row for row in rows if row.value][-count:]


def test_nothing_is_read_twice_and_nothing_beyond_need() -> None:
    _, read = partition([True] * 1_000, 0)
    asked: list[tuple[int, int]] = []

    def counting(start: int, end: int) -> list[Row]:
        asked.append((start, end))
        return read(start, end)

    last_of(counting, Bounds(0, 1_000), 20, lambda row: True)
    assert asked == [(980, 1_000)]
    asked.clear()
    last_of(counting, Bounds(0, 1_000), 5, lambda row: row.offset < 3)
    assert asked[0] == (995, 1_000)
    assert asked[-1][0] == 0
    assert all(late[0] == early[1] for late, early in itertools.pairwise(asked))


# Names of topics, without a broker.


def test_a_topic_is_found_with_and_without_the_prefix() -> None:
    there = {"x.tape": 1, "x.raw.market": 16, "other": 2}
    assert choose(there, "x.", "tape") == ("x.tape", "tape", 1)
    assert choose(there, "x.", "x.raw.market") == ("x.raw.market", "raw.market", 16)
    assert choose(there, "x.", "other") == ("other", "other", 2)


@pytest.mark.parametrize(
    ("there", "hint"),
    [({"x.tape": 1, "x.journal": 1}, "did you mean tape?"), ({}, "run `truecopy topics apply`")],
)
def test_an_unknown_topic_is_refused_with_what_to_do(there: dict[str, int], hint: str) -> None:
    with pytest.raises(UnknownTopic, match=r"no topic x\.tpae") as refused:
        choose(there, "x.", "tpae")
    assert hint in str(refused.value)


# On both brokers.


def test_reading_begins_at_an_offset_or_at_a_time(shelf: Any, broker: Any) -> None:
    shelf.put("tape", *map(started, range(5)))
    time.sleep(0.05)
    middle_ms = time.time_ns() // 1_000_000
    shelf.put("tape", *map(started, range(5, 9)))
    tail = tail_of(broker(), "tape")
    assert shards(tail.since(At(3))) == [3, 4, 5, 6, 7, 8]
    assert shards(tail.since(Since(middle_ms))) == [5, 6, 7, 8]
    assert shards(tail.since(Since(0))) == list(range(9))
    assert shards(tail.since(Since(middle_ms + 3_600_000))) == []
    assert shards(tail.since(At(9))) == []
    assert shards(tail.last(2)) == [7, 8]
    assert shards(tail.last(100)) == list(range(9))
    with pytest.raises(BeyondEnd, match="ends at offset 9, before 10"):
        list(tail.since(At(10)))


def test_an_empty_topic_has_nothing_to_show(shelf: Any, broker: Any) -> None:
    tail = tail_of(broker(), "journal")
    assert list(tail.last(5)) == []
    assert list(tail.since(At(0))) == []


def test_partitions_are_merged_by_time(shelf: Any, broker: Any) -> None:
    for number in range(12):
        shelf.put("raw.data", b"%d" % number, partition=(number * 7) % 16)
        time.sleep(0.002)
    tail = tail_of(broker(), "raw.data")
    wanted = [b"%d" % number for number in range(12)]
    assert [item.row.value for item in tail.since(Since(0))] == wanted
    assert [item.row.value for item in tail.last(5)] == wanted[-5:]


def test_what_cannot_be_decoded_passes_every_filter(shelf: Any, broker: Any) -> None:
    shelf.put("tape", started(0), b"junk", b'{"kind":"Unheard"}', started(1))
    tail = tail_of(broker(), "tape", Filter(kinds=frozenset({"Tick"}), token="7"))
    assert [bool(item.problem) for item in tail.last(10)] == [True, True]


def test_following_shows_what_is_appended_and_nothing_twice(shelf: Any, broker: Any) -> None:
    shelf.put("tape", *map(started, range(3)))
    tail = tail_of(broker(), "tape")
    shelf.put("tape", *map(started, range(3, 6)))
    assert shards(tail.last(2)) == [1, 2]
    with closing(tail.follow()) as following:
        assert shards(itertools.islice(following, 3)) == [3, 4, 5]
        shelf.put("tape", started(6))
        assert shards(itertools.islice(following, 1)) == [6]


def market_of(golden: list[Record]) -> MarketMeta:
    return next(r for r in golden if isinstance(r, MarketMeta))


def test_names_come_from_the_tape_also_while_another_topic_is_followed(
    shelf: Any, broker: Any, golden: list[Record]
) -> None:
    meta = market_of(golden)
    token = meta.outcomes[0].token
    names = Names()
    view = broker()
    tail = Tail(view, view.topic("dead").places, Filter(), TapeNames(view, names))
    assert names.titles == {}
    shelf.records("tape", [meta])
    shelf.put("dead", started(0))
    with closing(tail.follow()) as following:
        next(following)
    assert names.token(token) == f"[{token[:8]} Up · {meta.title}]"


def test_names_are_found_at_both_ends_of_a_long_tape(
    shelf: Any, broker: Any, golden: list[Record]
) -> None:
    meta = market_of(golden)
    filler = started(0)
    shelf.records("tape", [meta])
    for _ in range(3_000):
        shelf.producer.append(f"{shelf.prefix}tape", filler, key=None, partition=0)
    assert shelf.producer.flush(20) == 0
    names = Names()
    TapeNames(broker(), names).look()
    assert names.titles == {meta.condition: meta.title}


def test_a_reading_that_is_broken_off_leaves_no_reader_behind(shelf: Any, broker: Any) -> None:
    shelf.put("tape", *map(started, range(5)))
    rows = between(broker(), (f"{shelf.prefix}tape", 0), 0, 5)
    assert next(rows).offset == 0
    rows.close()
    assert list(rows) == []
