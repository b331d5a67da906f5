"""Files: whole or not there, replaced by range, never taken from another tape."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from flows.engine.errors import StartRefused
from flows.exporting.archive import (
    NOBODY,
    Origin,
    Range,
    SliceWriter,
    Written,
    clear_aside,
)
from flows.exporting.places import Span
from flows.exporting.slices import Rows
from flows.exporting.tables import tables_of
from schemas import codec
from schemas.records.base import Token
from schemas.records.market import BookEpoch
from schemas.records.system import Tick

ORIGIN = Origin("t1", "tape", "x.tape", 0)
AT_MS = 1_795_000_000_000
DAY = "topic=tape/kind=Tick/date=2026-11-18"
Make = Callable[..., Rows]


def ticks(first: int, last: int) -> list[bytes]:
    made = (Tick(producer="p", seq=i, now_ms=AT_MS + i, feeds={}) for i in range(first, last + 1))
    return [codec.encode(tick) for tick in made]


def write(
    folder: Path,
    rows: Rows,
    *,
    first: int | None = None,
    origin: Origin = ORIGIN,
    blocks: int = 1,
    others: Span = NOBODY,
) -> Written:
    """One slice of these rows; its range may begin before them."""
    writer = SliceWriter(folder, origin, rows.offsets[0] if first is None else first, others)
    each = -(-len(rows) // blocks)
    for at in range(0, len(rows), each):
        writer.write(tables_of(origin.topic, origin.partition, rows.part(at, at + each)))
    return writer.close(rows.offsets[-1])


def names(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.glob("topic=*/**/*.parquet"))


def offsets(folder: Path) -> list[int]:
    return sorted(pl.read_parquet(f"{folder}/{DAY}/*.parquet")["offset"])


def test_a_file_is_named_by_partition_and_closed_range_in_a_folder_of_topic_kind_and_day(
    tmp_path: Path, rows_of: Make
) -> None:
    epoch = BookEpoch(token=Token("7"), epoch="e", state="live", reason="snapshot")
    rows = rows_of([*ticks(5, 7), codec.encode(epoch), b"?"], first=5)
    written = write(tmp_path, rows)
    range_ = "00000-00000000000000000005-00000000000000000009.parquet"
    assert names(tmp_path) == [
        f"topic=tape/kind={kind}/date=2026-11-18/{range_}"
        for kind in ("BookEpoch", "Tick", "_undecoded")
    ]
    assert Range.of(range_) == Range(0, 5, 9)
    assert Range(0, 5, 9).name() == range_
    assert (written.rows, written.files) == (5, 3)
    assert written.size == sum((tmp_path / name).stat().st_size for name in names(tmp_path))


def test_nothing_is_in_the_archive_before_a_slice_is_closed(tmp_path: Path, rows_of: Make) -> None:
    writer = SliceWriter(tmp_path, ORIGIN, 0)
    writer.write(tables_of("tape", 0, rows_of(ticks(0, 9))))
    assert names(tmp_path) == []
    writer.close(9)
    assert offsets(tmp_path) == list(range(10))
    assert clear_aside(tmp_path) == 0


def test_what_a_killed_run_left_open_is_cleared(tmp_path: Path, rows_of: Make) -> None:
    writer = SliceWriter(tmp_path, ORIGIN, 0)
    writer.write(tables_of("tape", 0, rows_of(ticks(0, 9))))
    assert clear_aside(tmp_path) == 1
    write(tmp_path, rows_of(ticks(0, 4)))
    assert offsets(tmp_path) == list(range(5))


def test_the_file_says_what_it_is_and_lets_a_query_skip(tmp_path: Path, rows_of: Make) -> None:
    write(tmp_path, rows_of(ticks(0, 99)), blocks=4)
    file = pq.ParquetFile(tmp_path / names(tmp_path)[0])
    said = {k.decode(): v.decode() for k, v in file.metadata.metadata.items()}
    del said["ARROW:schema"]
    assert said == {
        "truecopy.schema": "1",
        "truecopy.kind": "Tick",
        "truecopy.kind_version": "1",
        "truecopy.tape": "t1",
        "truecopy.topic": "x.tape",
        "truecopy.partition": "0",
        "truecopy.range": "0-99",
    }
    groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    assert len(groups) == 4
    offset = file.schema_arrow.get_field_index("offset")
    spans = [(g.column(offset).statistics.min, g.column(offset).statistics.max) for g in groups]
    assert spans == [(0, 24), (25, 49), (50, 74), (75, 99)]
    assert groups[0].sorting_columns[0].column_index == offset
    assert {groups[0].column(i).compression for i in range(groups[0].num_columns)} == {"ZSTD"}
    value = next(
        i for i in range(groups[0].num_columns) if groups[0].column(i).path_in_schema == "value"
    )
    assert groups[0].column(value).statistics is None


def test_polars_and_arrow_both_read_the_dataset_with_its_folders_as_columns(
    tmp_path: Path, rows_of: Make
) -> None:
    write(tmp_path, rows_of(ticks(0, 9)))
    by_polars = pl.scan_parquet(f"{tmp_path}/topic=tape/kind=Tick/").filter(pl.col("seq") > 6)
    assert by_polars.select("seq", "kind").collect().rows() == [(i, "Tick") for i in (7, 8, 9)]
    by_arrow = ds.dataset(tmp_path / "topic=tape/kind=Tick", partitioning="hive").to_table()
    assert by_arrow["seq"].to_pylist() == list(range(10))


def test_writing_a_slice_again_gives_the_same_names_and_bytes(
    tmp_path: Path, rows_of: Make
) -> None:
    rows = rows_of([*ticks(0, 20), b"?"])
    write(tmp_path, rows, blocks=3)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    write(tmp_path, rows, blocks=3)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


@pytest.mark.parametrize(
    "again",
    [
        [(0, 20)],
        [(0, 4), (5, 20)],
        [(0, 3), (4, 8), (9, 9), (10, 20)],
        [(0, 9), (10, 30)],
    ],
)
def test_slices_of_other_ranges_replace_those_that_overlap(
    tmp_path: Path, rows_of: Make, again: list[tuple[int, int]]
) -> None:
    write(tmp_path, rows_of(ticks(0, 4)))
    write(tmp_path, rows_of(ticks(5, 20), first=5))
    write(tmp_path, rows_of(ticks(0, 20)), origin=ORIGIN._replace(partition=1))
    for first, last in again:
        write(tmp_path, rows_of(ticks(first, last), first=first))
    found = pl.read_parquet(f"{tmp_path}/{DAY}/*.parquet").filter(pl.col("partition") == 0)
    assert sorted(found["offset"]) == list(range(again[-1][1] + 1))
    assert len([n for n in names(tmp_path) if "/00000-" in n]) == len(again)
    assert len([n for n in names(tmp_path) if "/00001-" in n]) == 1


def test_what_an_older_release_could_not_decode_moves_to_its_kind(
    tmp_path: Path, rows_of: Make
) -> None:
    """Left by a run that was killed before it noted them, and read again by a newer release."""
    unknown = [b'{"kind":"Tomorrow","v":1}'] * 3
    write(tmp_path, rows_of(unknown))
    write(tmp_path, rows_of(ticks(0, 5)))
    assert names(tmp_path) == [f"{DAY}/{Range(0, 0, 5).name()}"]


def test_a_file_of_another_tape_is_never_replaced(tmp_path: Path, rows_of: Make) -> None:
    write(tmp_path, rows_of(ticks(0, 9)), origin=ORIGIN._replace(tape_id="other"))
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    for last in (9, 12):
        with pytest.raises(StartRefused, match="belongs to tape other, this is t1"):
            write(tmp_path, rows_of(ticks(0, last)))
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_a_file_with_records_that_kafka_has_no_more_is_never_removed(
    tmp_path: Path, rows_of: Make
) -> None:
    """Retention overtook a killed run: what it wrote and did not note is the only copy left."""
    write(tmp_path, rows_of(ticks(0, 9)))
    with pytest.raises(
        StartRefused, match="holds records from offset 0, which Kafka no longer has"
    ):
        write(tmp_path, rows_of(ticks(5, 12), first=5))
    assert offsets(tmp_path) == list(range(10))


def test_a_file_that_begins_where_another_process_writes_is_replaced_by_that_one_alone(
    tmp_path: Path, rows_of: Make
) -> None:
    """It alone sees whether Kafka still has the file's first record."""
    old = Range(0, 100, 999)
    write(tmp_path, rows_of(ticks(*old[1:]), first=100))
    write(tmp_path, rows_of(ticks(500, 999), first=500), others=Span(100, 500))
    assert names(tmp_path) == [f"{DAY}/{r.name()}" for r in (old, Range(0, 500, 999))]
    with pytest.raises(StartRefused, match="holds records from offset 100, which Kafka no longer"):
        write(tmp_path, rows_of(ticks(101, 499), first=101), others=Span(100, 100))
    write(tmp_path, rows_of(ticks(100, 499), first=100), others=Span(100, 100))
    assert names(tmp_path) == [
        f"{DAY}/{r.name()}" for r in (Range(0, 100, 499), Range(0, 500, 999))
    ]
    assert offsets(tmp_path) == [*range(100, 1_000)]


def test_a_failed_write_leaves_the_archive_as_it_was(tmp_path: Path, rows_of: Make) -> None:
    write(tmp_path, rows_of(ticks(0, 9)))
    before = names(tmp_path)
    writer = SliceWriter(tmp_path, ORIGIN, 10)
    writer.write(tables_of("tape", 0, rows_of(ticks(10, 19), first=10)))
    for left in (tmp_path / ".open").iterdir():
        left.unlink()
    with pytest.raises(FileNotFoundError):
        writer.close(19)
    assert names(tmp_path) == before
