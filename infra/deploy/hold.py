"""`python -m infra.deploy.hold truecopy flow`: the first process of a container.

A restart policy sees only whether an exit code is 0, yet some of ours say "not again": a superseded
flow that is started again supersedes its successor in turn, and refused credentials stay refused.
So a process that ends with one of HELD is not restarted: this one stays, says why once, and the
container turns unhealthy (nothing answers /healthz) until an operator acts. Every other code is
passed on, and the restart policy does what it does. Signals are passed on too.

It never restarts anything itself and imports no part of the pipeline but the form of log lines
(14 MB resident).
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Final, NoReturn

from connectors.telemetry.logs import set_up
from infra.kafka import tether

LOG = logging.getLogger("truecopy.hold")

HELD: Final = {
    2: "live-refused",
    3: "venue-forbids",
    86: "flow-exit-86",
    87: "flow-exit-87",
    88: "flow-exit-88",
    89: "flow-exit-89",
    90: "flow-exit-90",
}
"""Exit code -> heading in RUNBOOK.md. 2, 3: not permitted, forbidden; 86 to 90: flow and export."""
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
KILLED_BY: Final = 128
"""A process that a signal ended has this and the signal's number as its code, as in a shell."""


def run(argv: Sequence[str]) -> int:
    """Run the program to its end; its exit code, at once or after the hold was ended."""
    child = subprocess.Popen(tether.command(list(argv)))
    asked: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        child.send_signal(number)

    for number in SIGNALS:
        signal.signal(number, pass_on)
    code = child.wait()
    if code < 0:
        code = KILLED_BY - code
    if code in HELD and not asked:
        _hold(" ".join(argv), code)
    return code


def _hold(program: str, code: int) -> NoReturn:
    """Stay until a signal comes, then end with the code."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(code)

    for number in SIGNALS:
        signal.signal(number, end)
    LOG.error(
        "program=%r state=held code=%d runbook=RUNBOOK.md#%s fix='cure it, restart the container'",
        program,
        code,
        HELD[code],
    )
    while True:
        signal.pause()


def main() -> NoReturn:
    """Run the program that the arguments are."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m infra.deploy.hold PROGRAM [ARGUMENTS]")
    try:
        set_up(os.environ)
    except ValueError as unknown_form:  # a SettingsError; to name it here would load it
        sys.exit(str(unknown_form))
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
