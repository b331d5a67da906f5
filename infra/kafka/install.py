"""Apache Kafka on this machine, from official artifacts: jars through Maven, nothing as root.

Once per machine and version: the jars (47 files, 44 MB, 2-4 s) and a formatted, empty log directory
(0.6 s). They live in the user's cache folder, or where TRUECOPY_KAFKA_CACHE says. Needs a Java
runtime of 17 or later; Maven only until the jars are there. Kafka 4.3.1 runs on Java 17 (measured
2026-11). Never repairs a half-made cache: whatever is visible there was complete when renamed.
"""

import base64
import contextlib
import fcntl
import functools
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
GOAL = "dependency:copy-dependencies"
JAVA_LEAST = 17
FETCH_TIMEOUT_S = 300.0
FORMAT_TIMEOUT_S = 60.0

# One JVM of a test or a laptop: a quarter of the start time and half the memory of the defaults.
SMALL_HEAP = ["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-Xshare:auto"]
# Halves the start once more, doubles the latency under load: for tests.
FAST_START = ["-XX:TieredStopAtLevel=1"]


class KafkaUnavailable(RuntimeError):
    """The real Kafka cannot run or did not start here; the message says what is missing."""


def version() -> str:
    """The pinned Kafka version; it stands in pom.xml alone."""
    return POM.read_text().split("<kafka.version>")[1].split("<")[0]


def home() -> Path:
    """The cache folder of the pinned version."""
    named = os.environ.get("TRUECOPY_KAFKA_CACHE")
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return (Path(named) if named else caches / "truecopy-kafka") / version()


@functools.cache
def java_version() -> str | None:
    """What `java -version` calls itself, or None where there is no Java."""
    if shutil.which("java") is None:
        return None
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "([^"]+)"', done.stderr)
    return found.group(1) if found else None


def missing() -> str | None:
    """Why the real Kafka cannot be started on this machine; None if it can."""
    java = java_version()
    if java is None:
        return f"no Java runtime on the PATH (it needs {JAVA_LEAST} or later)"
    if int(java.split(".")[0]) < JAVA_LEAST:
        return f"Java {java} is too old (it needs {JAVA_LEAST} or later)"
    if not (home() / "libs").is_dir() and shutil.which("mvn") is None:
        return "no Maven on the PATH to fetch the jars with"
    return None


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[Path]:
    """One process at a time makes a part of the cache; gives the version's folder."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def libs() -> Path:
    """The folder of jars, fetched at first use; raises KafkaUnavailable."""
    made = home() / "libs"
    if not made.is_dir():
        if reason := missing():
            raise KafkaUnavailable(f"Apache Kafka {version()}: {reason}")
        with exclusive("libs") as folder:
            if not made.is_dir():
                _fetch(folder, made)
    return made


def _fetch(folder: Path, made: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as part:
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(POM), GOAL, f"-DoutputDirectory={part}/libs"],
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            said = (done.stdout + done.stderr)[-2_000:]
            raise KafkaUnavailable(f"Maven could not fetch Apache Kafka {version()}:\n{said}")
        Path(part, "libs").rename(made)


def template() -> Path:
    """A formatted, empty log directory without meta.properties, the one file that nodes differ in.

    `StorageTool format` is a JVM of its own, so it runs once per machine, not once per broker.
    """
    made = home() / "template"
    if not made.is_dir():
        jars = libs()
        with exclusive("template") as folder:
            if not made.is_dir():
                _format(folder, made, jars)
    return made


def _format(folder: Path, made: Path, jars: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as part:
        conf = Path(part, "format.properties")
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": "1@127.0.0.1:1",
            "controller.listener.names": "CONTROLLER",
            "listeners": "PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1",
            "log.dirs": f"{part}/data",
        }
        conf.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        command = ["java", *SMALL_HEAP, *FAST_START, "-cp", f"{jars}/*"]
        command += ["kafka.tools.StorageTool", "format", "-t", random_id(), "-c", str(conf)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False
        )
        if done.returncode:
            raise KafkaUnavailable(f"Kafka's StorageTool failed:\n{done.stderr[-2_000:]}")
        Path(part, "data", "meta.properties").unlink()
        Path(part, "data").rename(made)


def random_id() -> str:
    """A Kafka uuid: 22 characters of URL-safe base64, never beginning with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
