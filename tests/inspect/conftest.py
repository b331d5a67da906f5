"""Topics filled by a few words, and the command that reads them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connectors.kafka.config import producer_config
from connectors.kafka.consumer import Row
from connectors.kafka.producer import Producer
from infra.cli.main import cli
from infra.topics import declared
from schemas import codec
from schemas.records.base import Record
from tests.core.conftest import World

EMBEDDED_SETS = 10
GOLDEN = Path(__file__).parents[1] / "schemas" / "golden"


@pytest.fixture(scope="session")
def golden() -> list[Record]:
    """A record of every kind; Policy and MarketMeta, which name things, among them."""
    lines = [line for name in ("tape", "journal") for line in (GOLDEN / f"{name}.jsonl").open("rb")]
    return [codec.decode(line) for line in lines]


@pytest.fixture
def row() -> Callable[..., Row]:
    """One row of a topic, as a reader gives it."""

    def make(value: bytes, **changes: Any) -> Row:
        at = Row("tape", 0, 7, 1_795_046_400_123, b"k", {}, value)
        return at._replace(**changes)

    return make


@dataclass
class Shelf:
    """The declared topics on a broker, under a prefix of the test's own."""

    bootstrap: str
    prefix: str
    producer: Producer

    def put(self, topic: str, *values: bytes, partition: int = 0, **headers: bytes) -> list[int]:
        """Append values; their offsets."""
        pairs = tuple(headers.items())
        return [
            self.producer.append_and_wait(
                self.prefix + topic, value, key=b"k", partition=partition, headers=pairs
            )
            for value in values
        ]

    def records(self, topic: str, records: Iterable[Record]) -> None:
        """Append records as the connectors do."""
        for record in records:
            self.producer.append(
                self.prefix + topic,
                codec.encode(record),
                key=b"k",
                partition=0,
                headers=codec.headers(record),
            )
        assert self.producer.flush(20) == 0

    def world(self, world: World) -> None:
        """Append a folded tape and all that the fold made of it."""
        self.records("tape", world.tape)
        for sealed in world.sealed:
            number = ("n", str(sealed.number).encode())
            self.producer.append(
                self.prefix + sealed.topic,
                sealed.value,
                key=sealed.key,
                partition=0,
                headers=(*sealed.headers, number),
            )
        assert self.producer.flush(20) == 0

    @property
    def environment(self) -> dict[str, str]:
        """What points `truecopy` here."""
        return {
            "TRUECOPY_KAFKA": self.bootstrap,
            "TRUECOPY__KAFKA__PREFIX": self.prefix,
            "TRUECOPY__KAFKA__FETCH_WAIT_MS": "5",
        }

    def run(self, *words: str, color: bool = False) -> Result:
        """`truecopy topics` with these words."""
        return CliRunner().invoke(cli, ["topics", *words], env=self.environment, color=color)

    def lines(self, *words: str) -> list[str]:
        """What it prints, when it succeeds."""
        done = self.run(*words)
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()


@pytest.fixture(scope="session")
def _ready() -> dict[str, list[str]]:
    """Prefixes under which empty topics stand, by kind of broker."""
    return {}


@pytest.fixture
def shelf(any_broker: Any, topics: Any, _ready: dict[str, list[str]]) -> Shelf:
    """The declared topics, empty, on the real and on the embedded broker; of raw ones only two."""
    ready = _ready.setdefault(any_broker.kind, [])
    if not ready:
        # The embedded broker makes topics once a second, however many are asked for by then.
        for number in range(EMBEDDED_SETS if any_broker.kind == "embedded" else 1):
            ready.append(f"{topics.prefix}{number}.")
            for name, topic in declared(f"{number}.").items():
                if not name.endswith(("raw.activity", "raw.user")):
                    topics.make(name, topic.partitions, **topic.config())
    producer = Producer(producer_config(any_broker.bootstrap, linger_ms=5))
    return Shelf(any_broker.bootstrap, ready.pop(), producer)


@pytest.fixture(scope="session")
def _filled() -> dict[str, Shelf]:
    """Shelves that tests only read, by kind of broker."""
    return {}


@pytest.fixture
def full(
    any_broker: Any, request: pytest.FixtureRequest, traded: World, _filled: dict[str, Shelf]
) -> Shelf:
    """Topics in which a leader traded and we followed; to be read only."""
    known = _filled.get(any_broker.kind)
    if known is not None:
        return known
    made: Shelf = request.getfixturevalue("shelf")
    made.world(traded)
    if not any_broker.lasting:  # there its topics go with the test
        _filled[any_broker.kind] = made
    return made


@pytest.fixture
def traded() -> World:
    """A world in which a leader bought, we followed and are filled, and something is held."""
    world = World().begin()
    world.fills("500")
    world.wait(2_000)
    (request,) = world.requests()
    world.signed(request)
    world.answered(request, shares="50", usd="20")
    world.own_fill(request, "50")
    world.wait(11_000)
    world.closed()
    world.fills("300", tx="0xt2")
    world.wait(2_000)
    return world
