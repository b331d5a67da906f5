"""`truecopy export`: every topic into Parquet files, as they come or once up to now."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from connectors.kafka.errors import KafkaFailed
from flows.engine.errors import StartRefused
from flows.engine.launch import run
from flows.export import FOLDER, STATE, Export, build, identity_of, spare_collector
from flows.export_source import Tally, places_of
from infra.cli.lazy import LazySettings

EVERY_S, EVERY_ONCE_S = 300.0, 20.0


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
@click.pass_obj
def export(settings: LazySettings, once: bool, folder: Path, every_s: float | None) -> None:
    """Every topic to Parquet: typed columns for analysis, exact bytes for the archive."""
    kafka = settings().wiring.kafka
    stop = threading.Event()
    try:
        identity = identity_of(kafka, folder, stop=stop)
        places = places_of(kafka, stop=stop)
    except (KafkaFailed, StartRefused) as error:
        raise click.ClickException(str(error)) from error
    plan = Export(kafka=kafka, folder=folder, tape_id=identity.tape_id, places=places, once=once)
    spare_collector()
    began = time.monotonic()
    with _progress(once) as tally:
        code = run(
            build(plan, stop=stop, tally=tally),
            stop=stop,
            epoch_s=every_s or (EVERY_ONCE_S if once else EVERY_S),
            recovery_dir=folder / STATE,
            identity=identity,
        )
    if once and code == 0:
        _report(tally, folder, time.monotonic() - began)
    sys.exit(code)


@contextmanager
def _progress(once: bool) -> Iterator[Tally]:
    """A tally that moves a progress bar, where there is an end to move to and somebody to see."""
    console = Console(stderr=True)
    if not once or not console.is_terminal:
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
