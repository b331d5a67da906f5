"""Whole flows on a real broker, killed, stopped, paused and replaced: the topics stay exact."""

import random
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from flows.engine.launch import Exit
from tests.waiting import wait_until


def test_killed_at_any_moment_it_writes_what_an_undisturbed_run_writes(
    world: Any, feeder: Any, tmp_path: Path
) -> None:
    """Five SIGKILLs and until a tail was redone; a read-only replay agrees byte for byte."""
    chance = random.Random(11)

    def enough() -> bool:
        redone = any(re.search(r"matched=[1-9]", flow.said) for flow in world.flows)
        return redone and any(flow.first_offset for flow in world.flows)

    with feeder(world):
        while len(world.flows) < 5 or not enough():
            assert len(world.flows) < 30, "no tail was redone, or none after a snapshot"
            flow = world.start(tmp_path / "state")
            flow.wait_reading()
            if len(world.flows) > 5:  # on a busy machine all died before their first snapshot
                known = world.committed()
                wait_until(lambda known=known: world.committed() != known)
            time.sleep(chance.uniform(0.02, 0.7))
            flow.end(signal.SIGKILL)
    last = world.start(tmp_path / "state")
    last.wait_reading()
    world.wait_written()
    assert last.end(signal.SIGTERM) == Exit.CLEAN
    assert last.first_offset > 0
    world.assert_exact()

    replayed = world.make_outputs(".replayed")
    until = world.end_offset(world.tape) - 1
    replay = world.start(topics=replayed, read_only=True, until=until, group=None)
    assert replay.code() == Exit.CLEAN
    assert world.end_offset(world.tape) == until + 1
    for name, topic in replayed.items():
        assert world.rows(topic) == world.rows(world.topics[name])


def test_sigterm_ends_with_a_final_snapshot_so_nothing_is_done_again(
    world: Any, tmp_path: Path
) -> None:
    world.feed(100)
    flow = world.start(tmp_path / "state", epoch_s=60.0)
    flow.wait_reading()
    world.feed(100)  # ends with a tick, so what is written says that all is read
    world.wait_written()
    assert flow.end(signal.SIGTERM) == Exit.CLEAN
    end = world.end_offset(world.tape)
    assert world.committed() == end, "Kafka's tools would show a lag that is none"
    again = world.start(tmp_path / "state", epoch_s=60.0)
    again.wait_reading()
    assert again.first_offset == end
    assert again.end(signal.SIGTERM) == Exit.CLEAN
    world.assert_exact()


@pytest.mark.parametrize("directory", ["copied", "fresh"])
def test_a_flow_paused_replaced_and_woken_stops_and_doubles_nothing_for_a_reader(
    world: Any, feeder: Any, tmp_path: Path, directory: str
) -> None:
    """The woken one may repeat what its successor wrote, and goes no further than its start."""
    first = world.start(tmp_path / "state")
    with feeder(world):
        first.wait_reading()
        time.sleep(0.5)
        first.process.send_signal(signal.SIGSTOP)
        if directory == "copied":
            shutil.copytree(tmp_path / "state", tmp_path / "copied")
        time.sleep(0.5)
        second = world.start(tmp_path / directory)
        second.wait_reading()
        time.sleep(0.5)
        first.process.send_signal(signal.SIGCONT)
        assert first.code() == Exit.SUPERSEDED
        assert "another flow has taken over" in first.said
        time.sleep(0.3)
    world.wait_written()
    assert second.end(signal.SIGTERM) == Exit.CLEAN
    for name, topic in world.topics.items():
        assert world.taken(topic) == world.expected(name)


def test_two_flows_never_share_a_recovery_directory(world: Any, tmp_path: Path) -> None:
    """Not even when the first one is stopped: the second is refused, and stays off the tape."""
    world.feed(20)
    first = world.start(tmp_path / "state")
    first.wait_reading()
    first.process.send_signal(signal.SIGSTOP)
    end = world.end_offset(world.tape)
    second = world.start(tmp_path / "state")
    assert second.code() == Exit.START_REFUSED
    assert f"held by process {first.process.pid}" in second.said
    assert world.end_offset(world.tape) == end


def test_a_changed_rule_is_stopped_at_the_first_record_that_differs(
    world: Any, tmp_path: Path
) -> None:
    world.feed(200)
    flow = world.start(tmp_path / "state")
    world.wait_written()
    assert flow.end(signal.SIGTERM) == Exit.CLEAN
    before = world.rows(world.topics["journal"])
    changed = world.start(tmp_path / "fresh", salt="changed ")
    assert changed.code() == Exit.DIVERGED
    assert "record 0 written again differs from the one that stands at offset 0" in changed.said
    assert "value byte 16: ...b'1 w0 -2 cause=9 changed prev='" in changed.said
    assert world.rows(world.topics["journal"]) == before


def test_an_undelivered_record_stops_the_flow_before_its_snapshot(
    world: Any, tmp_path: Path
) -> None:
    """A topic refuses records of this size; no restart may believe that they stand there.

    It is the last one written, so only the source's polling can notice before the epoch ends.
    """
    if world.embedded:
        pytest.skip("the embedded broker refuses no size")
    world.feed(50)
    topics = {**world.topics, "watch": world.make("small", max_message_bytes="60")}
    for epoch_s in (0.1, 3_600.0):  # the second one ends long before its epoch does
        flow = world.start(tmp_path / "state", topics=topics, epoch_s=epoch_s)
        assert flow.code() == Exit.KAFKA_FAILED
        assert "UndeliveredRecord" in flow.said
        assert "MSG_SIZE_TOO_LARGE" in flow.said
        assert flow.first_offset == 0
    assert world.end_offset(topics["watch"]) == 0


@pytest.mark.parametrize("state", ["kept", "fresh"])
def test_a_tape_whose_next_records_are_gone_is_refused_naming_the_way_out(
    world: Any, tmp_path: Path, state: str
) -> None:
    if world.embedded:
        pytest.skip("the embedded broker deletes no records")
    world.feed(40)
    flow = world.start(tmp_path / "kept")
    world.wait_written()
    assert flow.end(signal.SIGTERM) == Exit.CLEAN
    world.feed(20)
    end = world.end_offset(world.tape)
    world.delete_before(world.tape, end - 5)
    refused = world.start(tmp_path / state)
    assert refused.code() == Exit.START_REFUSED
    assert f"begins at {end - 5}" in refused.said or f"begins at offset {end - 5}" in refused.said
    assert "truecopy rebuild" in refused.said
    assert world.end_offset(world.tape) == end, "a refused flow supersedes nobody"
