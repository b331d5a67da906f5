"""Rows of topics: from a place on, the last few that are wanted, and what comes after.

Partitions are read in parallel and merged by the time that the broker noted; within one partition
order is that of the log. Reads only, commits nothing, waits through broker outages.
"""

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing

from connectors.kafka.config import consumer_config
from connectors.kafka.consumer import READ_MAX, PartitionReader, Place, Row
from infra.inspect.broker import Bounds, Broker
from infra.inspect.places import At, Since

WAIT_S = 0.2
QUEUED_KB = 8_192
"""Per reader, 64 MB by default: sixteen partitions are sixteen readers."""
CHUNK_MAX = 50_000


class BeyondEnd(ValueError):
    """An offset that no record has yet; the message says where the log ends."""


def between(broker: Broker, place: Place, start: int, end: int) -> Generator[Row, None, None]:
    """The records of one partition in [start, end)."""
    if start >= end:
        return
    with _reader(broker, {place: start}) as reader:
        for rows in reader.read_to({place: end}):
            yield from (row for row in rows if row.offset < end)


def after(broker: Broker, ends: dict[Place, int]) -> Iterator[list[Row]]:
    """Batches of what is appended from there on, for ever; an empty one when nothing came."""
    with _reader(broker, ends) as reader:
        while True:
            yield sorted(reader.read(READ_MAX, WAIT_S), key=_order)


def merged(broker: Broker, starts: dict[Place, int], bounds: dict[Place, Bounds]) -> Iterator[Row]:
    """The records of all partitions from their starts to their ends, by time."""
    with ExitStack() as stack:
        streams = [
            stack.enter_context(closing(between(broker, place, at, bounds[place].end)))
            for place, at in starts.items()
        ]
        yield from heapq.merge(*streams, key=_order)


def starts_of(broker: Broker, bounds: dict[Place, Bounds], place: At | Since) -> dict[Place, int]:
    """Where reading begins in each partition; what is gone already is passed over.

    Raises BeyondEnd for an offset that lies past the end.
    """
    if isinstance(place, At):
        for (topic, number), (_, end) in bounds.items():
            if place.offset > end:
                raise BeyondEnd(f"{topic}/{number} ends at offset {end}, before {place.offset}")
        return {each: max(place.offset, low) for each, (low, _) in bounds.items()}
    if not broker.embedded:
        return broker.since(bounds, place.ms)
    return {each: _first_since(broker, each, bounds[each], place.ms) for each in bounds}


def _first_since(broker: Broker, place: Place, bounds: Bounds, ms: int) -> int:
    """By looking at every record: the embedded broker knows no times, and holds few."""
    with closing(between(broker, place, *bounds)) as rows:
        return next((row.offset for row in rows if row.timestamp_ms >= ms), bounds.end)


def last_rows(
    broker: Broker, bounds: dict[Place, Bounds], count: int, wanted: Callable[[Row], bool]
) -> list[Row]:
    """The last so many wanted rows of all partitions together, oldest first."""
    found = [
        row
        for place, each in bounds.items()
        for row in last_of(
            lambda *range_, at=place: between(broker, at, *range_), each, count, wanted
        )
    ]
    return sorted(found, key=_order)[-count:]


def last_of(
    read: Callable[[int, int], Iterable[Row]],
    bounds: Bounds,
    count: int,
    wanted: Callable[[Row], bool],
) -> list[Row]:
    """The last so many wanted rows of one partition, read backwards in growing chunks."""
    found: list[Row] = []
    end, chunk = bounds.end, count
    while end > bounds.low and len(found) < count:
        start = max(bounds.low, end - chunk)
        found = [row for row in read(start, end) if wanted(row)] + found
        end, chunk = start, min(4 * chunk, CHUNK_MAX)
    return found[-count:]


def _order(row: Row) -> tuple[int, int, int]:
    return row.timestamp_ms, row.partition, row.offset


def _reader(broker: Broker, start: dict[Place, int]) -> PartitionReader:
    kafka = broker.kafka
    config = consumer_config(kafka.bootstrap, fetch_wait_ms=kafka.fetch_wait_ms)
    config["queued.max.messages.kbytes"] = QUEUED_KB
    return PartitionReader(config, start, name="truecopy-topics")
