"""Where a tape and its journal are read from: Kafka, an archive, or the archive and Kafka's tail.

A recording gives the records of one shard's topics in offset order, without a hole in those that
are kept; it holds a few batches in memory, never a topic. Nothing is ever written here.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import NamedTuple, Protocol, TypeVar

from connectors.kafka.consumer import BEGINNING, PartitionReader, Row
from flows.exporting.places import KEPT
from infra.tape import open_reader
from schemas import codec
from schemas.records.base import Record
from schemas.records.system import Genesis
from schemas.wiring import KafkaWiring

BATCH = 5_000
WAIT_S = 0.5


T = TypeVar("T")
_row_offset: Callable[[Row], int] = attrgetter("offset")
_pair_offset: Callable[[tuple[int, bytes]], int] = itemgetter(0)


class RecordingBroken(RuntimeError):
    """A recording that cannot be read whole; the message names the place and what to do."""


class Span(NamedTuple):
    """First offset that is there and the one after the last."""

    low: int
    end: int


class Recording(Protocol):
    """Records of one shard. name: how messages call it."""

    name: str
    partition: int

    def span(self, topic: str) -> Span:
        """From where to where a topic reaches (its name without prefix)."""
        ...

    def rows(self, topic: str, start: int = 0, end: int | None = None) -> Iterator[list[Row]]:
        """Batches of whole records in [start, end), as they stand; end None: to the end now."""
        ...

    def values(
        self, topic: str, start: int = 0, end: int | None = None
    ) -> Iterator[list[tuple[int, bytes]]]:
        """The same as (offset, value), for whoever needs no more and is in a hurry."""
        ...


class KafkaRecording:
    """What a broker holds now."""

    def __init__(self, kafka: KafkaWiring) -> None:
        self.name = f"Kafka at {kafka.bootstrap}"
        self.partition = kafka.shard
        self._kafka = kafka

    def span(self, topic: str) -> Span:
        """The partition's watermarks."""
        # From the beginning there is, not from 0: librdkafka sometimes never closes a reader whose
        # offset has left the log (1 of 887 tries).
        with self._reader(topic, BEGINNING) as reader:
            return Span(*reader.watermarks(f"{self._kafka.prefix}{topic}", self.partition))

    def rows(self, topic: str, start: int = 0, end: int | None = None) -> Iterator[list[Row]]:
        """Whole records; a kept topic must begin at start and have no hole."""
        yield from self._batches(topic, start, end, PartitionReader.read, _row_offset)

    def values(
        self, topic: str, start: int = 0, end: int | None = None
    ) -> Iterator[list[tuple[int, bytes]]]:
        """The same, without keys and headers."""
        yield from self._batches(topic, start, end, PartitionReader.read_values, _pair_offset)

    def _batches(
        self,
        topic: str,
        start: int,
        end: int | None,
        read: Callable[[PartitionReader, int, float], list[T]],
        offset_of: Callable[[T], int],
    ) -> Iterator[list[T]]:
        low, last = self.span(topic)
        upto = last if end is None else min(end, last)
        due = start if topic in KEPT else max(start, low)
        if due < upto and low > due:
            raise RecordingBroken(
                f"{topic}/{self.partition} of {self.name} begins at offset {low}, {due} is wanted: "
                "name the archive that has the rest with --from DIR"
            )
        with self._reader(topic, due) as reader:
            place = (f"{self._kafka.prefix}{topic}", self.partition)
            while reader.position[place] < upto:
                found = read(reader, BATCH, WAIT_S)
                offsets = list(map(offset_of, found))
                if offsets and offsets[-1] >= upto:
                    count = bisect_left(offsets, upto)
                    found, offsets = found[:count], offsets[:count]
                if found and topic in KEPT:
                    contiguous(topic, offsets, due, self.name)
                    due = offsets[-1] + 1
                if found:
                    yield found

    def _reader(self, topic: str, offset: int) -> PartitionReader:
        return open_reader(self._kafka, topic, offset=offset, partition=self.partition)


class Joined:
    """An archive as far as it goes, then Kafka. Where both have a record it must be the same."""

    def __init__(self, archive: Recording, tail: Recording) -> None:
        self.name = f"{archive.name} and {tail.name}"
        self.partition = archive.partition
        self._archive = archive
        self._tail = tail
        self._checked: dict[str, None] = {}

    def span(self, topic: str) -> Span:
        """From the archive's beginning to Kafka's end."""
        old, new = self._archive.span(topic), self._tail.span(topic)
        if old.end <= old.low:
            return new
        if new.low > old.end and topic in KEPT:
            raise RecordingBroken(
                f"{topic}: {self._archive.name} ends at offset {old.end}, {self._tail.name} begins "
                f"at {new.low}: {new.low - old.end} records are in neither"
            )
        self._check_seam(topic, old, new)
        return Span(old.low, max(old.end, new.end))

    def rows(self, topic: str, start: int = 0, end: int | None = None) -> Iterator[list[Row]]:
        """Whole records of both, in order."""
        seam = self._seam(topic)
        upto = self.span(topic).end if end is None else end
        if start < seam:
            yield from self._archive.rows(topic, start, min(seam, upto))
        if upto > seam:
            yield from self._tail.rows(topic, max(start, seam), upto)

    def values(
        self, topic: str, start: int = 0, end: int | None = None
    ) -> Iterator[list[tuple[int, bytes]]]:
        """The same, without keys and headers."""
        seam = self._seam(topic)
        upto = self.span(topic).end if end is None else end
        if start < seam:
            yield from self._archive.values(topic, start, min(seam, upto))
        if upto > seam:
            yield from self._tail.values(topic, max(start, seam), upto)

    def _seam(self, topic: str) -> int:
        old = self._archive.span(topic)
        return old.end if old.end > old.low else 0

    def _check_seam(self, topic: str, old: Span, new: Span) -> None:
        """The archive's last record, where Kafka still has it: another log would differ there."""
        last = old.end - 1
        if topic in self._checked or not new.low <= last or topic not in KEPT:
            return
        mine = [pair for batch in self._archive.values(topic, last, old.end) for pair in batch]
        theirs = [pair for batch in self._tail.values(topic, last, old.end) for pair in batch]
        if mine != theirs:
            raise RecordingBroken(
                f"{topic} at offset {last} is not the same in {self._archive.name} and in "
                f"{self._tail.name}: they are recordings of two logs"
            )
        self._checked[topic] = None


def contiguous(topic: str, offsets: list[int], due: int, name: str) -> None:
    """Raise RecordingBroken at the first offset that does not follow the one before."""
    if offsets[0] == due and offsets[-1] - offsets[0] == len(offsets) - 1:
        return
    before, found = next((a, b) for a, b in pairwise([due - 1, *offsets]) if b != a + 1)
    raise RecordingBroken(
        f"{topic} of {name}: offset {found} follows {before}, offset {before + 1} is missing"
    )


def decoded(recording: Recording, offset: int, value: bytes) -> Record:
    """The tape's record there; raises RecordingBroken, which names its offset."""
    try:
        return codec.decode(value)
    except codec.UndecodableRecord as error:
        raise RecordingBroken(
            f"offset {offset} of the tape in {recording.name} cannot be decoded: {error}"
        ) from error


def genesis_of(recording: Recording) -> Genesis:
    """The tape's first record; raises RecordingBroken if it is no Genesis."""
    for batch in recording.values("tape", 0, 1):
        for offset, value in batch:
            record = decoded(recording, offset, value)
            if isinstance(record, Genesis):
                return record
            raise RecordingBroken(
                f"offset 0 of the tape in {recording.name} holds {type(record).__name__}, not "
                "Genesis: it is no tape of ours"
            )
    raise RecordingBroken(f"the tape in {recording.name} is empty: there is nothing to fold")
