"""A recorded tape on a broker, and the flow as a process on it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.config import producer_config
from connectors.kafka.producer import Producer
from flows.core.fold import FoldState, fold
from infra.demo.evidence import numbered_values
from infra.tape import bounds, rows_now
from schemas import codec
from schemas.records import journal
from schemas.records.base import Record
from schemas.records.system import FlowStarted
from schemas.wiring import KafkaWiring
from tests.core.conftest import World
from tests.waiting import WAIT_S

TOPICS = ("tape", "journal", "orders", "watch")


def answer_working(world: World, *, fail: bool = False) -> None:
    """The venue fills every working order; settlement confirms or fails its trade."""
    for n, request in enumerate(world.of(journal.OrderRequested)):
        if request.intent in world.state.plan.accounts["main"].working.values():
            size = str(request.shares_micro // 1_000_000)
            world.signed(request, order=f"0xo{n}")
            world.answered(request, shares=size, usd="1", order=f"0xo{n}")
            fill = {"trade": f"T{n}", "order": f"0xo{n}"}
            world.own_fill(request, size, **fill)
            world.own_fill(request, size, status="FAILED" if fail else "CONFIRMED", **fill)


def recorded_tape() -> list[Record]:
    """A leader who buys, flips and sells; our orders, fills, a failure and its repair."""
    world = World().begin()
    for step in range(6):
        world.fills(str(100 * (step + 1)), tx=f"0xb{step}", source="feed")
        world.wait(900)
        world.fills(str(100 * (step + 1)), tx=f"0xb{step}", source="rest", instance=f"a{step}")
        world.wait(1_600)
        answer_working(world, fail=step == 1)
        world.depth([("0.39", "900")], [("0.40", "900")])
    answer_working(world)
    world.fills("2100", tx="0xs1", side="SELL")
    world.wait(12_000)
    return world.tape


@pytest.fixture(scope="session")
def tape() -> list[Record]:
    """The tape of all tests of this folder."""
    return recorded_tape()


@dataclass
class Bench:
    """A shard's topics on a broker, and what stands on them."""

    kafka: KafkaWiring
    folder: Path
    producer: Producer

    def put(self, records: list[Record]) -> None:
        """Append records to the tape."""
        for record in records:
            self.producer.append(
                f"{self.kafka.prefix}tape",
                codec.encode(record),
                key=None,
                partition=0,
                headers=codec.headers(record),
            )
        assert self.producer.flush(WAIT_S) == 0

    def tape_now(self) -> list[Record]:
        """All that stands on the tape."""
        return [codec.decode(row.value) for row in rows_now(self.kafka, "tape", 0)]

    def values(self, topic: str) -> list[bytes]:
        """Values of a numbered topic as every reader sees them."""
        return numbered_values(list(rows_now(self.kafka, topic, 0)))

    def raw_count(self, topic: str) -> int:
        """How many records stand there, repeats included."""
        return bounds(self.kafka, topic, 0)[1]

    def environment(self, **changes: str) -> dict[str, str]:
        """Settings of a flow process on these topics."""
        return {
            **os.environ,
            "TRUECOPY__KAFKA__BOOTSTRAP": self.kafka.bootstrap,
            "TRUECOPY__KAFKA__PREFIX": self.kafka.prefix,
            "TRUECOPY__FLOW__RECOVERY_DIR": str(self.folder / "recovery"),
            "TRUECOPY__FLOW__EPOCH_S": "0.3",
            **changes,
        }

    def start(self, *argv: str, **changes: str) -> "subprocess.Popen[bytes]":
        """Start a flow process."""
        words = argv or ("-m", "infra.cli.main", "flow")
        with (self.folder / "flow.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words], env=self.environment(**changes), stderr=log
            )

    def wait_until_started(self, count: int, process: Any, timeout_s: float = WAIT_S) -> None:
        """Wait until so many generations stand on the tape."""
        end = time.monotonic() + timeout_s
        while sum(isinstance(record, FlowStarted) for record in self.tape_now()) < count:
            assert process.poll() is None, (self.folder / "flow.log").read_text()[-3000:]
            assert time.monotonic() < end, (self.folder / "flow.log").read_text()[-3000:]
            time.sleep(0.1)

    def is_folded(self) -> bool:
        """Whether both topics hold what the fold makes of the tape."""
        tape = self.tape_now()
        return all(self.values(topic) == expected(tape, topic) for topic in ("journal", "orders"))

    def wait_until_folded(self, process: Any, timeout_s: float = WAIT_S) -> None:
        """Wait until journal and orders hold what the fold makes of the tape as it stands now.

        A flow appends to the tape itself (FlowStarted), which moves the offsets behind it: so the
        expectation is folded from the topic, never from the list that a test put there.
        """
        end = time.monotonic() + timeout_s
        while not self.is_folded():
            assert process.poll() is None, (self.folder / "flow.log").read_text()[-3000:]
            assert time.monotonic() < end, (self.folder / "flow.log").read_text()[-3000:]
            time.sleep(0.2)


def expected(tape: list[Record], topic: str) -> list[bytes]:
    """What the pure fold makes of a tape."""
    state = FoldState()
    out = [s for n, record in enumerate(tape) for s in fold(state, n, record)]
    return [s.value for s in out if s.topic == topic]


@pytest.fixture
def bench(kafka: str, topics: Any, tmp_path: Path) -> Bench:
    """Fresh topics of one shard; no process outlives the test."""
    for name in TOPICS:
        topics.make(name)
    wiring = KafkaWiring(bootstrap=kafka, prefix=topics.prefix, linger_ms=5, fetch_wait_ms=5)
    return Bench(wiring, tmp_path, Producer(producer_config(kafka)))


@pytest.fixture
def processes() -> Iterator[Callable[[Any], Any]]:
    """Registers processes to be killed at the end of the test."""
    running: list[Any] = []

    def register(process: Any) -> Any:
        running.append(process)
        return process

    yield register
    for process in running:
        process.kill()
        process.wait()
