"""Spans exported by processes of their own: the archive is what one process would have made it."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.exporting.places import Span, spans_of
from flows.exporting.slices import Limits
from infra.topics import declared
from schemas.records.system import Tick
from tests.waiting import WAIT_S

SMALL = Limits(block_rows=100, slice_rows=250)
SPAN_ROWS = 400

APART = """
import logging, sys, threading
from pathlib import Path
from flows import export_ahead
from flows.engine.launch import run
from flows.export import Export, build, identity_of
from flows.export_source import Tally, places_of
from schemas.wiring import KafkaWiring

def main(bootstrap, prefix, wait_ms, folder, span_rows, stop_s):
    logging.basicConfig(level=logging.INFO)
    export_ahead.STOP_S, export_ahead.LOOK_S = float(stop_s), 0.001
    stop, folder = threading.Event(), Path(folder)
    kafka = KafkaWiring(bootstrap=bootstrap, prefix=prefix, fetch_wait_ms=int(wait_ms))
    identity = identity_of(kafka, folder, stop=stop)
    export = Export(
        kafka=kafka, folder=folder, tape_id=identity.tape_id, places=places_of(kafka, stop=stop),
        once=True, group=None, processes=2, span_rows=int(span_rows),
    )
    flow = build(export, stop=stop, tally=Tally())
    sys.exit(
        run(flow, stop=stop, epoch_s=20, recovery_dir=folder / ".state", identity=identity)
    )

if __name__ == "__main__":
    main(*sys.argv[1:])
"""
"""`truecopy export --once`, with spans small enough for a test."""


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("topic=tape/kind=Tick/**/*.parquet"))


@pytest.fixture
def ticks(as_sent: Callable[..., Any]) -> Callable[[int, int], list[Any]]:
    def of(first: int, end: int) -> list[Any]:
        now_ms = 1_795_000_000_000
        return [
            as_sent(Tick(producer="public", seq=seq, now_ms=now_ms + seq, feeds={}))
            for seq in range(first, end)
        ]

    return of


@given(first=st.integers(0, 10**9), count=st.integers(0, 5_000), rows=st.integers(1, 700))
def test_spans_cover_every_offset_once_and_little_is_not_cut_at_all(
    first: int, count: int, rows: int
) -> None:
    spans = list(spans_of(first, first + count, rows))
    assert bool(spans) == (count >= rows)
    if spans:
        assert [offset for span in spans for offset in range(*span)] == [
            *range(first, first + count)
        ]
        assert all(span.end - span.first == rows for span in spans[:-1])


def test_spans_begin_where_reading_is_to_begin() -> None:
    assert list(spans_of(5, 30, 10)) == [Span(5, 15), Span(15, 25), Span(25, 30)]


def test_processes_export_every_record_once_each_span_in_slices_of_its_own(
    pipeline: Any, ticks: Callable[[int, int], list[Any]], tmp_path: Path
) -> None:
    pipeline.begin()
    raw = [each._replace(topic="raw.data") for each in ticks(0, 30)]
    pipeline.send(*ticks(1, 1_000), *raw)
    tally = pipeline.export(tmp_path, limits=SMALL, processes=2, span_rows=SPAN_ROWS)
    assert pipeline.assert_exported(tmp_path) == 1_030
    assert tally.read == tally.due == tally.rows.total() == 1_030
    assert tally.rows["tape"] == 1_000
    ranges = [tuple(int(part) for part in name[6:-8].split("-")) for name in names(tmp_path)]
    # Offset 0 holds Genesis, which has a file of its own of the same range.
    assert ranges == [(0, 249), (250, 399), (400, 649), (650, 799), (800, 999)]
    # What came since is little, and the dataflow's own.
    pipeline.send(*ticks(1_000, 1_010))
    again = pipeline.export(tmp_path, limits=SMALL, processes=2, span_rows=SPAN_ROWS)
    assert again.rows.total() == 10
    assert pipeline.assert_exported(tmp_path) == 1_040


def test_files_that_nobody_noted_are_replaced_by_spans_of_any_other_range(
    pipeline: Any, ticks: Callable[[int, int], list[Any]], tmp_path: Path
) -> None:
    """A run of one process was killed before it noted what it wrote; several go on."""
    folder, kept = tmp_path / "archive", tmp_path / "kept"
    pipeline.begin()
    pipeline.send(*ticks(1, 100))
    pipeline.export(folder)
    shutil.copytree(folder / ".state", kept)
    pipeline.send(*ticks(100, 1_000))
    pipeline.export(folder)
    assert names(folder)[-1].endswith(f"{100:020d}-{999:020d}.parquet"), "one file for them all"
    shutil.rmtree(folder / ".state")
    shutil.copytree(kept, folder / ".state")
    pipeline.export(folder, processes=2, span_rows=SPAN_ROWS)
    assert len(names(folder)) == 4
    assert pipeline.assert_exported(folder) == 1_000


def test_what_a_process_refuses_ends_the_export_with_its_code_and_notes_nothing(
    pipeline: Any,
    topics: Any,
    ticks: Callable[[int, int], list[Any]],
    tmp_path: Path,
    caplog: Any,
) -> None:
    pipeline.begin("one")
    pipeline.send(*ticks(1, 1_000))
    pipeline.export(tmp_path)
    other = pipeline.beside("other.")
    shutil.rmtree(tmp_path / ".state")
    stays = {file: file.read_bytes() for file in tmp_path.glob("topic=*/**/*.parquet")}
    for name, topic in declared("other.").items():
        topics.make(name, 1 if topic.partitions == 1 else 2)
    other.begin("two")
    other.send(*ticks(1, 1_000))
    other.export(tmp_path, processes=2, span_rows=SPAN_ROWS, code=89)
    assert "belongs to tape one" in caplog.text
    assert {file: file.read_bytes() for file in stays} == stays


@pytest.mark.parametrize(
    ("number", "code", "stop_s"),
    [(signal.SIGKILL, -signal.SIGKILL, 10), (signal.SIGTERM, 0, 10), (signal.SIGTERM, 0, 0)],
    ids=["killed", "told to stop", "told to stop, and its spans take too long"],
)
def test_ended_while_processes_export_it_leaves_none_behind_and_every_record_once(
    pipeline: Any,
    ticks: Callable[[int, int], list[Any]],
    wait_until: Callable[..., None],
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    stop_s: int,
) -> None:
    pipeline.begin()
    pipeline.send(*ticks(1, 16_000))
    kafka = pipeline.kafka
    words = ["-c", APART, kafka.bootstrap, kafka.prefix, str(kafka.fetch_wait_ms)]
    process = pipeline.run_python([*words, str(tmp_path / "archive"), "100", str(stop_s)])
    wait_until(lambda: len(names(tmp_path / "archive")) > 3, "some spans are exported")
    began = children(process.pid)
    assert len(began) >= 2, "two processes export"
    process.send_signal(number)
    said, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == code, said.decode()
    assert (b"stopped while offsets" in said) == (stop_s == 0), said.decode()
    wait_until(lambda: not any(map(alive, began)), "its processes have died with it")
    assert 0 < len(names(tmp_path / "archive")) < 160, "it was ended on the way"
    pipeline.export(tmp_path / "archive", processes=2, span_rows=4_000)
    assert pipeline.assert_exported(tmp_path / "archive") == 16_000


def children(pid: int) -> list[int]:
    """Every process below this one; the tether between them included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            below = int(stat.parent.name)
            found += [below, *children(below)]
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
