"""A real Kafka cluster (KRaft, one or three nodes) on loopback, without Docker.

    with KafkaCluster() as kafka:
        kafka.create_topic("tape", partitions=1)
        kafka.nodes[0].kill()
        kafka.nodes[0].start()
        kafka.wait_ready()

Measured on 2 cores, Java 17: ready in 0.8 s with one node (1.4 s without the class archive), 2.6 s
with three; 150 MB resident idle, 290 under load. After a kill a node is refused until the session
of its former self has run out: 11.7 s with Kafka's defaults, 2.4 s with the 1.5 s set here. The
first idempotent append to a fresh node still takes a second.
"""

import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.kafka.config import admin_config
from infra.kafka import install
from infra.kafka.install import KafkaUnavailable
from infra.kafka.node import Node, free_ports, listens

READY_TIMEOUT_S = 180.0
"""A JVM on a machine that is busy with something else; one that has died is noticed at once."""
ANSWER_TIMEOUT_S = 60.0
POLL_S = 0.02

PROPERTIES = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    # 50 partitions each by default, paid for at first use and at every restart.
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "1",
}
# A dead broker is fenced, and may come back, after 1.5 s (default 9); a lost controller is
# replaced after 1 s (2). Too nervous for a busy machine that should stay up.
QUICK_SESSIONS = {
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "250",
    "controller.quorum.fetch.timeout.ms": "1000",
    "controller.quorum.election.timeout.ms": "500",
    "replica.lag.time.max.ms": "5000",
}


class KafkaCluster:
    """One or three nodes. `with` starts them, and kills them at its end.

    home: where the data lives; None is a temporary folder, removed at the end. ports: of the
    brokers; None draws free ones. properties: lines of the server configuration, dots as in Kafka.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        home: Path | None = None,
        ports: list[int] | None = None,
        jvm: list[str] | None = None,
        properties: dict[str, str] | None = None,
    ) -> None:
        flags = [*install.SMALL_HEAP, *install.FAST_START] if jvm is None else jvm
        install.template()  # whatever is missing is said before a folder is made
        self._temporary = home is None
        self.home = Path(tempfile.mkdtemp(prefix="kafka-")) if home is None else home
        drawn = free_ports(2 * nodes)
        self.nodes = [
            Node(number=i + 1, port=port, home=self.home / f"node{i + 1}", jvm=flags)
            for i, port in enumerate(ports or drawn[:nodes])
        ]
        self.bootstrap = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self._prepare(drawn[nodes:], {**QUICK_SESSIONS, **(properties or {})})

    def _prepare(self, controllers: list[int], properties: dict[str, str]) -> None:
        count = str(len(self.nodes))
        in_sync = str(min(2, len(self.nodes)))
        places = zip(self.nodes, controllers, strict=True)
        common = {
            **PROPERTIES,
            "controller.quorum.voters": ",".join(f"{n.number}@127.0.0.1:{p}" for n, p in places),
            "default.replication.factor": count,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": count,
            "transaction.state.log.replication.factor": count,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": count,
            "share.coordinator.state.topic.min.isr": in_sync,
            **properties,
        }
        cluster_id = self._cluster_id()
        for node, controller in zip(self.nodes, controllers, strict=True):
            listener = f"PLAINTEXT://127.0.0.1:{node.port}"
            places_of = {
                "listeners": f"{listener},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": listener,
            }
            node.home.mkdir(parents=True, exist_ok=True)
            node.prepare(cluster_id, {**common, **places_of})

    def _cluster_id(self) -> str:
        """Written down, so that a cluster on a lasting folder stays the same one."""
        file = self.home / "cluster.id"
        if not file.exists():
            file.write_text(install.random_id())
        return file.read_text()

    def start(self, timeout_s: float = READY_TIMEOUT_S) -> Self:
        """Start every node and wait until the cluster serves; raises KafkaUnavailable."""
        for node in self.nodes:
            node.start()
        self.wait_ready(timeout_s)
        return self

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until every running node stands in the metadata; raises KafkaUnavailable."""
        deadline = time.monotonic() + timeout_s
        wanted = {node.number for node in self.nodes if node.running}
        while not all(listens(node.port) for node in self.nodes if node.running):
            self._check_alive(deadline)
            time.sleep(POLL_S)
        admin = self._admin()
        while not wanted <= self._answering(admin):
            self._check_alive(deadline)
            time.sleep(POLL_S)

    def _answering(self, admin: AdminClient) -> set[int]:
        try:
            return set(admin.list_topics(timeout=1.0).brokers)
        except KafkaException:  # not yet: `_check_alive` bounds the waiting and quotes the log
            return set()

    def _check_alive(self, deadline: float) -> None:
        dead = [node for node in self.nodes if node.failed]
        if dead or time.monotonic() > deadline:
            node = (dead or self.nodes)[0]
            raise KafkaUnavailable(f"Kafka node {node.number} is not ready:\n{node.log_tail}")

    def _admin(self) -> AdminClient:
        return AdminClient(admin_config(self.bootstrap))

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Create a topic and wait until every partition has a leader; `retention_ms="-1"` form."""
        create_topic(self._admin(), name, partitions, **config)

    def leader(self, topic: str, partition: int = 0) -> Node:
        """The node that leads a partition; waits for one where it has just been lost."""
        admin, deadline = self._admin(), time.monotonic() + READY_TIMEOUT_S
        while True:
            found = admin.list_topics(topic, timeout=ANSWER_TIMEOUT_S).topics[topic]
            known = found.partitions.get(partition)  # None: the node asked has not heard of it yet
            if known and known.leader > 0:
                return self.nodes[known.leader - 1]
            self._check_alive(deadline)
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End every node: in order on a lasting folder, by SIGKILL on a temporary one.

        Three nodes that stop in order take 5.6 s: the last one waits for its lost quorum.
        """
        for node in self.nodes:
            if node.running and self._temporary:
                node.kill()
            elif node.running:
                node.stop()
        if self._temporary:
            shutil.rmtree(self.home)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def create_topic(admin: AdminClient, name: str, partitions: int, **config: str) -> None:
    """Create a topic and wait until the broker asked shows a leader for every partition.

    The broker answers before its own metadata know the topic; whoever looks at once may miss it.
    """
    lines = {key.replace("_", "."): value for key, value in config.items()}
    new = NewTopic(name, partitions, config=lines)
    admin.create_topics([new], request_timeout=ANSWER_TIMEOUT_S)[name].result(ANSWER_TIMEOUT_S)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not _led(admin, name, partitions):
        if time.monotonic() > deadline:
            raise KafkaUnavailable(f"topic {name}: no leaders in {READY_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)


def _led(admin: AdminClient, name: str, partitions: int) -> bool:
    found = admin.list_topics(timeout=ANSWER_TIMEOUT_S).topics.get(name)
    led = [p for p in found.partitions.values() if p.leader > 0] if found else []
    return len(led) == partitions


def archived() -> list[str]:
    """JVM flags that load Kafka's classes from a shared archive: 0.6 s less at each start.

    The archive (52 MB) is made once, in 4 s, by a broker that starts, works and stops. Java ignores
    it if its own version or the jars differ.
    """
    java = install.java_version() or "none"
    file = install.home() / f"classes-{java}.jsa"
    if not file.exists():
        with install.exclusive("classes") as folder:
            if not file.exists():
                _archive(folder / "classes.part", file)
    return [f"-XX:SharedArchiveFile={file}"]


def _archive(part: Path, file: Path) -> None:
    flags = [*install.SMALL_HEAP, *install.FAST_START, f"-XX:ArchiveClassesAtExit={part}"]
    with KafkaCluster(jvm=flags) as kafka:
        kafka.create_topic("warm")
        kafka.nodes[0].stop()
        if not part.exists():
            raise KafkaUnavailable(f"Java left no class archive:\n{kafka.nodes[0].log_tail}")
    part.replace(file)
