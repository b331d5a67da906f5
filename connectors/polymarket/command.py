"""The command line of a connector process: one option, signals to an event, uvloop."""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from connectors.telemetry.logs import set_up
from schemas.settings import Settings, SettingsError, load

Run = Callable[[Settings, asyncio.Event], Coroutine[Any, Any, None]]


def main(name: str, run: Run) -> None:
    """Parse, load settings under the environment, run; a wrong setting exits 2 by its message."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--config", type=Path, default=None, help="settings file (TOML)")
    arguments = parser.parse_args()
    try:
        set_up(os.environ)
        uvloop.run(_until_signalled(run, load(arguments.config, os.environ)))
    except SettingsError as error:
        parser.error(str(error))


async def _until_signalled(run: Run, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)
