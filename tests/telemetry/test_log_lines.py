"""One form of line for every process, for people and for machines."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.telemetry.logs import FORMS, VARIABLE, JsonLines, Pairs, pairs, set_up
from schemas.settings import SettingsError


def line(form: logging.Formatter, message: str, *args: object, error: Any = None) -> str:
    record = logging.LogRecord("a.b", logging.WARNING, "f.py", 1, message, args, error)
    record.created = 1_764_000_000.1234
    return form.format(record)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_a_line_begins_with_time_level_and_logger() -> None:
    said = line(Pairs(), "socket=%s state=down reason=%r", "market:1", "no answer")
    assert said == (
        "ts=2025-11-24T16:00:00.123Z level=warning logger=a.b "
        "socket=market:1 state=down reason='no answer'"
    )


def test_no_message_begins_a_line_of_its_own() -> None:
    forged = "x\nts=2025-11-24T16:00:00.123Z level=info logger=a.b state=ready"
    assert line(Pairs(), "subject=%s", forged).count("\n") == 0
    assert line(JsonLines(), "subject=%s", forged).count("\n") == 0


def test_json_lines_have_the_pairs_as_fields() -> None:
    said = json.loads(line(JsonLines(), "socket=m state=down reason=%r n=%d", "no answer", 3))
    assert said == {
        "ts": "2025-11-24T16:00:00.123Z",
        "level": "warning",
        "logger": "a.b",
        "socket": "m",
        "state": "down",
        "reason": "no answer",
        "n": "3",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=1 b=two", {"a": "1", "b": "two"}),
        ('a="x y" b=', {"a": "x y", "b": ""}),
        (r"""a="it's \"so\"" b='x=y z'""", {"a": 'it\'s "so"', "b": "x=y z"}),
        ("a=http://127.0.0.1:80/?b=c", {"a": "http://127.0.0.1:80/?b=c"}),
        ("a=1 and more", None),
        ("a=1 a=2", None),
        ("a='never closed", None),
        ("free text", None),
        ("", None),
    ],
)
def test_pairs_are_taken_apart_or_left_whole(text: str, found: dict[str, str] | None) -> None:
    assert pairs(text) == found


def test_text_that_is_no_row_of_pairs_stays_whole() -> None:
    said = json.loads(line(JsonLines(), "something else = 1"))
    assert said["message"] == "something else = 1"


def test_a_traceback_is_kept_in_both_forms() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    assert line(Pairs(), "state=failed", error=info).endswith("ValueError: why")
    assert json.loads(line(JsonLines(), "state=failed", error=info))["exception"].endswith("why")


def test_the_form_is_chosen_by_the_environment(root: logging.Logger) -> None:
    for environ, begins in (({}, "ts="), ({"TRUECOPY_LOG": "json"}, "{")):
        out = io.StringIO()
        set_up(environ, stream=out)
        assert root.level == logging.INFO
        logging.getLogger("x").info("state=%s", "up")
        logging.getLogger("httpx").info("GET https://host/path?secret")
        logging.getLogger("websockets.client").debug("> TEXT secret")
        assert out.getvalue().startswith(begins)
        assert out.getvalue().count("\n") == 1


def test_a_form_that_is_not_known_is_refused() -> None:
    with pytest.raises(SettingsError, match="TRUECOPY_LOG is 'xml'; it must be one of text, json"):
        set_up({"TRUECOPY_LOG": "xml"})


@pytest.mark.parametrize("form", FORMS)
def test_the_last_line_of_a_process_says_why_it_ended_in_the_form_of_all_others(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "connectors.execution", "--live"],
        env={**os.environ, VARIABLE: form},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    said = json.loads(last) if form == "json" else pairs(last)
    assert said is not None
    reason = '--live was given, but execution.backend is "paper"'
    wanted = {"level": "error", "state": "stopped", "code": "2", "error": "NotPermitted"}
    assert {**said, **wanted, "reason": reason} == said
