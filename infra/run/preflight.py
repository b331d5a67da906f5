"""What must be true before any process starts; each refusal names what is missing and the fix.

Whether this may trade at all, who is followed, that nobody else runs here, that Kafka answers, that
the topics fit, that the tape belongs to this kind of trading. Reads no secret: of key and
credentials it looks at the file modes only.
"""

import contextlib
import fcntl
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.kafka.config import admin_config, consumer_config
from connectors.kafka.errors import KafkaFailed
from connectors.kafka.tape import other_fills
from infra.tape import NoTape, apply_policy
from infra.topics import TopicsRefused
from infra.topics import apply as apply_topics
from schemas import codec
from schemas.policy import PolicyError, check_served
from schemas.records.system import Policy
from schemas.settings import Settings
from schemas.wiring import HealthWiring, KafkaWiring, Wiring

ANSWER_S = 5.0
LOCK = "run.lock"


class RunRefused(ValueError):
    """The pipeline does not start; the message says why, what to do, and the page about it."""


def check_mode(wiring: Wiring, *, live: bool) -> None:
    """The three yeses of live trading, or none of them; raises RunRefused."""
    backend = wiring.execution.backend
    if backend == "paper" and not live:
        return
    if backend == "live" and not live:
        raise _refused(
            'execution.backend is "live", and --live was not given. To trade on paper use settings '
            'of their own (backend = "paper", another kafka.prefix and flow.recovery_dir): paper '
            "fills on a live account's tape would count as real",
            "live-refused",
        )
    # Loads the venue's client, a second of imports that paper can do without.
    from connectors.execution.permit import NotPermitted, check_permission, check_private

    try:
        check_permission(wiring, live=live)
        for section in (wiring.execution, wiring.account):
            if not section.credentials_file:
                raise NotPermitted("live needs account.credentials_file, which is not set")
            if not Path(section.credentials_file).exists():
                raise NotPermitted(
                    f"credentials file {section.credentials_file} is not there; "
                    "`truecopy credentials` makes it"
                )
            check_private(section.credentials_file, "credentials file")
    except NotPermitted as error:
        raise _refused(str(error), "live-refused") from error


def check_accounts(settings: Settings, *, live: bool) -> None:
    """There is one account to trade for, and live that is the one whose key is used."""
    names = [account.name for account in settings.policy.accounts]
    if not names:
        raise RunRefused(
            "policy.accounts is empty, so nobody would be followed; `truecopy init` writes a "
            "settings file, `truecopy --config FILE run` uses it"
        )
    try:
        check_served(settings.policy)
    except PolicyError as error:
        raise RunRefused(str(error)) from error
    if live and settings.wiring.account.account not in names:
        raise _refused(
            f"account.account is {settings.wiring.account.account!r}, but policy.accounts has "
            f"{', '.join(names)}",
            "live-refused",
        )


def check_ports(health: HealthWiring, keys: Iterable[str]) -> None:
    """Those of these keys of [health] that fix a port fix a free one; raises RunRefused."""
    for name in keys:
        port = getattr(health, name)
        if port and not _free(health.host, port):
            raise RunRefused(
                f"health.{name}: {health.host}:{port} is taken, perhaps by another pipeline on "
                "this machine; choose another port, or 0 for any free one"
            )


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder of logs is ours alone while this lasts; raises RunRefused if it is another's."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise RunRefused(f"a pipeline is running on {folder} already") from taken
        yield


def partitions(kafka: KafkaWiring, timeout_s: float = ANSWER_S) -> int | None:
    """Partitions of the tape, 0 where there is none yet; None while no broker answers."""
    try:
        found = AdminClient(admin_config(kafka.bootstrap)).list_topics(timeout=timeout_s)
    except KafkaException:  # what it says is only that nobody answered in time
        return None
    tape = found.topics.get(f"{kafka.prefix}tape")
    return 0 if tape is None else len(tape.partitions)


def check_kafka(kafka: KafkaWiring, timeout_s: float = ANSWER_S) -> int:
    """Partitions of the tape on a broker that answers; raises RunRefused."""
    count = partitions(kafka, timeout_s)
    if count is None:
        raise _refused(
            f"no Kafka answers at {kafka.bootstrap} within {timeout_s:g} s. Start one with "
            "`docker compose up -d kafka` or `python -m infra.kafka up` (Java 17, no Docker), or "
            "let `truecopy run` start it: --broker local",
            "kafka-unreachable",
        )
    return count


def put_in_order(settings: Settings, *, live: bool, tape_partitions: int) -> tuple[Policy, bool]:
    """Topics as declared, the tape begun, the policy on it; and whether it was appended now."""
    kafka = settings.wiring.kafka
    # A living tape keeps its shards; a new one gets as many as this shard's number needs.
    shards = tape_partitions or kafka.shard + 1
    try:
        apply_topics(kafka.bootstrap, prefix=kafka.prefix, shards=shards)
        if tape_partitions:
            check_tape(kafka, live=live)
        return apply_policy(kafka, settings.policy)
    except (NoTape, TopicsRefused) as error:
        raise RunRefused(str(error)) from error
    except (KafkaException, KafkaFailed) as error:
        raise _refused(f"Kafka at {kafka.bootstrap}: {error}", "kafka-unreachable") from error
    except codec.UndecodableRecord as error:
        raise RunRefused(
            f"the tape {kafka.prefix}tape holds what this release cannot read: {error}"
        ) from error


def check_tape(kafka: KafkaWiring, *, live: bool) -> None:
    """Paper and real fills never share a tape, as execution itself refuses when it starts."""
    config = consumer_config(kafka.bootstrap, fetch_wait_ms=kafka.fetch_wait_ms)
    place = (f"{kafka.prefix}tape", kafka.shard)
    if refused := other_fills(config, place, threading.Event(), live=live):
        raise _refused(refused, "live-refused")


def embedded(settings: Settings, bootstrap: str, recovery_dir: Path) -> Settings:
    """The same settings on the embedded broker, which forgets all: with new snapshots."""
    wiring = settings.wiring
    replace = msgspec.structs.replace
    kafka = replace(wiring.kafka, bootstrap=bootstrap, linger_ms=5, fetch_wait_ms=5)
    flow = replace(wiring.flow, recovery_dir=str(recovery_dir))
    return replace(settings, wiring=replace(wiring, kafka=kafka, flow=flow))


def _refused(text: str, anchor: str) -> RunRefused:
    return RunRefused(f"{text}. See RUNBOOK.md#{anchor}")
