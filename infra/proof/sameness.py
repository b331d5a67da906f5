"""Is the archive what Kafka holds? Record by record, wherever both have them.

Compared are offset, the broker's timestamp, key, headers and value. Watch is left out: compaction
takes its records from Kafka as it likes.
"""

from collections.abc import Iterator
from typing import NamedTuple

from connectors.kafka.consumer import Row
from infra.proof.recordings import Recording

TOPICS = ("tape", "journal", "orders")


class Compared(NamedTuple):
    """One topic: records that are the same in both, and the first that is not (empty: none)."""

    topic: str
    same: int
    only_archive: int
    only_kafka: int
    difference: str


def compared(archive: Recording, kafka: Recording) -> Iterator[Compared]:
    """Each kept topic in turn."""
    for topic in TOPICS:
        old, new = archive.span(topic), kafka.span(topic)
        low, end = max(old.low, new.low), min(old.end, new.end)
        same, difference = 0, ""
        if low < end:
            same, difference = _same(
                _rows(archive.rows(topic, low, end)), _rows(kafka.rows(topic, low, end))
            )
        yield Compared(
            topic=topic,
            same=same,
            only_archive=max(0, new.low - old.low) if new.end else old.end - old.low,
            only_kafka=max(0, new.end - old.end),
            difference=difference,
        )


def _same(ours: Iterator[Row], theirs: Iterator[Row]) -> tuple[int, str]:
    same = 0
    for mine, other in zip(ours, theirs, strict=True):
        for name in ("offset", "timestamp_ms", "key", "headers", "value"):
            if getattr(mine, name) != getattr(other, name):
                return same, (
                    f"offset {mine.offset}, {name}: the archive has {getattr(mine, name)!r}, Kafka "
                    f"has {getattr(other, name)!r}"
                )
        same += 1
    return same, ""


def _rows(batches: Iterator[list[Row]]) -> Iterator[Row]:
    return (row for rows in batches for row in rows)
