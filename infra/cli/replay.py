"""`truecopy replay`: decisions made again on recorded inputs; compared, or under another policy."""

import sys
import time

import click
from rich.console import Console

from flows.core import RULES
from flows.engine.collector import spare_collector
from infra.cli.lazy import LazySettings
from infra.inspect.human import printable, span
from infra.proof.policy_changes import Change, parse_change
from infra.proof.progress import reading
from infra.proof.recordings import Recording
from infra.proof.replay import Divergence, Replayed, check, replay
from infra.proof.rim import from_option, opened, plainly
from infra.proof.whatif import what_if
from infra.proof.whatif_table import rendered
from schemas import codec
from schemas.policy import PolicyError

RECORD_SHOWN = 600


def _changes(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> tuple[Change, ...]:
    try:
        return tuple(map(parse_change, texts))
    except PolicyError as error:
        raise click.UsageError(str(error)) from error


@click.command("replay")
@from_option
@click.option("--until", type=click.IntRange(min=0), help="The last tape offset to fold.")
@click.option(
    "--check",
    "checked",
    is_flag=True,
    help="Compare with the journal byte for byte; exit 1 at the first difference.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="policy.KEY=VALUE",
    callback=_changes,
    help="What if the policy had been another; accounts and leaders by name, again for more.",
)
@click.pass_obj
def replay_command(
    settings: LazySettings,
    source: str,
    tail: bool,
    until: int | None,
    checked: bool,
    changes: tuple[Change, ...],
) -> None:
    """Make the decisions again on the recorded tape.

    With --check what this release's rules decided must come out the same to the byte; what other
    rules decided is taken as it stands and counted. With --set the tape runs under the policy as
    it was and under the changed one, both on an ideal venue, and the difference is shown.
    """
    if checked and changes:
        raise click.UsageError("--check compares with what was decided: it goes without --set")
    wiring = settings().wiring
    with plainly(wiring.kafka):
        recording = opened(wiring.kafka, source, tail)
        spare_collector()
        if changes:
            _show_what_if(recording, changes, until)
            return
        began = time.monotonic()
        with reading("replay", recording, until) as on_read:
            again = check if checked else replay
            done = again(recording, until=until, on_read=on_read)
        _report(done, recording.name, time.monotonic() - began, checked)
    if done.divergence is not None:
        sys.exit(1)


def _show_what_if(recording: Recording, changes: tuple[Change, ...], until: int | None) -> None:
    try:
        with reading("what if", recording, until) as on_read:
            found = what_if(recording, changes, until=until, on_read=on_read)
    except PolicyError as error:
        raise click.ClickException(str(error)) from error
    console = Console() if sys.stdout.isatty() else Console(width=130)
    for part in rendered(found, changes):
        console.print(part)


def _report(done: Replayed, name: str, took_s: float, checked: bool) -> None:
    say = Console(highlight=False, soft_wrap=True, markup=False).print
    recorded_ms = done.last_ms - done.first_ms
    say(
        f"{done.records:,} tape records from {name} in {took_s:.1f} s: "
        f"{done.records / took_s:,.0f} a second, {recorded_ms / 1000 / took_s:,.0f} times as fast "
        f"as they came ({span(recorded_ms)})"
    )
    say("events: " + (", ".join(f"{n:,} {kind}" for kind, n in done.kinds.most_common()) or "none"))
    if not checked:
        return
    for rules, count in sorted(done.taken.items()):
        say(f"taken as they stand: {count:,} events of rules {rules} (these are rules {RULES})")
    if done.ahead:
        say(f"not in the journal yet: {done.ahead:,} events")
    if done.divergence is None:
        say(f"equal: {done.compared:,} events made again, byte for byte", style="green")
    else:
        say(diverged(done.divergence), style="red")


def diverged(found: Divergence) -> str:
    """The first difference with the record that caused it."""
    cause = printable(codec.encode(found.record).decode())
    place = "missing" if found.stands is None else f"at offset {found.stands}"
    return (
        f"DIFFERS at tape offset {found.cause}, {type(found.record).__name__}\n"
        f"  {found.topic} record {found.number}, {place}: {printable(found.found)}\n"
        f"  caused by {cause[:RECORD_SHOWN]}"
    )
