"""The execution process with a place to die or to stop: what the crash tests start.

Imported once, then forked for each start, since importing the client takes longer than the rest.
Reads JSON lines: {"argv", "log", "at", "do"} forks and answers with the pid; {"wait": pid} answers
with the return code. At the end of its input it kills what is left. Nothing of this is in the
product, whose entry takes the checkpoint as a parameter.
"""

import json
import os
import signal
import sys
from typing import Any

from connectors.execution.__main__ import main

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def child(job: dict[str, Any]) -> int:
    """What the fork does: its output goes to the log, and it dies (or stops, once) there."""

    reached: list[str] = []

    async def checkpoint(point: str) -> None:
        if point == job["at"] and point not in reached:
            reached.append(point)
            os.kill(os.getpid(), SIGNALS[job["do"]])

    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return main(job["argv"], checkpoint=checkpoint)


def serve() -> None:
    """Fork and wait as told."""
    living: set[int] = set()
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            _, status = os.waitpid(job["wait"], 0)
            living.discard(job["wait"])
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                code = 70
                try:
                    code = child(job)
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)
            living.add(answer)
        print(answer, flush=True)
    for pid in living:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve()
