"""The flow as a process on the broker: killed, replaced, run by Bytewax's own runner."""

import signal
import time

from tests.flows.conftest import expected
from tests.waiting import WAIT_S


def assert_equals_the_fold(bench) -> None:
    tape = bench.tape_now()
    for topic in ("journal", "orders"):
        assert bench.values(topic) == expected(tape, topic)


def test_a_killed_flow_goes_on_where_it_was_and_writes_the_uninterrupted_journal(
    bench, processes, tape
) -> None:
    """Four kills, one of them before the first snapshot, while the tape grows."""
    step = len(tape) // 4
    bench.put(tape[:step])
    for part in range(4):
        process = processes(bench.start())
        bench.wait_until_started(part + 1, process)
        bench.wait_until_folded(process)
        bench.put(tape[step * (part + 1) : step * (part + 2)] if part < 3 else tape[4 * step :])
        time.sleep(0.05 * part)
        process.kill()
        process.wait()
    process = processes(bench.start())
    bench.wait_until_started(5, process)
    bench.wait_until_folded(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    assert_equals_the_fold(bench)
    assert bench.raw_count("journal") == len(bench.values("journal"))


def test_a_lost_recovery_directory_writes_nothing_twice(bench, processes, tape) -> None:
    bench.put(tape)
    for attempt in (1, 2):
        folder = str(bench.folder / str(attempt))
        process = processes(bench.start(TRUECOPY__FLOW__RECOVERY_DIR=folder))
        bench.wait_until_started(attempt, process)
        bench.wait_until_folded(process)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    assert bench.raw_count("journal") == len(bench.values("journal"))
    assert_equals_the_fold(bench)


def test_the_graph_runs_under_bytewaxs_own_runner(bench, processes, tape) -> None:
    bench.put(tape)
    process = processes(bench.start("-m", "bytewax.run", "flows.copytrade:flow"))
    bench.wait_until_folded(process)
    assert_equals_the_fold(bench)


def test_a_paused_flow_that_wakes_behind_a_successor_stops_with_its_own_code(
    bench, processes, tape
) -> None:
    half = len(tape) // 2
    bench.put(tape[:half])
    first = processes(bench.start())
    bench.wait_until_folded(first)
    first.send_signal(signal.SIGSTOP)
    folder = str(bench.folder / "successor")
    second = processes(bench.start(TRUECOPY__FLOW__RECOVERY_DIR=folder))
    bench.put(tape[half:])
    bench.wait_until_folded(second)
    first.send_signal(signal.SIGCONT)
    assert first.wait(WAIT_S) == 86
    assert_equals_the_fold(bench)


def test_a_tape_without_genesis_is_refused_by_name(bench, processes, tape) -> None:
    bench.put(tape[1:5])
    process = processes(bench.start())
    assert process.wait(WAIT_S) == 1
    assert "Genesis" in (bench.folder / "flow.log").read_text()
