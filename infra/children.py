"""Child processes of a launcher: started tethered, watched, ended in order, nothing left behind.

Each child's output goes to a file of its own; one that dies is named with its last lines.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.kafka import tether

TAIL_LINES = 12
STOP_S = 60.0


class ChildDied(RuntimeError):
    """A child ended that should not have; the message holds its name, code and last lines."""


@dataclass
class Child:
    """One process: how it is started, where it writes, and its state."""

    name: str
    argv: list[str]
    folder: Path
    env: Mapping[str, str]
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0
    stopped: bool = False

    @property
    def log(self) -> Path:
        """What the child says on standard error; appended over restarts."""
        return self.folder / f"{self.name}.log"

    @property
    def out(self) -> Path:
        """What the child says on standard output: the ready line, if it has one."""
        return self.folder / f"{self.name}.out"

    def start(self) -> None:
        """Start it, in a session of its own so that a terminal's Ctrl-C reaches only us."""
        self.stopped = False
        with self.log.open("ab") as log, self.out.open("wb") as out:
            self.process = subprocess.Popen(
                tether.command(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, **self.env},
                start_new_session=True,
            )

    def ready(self, timeout_s: float) -> dict[str, Any]:
        """The JSON object of its first line of output; raises ChildDied or TimeoutError."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            line = self.out.read_text().partition("\n")
            if line[1]:
                answer: dict[str, Any] = json.loads(line[0])
                return answer
            self.check()
            time.sleep(0.02)
        raise TimeoutError(f"{self.name} was not ready within {timeout_s:.0f} s\n{self.tail()}")

    def running(self) -> bool:
        """Whether it is there."""
        return self.process is not None and self.process.poll() is None

    def check(self) -> None:
        """Raise ChildDied if it has ended."""
        if self.process is not None and self.process.poll() is not None:
            code = self.process.returncode
            raise ChildDied(f"{self.name} ended with code {code}; its last lines:\n{self.tail()}")

    def ended(self) -> int | None:
        """Its exit code once it has ended, negative for a signal; None while it runs."""
        return None if self.process is None else self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal and wait for nothing; one that has ended gets none."""
        assert self.process is not None, f"{self.name} was never started"
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self.process is not None
        self.kills += 1
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = STOP_S) -> int | None:
        """SIGTERM, then SIGKILL when patience ends; the exit code, None if it was not running."""
        self.stopped = True
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def tail(self) -> str:
        """Its last lines of standard error."""
        if not self.log.exists():
            return "  (it said nothing)"
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  (it said nothing)"
