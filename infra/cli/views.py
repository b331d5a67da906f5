"""Commands that show something."""

import sys
import time
from collections.abc import Callable

import click
from rich.console import Console
from rich.live import Live

from infra.cli.tables import rendered
from infra.status import as_json, read_status
from schemas.settings import Settings

WATCH_S = 1.0


@click.command()
@click.option("--json", "json_", is_flag=True, help="For other programs, in micro units.")
@click.option("--watch", is_flag=True, help="Refresh each second until interrupted.")
@click.pass_obj
def status(settings: Callable[[], Settings], json_: bool, watch: bool) -> None:
    """Positions, targets, gaps, working orders, feeds, cash and value, from the journal."""
    kafka = settings().wiring.kafka
    if json_:
        sys.stdout.write(as_json(read_status(kafka)).decode() + "\n")
        return
    console = Console()
    if not watch:
        console.print(rendered(read_status(kafka)))
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(rendered(read_status(kafka)), refresh=True)
            time.sleep(WATCH_S)
