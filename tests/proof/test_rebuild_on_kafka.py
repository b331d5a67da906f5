"""`truecopy rebuild` on a broker: the flow goes on from it, and refuses to without it."""

import signal
import subprocess
import sys

import pytest

from flows.core import RULES
from infra.proof.digest import state_digest
from infra.proof.rebuild import rebuild
from infra.proof.recordings import KafkaRecording
from infra.proof.refold import OURS
from schemas import codec

ROUND_S = 60


def truecopy(bench, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.cli.main", *words],
        env=bench.environment(),
        capture_output=True,
        text=True,
        timeout=ROUND_S,
        check=False,
    )


def run_flow_to_the_end(bench, processes) -> None:
    started = sum(type(r).__name__ == "FlowStarted" for r in bench.tape_now())
    process = processes(bench.start())
    bench.wait_until_started(started + 1, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


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
    assert found.returncode == 0, found.stderr
    assert state_digest(rebuild(KafkaRecording(bench.kafka)).state) in found.stdout
    bench.put([codec.decode(line) for line in small_lines[len(small_lines) // 2 :]])
    process = processes(bench.start())
    bench.wait_until_folded(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
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
    assert process.wait(30) == 89
    log = (bench.folder / "flow.log").read_text()
    assert f"was decided by rules {RULES - 1}" in log
    assert "truecopy rebuild" in log
    found = truecopy(bench, "rebuild")
    assert found.returncode == 0, found.stderr
    run_flow_to_the_end(bench, processes)
    for topic in ("journal", "orders"):
        stood = [row.value for row in older.topics[topic]]
        assert bench.values(topic)[: len(stood)] == stood
    assert not rebuild(KafkaRecording(bench.kafka)).missing


def test_a_snapshot_of_other_rules_is_refused_by_name(
    bench, processes, put_on, made, small_lines
) -> None:
    put_on(bench, made(small_lines))
    assert truecopy(bench, "rebuild").returncode == 0
    identity = bench.folder / "recovery" / "identity.json"
    identity.write_text(identity.read_text().replace(f'"rules":{RULES}', f'"rules":{RULES - 1}'))
    process = processes(bench.start())
    assert process.wait(30) == 89
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
    assert found.returncode == 1
    assert "is held by process" in found.stderr


@pytest.mark.parametrize("words", [("--dry",), ("--until", "30")])
def test_a_dry_rebuild_leaves_everything_as_it_is(bench, put_on, made, small_lines, words) -> None:
    put_on(bench, made(small_lines[:60]))
    found = truecopy(bench, "rebuild", *words)
    assert found.returncode == 0, found.stderr
    assert "state after tape offset" in found.stdout
    assert not (bench.folder / "recovery").exists()
