"""Whole flows on a real broker, killed, stopped, paused and replaced: the topics stay exact."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from flows.engine.launch import Exit


def test_killed_at_any_moment_it_writes_what_an_undisturbed_run_writes(
    world, feeder, tmp_path: Path
) -> None:
    """Five SIGKILLs while records flow; a read-only replay of the tape agrees byte for byte."""
    chance = random.Random(11)
    with feeder(world):
        for _ in range(5):
            flow = world.start(tmp_path / "state")
            flow.wait_reading()
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
    replay = world.start(topics=replayed, read_only=True, until=until)
    assert replay.code() == Exit.CLEAN
    assert world.end_offset(world.tape) == until + 1
    for name, topic in replayed.items():
        assert world.rows(topic) == world.rows(world.topics[name])


def test_sigterm_ends_with_a_final_snapshot_so_nothing_is_done_again(world, tmp_path: Path) -> None:
    world.feed(200)
    flow = world.start(tmp_path / "state", epoch_s=60.0)
    world.wait_written()
    assert flow.end(signal.SIGTERM) == Exit.CLEAN
    end = world.end_offset(world.tape)
    again = world.start(tmp_path / "state", epoch_s=60.0)
    again.wait_reading()
    assert again.first_offset == end
    assert again.end(signal.SIGTERM) == Exit.CLEAN
    world.assert_exact()


@pytest.mark.parametrize("directory", ["copied", "fresh"])
def test_a_flow_paused_replaced_and_woken_stops_and_doubles_nothing_for_a_reader(
    world, feeder, tmp_path: Path, directory: str
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
