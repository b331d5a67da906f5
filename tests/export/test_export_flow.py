"""The export against a broker: every record once, whatever happens on the way."""

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from connectors.kafka.errors import TopicMissing
from connectors.kafka.offsets import GroupOffsets
from flows.export import DEFAULT_LIMITS
from flows.export_source import Tally, TopicsSource, places_of
from flows.exporting.slices import Limits
from flows.exporting.tables import TOPICS
from infra.embedded import EmbeddedBroker
from infra.topics import declared
from schemas.records.market import BookEpoch
from schemas.records.system import Tick
from tests.waiting import WAIT_S

SMALL = Limits(block_rows=100, slice_rows=250)


def tick(seq: int) -> Tick:
    return Tick(producer="public", seq=seq, now_ms=1_795_000_000_000 + seq, feeds={})


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(folder.glob("topic=*/**/*.parquet"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def written(folder: Path) -> int:
    """Rows of all files, by their footers."""
    found = folder.glob("topic=*/**/*.parquet")
    return sum(pq.ParquetFile(file).metadata.num_rows for file in found)


def to_the_end(part: Any) -> Iterator[list[Any]]:
    while True:
        try:
            yield part.next_batch()
        except StopIteration:
            return


def test_the_topics_exported_are_all_that_are_declared() -> None:
    assert set(TOPICS) == set(declared())


def test_every_record_of_every_topic_is_exported_once_byte_for_byte(
    pipeline: Any, recorded_run: list[Any], tmp_path: Path
) -> None:
    pipeline.send(*recorded_run)
    tally = pipeline.export(tmp_path / "archive")
    assert pipeline.assert_exported(tmp_path / "archive") == len(recorded_run)
    assert tally.rows.total() == tally.read == tally.due == len(recorded_run)
    assert not list((tmp_path / "archive").glob("topic=*/kind=_undecoded"))


def test_deletions_empty_values_and_repeated_headers_are_kept_apart(
    pipeline: Any, as_sent: Callable[..., Any], stored: Callable[..., Any], tmp_path: Path
) -> None:
    pipeline.begin()
    plain = as_sent(tick(1))
    odd = [
        plain._replace(topic="cursors", value=None, headers=[]),
        plain._replace(topic="cursors", value=b"", key=b""),
        plain._replace(topic="dead", key=None, headers=[("a", b"1"), ("a", b"2"), ("b", None)]),
    ]
    pipeline.send(*odd)
    pipeline.export(tmp_path)
    found = stored(tmp_path, "cursors") + stored(tmp_path, "dead")
    assert [(row.key, row.value) for row in found] == [(s.key, s.value) for s in odd]
    assert [row.headers for row in found] == [s.headers for s in odd]
    assert list((tmp_path / "topic=cursors").glob("kind=_deleted"))


def test_what_comes_while_it_exports_once_is_due_next_time(
    pipeline: Any, as_sent: Callable[..., Any]
) -> None:
    """Read beyond the end that it was to stop at, and left out: it must not count as done."""
    pipeline.begin()
    records = [as_sent(tick(seq))._replace(topic="raw.data") for seq in range(5)]
    pipeline.send(*records[:3])
    stop = threading.Event()
    source = TopicsSource(
        pipeline.kafka,
        [place for place in places_of(pipeline.kafka, stop=stop) if place.topic == "raw.data"],
        stop=stop,
        tally=Tally(),
        group=None,
        once=True,
    )
    part = source.build_part("topics", "topics", None)
    try:
        pipeline.send(*records[3:])
        # Both are fetched by then, with the end behind them. If not, this proves less, not wrong.
        time.sleep(1)
        offsets = [
            offset for batch in to_the_end(part) for _, rows in batch for offset in rows.offsets
        ]
        assert offsets == [0, 1, 2]
        assert part.snapshot()["raw.data/0"] == 3
    finally:
        part.close()


def test_exporting_again_adds_what_is_new_and_touches_nothing_else(
    pipeline: Any, as_sent: Callable[..., Any], tmp_path: Path
) -> None:
    pipeline.begin()
    pipeline.send(*(as_sent(tick(i)) for i in range(600)))
    pipeline.export(tmp_path, limits=SMALL)
    before = files(tmp_path)
    assert pipeline.export(tmp_path, limits=SMALL).rows.total() == 0
    assert files(tmp_path) == before
    pipeline.send(*(as_sent(tick(i)) for i in range(600, 900)))
    assert pipeline.export(tmp_path, limits=SMALL).rows.total() == 300
    assert {name: data for name, data in files(tmp_path).items() if name in before} == before
    pipeline.assert_exported(tmp_path)


def test_a_run_that_was_killed_before_it_noted_its_files_leaves_neither_doubles_nor_holes(
    pipeline: Any, as_sent: Callable[..., Any], tmp_path: Path
) -> None:
    """The state of before is put back: the files are there, the note of them is not."""
    folder, kept = tmp_path / "archive", tmp_path / "kept"
    pipeline.begin()
    pipeline.send(*(as_sent(tick(i)) for i in range(400)))
    pipeline.export(folder, limits=SMALL)
    shutil.copytree(folder / ".state", kept)
    pipeline.send(*(as_sent(tick(i)) for i in range(400, 1_100)))
    pipeline.export(folder, limits=SMALL)
    first = files(folder)
    shutil.rmtree(folder / ".state")
    shutil.copytree(kept, folder / ".state")
    # As many records as before lead to the same files, more records to others.
    pipeline.export(folder, limits=SMALL)
    assert files(folder) == first
    shutil.rmtree(folder / ".state")
    shutil.copytree(kept, folder / ".state")
    pipeline.send(*(as_sent(tick(i)) for i in range(1_100, 1_250)))
    pipeline.export(folder, limits=SMALL)
    assert set(first) - set(files(folder)), "the last slice, now longer, has another name"
    assert pipeline.assert_exported(folder) == 1_251


def test_killed_twice_with_sigkill_while_records_come_in_it_has_every_record_once(
    pipeline: Any,
    as_sent: Callable[..., Any],
    wait_until: Callable[..., None],
    tmp_path: Path,
) -> None:
    pipeline.begin()
    sent = 0
    for kills in range(2):
        process = pipeline.start(tmp_path, "--every", "0.3")
        before = len(files(tmp_path))
        for _ in range(4 + kills):
            pipeline.send(*(as_sent(tick(i)) for i in range(sent, sent + 3_000)))
            sent += 3_000
            known = len(files(tmp_path))
            wait_until(lambda known=known: len(files(tmp_path)) > known, "the export goes on")
        # Records that it may have read and not yet noted, or noted and not yet written.
        pipeline.send(*(as_sent(tick(i)) for i in range(sent, sent + 3_000)))
        sent += 3_000
        process.send_signal(signal.SIGKILL)
        assert process.wait(WAIT_S) == -signal.SIGKILL
        assert len(files(tmp_path)) > before
    process = pipeline.start(tmp_path, "--once")
    said, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said.decode()
    assert b"rows in" in said
    assert pipeline.assert_exported(tmp_path) == sent + 1


def test_nothing_half_written_is_in_the_archive_and_sigterm_puts_what_was_read_there(
    pipeline: Any,
    as_sent: Callable[..., Any],
    stored: Callable[..., Any],
    wait_until: Callable[..., None],
    tmp_path: Path,
) -> None:
    pipeline.begin()
    pipeline.send(*(as_sent(tick(i)) for i in range(DEFAULT_LIMITS.block_rows)))
    process = pipeline.start(tmp_path, "--every", "3600")
    wait_until(lambda: any((tmp_path / ".open").glob("*")), "a block is written aside")
    assert files(tmp_path) == {}
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    found = stored(tmp_path, "tape")
    assert len(found) >= DEFAULT_LIMITS.block_rows
    assert found == pipeline.standing("tape")[: len(found)]
    assert not any((tmp_path / ".open").glob("*"))
    pipeline.export(tmp_path)
    pipeline.assert_exported(tmp_path)


def test_it_waits_through_a_broker_outage_and_shows_its_lag_to_kafkas_tools(
    embedded: EmbeddedBroker,
    make_pipeline: Callable[..., Any],
    as_sent: Callable[..., Any],
    wait_until: Callable[..., None],
    tmp_path: Path,
) -> None:
    for name, topic in declared().items():
        embedded.create_topic(name, topic.partitions)
    pipeline = make_pipeline(embedded.bootstrap)
    pipeline.begin()
    process = pipeline.start(tmp_path, "--every", "0.3")
    wait_until(lambda: files(tmp_path), "it has begun")
    embedded.down()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    embedded.up()
    pipeline.send(*(as_sent(tick(i)) for i in range(50)))
    group = GroupOffsets(embedded.bootstrap, "truecopy-export")
    wait_until(lambda: (found := group.committed("tape", 0)) and found.offset == 51, "it goes on")
    group.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    assert pipeline.assert_exported(tmp_path) == 51


def test_an_archive_of_another_tape_is_refused_and_left_alone(
    pipeline: Any, as_sent: Callable[..., Any], topics: Any, tmp_path: Path
) -> None:
    pipeline.begin("one")
    pipeline.export(tmp_path)
    before = files(tmp_path)
    other = pipeline.beside("other.")
    for name, topic in declared("other.").items():
        topics.make(name, 1 if topic.partitions == 1 else 2)
    other.begin("two")
    refused = other.export_apart(tmp_path)
    assert refused.code == 89
    assert "tape_id='one'" in refused.said
    shutil.rmtree(tmp_path / ".state")
    refused = other.export_apart(tmp_path)
    assert refused.code == 89
    assert "belongs to tape one" in refused.said
    assert files(tmp_path) == before


def test_an_empty_tape_and_a_missing_topic_are_named(pipeline: Any, tmp_path: Path) -> None:
    empty = pipeline.export_apart(tmp_path)
    assert empty.code == 1
    assert "is empty or does not begin with Genesis" in empty.said
    nobody = pipeline.beside("nobody-has-this.").kafka
    with pytest.raises(TopicMissing, match=r"no topic .*nobody-has-this\.tape"):
        places_of(nobody, stop=threading.Event())


@pytest.mark.parametrize(
    ("topic", "code", "words"),
    [
        ("raw.market", 0, "15 records had left Kafka"),
        ("journal", 89, "15 records were removed before they were exported"),
    ],
)
def test_records_that_left_kafka_before_they_were_exported_are_counted_or_refused(
    pipeline: Any,
    as_sent: Callable[..., Any],
    topics: Any,
    tmp_path: Path,
    topic: str,
    code: int,
    words: str,
) -> None:
    """Retention overtook the export: normal for raw topics, never for those that are kept."""
    if topics.broker.kind == "embedded":
        pytest.skip("the embedded broker cannot delete records")
    pipeline.begin()
    records = [as_sent(tick(i))._replace(topic=topic) for i in range(30)]
    pipeline.send(*records[:10])
    pipeline.export(tmp_path)
    pipeline.send(*records[10:])
    pipeline.delete_before(topic, 25)
    done = pipeline.export_apart(tmp_path)
    assert (done.code, words in done.said) == (code, True), done.said


def test_an_export_goes_on_when_the_exported_beginning_of_the_tape_was_removed(
    pipeline: Any,
    as_sent: Callable[..., Any],
    topics: Any,
    stored: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """What Kafka is there for until the archive has it, an operator may then remove."""
    if topics.broker.kind == "embedded":
        pytest.skip("the embedded broker cannot delete records")
    pipeline.begin()
    pipeline.send(*(as_sent(tick(i)) for i in range(10)))
    pipeline.export(tmp_path / "archive")
    pipeline.delete_before("tape", 8)
    pipeline.send(*(as_sent(tick(i)) for i in range(10, 15)))
    pipeline.export(tmp_path / "archive")
    assert [row.offset for row in stored(tmp_path / "archive", "tape")] == list(range(16))
    elsewhere = pipeline.export_apart(tmp_path / "elsewhere")
    assert elsewhere.code == 1
    assert "holds no archive that says which tape this is" in elsewhere.said


def test_the_graph_runs_under_bytewax_itself(
    pipeline: Any, as_sent: Callable[..., Any], wait_until: Callable[..., None], tmp_path: Path
) -> None:
    """`python -m bytewax.run flows.export:flow`, one-second epochs, settings from environment."""
    pipeline.begin()
    pipeline.send(*(as_sent(tick(i)) for i in range(20)))
    words = ["-m", "bytewax.run", "flows.export:flow", "--snapshot-interval", "1"]
    process = pipeline.run_python(words, TRUECOPY_ARCHIVE=str(tmp_path))
    wait_until(lambda: written(tmp_path) >= 21, "the epochs that hold all of it have ended")
    assert process.poll() is None
    process.kill()
    assert pipeline.assert_exported(tmp_path) == 21


def test_a_book_epoch_is_found_by_its_columns(
    pipeline: Any, as_sent: Callable[..., Any], tmp_path: Path
) -> None:
    pipeline.begin()
    epoch = BookEpoch(token="7", epoch="public-3.1", state="ended", reason="echo")  # type: ignore[arg-type]
    pipeline.send(as_sent(epoch))
    pipeline.export(tmp_path)
    found = pl.read_parquet(f"{tmp_path}/topic=tape/kind=BookEpoch/")
    assert found.select("token", "epoch", "state", "reason").row(0) == (
        "7",
        "public-3.1",
        "ended",
        "echo",
    )
    assert str(found["date"][0]) == "2026-11-18"
