"""A world per test: its own topics, flow processes, a feeder, and the oracle to compare with."""

import importlib.util
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka.consumer import Row
from connectors.kafka.offsets import GroupOffsets
from flows.engine.hub import Hub
from flows.engine.rows import NUMBER_HEADER, OutRow, TapeRow
from infra.kafka import tether
from tests.waiting import WAIT_S, wait_until

FLOW = Path(__file__).with_name("window_flow.py")
ROOT = FLOW.parents[2]


@pytest.fixture(scope="session")
def window_flow() -> ModuleType:
    """The module of window_flow.py, for its fold and its oracle."""
    spec = importlib.util.spec_from_file_location("window_flow", FLOW)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["window_flow"] = module
    spec.loader.exec_module(module)
    return module


class FlowProcess:
    """One flow as a process that dies with the tests; its output goes to a file they may read."""

    def __init__(self, options: dict[str, Any], log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                tether.command([sys.executable, str(FLOW), msgspec.json.encode(options).decode()]),
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def first_offset(self) -> int | None:
        """The first tape offset it was given; None before."""
        words = self.said.split()
        return int(words[words.index("first") + 1]) if "first" in words else None

    def wait_reading(self) -> None:
        self.wait_saying("first ")

    def wait_saying(self, words: str) -> None:
        def said() -> bool:
            assert self.process.poll() is None, self.said
            return words in self.said

        wait_until(said, lambda: f"{words!r} is not in\n{self.said}")

    def end(self, signal_number: int) -> int:
        self.process.send_signal(signal_number)
        return self.code()

    def end_after(self, seconds: float, signal_number: int) -> int:
        time.sleep(seconds)
        return self.end(signal_number)

    def code(self) -> int:
        return self.process.wait(WAIT_S)


class World:
    """Topics of one test on one broker, and what goes on in them."""

    def __init__(
        self, bootstrap: str, make: Callable[..., str], oracle: Any, home: Path, embedded: bool
    ) -> None:
        self.bootstrap, self.oracle, self.home = bootstrap, oracle, home
        self.make, self.embedded = make, embedded
        self.hub = Hub(bootstrap=bootstrap, stop=threading.Event())
        self.tape = make("tape")
        self.topics = self.make_outputs()
        self.group = f"{self.tape}-flow"
        self.flows: list[FlowProcess] = []
        self.fed = 0
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 1,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def make_outputs(self, suffix: str = "") -> dict[str, str]:
        config = {"watch": {"cleanup_policy": "compact"}}
        return {t: self.make(f"{t}{suffix}", **config.get(t, {})) for t in self.oracle.TOPICS}

    def start(self, state: Path | None = None, **options: Any) -> FlowProcess:
        given = {
            "bootstrap": self.bootstrap,
            "tape": self.tape,
            "topics": self.topics,
            "group": self.group,
            "state": None if state is None else str(state),
            **options,
        }
        flow = FlowProcess(given, self.home / f"flow-{len(self.flows)}.log")
        self.flows.append(flow)
        return flow

    def feed(self, count: int) -> None:
        """Append the next records of an endless, always equal sequence."""
        for i in range(self.fed, self.fed + count):
            value = b"tick" if i % 10 == 9 else b"fill w%d %d" % (i * i % 7, i % 5 - 2)
            self.producer.produce(self.tape, value=value, partition=0)
        self.fed += count
        assert self.producer.flush(WAIT_S) == 0

    def rows(self, topic: str) -> list[OutRow]:
        """What stands in one output topic, in log order."""
        found = []
        for record in self.records(topic):
            headers = dict(record.headers)
            number = int(headers.pop(NUMBER_HEADER))
            found.append(OutRow(number, record.key, record.value, tuple(headers.items())))
        return found

    def taken(self, topic: str) -> list[OutRow]:
        """What a reader takes that takes the next number only, as every reader of these does."""
        got: list[OutRow] = []
        for row in self.rows(topic):
            if row.number == len(got):
                got.append(row)
        return got

    def expected(self, topic: str) -> list[OutRow]:
        """What an undisturbed run over the recorded tape writes to it."""
        tape = [TapeRow(record.offset, record.value) for record in self.records(self.tape)]
        return list(self.oracle.expected(tape, topic))

    def committed(self) -> int | None:
        """What the flow's group has committed on the tape."""
        group = GroupOffsets(self.bootstrap, self.group)
        try:
            found = group.committed(self.tape, 0)
            return None if found is None else found.offset
        finally:
            group.close()

    def delete_before(self, topic: str, offset: int) -> None:
        """Do what retention does: the partition begins at this offset from now on."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for done in admin.delete_records([TopicPartition(topic, 0, offset)]).values():
            done.result(WAIT_S)

    def end_offset(self, topic: str) -> int:
        return self.hub.watermarks(topic, 0)[1]

    def records(self, topic: str) -> list[Row]:
        low, end = self.hub.watermarks(topic, 0)
        with self.hub.reader(topic, 0, low) as reader:
            return [row for rows in reader.read_to({(topic, 0): end}) for row in rows]

    def wait_written(self) -> None:
        """Until the journal holds what the tape so far leads to, or more."""
        self.wait_beyond(self.topics["journal"], len(self.expected("journal")) - 1)

    def wait_beyond(self, topic: str, offset: int) -> None:
        """Until the topic holds this offset."""
        wait_until(
            lambda: self.end_offset(topic) > offset,
            lambda: (
                f"{topic} ends at {self.end_offset(topic)} and not beyond {offset}; flows said\n"
                + "\n".join(flow.said[-2_000:] for flow in self.flows)
            ),
        )

    def assert_exact(self) -> None:
        """Every topic holds exactly what the tape leads to: nothing lost, doubled or different."""
        for name, topic in self.topics.items():
            assert self.rows(topic) == self.expected(name), name


@pytest.fixture
def make_world(window_flow: ModuleType, tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(bootstrap: str, make_topic: Callable[..., str], embedded: bool = False) -> World:
        worlds.append(World(bootstrap, make_topic, window_flow, tmp_path, embedded))
        return worlds[-1]

    yield make
    for world in worlds:
        for flow in world.flows:
            flow.process.kill()
            flow.process.wait(WAIT_S)


@pytest.fixture
def world(kafka: str, topics: Any, make_world: Callable[..., World]) -> World:
    """A world on the session's broker."""
    return make_world(kafka, topics.make, topics.broker.kind == "embedded")


class Feeder:
    """Feeds a world from a thread, in small steps, until it is left."""

    def __init__(self, world: World, step: int = 20, pause_s: float = 0.02) -> None:
        self.world, self.step, self.pause_s = world, step, pause_s
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        while not self.done.wait(self.pause_s):
            self.world.feed(self.step)

    def __enter__(self) -> "Feeder":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join(90)
        assert not self.thread.is_alive(), "the feeder hangs"


@pytest.fixture
def feeder() -> type[Feeder]:
    return Feeder
