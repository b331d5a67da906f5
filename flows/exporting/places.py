"""Which partitions are read and from where, and what of them is exported apart; pure."""

from collections.abc import Iterator
from typing import NamedTuple

from flows.engine.errors import StartRefused

KEPT = frozenset({"tape", "journal", "orders"})
"""Topics that Kafka keeps until the archive has them: a record missing there is never normal."""


class Place(NamedTuple):
    """A partition. topic is the name without prefix, full_topic the one that Kafka knows."""

    topic: str
    partition: int
    full_topic: str

    @property
    def key(self) -> str:
        """How dataflow and snapshots call it."""
        return f"{self.topic}/{self.partition}"


class Span(NamedTuple):
    """Records of one partition that are exported apart: from `first` on, below `end`."""

    first: int
    end: int


def spans_of(first: int, end: int, rows: int) -> Iterator[Span]:
    """[first, end) in spans of so many offsets, the last one shorter; none if there are fewer."""
    if end - first >= rows:
        for begin in range(first, end, rows):
            yield Span(begin, min(begin + rows, end))


class Start(NamedTuple):
    """Where to begin, and how many records are missing before it."""

    offset: int
    missing: int


def start_of(place: Place, resumed: int | None, *, low: int, end: int) -> Start:
    """The first offset to read; low and end are Kafka's, resumed what the last run noted.

    Raises StartRefused if the log ends before that, or if a topic that is kept has lost records.
    """
    if resumed is None:
        return Start(low, low if place.topic in KEPT else 0)
    if resumed > end:
        raise StartRefused(
            f"the archive goes on at offset {resumed} of {place.full_topic}/{place.partition}, "
            f"which ends at {end}: the broker lost records, or this is another log. Export to "
            "another folder"
        )
    missing = max(0, low - resumed)
    if missing and place.topic in KEPT:
        raise StartRefused(
            f"the archive goes on at offset {resumed} of {place.full_topic}/{place.partition}, "
            f"which begins at {low}: {missing} records were removed before they were exported. "
            "Put the topic's records back, or export to another folder"
        )
    return Start(max(resumed, low), missing)
