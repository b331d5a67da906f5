"""`truecopy demo`: run the stage, show what happens, judge it, exit 1 if a promise was broken."""

import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

from connectors.kafka.errors import KafkaFailed
from infra.children import ChildDied
from infra.demo.evidence import gather, save
from infra.demo.judge import judge
from infra.demo.kills import Kills
from infra.demo.report import live_view, print_report
from infra.demo.stage import ACCOUNT, Options, Stage, staged, wait_until
from infra.demo.token_lines import VENUE_MINIMUMS
from infra.status import read_status
from infra.tape import bounds
from infra.topics import TopicsRefused

SETTLE_S = 40.0
"""How long the last orders may take to settle after the planned end; over as soon as they have."""
STILL_S = 3.0
REFRESH_S = 1.0
LASTING = (None, *VENUE_MINIMUMS, "one_sided", "crossed")
"""Holds that no waiting ends: the venue takes no such order, or its recorded book has no price."""


@click.command()
@click.option("--seconds", default=60, show_default=True, help="Length of the run.")
@click.option("--speed", default=1.0, show_default=True, help="Shortens the books' intervals.")
@click.option("--seed", default=7, show_default=True, help="Everything the venue draws.")
@click.option("--faults", default="none", show_default=True, help="Comma list, or all.")
@click.option("--kills", is_flag=True, help="SIGKILL the dataflow 3 times, execution twice.")
@click.option("--kafka", envvar="TRUECOPY_KAFKA", help="A running broker, not the embedded one.")
@click.option("--keep", is_flag=True, help="Leave it running and say how to look at it.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where logs and settings go.")
def demo(
    seconds: int,
    speed: float,
    seed: int,
    faults: str,
    kills: bool,
    kafka: str | None,
    keep: bool,
    folder: Path | None,
) -> None:
    """The whole pipeline on a loopback Polymarket: no keys, no network, about a minute."""
    # The word is what tests use to ask for the embedded broker by the same variable.
    broker = None if kafka in (None, "", "embedded") else kafka
    options = Options(seconds=seconds, speed=speed, seed=seed, faults=faults, kafka=broker)
    home = folder or Path(tempfile.mkdtemp(prefix="truecopy-demo-"))
    home.mkdir(parents=True, exist_ok=True)
    # Without a terminal rich takes 80 columns, which breaks every table line.
    console = Console() if sys.stdout.isatty() else Console(width=130)
    try:
        with staged(options, home) as stage:
            held = run(stage, console, Kills(stage) if kills else None)
            if keep:
                keep_running(stage, console)
    except (ChildDied, TimeoutError, KafkaFailed, TopicsRefused) as error:
        console.print(f"[bold red]stopped:[/] {error}", highlight=False)
        console.print(f"logs: {home}", highlight=False)
        sys.exit(1)
    console.print(f"settings, logs, tape and journal: {home}", highlight=False)
    sys.exit(0 if held else 1)


def run(stage: Stage, console: Console, kills: Kills | None) -> bool:
    """One run from first fill to judgement; whether every promise held."""
    began = time.monotonic()
    deadline = began + stage.options.seconds
    with live_view(stage, console) as view:
        shown = 0.0
        for _left in wait_until(deadline, stage):
            if kills is not None:
                kills.look()
            if time.monotonic() - shown >= REFRESH_S:
                view()
                shown = time.monotonic()
        settle(stage)
        view()
    truth, posted, books = stage.ask("truth"), stage.ask("orders")["orders"], stage.books()
    kafka = stage.settings.wiring.kafka
    _, cut = bounds(kafka, "tape", kafka.shard)
    stage.stop_pipeline()
    save(kafka, stage.folder)
    found = gather(kafka, cut, truth, posted, books)
    verdicts = judge(found, ACCOUNT)
    if kills is not None:
        verdicts.append(kills.verdict())
    print_report(console, found, verdicts, ACCOUNT, time.monotonic() - began)
    return all(verdict.held for verdict in verdicts)


def settle(stage: Stage) -> None:
    """Wait until no order of ours lacks an end, nothing moves, and no hold is about to pass.

    With faults on a book may just be fetched anew; what the venue does not take stays held.
    """
    before: tuple[object, ...] = ()
    still_since = time.monotonic()
    for _left in wait_until(time.monotonic() + SETTLE_S, stage, step_s=0.5):
        status = read_status(stage.settings.wiring.kafka)
        now = tuple(
            (key, line.position_micro, line.owed_micro) for key, line in status.lines.items()
        )
        passing = [line for line in status.lines.values() if line.hold not in LASTING]
        if status.working or passing or now != before:
            before, still_since = now, time.monotonic()
        elif time.monotonic() - still_since >= STILL_S:
            return


def keep_running(stage: Stage, console: Console) -> None:
    """Leave what may be looked at until Ctrl-C.

    On a real broker that is everything: the pipeline goes on where it stopped. The embedded broker
    forgets its oldest records after minutes, so there only the broker stays, with this run's.
    """
    if stage.options.kafka is None:
        stage.children["sandbox"].stop()
        console.print("\nThe embedded broker stays until Ctrl-C; everything else has ended.")
    else:
        stage.start_pipeline()
        console.print("\nThe whole pipeline goes on until Ctrl-C.")
    kcat = f"kcat -b {stage.bootstrap}"
    console.print("Look at it from another terminal:", highlight=False)
    for line in (
        f"{kcat} -L",
        f"{kcat} -C -t {stage.prefix}journal -o -5 -e -q",
        f"{kcat} -C -t {stage.prefix}tape -o -20 -e -q -f '%o %h %s\\n'",
        f"truecopy --config {stage.config} status --watch",
    ):
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    try:
        while True:
            time.sleep(0.5)
            stage.look()
    except KeyboardInterrupt:
        console.print("stopped")
