"""Files of the archive: named by a closed offset range, whole or not there, never doubled.

    <folder>/topic=tape/kind=Depth/date=2026-11-23/00000-<first>-<last>.parquet
                                                   partition, then the slice's offsets

A slice's files hold every record of its range, each in the file of its kind and day. They are
written aside (`.open/`), synced, and then moved to their names. Writing a slice again replaces
them; a file of another range that overlaps (left by a run that was killed before it could note how
far it had come) is removed once the new one stands, since all its records are written again.

What is never removed: a file of another tape, and one that holds records from before the slice
that replaces it: those may be gone from Kafka. Both are refused by name.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.engine.errors import StartRefused
from flows.exporting.places import Span
from flows.exporting.tables import BASE, UNDECODED, layout
from schemas.records.system import SCHEMA_VERSION

OPEN = ".open"
_NAME = re.compile(r"(\d{5})-(\d{20})-(\d{20})\.parquet")
_NO_STATISTICS = frozenset({"value", "headers"})
"""Nobody searches by them, and values are long."""
COMPRESSION_LEVEL = 1
NOBODY = Span(0, 0)


class Range(NamedTuple):
    """What a file's name says: partition, first and last offset of its slice."""

    partition: int
    first: int
    last: int

    def name(self) -> str:
        """The file's name."""
        return f"{self.partition:05d}-{self.first:020d}-{self.last:020d}.parquet"

    @classmethod
    def of(cls, name: str) -> "Range | None":
        """The range in a name; None if it is no name of ours."""
        found = _NAME.fullmatch(name)
        return None if found is None else cls(*map(int, found.groups()))

    def overlaps(self, other: "Range") -> bool:
        """Whether both may hold the same record."""
        same = self.partition == other.partition
        return same and self.first <= other.last and other.first <= self.last


class Origin(NamedTuple):
    """Where records came from. tape_id: of the Genesis that their pipeline began with."""

    tape_id: str
    topic: str
    full_topic: str
    partition: int


class Written(NamedTuple):
    """What one slice became."""

    rows: int
    files: int
    size: int


class SliceWriter:
    """The open files of one slice.

    others: offsets before it that other processes write meanwhile; a file that begins there is for
    them to replace, since one of them knows whether Kafka still has its first record.
    """

    def __init__(self, folder: Path, origin: Origin, first: int, others: Span = NOBODY) -> None:
        self._folder = folder
        self._origin = origin
        self._first = first
        self._others = others
        self._open: dict[tuple[str, str], pq.ParquetWriter] = {}
        self._rows = 0

    def write(self, tables: dict[tuple[str, str], pa.Table]) -> None:
        """One row group in each file that the tables touch."""
        for place, table in tables.items():
            if place not in self._open:
                self._open[place] = self._writer(place, table)
            self._open[place].write_table(table, row_group_size=len(table))
            self._rows += len(table)

    def close(self, last: int) -> Written:
        """Finish the files, give them their names, remove what they replace."""
        found = Range(self._origin.partition, self._first, last)
        targets = {place: self._target(place) / found.name() for place in self._open}
        for place, writer in self._open.items():
            writer.add_key_value_metadata({"truecopy.range": f"{self._first}-{last}"})
            writer.close()
            _sync(self._aside(place))
        replaced = {old for path in targets.values() for old in self._replaced(path, found)}
        for place, path in targets.items():
            _make(path.parent)
            self._aside(place).replace(path)
            _sync(path.parent)
        for old in sorted(replaced - set(targets.values())):
            old.unlink()
            _sync(old.parent)
        size = sum(path.stat().st_size for path in targets.values())
        return Written(self._rows, len(targets), size)

    def _writer(self, place: tuple[str, str], table: pa.Table) -> pq.ParquetWriter:
        aside = self._aside(place)
        _make(aside.parent)
        searched = [name for name in table.column_names if name not in _NO_STATISTICS]
        return pq.ParquetWriter(
            aside,
            table.schema.with_metadata(self._metadata(place[0])),
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=[name for name in searched if _repeats(table[name])],
            write_statistics=searched,
            write_page_checksum=True,
            sorting_columns=[pq.SortingColumn(BASE.get_field_index("offset"))],
        )

    def _metadata(self, kind: str) -> dict[str, str]:
        origin = self._origin
        return {
            "truecopy.schema": str(SCHEMA_VERSION),
            "truecopy.kind": kind,
            "truecopy.kind_version": str(layout(kind, sealed=False).version),
            "truecopy.tape": origin.tape_id,
            "truecopy.topic": origin.full_topic,
            "truecopy.partition": str(origin.partition),
        }

    def _aside(self, place: tuple[str, str]) -> Path:
        origin = self._origin
        name = f"{origin.topic}-{origin.partition}-{self._first}-{place[0]}-{place[1]}.parquet"
        return self._folder / OPEN / name

    def _target(self, place: tuple[str, str]) -> Path:
        return (
            self._folder / f"topic={self._origin.topic}" / f"kind={place[0]}" / f"date={place[1]}"
        )

    def _replaced(self, path: Path, written: Range) -> Iterator[Path]:
        """Files that this one takes the place of; raises StartRefused if one must stay."""
        # What the release before could not decode lies elsewhere than where it is written now.
        undecoded = path.parent.parent.with_name(f"kind={UNDECODED}") / path.parent.name
        for folder in {path.parent: None, undecoded: None}:
            for old, found in _files(folder):
                if found.overlaps(written) and found.first not in range(*self._others):
                    self._check_replaced(old)
                    yield old

    def _check_replaced(self, old: Path) -> None:
        found = pq.read_metadata(old)
        tape_id = (found.metadata or {}).get(b"truecopy.tape", b"").decode()
        if tape_id != self._origin.tape_id:
            raise StartRefused(
                f"{old} belongs to tape {tape_id or 'unknown'}, this is {self._origin.tape_id}: "
                "one archive folder a tape; export to another folder"
            )
        column = BASE.get_field_index("offset")
        least = found.row_group(0).column(column).statistics.min
        if least < self._first:
            raise StartRefused(
                f"{old} was not yet noted as written, and holds records from offset {least}, which "
                f"Kafka no longer has (it goes on at {self._first}): move it out of the archive, "
                "then start again"
            )


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether a dictionary is worth trying, by the first block: ids and times hardly repeat."""
    if pa.types.is_nested(column.type):
        return True
    return bool(2 * pc.count_distinct(column).as_py() < len(column))


def clear_aside(folder: Path) -> int:
    """Remove files that a killed run left open; how many. Only while nobody else writes here."""
    left = list((folder / OPEN).glob("*.parquet"))
    for path in left:
        path.unlink()
    return len(left)


def _files(folder: Path) -> Iterator[tuple[Path, Range]]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        found = Range.of(path.name)
        if found is not None:
            yield path, found


def _make(folder: Path) -> None:
    """The folder and those above it, each of them durable."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
