"""An archive read back in offset order: the Parquet files of `truecopy export` as a recording.

A slice's files hold its records by kind and day. They are read side by side, one row group of each
at a time, and merged by offset, so that memory holds some row groups, never a slice. Only the exact
bytes are read, no typed column. Files are never changed.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.kafka.consumer import Row
from flows.exporting.archive import Range
from flows.exporting.places import KEPT
from infra.proof.recordings import RecordingBroken, Span, contiguous

LEAN = ("offset", "value")
WHOLE = ("offset", "timestamp", "key", "headers", "value")

Found = tuple[Any, ...]
"""Columns of one record in the order of LEAN or WHOLE; its offset is unique, so tuples sort."""


@dataclass
class _File:
    """One file of a slice: what is read and not yet merged, and how many row groups were read."""

    path: Path
    parquet: pq.ParquetFile
    columns: tuple[str, ...]
    waiting: list[Found] = field(default_factory=list)
    group: int = 0

    def fill(self) -> None:
        """Have something waiting, if there is anything left."""
        while not self.waiting and self.more:
            with _named(self.path):
                table = self.parquet.read_row_group(self.group, columns=list(self.columns))
                columns = [_plain(name, table[name]) for name in self.columns]
                self.waiting = list(zip(*columns, strict=True))
            self.group += 1

    @property
    def more(self) -> bool:
        """Whether the file has row groups that are not read yet."""
        return bool(self.group < self.parquet.num_row_groups)

    def take(self, upto: int | None) -> list[Found]:
        """Those up to an offset, the offset included; None takes all."""
        if upto is None or (self.waiting and self.waiting[-1][0] <= upto):
            taken, self.waiting = self.waiting, []
            return taken
        count = sum(1 for row in self.waiting if row[0] <= upto)
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken


class Archive:
    """The archive in a folder, one partition of it."""

    def __init__(self, folder: Path, partition: int = 0) -> None:
        if not folder.is_dir():
            raise RecordingBroken(f"there is no archive in {folder}: no such folder")
        self.name = f"the archive in {folder}"
        self.partition = partition
        self._folder = folder
        self._known: dict[str, dict[Range, list[Path]]] = {}

    def span(self, topic: str) -> Span:
        """From the first slice's beginning to the last one's end."""
        ranges = list(self._slices(topic))
        return Span(ranges[0].first, ranges[-1].last + 1) if ranges else Span(0, 0)

    def rows(self, topic: str, start: int = 0, end: int | None = None) -> Iterator[list[Row]]:
        """Whole records, exactly as Kafka held them."""
        for found in self._merged(topic, WHOLE, start, end):
            yield [
                Row(
                    topic=topic,
                    partition=self.partition,
                    offset=offset,
                    timestamp_ms=timestamp_ms,
                    key=key,
                    headers={pair["name"]: pair["value"] or b"" for pair in headers},
                    value=value or b"",
                )
                for offset, timestamp_ms, key, headers, value in found
            ]

    def values(
        self, topic: str, start: int = 0, end: int | None = None
    ) -> Iterator[list[tuple[int, bytes]]]:
        """(offset, value) of the same."""
        yield from self._merged(topic, LEAN, start, end)

    def _merged(
        self, topic: str, columns: tuple[str, ...], start: int, end: int | None
    ) -> Iterator[list[Found]]:
        due = start
        for found in self._ordered(topic, columns, start, end):
            inside = found
            if found[0][0] < start or (end is not None and found[-1][0] >= end):
                inside = [r for r in found if start <= r[0] and (end is None or r[0] < end)]
            if not inside:
                continue
            if topic in KEPT:
                first, last = inside[0][0], inside[-1][0]
                if first != due or last - first != len(inside) - 1:
                    contiguous(topic, [row[0] for row in inside], due, self.name)
                due = last + 1
            yield inside

    def _ordered(
        self, topic: str, columns: tuple[str, ...], start: int, end: int | None
    ) -> Iterator[list[Found]]:
        for range_, paths in self._slices(topic).items():
            if range_.last < start or (end is not None and range_.first >= end):
                continue
            files = [_File(path, _opened(path), columns) for path in paths]
            yield from _side_by_side(files)

    def _slices(self, topic: str) -> dict[Range, list[Path]]:
        """Files by slice, in order; raises RecordingBroken where two slices overlap."""
        if topic not in self._known:
            found: defaultdict[Range, list[Path]] = defaultdict(list)
            for path in (self._folder / f"topic={topic}").glob("kind=*/date=*/*.parquet"):
                range_ = Range.of(path.name)
                if range_ is not None and range_.partition == self.partition:
                    found[range_].append(path)
            self._known[topic] = {range_: sorted(found[range_]) for range_ in sorted(found)}
            self._check(topic)
        return self._known[topic]

    def _check(self, topic: str) -> None:
        ranges = list(self._known[topic])
        for before, after in pairwise(ranges):
            if before.overlaps(after):
                raise RecordingBroken(
                    f"{topic} of {self.name}: files {before.name()} and {after.name()} overlap: an "
                    "export was killed here; `truecopy export --once` puts it right"
                )


def _opened(path: Path) -> pq.ParquetFile:
    """A file whose pages are held against their checksums as they are read."""
    with _named(path):
        return pq.ParquetFile(path, page_checksum_verification=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What cannot be read, by the file's name."""
    try:
        yield
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        raise RecordingBroken(
            f"{path} is not as it was written: {error}. Take the file from a copy; or, while Kafka "
            "has these records, export them anew into another folder"
        ) from error


def _side_by_side(files: list[_File]) -> Iterator[list[Found]]:
    """Records of one slice's files, merged; each time as far as all files are read."""
    while True:
        for file in files:
            file.fill()
        open_ = [file for file in files if file.waiting]
        if not open_:
            return
        upto = min((file.waiting[-1][0] for file in open_ if file.more), default=None)
        found = [row for file in open_ for row in file.take(upto)]
        found.sort(key=_offset)
        yield found


def _offset(row: Found) -> int:
    offset: int = row[0]
    return offset


def _plain(name: str, column: Any) -> list[Any]:
    if name == "timestamp":
        column = column.cast("int64")
    values: list[Any] = column.to_pylist()
    return values
