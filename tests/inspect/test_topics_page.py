"""docs/topics.md: its commands run, and what it shows is what they print today, in form."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.cli.main import cli
from schemas.codec import KINDS
from schemas.records.base import Record
from schemas.records.journal import Undecodable
from tests.core.conftest import World
from tests.waiting import WAIT_S, heed_interrupts

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "topics.md"
TAIL_LINE = re.compile(r"(\d+:)?\d+ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (\S+) +\S.*")
SPECIFIC = ("--token", "--market", "--leader", "Alarm")
"""What only the page's own run has: there a command may find nothing in another."""


def shown() -> list[tuple[str, list[str]]]:
    """Each command of the page's console blocks with the lines that stand under it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def of_topics() -> list[tuple[list[str], list[str]]]:
    """Words behind `truecopy topics`, without what the shell does with the output."""
    return [
        (shlex.split(command.partition(" | ")[0])[2:], lines)
        for command, lines in shown()
        if command.startswith("truecopy topics ")
    ]


@pytest.fixture
def filled(shelf: Any, traded: World, golden: list[Record]) -> Any:
    shelf.world(traded)
    shelf.records("tape", golden * 10)
    shelf.records(
        "dead", [Undecodable(feed="market", reason="no market", raw=b"\x81", recv_ns=10**18)]
    )
    shelf.put("raw.market", b"{}", feed=b"market")
    return shelf


def test_every_command_of_the_page_runs(filled: Any) -> None:
    for words, _ in of_topics():
        if "--follow" in words:
            continue
        done = filled.run(*words)
        assert done.exit_code == 0, f"{words}: {done.output}"
        assert done.stdout or any(each in words for each in SPECIFIC), words


def test_the_command_that_follows_runs_until_it_is_interrupted(filled: Any) -> None:
    [words] = [words for words, _ in of_topics() if "--follow" in words]
    child = subprocess.Popen(
        [sys.executable, "-m", "infra.cli.main", "topics", *words],
        cwd=ROOT,
        env=filled.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    try:
        assert child.stdout is not None
        assert TAIL_LINE.match(child.stdout.readline())
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.communicate(timeout=WAIT_S)


def test_the_page_shows_every_command_and_every_option_of_tail() -> None:
    words = [word for each, _ in of_topics() for word in each]
    group = cli.get_command(None, "topics")  # type: ignore[arg-type]
    named = {words[0] for words, _ in of_topics()}
    assert set(group.commands) - named == {"apply"}  # type: ignore[union-attr]
    text = PAGE.read_text()
    tail = group.commands["tail"]  # type: ignore[union-attr]
    for option in tail.params:
        longest = max(option.opts, key=len)
        assert not longest.startswith("-") or longest in text, longest
    assert "--json" in words


def test_the_lines_it_shows_have_the_form_of_today() -> None:
    lines = [(words, line) for words, lines in of_topics() if words[0] == "tail" for line in lines]
    of_people = [(words, line) for words, line in lines if "--json" not in words]
    assert len(of_people) >= 8
    for words, line in of_people:
        found = TAIL_LINE.fullmatch(line)
        assert found, line
        assert found[2] in KINDS or words[1].startswith("raw."), line


def test_the_list_it_shows_has_the_columns_and_topics_of_today(filled: Any) -> None:
    [page] = [lines for words, lines in of_topics() if words == ["list"]]
    printed = filled.lines("list")
    assert page[0].split() == printed[0].split()
    assert [line.split()[0] for line in page] == [
        line.split()[0] for line in printed if not line.startswith("note: ")
    ]
