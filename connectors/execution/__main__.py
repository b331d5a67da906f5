"""`python -m connectors.execution --config FILE [--live]`: the execution process until SIGTERM.

Exit codes: 0 stopped, 1 failed, 2 not permitted to start, 3 the venue forbids trading. The last log
line says why and never holds a secret.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from connectors.execution.opening import ClientMismatch, ClientRefused
from connectors.execution.permit import NotPermitted
from connectors.execution.run import run_execution
from connectors.execution.sink import Checkpoint, VenueForbids, no_checkpoint
from connectors.kafka.errors import KafkaFailed
from connectors.telemetry.logs import set_up
from schemas.codec import UndecodableRecord
from schemas.settings import Settings, SettingsError, load

LOG = logging.getLogger("truecopy.execution")
FAILED, REFUSED, FORBIDDEN = 1, 2, 3


def main(argv: list[str] | None = None, checkpoint: Checkpoint = no_checkpoint) -> int:
    """Run the process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m connectors.execution", description=__doc__)
    parser.add_argument("--config", type=Path, help="settings file (TOML)")
    parser.add_argument("--live", action="store_true", help="one of the three yeses to real orders")
    given = parser.parse_args(argv)
    try:
        set_up(os.environ)
        asyncio.run(_until_told(load(given.config, os.environ), given.live, checkpoint))
    except (NotPermitted, SettingsError, ClientMismatch, ClientRefused) as error:
        return _said(error, REFUSED)
    except (KafkaFailed, UndecodableRecord) as error:
        return _said(error, FAILED)
    except ExceptionGroup as failed:
        return _said(*_first(failed))
    return 0


async def _until_told(settings: Settings, live: bool, checkpoint: Checkpoint) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_execution(settings, live, stop, checkpoint=checkpoint)


def _first(failed: ExceptionGroup[Exception]) -> tuple[Exception, int]:
    error: Exception = failed
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error, FORBIDDEN if isinstance(error, VenueForbids) else FAILED


def _said(error: Exception, code: int) -> int:
    LOG.error("state=stopped code=%d error=%s reason=%r", code, type(error).__name__, str(error))
    return code


if __name__ == "__main__":
    sys.exit(main())
