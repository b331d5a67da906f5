"""docker-compose.yml read as Docker Compose reads it, and its services run as local processes.

What a container would see is mapped onto this machine and nothing else is changed: volumes and
secrets become folders and files of the test, `kafka:19092` the test's broker, each health port a
free one. Entry point, command, environment and health check are those of the file.
"""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infra.kafka import tether
from infra.kafka.node import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
HEALTH_PORT = re.compile(r"TRUECOPY__HEALTH__\w+_PORT")
SECRETS = "/run/secrets"
PROCESSES = ("connectors-public", "connectors-account", "flow", "execution", "export")
ONCE = ("topics", "policy")
LOOK_S = 0.2


def read(environ: Mapping[str, str]) -> dict[str, Any]:
    """The compose file with its variables replaced."""
    text = (ROOT / "docker-compose.yml").read_text()
    document: dict[str, Any] = YAML(typ="safe").load(text)
    replaced: dict[str, Any] = _replaced(document, environ)
    return replaced


def _replaced(node: Any, environ: Mapping[str, str]) -> Any:
    match node:
        case dict():
            return {key: _replaced(value, environ) for key, value in node.items()}
        case list():
            return [_replaced(value, environ) for value in node]
        case str():
            return VARIABLE.sub(lambda m: environ.get(m[1]) or m[2] or "", node)
    return node


def words(value: str | list[str]) -> list[str]:
    """A command in either of its two forms."""
    return shlex.split(value) if isinstance(value, str) else list(value)


def image() -> dict[str, str]:
    """What the image itself sets: ENV of the Dockerfile's last stage."""
    last = (ROOT / "Dockerfile").read_text().split("\nFROM ")[-1].replace("\\\n", " ")
    lines = [line.removeprefix("ENV ") for line in last.splitlines() if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def mounts(document: Mapping[str, Any], service: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Path in the container -> path here: volumes, bind mounts and secrets."""
    found = {}
    for volume in service.get("volumes", []):
        if isinstance(volume, dict):
            found[volume["target"]] = str((ROOT / volume["source"]).resolve())
        else:
            name, target = volume.split(":")[:2]
            (folder / name).mkdir(mode=0o700, exist_ok=True)
            found[target] = str(folder / name)
    for name in service.get("secrets", []):
        found[f"{SECRETS}/{name}"] = str((ROOT / document["secrets"][name]["file"]).resolve())
    return found


@dataclass
class Container:
    """One service as a local process. `said`: everything it wrote."""

    name: str
    argv: list[str]
    env: dict[str, str]
    health: list[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def log(self) -> Path:
        """Standard output and standard error."""
        return self.folder / f"{self.name}.log"

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> None:
        """Start it with the service's environment and no other, in a folder of no meaning."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                tether.command(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.folder,
            )

    def ended(self, timeout_s: float) -> int:
        """Wait for its end; the exit code."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def healthy(self) -> bool:
        """Its own health check, once."""
        done = subprocess.run(
            self.health,
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return done.returncode == 0

    def wait_healthy(self, timeout_s: float) -> None:
        """Until its health check passes; fails if it ends before, or in time."""
        assert self.process is not None
        until = time.monotonic() + timeout_s
        while not self.healthy():
            assert self.process.poll() is None, f"{self.name} ended:\n{self.said[-3000:]}"
            assert time.monotonic() < until, f"{self.name} is not healthy:\n{self.said[-3000:]}"
            time.sleep(LOOK_S)

    def terminate(self) -> None:
        """SIGTERM, as `docker stop` begins."""
        assert self.process is not None
        self.process.terminate()

    def stop(self, timeout_s: float = 120.0) -> int:
        """SIGTERM, and SIGKILL when the grace is over; the exit code."""
        self.terminate()
        assert self.process is not None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def container(document: Mapping[str, Any], name: str, *, bootstrap: str, folder: Path) -> Container:
    """The service of this name, mapped onto this machine."""
    service = document["services"][name]
    here = mounts(document, service, folder)
    here["kafka:19092"] = bootstrap
    ports = {}
    for key, value in service["environment"].items():
        if HEALTH_PORT.fullmatch(key):
            ports[value] = str(free_ports(1)[0])

    def local(text: str) -> str:
        for there, where in here.items():
            if text == there or text.startswith(there + "/"):
                return where + text.removeprefix(there)
        for port, free in ports.items():
            text = text.replace(f":{port}/", f":{free}/")
        return text

    given = {key: local(value) for key, value in service["environment"].items()}
    given |= {key: ports[value] for key, value in given.items() if HEALTH_PORT.fullmatch(key)}
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    argv = [*words(service["entrypoint"]), *words(service["command"])]
    health = service.get("healthcheck", {"test": ["NONE"]})["test"]
    return Container(
        name=name,
        argv=[local(word) for word in argv],
        env=image() | path | given,
        health=[local(word) for word in health[1:]],
        folder=folder,
    )
