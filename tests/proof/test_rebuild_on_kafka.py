"""`truecopy rebuild` on a broker: the flow goes on from it, and refuses to without it."""

import signal
import time

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka.config import admin_config
from flows.core import RULES
from infra.cli.main import cli
from infra.proof.digest import state_digest
from infra.proof.rebuild import rebuild
from infra.proof.recordings import KafkaRecording
from infra.proof.refold import OURS
from schemas import codec
from tests.proof.conftest import write_archive
from tests.waiting import WAIT_S


def truecopy(bench, *words: str) -> Result:
    return CliRunner().invoke(cli, words, env=bench.environment())


def run_flow_to_the_end(bench, processes) -> None:
    started = sum(type(r).__name__ == "FlowStarted" for r in bench.tape_now())
    process = processes(bench.start())
    bench.wait_until_started(started + 1, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0


def test_a_flow_goes_on_from_a_rebuilt_snapshot_and_writes_the_uninterrupted_journal(
    bench, processes, put_on, made, small_lines
) -> None:
    whole = made(small_lines)
    half = whole.cut("tape", len(small_lines) // 2)
    for topic in ("journal", "orders", "watch"):
        rows = half.topics[topic]
        kept = [r for r in rows if codec.unseal(r.value)[0].cause < len(small_lines) // 2]
        half.topics[topic] = kept
    put_on(bench, half.cut("journal", len(half.topics["journal"]) - 1))
    found = truecopy(bench, "rebuild")
    assert found.exit_code == 0, found.output
    assert state_digest(rebuild(KafkaRecording(bench.kafka)).state) in found.output
    bench.put([codec.decode(line) for line in small_lines[len(small_lines) // 2 :]])
    process = processes(bench.start())
    bench.wait_until_folded(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    assert bench.raw_count("journal") == len(bench.values("journal"))
    log = (bench.folder / "flow.log").read_text()
    assert "state=replayed" not in log, "it went on from the snapshot, nothing was written again"


def test_a_journal_of_other_rules_is_refused_until_it_is_rebuilt_and_then_gone_on_with(
    bench, processes, put_on, made, small_lines, other_rules
) -> None:
    """An older release decided otherwise: its orders stay, ours follow under the next numbers."""
    older = made(small_lines, other_rules._replace(version=RULES - 1))
    ours = made(small_lines, OURS)
    assert [r.value for r in older.topics["orders"]] != [r.value for r in ours.topics["orders"]]
    put_on(bench, older)
    process = processes(bench.start())
    assert process.wait(WAIT_S) == 89
    log = (bench.folder / "flow.log").read_text()
    assert f"was decided by rules {RULES - 1}" in log
    assert "truecopy rebuild" in log
    found = truecopy(bench, "rebuild")
    assert found.exit_code == 0, found.output
    run_flow_to_the_end(bench, processes)
    for topic in ("journal", "orders"):
        stood = [row.value for row in older.topics[topic]]
        assert bench.values(topic)[: len(stood)] == stood
    assert not rebuild(KafkaRecording(bench.kafka)).missing


def test_a_snapshot_of_other_rules_is_refused_by_name(
    bench, processes, put_on, made, small_lines
) -> None:
    put_on(bench, made(small_lines))
    assert truecopy(bench, "rebuild").exit_code == 0
    identity = bench.folder / "recovery" / "identity.json"
    identity.write_text(identity.read_text().replace(f'"rules":{RULES}', f'"rules":{RULES - 1}'))
    process = processes(bench.start())
    assert process.wait(WAIT_S) == 89
    log = (bench.folder / "flow.log").read_text()
    assert f"a snapshot of rules {RULES - 1}, this release has rules {RULES}" in log
    assert "truecopy rebuild" in log


def test_a_rebuild_beside_a_running_flow_is_refused(
    bench, processes, put_on, made, small_lines
) -> None:
    put_on(bench, made(small_lines[:40]))
    process = processes(bench.start())
    bench.wait_until_started(1, process)
    found = truecopy(bench, "rebuild")
    assert found.exit_code == 1
    assert "is held by process" in found.output


def test_a_dry_rebuild_leaves_everything_as_it_is(bench, put_on, made, small_lines) -> None:
    put_on(bench, made(small_lines[:60]))
    for words in (["--dry"], ["--until", "30"]):
        found = truecopy(bench, "rebuild", *words)
        assert found.exit_code == 0, found.output
        assert "state after tape offset" in found.output
    assert not (bench.folder / "recovery").exists()


def test_a_tape_whose_beginning_only_the_archive_has_is_rebuilt_from_both_and_gone_on_with(
    bench, processes, put_on, made, small_lines
) -> None:
    """Retention took the first half of the tape; archive and tail give the digest of the whole."""
    whole = made(small_lines)
    put_on(bench, whole)
    archive = write_archive(whole, bench.folder / "archive", "tape", "journal", "orders", "watch")
    delete_before(bench, len(small_lines) // 2)
    refused = truecopy(bench, "rebuild")
    assert refused.exit_code == 1
    assert "name the archive that has the rest with --from DIR" in refused.output
    found = truecopy(bench, "rebuild", "--from", str(archive))
    assert found.exit_code == 0, found.output
    assert state_digest(rebuild(whole).state) in found.output
    process = processes(bench.start())
    end = time.monotonic() + WAIT_S
    while bench.raw_count("tape") == len(small_lines):  # until it has put FlowStarted there
        assert process.poll() is None, (bench.folder / "flow.log").read_text()[-3000:]
        assert time.monotonic() < end
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    assert bench.values("journal") == [row.value for row in whole.topics["journal"]]


def delete_before(bench, offset: int) -> None:
    """Do what retention does to the tape; only a real broker can."""
    admin = AdminClient(admin_config(bench.kafka.bootstrap))
    place = TopicPartition(f"{bench.kafka.prefix}tape", 0, offset)
    try:
        for done in admin.delete_records([place]).values():
            done.result(WAIT_S)
    except KafkaException as error:
        pytest.skip(f"this broker deletes no records: {error}")
