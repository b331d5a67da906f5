"""Brokers for every test: which one, started once, topics of its own for each test, all cleaned up.

`kafka` is a bootstrap address: TRUECOPY_KAFKA if it is set, else the real Kafka wherever Java and
Maven are there, else the embedded broker (TRUECOPY_KAFKA=embedded asks for it). The summary at the
end says which it was. Brokers die with this process, also when it is killed.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient
from hypothesis import settings

from connectors.kafka.config import admin_config
from infra.embedded import EmbeddedBroker
from infra.kafka import install
from infra.kafka.cluster import KafkaCluster, archived, create_topic
from infra.topics import declared

# How long an example takes says something of the machine, and nothing of a property. In CI the
# examples are the same each time, so that a failure belongs to the change; elsewhere drawn.
settings.register_profile("truecopy", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("truecopy")

# Nobody kills it, so it is never fenced, however long a busy machine keeps it from its heartbeat;
# and it need not write twice a second to its metadata log that nothing has changed.
CALM = {
    "broker.session.timeout.ms": "60000",
    "broker.heartbeat.interval.ms": "5000",
    "controller.quorum.fetch.timeout.ms": "60000",
    "metadata.max.idle.interval.ms": "0",
}
BROKER_FIXTURES = {"kafka", "embedded", "any_broker", "topics", "real_kafka_cluster"}
LONG = {"e2e", "deploy"}
USED = pytest.StashKey[dict[str, None]]()
SHARED = pytest.StashKey[KafkaCluster]()


@dataclass(frozen=True)
class Broker:
    """A broker that tests may fill: its address, what it is, and how a topic is made there."""

    kind: str
    bootstrap: str
    version: str
    create: Callable[..., None]
    lasting: bool = False


@dataclass
class Topics:
    """Topics of one test: all under one prefix that no other test has."""

    broker: Broker
    prefix: str
    made: list[str] = field(default_factory=list)

    def make(self, name: str, partitions: int = 1, **config: str) -> str:
        """Create a topic, return its full name; config as `retention_ms="1000"`.

        The embedded broker has no configuration: there config is left out.
        """
        full = self.prefix + name
        self.broker.create(full, partitions, **config)
        self.made.append(full)
        return full

    def declare(self, shards: int = 1) -> str:
        """Create every topic of the declaration; returns the prefix, for the wiring."""
        for name, topic in declared(shards=shards).items():
            self.make(name, topic.partitions, **topic.config())
        return self.prefix


def pytest_configure(config: pytest.Config) -> None:
    config.stash[USED] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and BROKER_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.broker)
    # What takes minutes is begun first, and the rest goes on beside it.
    items.sort(key=lambda item: LONG.isdisjoint(item.path.parts))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of a parallel run tells its controller what it used."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["used"] = list(session.config.stash[USED])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """The workers of a parallel run share the controller's broker: one JVM, not one for each."""
    stash = node.config.stash
    if _no_real_broker() is None and not os.environ.get("TRUECOPY_KAFKA"):
        if SHARED not in stash:
            stash[SHARED] = _cluster().start()
        node.workerinput["kafka"] = stash[SHARED].bootstrap


def pytest_unconfigure(config: pytest.Config) -> None:
    if SHARED in config.stash:
        config.stash[SHARED].stop()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    used = getattr(node, "workeroutput", {}).get("used", [])
    node.config.stash[USED].update(dict.fromkeys(used))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash[USED]:
        terminalreporter.write_line(line)


def _mentioned(config: pytest.Config, broker: Broker, why: str = "") -> Broker:
    config.stash[USED][f"Kafka: {broker.kind}, {broker.version}{why}"] = None
    return broker


@pytest.fixture
def summary_line(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a line in the summary at the end: what of this machine a test has used."""
    return lambda line: request.config.stash[USED].setdefault(line)


def _quick_start() -> list[str]:
    return [*install.SMALL_HEAP, *install.FAST_START, *archived()]


def _real_version() -> str:
    return f"Apache Kafka {install.version()} on Java {install.java_version()}"


def _external(bootstrap: str) -> Broker:
    admin = AdminClient(admin_config(bootstrap))
    found = admin.list_topics(timeout=60)

    said = f"cluster {found.cluster_id}, {len(found.brokers)} nodes (a broker tells no version)"
    create = partial(create_topic, admin)
    return Broker("the one at TRUECOPY_KAFKA", bootstrap, said, create, lasting=True)


@pytest.fixture(scope="session")
def _embedded_broker() -> Iterator[Broker]:
    def create(name: str, partitions: int, **_config: str) -> None:
        broker.create_topic(name, partitions)

    with EmbeddedBroker() as broker:
        version = f"librdkafka {confluent_kafka.libversion()[0]}'s mock"
        yield Broker("embedded", broker.bootstrap, version, create)


def _cluster() -> KafkaCluster:
    return KafkaCluster(jvm=_quick_start(), properties=CALM)


@pytest.fixture(scope="session")
def _real_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    external = os.environ.get("TRUECOPY_KAFKA")
    shared = getattr(request.config, "workerinput", {}).get("kafka")
    if external and external != "embedded":
        yield _external(external)
    elif shared is not None:
        create = partial(create_topic, AdminClient(admin_config(shared)))
        yield Broker("real", shared, _real_version(), create)
    else:
        with _cluster() as cluster:
            yield Broker("real", cluster.bootstrap, _real_version(), cluster.create_topic)


def _no_real_broker() -> str | None:
    """Why there is no real Kafka here, or None."""
    named = os.environ.get("TRUECOPY_KAFKA")
    if named == "embedded":
        return "TRUECOPY_KAFKA=embedded"
    return None if named else install.missing()


@pytest.fixture(scope="session")
def _broker(request: pytest.FixtureRequest) -> Broker:
    reason = _no_real_broker()
    name = "_embedded_broker" if reason else "_real_broker"
    broker: Broker = request.getfixturevalue(name)
    return _mentioned(request.config, broker, f" ({reason})" if reason else "")


@pytest.fixture(scope="session")
def kafka(_broker: Broker) -> str:
    """Bootstrap address of the session's broker: the real one wherever that is possible."""
    return _broker.bootstrap


@pytest.fixture(params=["real", "embedded"])
def any_broker(request: pytest.FixtureRequest) -> Broker:
    """Runs the test twice, on the real broker (skipped where there is none) and the embedded."""
    if request.param == "real" and (reason := _no_real_broker()):
        pytest.skip(f"no real Kafka: {reason}")
    broker: Broker = request.getfixturevalue(f"_{request.param}_broker")
    return _mentioned(request.config, broker)


@pytest.fixture
def embedded() -> Iterator[EmbeddedBroker]:
    """An embedded broker of the test's own, to be cut off, slowed down or filled."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def topics(request: pytest.FixtureRequest) -> Iterator[Topics]:
    """Makes topics on the test's broker: `any_broker` if the test has it, else that of `kafka`."""
    has_any = "any_broker" in request.fixturenames
    broker: Broker = request.getfixturevalue("any_broker" if has_any else "_broker")
    mine = Topics(broker, f"t{uuid.uuid4().hex[:8]}.")
    yield mine
    if mine.made and broker.lasting:
        admin = AdminClient(admin_config(broker.bootstrap))
        for deleted in admin.delete_topics(mine.made).values():
            deleted.result(60)


@pytest.fixture
def real_kafka_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., KafkaCluster]]:
    """Starts clusters of the test's own to kill: `real_kafka_cluster(nodes=1, **properties)`.

    Always the project's own Kafka, whatever TRUECOPY_KAFKA says; skips where it cannot run.
    """
    if reason := install.missing():
        pytest.skip(f"no real Kafka: {reason}")
    clusters: list[KafkaCluster] = []

    def start(nodes: int = 1, **properties: str) -> KafkaCluster:
        lines = {key.replace("_", "."): value for key, value in properties.items()}
        cluster = KafkaCluster(nodes, jvm=_quick_start(), properties=lines)
        clusters.append(cluster)
        broker = Broker("real", cluster.bootstrap, _real_version(), cluster.create_topic)
        _mentioned(request.config, broker)
        return cluster.start()

    yield start
    for cluster in clusters:
        cluster.stop()
