"""`truecopy rebuild`: the flow's state made anew from tape and journal, and a snapshot of it."""

import time
from pathlib import Path

import click
from rich.console import Console

from flows.core import RULES
from flows.engine.collector import spare_collector
from infra.cli.lazy import LazySettings
from infra.proof.digest import state_digest
from infra.proof.progress import reading
from infra.proof.rebuild import Rebuilt, rebuild
from infra.proof.recordings import genesis_of
from infra.proof.rim import from_option, opened, plainly
from infra.proof.store import ends_of, install


@click.command("rebuild")
@from_option
@click.option(
    "--dry", is_flag=True, help="Print the digest only; append nothing, keep the old snapshot."
)
@click.option(
    "--until",
    type=click.IntRange(min=0),
    help="The state after this tape offset, to compare digests; implies --dry.",
)
@click.pass_obj
def rebuild_command(
    settings: LazySettings, source: str, tail: bool, dry: bool, until: int | None
) -> None:
    """Make the flow's state anew: the tape folded, with the journal's decisions taken as they are.

    Nothing that the journal decided is decided again. The flow must not be running.
    """
    wiring = settings().wiring
    dry = dry or until is not None or not (tail or source == "kafka")
    with plainly(wiring.kafka):
        recording = opened(wiring.kafka, source, tail)
        ends = {} if dry else ends_of(wiring.kafka)
        begun = genesis_of(recording)
        spare_collector()
        began = time.monotonic()
        with reading("rebuild", recording, until) as on_read:
            made = rebuild(recording, until=until, on_read=on_read)
        took_s = time.monotonic() - began
        if not dry:
            install(wiring.kafka, Path(wiring.flow.recovery_dir), begun, made, ends)
    _report(made, recording.name, took_s)
    if not dry:
        click.echo(f"snapshot: {wiring.flow.recovery_dir}, rules {RULES}, tape {begun.tape_id}")


def _report(made: Rebuilt, name: str, took_s: float) -> None:
    say = Console(highlight=False, soft_wrap=True).print
    taken = ", ".join(f"{n:,} by rules {rules}" for rules, n in sorted(made.taken.items()))
    say(f"from {name}: {made.next_offset:,} tape records in {took_s:.1f} s")
    say(f"decisions taken as they stand: {taken or 'none'}; missing: {len(made.missing)}")
    if made.repeats:
        say(f"{made.repeats:,} records repeated by a second flow were passed over")
    say(f"state after tape offset {made.next_offset - 1}: {state_digest(made.state)}")
