"""Commands that run one process of the pipeline, or put policy on the tape.

Imports stand inside the commands: each process loads its own part and nothing else (only execution
loads the client that signs).
"""

import asyncio
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import uvloop

from connectors.telemetry.server import Telemetry
from infra.cli.lazy import LazySettings
from infra.cli.served import served
from infra.tape import NoTape, apply_policy, genesis
from schemas.policy import PolicyError, check_served
from schemas.settings import Settings, SettingsError
from schemas.wiring import KafkaWiring

if TYPE_CHECKING:
    from flows.engine.recovery import Identity

FLOW_HUNG_S = 30.0
"""The worker does not turn while it pickles a snapshot or folds a batch."""

Runner = Callable[[Settings, asyncio.Event], Awaitable[None]]


@click.group()
def policy() -> None:
    """The policy on the tape: accounts, leaders, caps, thresholds."""


@policy.command("apply")
@click.pass_obj
def policy_apply(settings: Callable[[], Settings]) -> None:
    """Append the settings' policy if it differs from the newest on the tape."""
    from infra.cli.words_shown import overlay_lines
    from infra.words import standing

    loaded = settings()
    try:
        check_served(loaded.policy)
    except PolicyError as error:
        raise click.ClickException(str(error)) from error
    found, appended = apply_policy(loaded.wiring.kafka, loaded.policy)
    click.echo(f"policy v{found.version} {'appended' if appended else 'is in force already'}")
    for line in overlay_lines(standing(loaded.wiring.kafka)):
        click.echo(f"words win over the file: {line}", err=True)


@click.command()
@click.pass_obj
def flow(settings: Callable[[], Settings]) -> None:
    """The dataflow of one shard: tape in, journal and orders out."""
    from flows.copytrade import build, hub_of, writing_fence
    from flows.core import RULES
    from flows.engine.collector import spare_collector
    from flows.engine.launch import run
    from flows.engine.takeover import refuse_other_rules
    from flows.flow_meter import FlowMeter, export_flow

    wiring = settings().wiring
    spare_collector()
    stop = threading.Event()
    hub, meter = hub_of(wiring, stop), FlowMeter()
    telemetry = Telemetry("flow", rules=RULES, hung_s=FLOW_HUNG_S)
    export_flow(telemetry, meter, hub, wiring.kafka.prefix)
    with served(telemetry, wiring.health):
        recovery_dir = Path(wiring.flow.recovery_dir)
        begun = _begun(wiring.kafka, recovery_dir)
        code = run(
            build(wiring, hub=hub, fence=writing_fence(wiring, hub), meter=meter),
            stop=stop,
            epoch_s=wiring.flow.epoch_s,
            recovery_dir=recovery_dir,
            identity=msgspec.structs.replace(begun, partition=wiring.kafka.shard, rules=RULES),
            on_fresh=lambda: refuse_other_rules(
                hub, f"{wiring.kafka.prefix}journal", wiring.kafka.shard, RULES
            ),
        )
    sys.exit(code)


def _begun(kafka: KafkaWiring, recovery_dir: Path) -> "Identity":
    """Whose tape this is: its Genesis says, or once that left Kafka, the snapshot."""
    from flows.engine.recovery import Identity, identity_in

    try:
        found = genesis(kafka)
    except NoTape as error:
        known = identity_in(recovery_dir)
        if known is None:
            raise click.ClickException(str(error)) from error
        return known
    if found is None:
        raise click.ClickException("the tape is empty: `truecopy policy apply` begins it")
    return Identity(tape_id=found.tape_id, schema_version=found.schema, partition=kafka.shard)


@click.group()
def connectors() -> None:
    """The outside: sockets and REST of the venue, onto the tape."""


@connectors.command("public")
@click.pass_obj
def connectors_public(settings: Callable[[], Settings]) -> None:
    """Books, leaders' trades and reports, market metadata; no secret at all."""
    from connectors.public.main import run_public

    _run(settings(), run_public)


@connectors.command("account")
@click.pass_obj
def connectors_account(settings: Callable[[], Settings]) -> None:
    """Our own fills, orders, positions and balance; API credentials, never the key."""
    from connectors.account.main import run_account

    _run(settings(), run_account)


@click.command()
@click.option("--live", is_flag=True, help="One of the three yeses that real orders need.")
@click.pass_obj
def execution(settings: LazySettings, live: bool) -> None:
    """The execution sink: the only process that signs."""

    from connectors.execution.__main__ import main

    words = ["--live"] if live else []
    if settings.path is not None:
        words += ["--config", str(settings.path)]
    sys.exit(main(words))


def _run(settings: Settings, runner: Runner) -> None:
    """Run an asyncio process until it ends or a signal asks it to."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await runner(settings, stop)

    try:
        uvloop.run(main())
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
