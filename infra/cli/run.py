"""`truecopy run`: the whole pipeline in the foreground, paper or live, until Ctrl-C or SIGTERM."""

import asyncio
import contextlib
import logging
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from infra.children import Child, ChildDied
from infra.cli.lazy import LazySettings
from infra.kafka.node import free_ports
from infra.run import broker as brokers
from infra.run.driver import Driver
from infra.run.parts import Part, pipeline
from infra.run.preflight import (
    RunRefused,
    check_accounts,
    check_kafka,
    check_mode,
    check_ports,
    embedded,
    held,
    partitions,
    put_in_order,
)
from infra.run.supervisor import Limits, Supervisor, Verdict
from schemas.settings import Settings
from schemas.wiring import HealthWiring

LOG = logging.getLogger("truecopy.run")
EMBEDDED_WARNING = (
    "the embedded broker keeps 5 MiB a partition in memory: this run ends after minutes and "
    "leaves nothing; for more than a look use --broker local"
)


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    live: bool
    broker: str
    archive: Path | None
    logs: Path
    data: Path


@dataclass
class Begun:
    """What runs already when the supervisor begins, and what the others need to know of it."""

    settings: Settings
    parts: list[Part] = field(default_factory=list)
    children: dict[str, Child] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


@click.command()
@click.option("--paper", "mode", flag_value="paper", default="paper", help="The default: no key.")
@click.option("--live", "mode", flag_value="live", help="One of the three yeses to real orders.")
@click.option(
    "--broker",
    type=click.Choice(["given", "local", "embedded"]),
    default="given",
    show_default=True,
    help="given: the one at kafka.bootstrap. local: start the real Kafka there, without Docker. "
    "embedded: a few minutes in memory, for a look.",
)
@click.option(
    "--export",
    "archive",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also export every topic to Parquet files in this folder.",
)
@click.option(
    "--logs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/run"),
    show_default=True,
    help="Folder of the processes' logs.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/kafka"),
    show_default=True,
    help="Folder of the local broker's log.",
)
@click.pass_obj
def run(
    settings: LazySettings, mode: str, broker: str, archive: Path | None, logs: Path, data: Path
) -> None:
    """The whole pipeline under one supervisor, until Ctrl-C (twice: at once)."""
    options = Options(live=mode == "live", broker=broker, archive=archive, logs=logs, data=data)
    try:
        verdict = _run(settings, options)
    except (RunRefused, ChildDied, TimeoutError) as error:
        raise click.ClickException(str(error)) from error
    if verdict.reason:
        click.echo(f"stopped: {verdict.reason}\nlogs: {logs}", err=True)
    sys.exit(verdict.code)


def _run(lazy: LazySettings, options: Options) -> Verdict:
    settings = lazy()
    check_mode(settings.wiring, live=options.live)
    check_accounts(settings, live=options.live)
    own = pipeline(live=options.live, archive=options.archive)
    check_ports(settings.wiring.health, [part.health_key for part in own])
    with held(options.logs), _broker(settings, options) as begun:
        count = check_kafka(begun.settings.wiring.kafka)
        found, appended = put_in_order(begun.settings, live=options.live, tape_partitions=count)
        LOG.info("policy=v%d state=%s", found.version, "appended" if appended else "in_force")
        return _supervised(begun, own, lazy.path, options)


def _supervised(begun: Begun, own: list[Part], config: Path | None, options: Options) -> Verdict:
    running = list(begun.children)
    ports = health_ports(begun.settings.wiring.health, own)
    env = {**begun.env, **{f"TRUECOPY__HEALTH__{k.upper()}": str(p) for k, p in ports.items()}}
    command = [sys.executable, "-m", "infra.cli.main"]
    command += [] if config is None else ["--config", str(config)]
    for part in own:
        argv = [*command, *part.words]
        begun.children[part.name] = Child(part.name, argv, options.logs, env)
    health = {
        part.name: _base(begun.settings.wiring.health.host, ports[part.health_key]) for part in own
    }
    mode = "live" if options.live else "paper"
    LOG.info("pipeline=all state=starting mode=%s logs=%s", mode, options.logs)
    LOG.info("pipeline=all %s", " ".join(f"{name}_health={base}" for name, base in health.items()))
    supervisor = Supervisor(
        [*begun.parts, *own], limits=Limits(), jitter=random.SystemRandom().random
    )
    driver = Driver(supervisor, begun.children, health, lambda line: click.echo(line, err=True))
    return asyncio.run(driver.run(running))


@contextlib.contextmanager
def _broker(settings: Settings, options: Options) -> Iterator[Begun]:
    """The broker asked for; one of our own has ended when this ends."""
    begun = Begun(settings)
    kafka = settings.wiring.kafka
    try:
        if options.broker == "embedded":
            _embed(begun, options)
        elif options.broker == "local":
            part = brokers.local_part(kafka, options.data)
            if partitions(kafka, timeout_s=1.0) is None:
                LOG.info(
                    "broker=local state=starting address=%s data=%s", kafka.bootstrap, options.data
                )
                _begun(begun, part, brokers.start_local(part, kafka, options.logs))
        yield begun
    finally:
        if "broker" in begun.children:
            begun.children["broker"].stop()


def _begun(begun: Begun, part: Part, child: Child) -> None:
    assert child.process is not None, "it answers already"
    LOG.info("child=%s state=started pid=%d", part.name, child.process.pid)
    begun.parts.append(part)
    begun.children[part.name] = child


def _embed(begun: Begun, options: Options) -> None:
    if options.live:
        raise RunRefused("--broker embedded forgets everything: never for --live")
    LOG.warning("broker=embedded state=starting note=%r", EMBEDDED_WARNING)
    child, bootstrap = brokers.start_embedded(begun.settings.wiring.kafka, options.logs)
    _begun(begun, brokers.EMBEDDED, child)
    snapshots = Path(tempfile.mkdtemp(prefix="recovery-", dir=options.logs))
    begun.settings = embedded(begun.settings, bootstrap, snapshots)
    kafka = begun.settings.wiring.kafka
    begun.env = {
        "TRUECOPY_KAFKA": bootstrap,
        "TRUECOPY__KAFKA__BOOTSTRAP": bootstrap,
        "TRUECOPY__KAFKA__LINGER_MS": str(kafka.linger_ms),
        "TRUECOPY__KAFKA__FETCH_WAIT_MS": str(kafka.fetch_wait_ms),
        "TRUECOPY__FLOW__RECOVERY_DIR": begun.settings.wiring.flow.recovery_dir,
    }


def health_ports(health: HealthWiring, parts: list[Part]) -> Mapping[str, int]:
    """The port of each process by its key: as set, or a free one where 0 is set."""
    keys = [part.health_key for part in parts]
    drawn = dict(zip(keys, free_ports(len(keys)), strict=True))
    return {key: getattr(health, key) or drawn[key] for key in keys}


def _base(host: str, port: int) -> str:
    """Where we ask: a process that listens everywhere also listens on loopback."""
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{asked}]:{port}" if ":" in asked else f"http://{asked}:{port}"
