"""A broker that `truecopy run` starts itself, where no other is wanted.

`local` is the real Kafka on the folder of `python -m infra.kafka up`: lasting, no Docker.
`embedded` is for a look only: it keeps minutes of records, forgets all at its end, and ends the run
when it has to drop one.
"""

import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from infra.children import Child, ChildDied
from infra.run.parts import Part
from infra.run.preflight import RunRefused, partitions
from schemas.wiring import KafkaWiring

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
READY_S = 300.0
"""The first start downloads Kafka."""
EMBEDDED_READY_S = 30.0
LOOK_S = 0.2
EMBEDDED = Part("broker", (), restarts=False)


def local_part(kafka: KafkaWiring, data: Path) -> Part:
    """The real broker at the bootstrap address, which must be one port of this machine."""
    port = loopback_port(kafka.bootstrap)
    words = ("up", "--port", str(port), "--data", str(data))
    return Part("broker", words)


def loopback_port(bootstrap: str) -> int:
    """The port of a loopback address host:port; raises RunRefused for any other."""
    parts = urlsplit(f"//{bootstrap}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host not in LOOPBACK or not port:
        raise RunRefused(
            f"--broker local starts Kafka on this machine, but kafka.bootstrap is {bootstrap}; "
            'set it to "127.0.0.1:9092"'
        )
    return port


def start_local(part: Part, kafka: KafkaWiring, folder: Path) -> Child:
    """The running real broker once it answers; raises ChildDied or TimeoutError."""
    child = Child("broker", [sys.executable, "-m", "infra.kafka", *part.words], folder, {})
    child.start()
    try:
        _wait_answering(child, kafka)
    except BaseException:
        child.stop()
        raise
    return child


def _wait_answering(child: Child, kafka: KafkaWiring) -> None:
    deadline = time.monotonic() + READY_S
    while partitions(kafka, timeout_s=1.0) is None:
        child.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"the broker did not answer within {READY_S:.0f} s\n{child.tail()}")
        time.sleep(LOOK_S)


def start_embedded(kafka: KafkaWiring, folder: Path) -> tuple[Child, str]:
    """The running embedded broker with its topics, and its address; raises ChildDied."""
    words = ("--prefix", kafka.prefix, "--shards", str(kafka.shard + 1))
    child = Child("broker", [sys.executable, "-m", "infra.embedded", *words], folder, {})
    child.start()
    try:
        return child, str(child.ready(EMBEDDED_READY_S)["bootstrap"])
    except (ChildDied, TimeoutError, json.JSONDecodeError):
        child.stop()
        raise
