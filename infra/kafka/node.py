"""One Kafka node (broker and controller in one JVM): its folder, its ports, its process.

The folder survives the process, so a killed node starts again on the same ports with the same log.
The process dies with ours, also when ours is killed (tether.py).
"""

import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from infra.kafka import install, tether

STOP_TIMEOUT_S = 20.0
# Below the range from which the kernel takes the ports of outgoing connections: a dead node's port
# must still be free when it comes back, and a client must never be able to connect to itself.
PORTS = range(20_000, 30_000)
# A tethered child dies with the thread that started it, so one thread, which ends with the process,
# starts them all: a node may be started from a short-lived thread, too.
STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-starter")


@dataclass(kw_only=True)
class Node:
    """A node of a cluster; `start` is all that is missing after the constructor."""

    number: int
    port: int
    home: Path
    jvm: list[str]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def prepare(self, cluster_id: str, properties: Mapping[str, str]) -> None:
        """Make the log directory unless it is there, and write the configuration."""
        data = self.home / "data"
        if not data.is_dir():
            # Under a name of its own first: a folder cut short by a kill must not look formatted.
            part = self.home / "data.part"
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(install.template(), part)
            (part / "meta.properties").write_text(
                f"version=1\ncluster.id={cluster_id}\nnode.id={self.number}\n"
                f"directory.id={install.random_id()}\n"
            )
            part.rename(data)
        lines = {**properties, "node.id": str(self.number), "log.dirs": str(data)}
        self._conf.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))

    @property
    def _conf(self) -> Path:
        return self.home / "server.properties"

    @property
    def running(self) -> bool:
        """True while its process lives, paused or not."""
        return self.process is not None and self.process.poll() is None

    @property
    def failed(self) -> bool:
        """True if it ended by itself, not by a signal of ours."""
        return self.process is not None and (self.process.poll() or 0) > 0

    @property
    def log_tail(self) -> str:
        """The last 3,000 characters of what it logged."""
        file = self.home / "broker.log"
        return file.read_text(errors="replace")[-3_000:] if file.exists() else ""

    def start(self) -> None:
        """Start the JVM and return at once; `KafkaCluster.wait_ready` waits."""
        assert not self.running, f"node {self.number} is running"
        logging = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        logging += ["-Dorg.slf4j.simpleLogger.showDateTime=true"]
        java = ["java", *self.jvm, *logging, "-cp", f"{install.libs()}/*"]
        command = tether.command([*java, "kafka.Kafka", str(self._conf)])
        self.process = STARTER.submit(self._spawn, command).result()

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.home / "broker.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for us: we end the node in order
            )

    def kill(self) -> None:
        """SIGKILL: the page cache survives; its session at the controller must expire first."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 20 s (the last of three nodes misses its quorum)."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def pause(self) -> None:
        """SIGSTOP: alive for the kernel, which accepts connections; silent for everybody else."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens now, drawn at random so that parallel runs rarely meet."""
    found: list[int] = []
    for port in random.sample(PORTS, k=len(PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found


def listens(port: int) -> bool:
    """True if a plain connect succeeds; 0.1 ms, where a client's own retry backs off to seconds."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
