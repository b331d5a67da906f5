"""The archive as a recording: nothing lost, nothing out of order, and the same state from it."""

import random
from pathlib import Path

import pytest

from connectors.kafka.consumer import Row
from infra.proof.archived import Archive
from infra.proof.digest import state_digest
from infra.proof.rebuild import rebuild
from infra.proof.recordings import Joined, RecordingBroken
from tests.proof.conftest import Memory

TOPICS = ("tape", "journal", "orders", "watch")


def test_an_archive_gives_back_every_record_exactly(recording, archive) -> None:
    found = Archive(archive)
    for topic in TOPICS:
        stands = recording.topics[topic]
        assert [row for rows in found.rows(topic) for row in rows] == stands
        pairs = [(row.offset, row.value) for row in stands]
        assert [pair for batch in found.values(topic) for pair in batch] == pairs
        assert found.span(topic) == recording.span(topic)


def test_any_stretch_can_be_read(recording, archive) -> None:
    for start, end in [(0, 1), (299, 301), (300, 600), (37, 400), (5, 5), (0, None)]:
        batches = Archive(archive).rows("tape", start, end)
        found = [row for rows in batches for row in rows]
        assert found == recording.topics["tape"][start:end]


def test_kafka_archive_and_archive_with_kafkas_tail_give_one_digest(recording, archive) -> None:
    """The archive, the same but for its end, and Kafka without its first third."""
    whole = state_digest(rebuild(recording).state)
    assert state_digest(rebuild(Archive(archive)).state) == whole
    tail = Memory()
    for topic, rows in recording.topics.items():
        tail.topics[topic] = rows[len(rows) // 3 :]
        for file in (archive / f"topic={topic}").rglob("*.parquet"):
            if len(rows) > 300 and int(file.stem.rpartition("-")[2]) == len(rows) - 1:
                file.unlink()
    joined = Joined(Archive(archive), tail)
    assert Archive(archive).span("tape").end < len(recording.topics["tape"])
    assert state_digest(rebuild(joined).state) == whole
    assert [row for rows in joined.rows("tape") for row in rows] == recording.topics["tape"]


def test_a_hole_between_archive_and_kafka_is_named(recording, archive_of) -> None:
    old = Memory({topic: rows[:100] for topic, rows in recording.topics.items()})
    tail = Memory({topic: rows[120:] for topic, rows in recording.topics.items()})
    joined = Joined(Archive(archive_of(old, "tape")), tail)
    with pytest.raises(RecordingBroken, match="20 records are in neither"):
        joined.span("tape")


def test_an_archive_of_another_log_is_refused_at_the_seam(recording, archive_of) -> None:
    old = Memory({topic: rows[:100] for topic, rows in recording.topics.items()})
    other = recording.edited("tape", 99, value=recording.topics["tape"][98].value)
    with pytest.raises(RecordingBroken, match="tape at offset 99 is not the same"):
        Joined(Archive(archive_of(old, "tape")), other).span("tape")


def test_a_lost_file_is_a_hole_with_its_offsets(archive) -> None:
    gone = sorted((archive / "topic=tape" / "kind=Tick").rglob("*.parquet"))[1]
    gone.unlink()
    with pytest.raises(RecordingBroken, match=r"offset \d+ follows \d+, offset \d+ is missing"):
        list(Archive(archive).values("tape"))


def test_overlapping_slices_are_refused(archive) -> None:
    file = sorted((archive / "topic=tape" / "kind=Tick").rglob("*.parquet"))[0]
    file.rename(file.with_name(file.name.replace("299.parquet", "310.parquet")))
    with pytest.raises(RecordingBroken, match="overlap"):
        list(Archive(archive).values("tape"))


def test_a_folder_that_is_none_is_said_to_be_none(tmp_path) -> None:
    with pytest.raises(RecordingBroken, match="no such folder"):
        Archive(tmp_path / "nowhere")


def test_no_byte_of_a_file_changes_unnoticed(recording, archive_of) -> None:
    """It is refused, or it is none that a record is read from (typed columns, statistics)."""
    folder = archive_of(Memory({"tape": recording.topics["tape"][:400]}), "tape")
    stands = recording.topics["tape"][:400]
    file = max((folder / "topic=tape").rglob("*.parquet"), key=lambda path: path.stat().st_size)
    whole, chance, noticed = file.read_bytes(), random.Random(7), 0
    for place in chance.sample(range(len(whole)), 100):
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        file.write_bytes(changed)
        said = read_or_refusal(folder)
        noticed += isinstance(said, str)
        assert said == stands or isinstance(said, str), f"byte {place} of {file.name}"
    assert noticed > 10


def read_or_refusal(folder: Path) -> list[Row] | str:
    try:
        return [row for rows in Archive(folder).rows("tape") for row in rows]
    except RecordingBroken as error:
        return str(error)
