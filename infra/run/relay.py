"""The processes' logs on the terminal: one line per change of state, and every warning.

Everything they say is in their files; here only lines that say `state=` or are warnings or errors
appear, behind the name of who said it. A file is followed from where it ends when following begins.
"""

import re
from collections.abc import Iterator
from pathlib import Path

READ_MAX = 1 << 20
"""Bytes looked at in one look; what a process says beyond that comes at the next."""
LINE_MAX = 2_000
KEEP_BYTES = 16 << 20
WIDTH = 10
_SHOWN = re.compile(
    r"""(?ix) \bstate=\S | "state":\ | \blevel=(?:warning|error|critical)\b
    | "level":\ "(?:warning|error|critical)" | ^[a-z][\w\ ]*:\ """
)
"""The last: a command's last words, as `Error: ...`."""


def shown(line: str) -> bool:
    """Whether a log line is worth the terminal: a state, a warning, or why a process ended."""
    return bool(_SHOWN.search(line))


def labelled(name: str, line: str) -> str:
    """The line behind the name of its process."""
    return f"{name:<{WIDTH}} | {line[:LINE_MAX]}"


def put_aside(log: Path) -> None:
    """Give a log a second name once it is large, so that the two together stay bounded."""
    if log.exists() and log.stat().st_size > KEEP_BYTES:
        log.replace(log.with_name(log.name + ".1"))


class Follower:
    """Reads what is added to one file, in whole lines."""

    def __init__(self, name: str, log: Path) -> None:
        self._name = name
        self._log = log
        self._place = log.stat().st_size if log.exists() else 0
        self._rest = b""

    def look(self) -> Iterator[str]:
        """Labelled lines worth showing that were added since the last look."""
        if not self._log.exists():
            return
        if self._log.stat().st_size < self._place:  # put aside: a new file has its name
            self._place, self._rest = 0, b""
        with self._log.open("rb") as file:
            file.seek(self._place)
            added = file.read(READ_MAX)
        self._place += len(added)
        *lines, self._rest = (self._rest + added).split(b"\n")
        self._rest = self._rest[-LINE_MAX:]
        for line in (raw.decode(errors="replace") for raw in lines):
            if shown(line):
                yield labelled(self._name, line)
