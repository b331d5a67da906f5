"""A flow over a Kafka that is killed, frozen or away: it waits, and the topics stay exact."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from flows.engine.launch import Exit


@pytest.fixture
def broker(real_kafka_cluster: Any) -> Any:
    """One node of the test's own, to be killed and frozen."""
    return real_kafka_cluster()


@pytest.fixture
def world(broker: Any, make_world: Any) -> Any:
    def make(name: str, **config: str) -> str:
        broker.create_topic(name, **config)
        return name

    return make_world(broker.bootstrap, make)


def wait_for_more(world: Any, topic: str) -> None:
    """Until new output arrives: the flow is alive again."""
    world.wait_beyond(topic, world.end_offset(topic))


def test_a_flow_outlives_the_kill_of_its_broker_and_neither_loses_nor_doubles(
    broker: Any, world: Any, feeder: Any, tmp_path: Path
) -> None:
    flow = world.start(tmp_path / "state")
    with feeder(world):
        flow.wait_reading()
        time.sleep(0.5)
        broker.nodes[0].kill()
        time.sleep(0.5)
        broker.nodes[0].start()
        broker.wait_ready()
        wait_for_more(world, world.topics["journal"])
    world.wait_written()
    assert flow.end(signal.SIGTERM) == Exit.CLEAN
    world.assert_exact()


def test_broker_and_flow_killed_together_come_back_exact(
    broker: Any, world: Any, feeder: Any, tmp_path: Path
) -> None:
    """The flow starts first and waits; it is killed once more while it waits."""
    flow = world.start(tmp_path / "state")
    with feeder(world):
        flow.wait_reading()
        time.sleep(1.0)
        broker.nodes[0].kill()
        flow.end(signal.SIGKILL)
        world.start(tmp_path / "state").end_after(1.0, signal.SIGKILL)
        flow = world.start(tmp_path / "state")
        broker.nodes[0].start()
        broker.wait_ready()
        wait_for_more(world, world.topics["journal"])
    world.wait_written()
    assert flow.end(signal.SIGTERM) == Exit.CLEAN
    world.assert_exact()


def test_a_frozen_broker_is_waited_for(
    broker: Any, world: Any, feeder: Any, tmp_path: Path
) -> None:
    flow = world.start(tmp_path / "state")
    with feeder(world):
        flow.wait_reading()
        time.sleep(0.5)
        broker.nodes[0].pause()
        time.sleep(4.0)
        broker.nodes[0].resume()
        wait_for_more(world, world.topics["journal"])
    world.wait_written()
    assert flow.end(signal.SIGTERM) == Exit.CLEAN
    world.assert_exact()


def test_a_flow_killed_twice_while_its_broker_is_frozen_counts_nothing_twice(
    broker: Any, world: Any, feeder: Any, tmp_path: Path
) -> None:
    """The epoch in the air is never committed, and the next execution uses its number again."""
    flow = world.start(tmp_path / "state")
    with feeder(world):
        flow.wait_reading()
        for _ in range(2):
            time.sleep(0.7)
            broker.nodes[0].pause()
            time.sleep(0.5)
            flow.end(signal.SIGKILL)
            flow = world.start(tmp_path / "state")
            time.sleep(1.0)
            flow.end(signal.SIGKILL)
            broker.nodes[0].resume()
            flow = world.start(tmp_path / "state")
            flow.wait_reading()
    world.wait_written()
    assert flow.end(signal.SIGTERM) == Exit.CLEAN
    world.assert_exact()


def test_a_flow_that_waits_for_its_broker_still_ends_on_sigterm(
    broker: Any, world: Any, tmp_path: Path
) -> None:
    broker.nodes[0].kill()
    flow = world.start(tmp_path / "state")
    flow.wait_saying("waiting=")
    assert flow.end(signal.SIGTERM) == Exit.CLEAN
    assert "stopped while waiting for Kafka" in flow.said
