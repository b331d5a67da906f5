"""`truecopy export`: every topic into Parquet files, as they come or once up to now."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from connectors.kafka.errors import KafkaFailed
from connectors.telemetry.clients import away
from connectors.telemetry.server import Telemetry
from flows.engine.collector import spare_collector
from flows.engine.errors import StartRefused
from flows.engine.launch import run
from flows.export import FOLDER, STATE, Export, build, identity_of
from flows.export_source import Tally, places_of
from infra.cli.lazy import LazySettings
from infra.cli.served import served
from schemas.wiring import KafkaWiring

EVERY_S, EVERY_ONCE_S = 300.0, 20.0
PROCESSES_MAX = 8
"""Unasked: a container sees all cores of its machine, whatever memory it was given."""
HUNG_S = 60.0
"""Many files may be closed and synced before the worker turns again."""


@click.command()
@click.option("--once", is_flag=True, help="Export what is there now, then end.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TRUECOPY_ARCHIVE",
    default=Path(FOLDER),
    show_default=True,
    show_envvar=True,
    help="Where the files go; how far the export has come is kept there too.",
)
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds between two closings of all files: how far the archive may lag behind. "
    f"[default: {EVERY_S:.0f}, with --once {EVERY_ONCE_S:.0f}]",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="How many export what is there at the start, if it is much. "
    f"[default: 1, with --once one for each core, at most {PROCESSES_MAX}]",
)
@click.pass_obj
def export(
    settings: LazySettings,
    once: bool,
    folder: Path,
    every_s: float | None,
    processes: int | None,
) -> None:
    """Every topic to Parquet: typed columns for analysis, exact bytes for the archive."""
    wiring = settings().wiring
    with ExitStack() as stack:
        if once:
            tally = stack.enter_context(_progress())
        else:
            tally = Tally()
            stack.enter_context(served(_telemetry(tally), wiring.health))
        began = time.monotonic()
        if processes is None:
            processes = min(os.cpu_count() or 1, PROCESSES_MAX) if once else 1
        code = _run(wiring.kafka, folder, every_s, tally, once=once, processes=processes)
    if once and code == 0:
        _report(tally, folder, time.monotonic() - began)
    sys.exit(code)


def _run(
    kafka: KafkaWiring,
    folder: Path,
    every_s: float | None,
    tally: Tally,
    *,
    once: bool,
    processes: int,
) -> int:
    """Export until told to stop, or with `once` up to now; the exit code."""
    stop = threading.Event()
    try:
        identity = identity_of(kafka, folder, stop=stop)
        places = places_of(kafka, stop=stop)
    except (KafkaFailed, StartRefused) as error:
        raise click.ClickException(str(error)) from error
    plan = Export(
        kafka=kafka,
        folder=folder,
        tape_id=identity.tape_id,
        places=places,
        once=once,
        processes=processes,
    )
    spare_collector()
    return run(
        build(plan, stop=stop, tally=tally),
        stop=stop,
        epoch_s=every_s or (EVERY_ONCE_S if once else EVERY_S),
        recovery_dir=folder / STATE,
        identity=identity,
    )


def _telemetry(tally: Tally) -> Telemetry:
    """What a running export says of itself; one up to now is over before anybody asks."""
    telemetry = Telemetry("export", hung_s=HUNG_S)
    tally.beat = telemetry.heart.beat
    telemetry.metrics.read("export_rows_total", lambda: tally.rows)
    telemetry.metrics.read("export_lag_records", lambda: tally.lag)
    ready = telemetry.readiness
    ready.require("assigned", lambda: "no partition yet" if tally.lag is None else "")
    ready.require("kafka", lambda: away(tally.reading) if tally.reading is not None else "")
    return telemetry


@contextmanager
def _progress() -> Iterator[Tally]:
    """A tally that moves a progress bar where there is somebody to see it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Tally()
        return
    columns = (TextColumn("export"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("export", total=None)

        def show(tally: Tally) -> None:
            progress.update(task, total=tally.due, completed=tally.read)

        yield Tally(on_read=show)


def _report(tally: Tally, folder: Path, took_s: float) -> None:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in ("topic", "rows", "files", "bytes"):
        table.add_column(name, justify="left" if name == "topic" else "right")
    for topic, rows in tally.rows.items():
        table.add_row(topic, f"{rows:,}", f"{tally.files[topic]:,}", f"{tally.size[topic]:,}")
    console = Console()
    console.print(table)
    rows = tally.rows.total()
    console.print(f"{rows:,} rows in {took_s:.1f} s to {folder}", highlight=False, soft_wrap=True)
    if tally.missing:
        console.print(f"{tally.missing:,} records had left Kafka before they were exported")
