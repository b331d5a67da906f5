"""The one place where logging is set up, for every process.

A line is `ts=2026-11-24T02:22:44.123Z level=info logger=... key=value ...` on standard error; a
value with a space stands in quotes. TRUECOPY_LOG=json makes each line a JSON object instead, the
message's pairs as its fields. One line for each change of state, none for a decision: those are
events of the journal.
"""

import json
import logging
import re
import time
from collections.abc import Mapping
from typing import Final, TextIO

VARIABLE: Final = "TRUECOPY_LOG"
FORMS: Final = ("text", "json")
_PAIR: Final = re.compile(
    r"""([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"']\S*|)(?:\s+|$)"""
)
NS: Final = 1_000_000_000


def set_up(
    environ: Mapping[str, str], *, level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Log to standard error from here on; raises SettingsError for a form that is not known."""
    form = environ.get(VARIABLE, "text")
    if form not in FORMS:
        # Not loaded for nothing: the first process of each container logs too, and stays small.
        from schemas.settings import SettingsError

        raise SettingsError(f"{VARIABLE} is {form!r}; it must be one of {', '.join(FORMS)}")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if form == "json" else Pairs())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # httpx logs each request's address with its query, websockets quotes frames: at these levels
    # neither says anything that may hold a credential.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("websockets").setLevel(max(level, logging.INFO))


def stamp(record: logging.LogRecord) -> str:
    """When the line was made: RFC 3339, UTC, milliseconds."""
    seconds, ms = divmod(int(record.created * 1_000), 1_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ms:03}Z"


class Pairs(logging.Formatter):
    """key=value lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback below it if there is one."""
        head = f"ts={stamp(record)} level={record.levelname.lower()} logger={record.name}"
        # What the venue said may be quoted in it: it must not begin a line of its own.
        text = record.getMessage().replace("\n", "\\n").replace("\r", "\\r")
        line = f"{head} {text}".rstrip()
        return f"{line}\n{trace}" if (trace := _trace(self, record)) else line


class JsonLines(logging.Formatter):
    """One JSON object a line; text that is no row of pairs goes whole into `message`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback is the field `exception`."""
        text = record.getMessage().strip()
        fields = pairs(text)
        said = {"message": text} if fields is None else fields
        head = {"ts": stamp(record), "level": record.levelname.lower(), "logger": record.name}
        trace = _trace(self, record)
        return json.dumps({**said, **head, **({"exception": trace} if trace else {})})


def pairs(text: str) -> dict[str, str] | None:
    """The key=value pairs of a message, unquoted; None if it is not made of them alone."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None or match[1] in found:
            return None
        found[match[1]] = _unquoted(match[2])
        at = match.end()
    return found or None


def _unquoted(value: str) -> str:
    if value[:1] in ("'", '"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""
