"""The documents say what is there: every path exists, every command is one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    "README.md",
    "ARCHITECTURE.md",
    "RUNBOOK.md",
    *(f"docs/{name}.md" for name in ("deploy", "telemetry", "export", "proof", "topics")),
]
PATH = re.compile(r"`((?:schemas|flows|connectors|infra|tests|docs)/[\w./-]*)`")
COMMAND = re.compile(r"truecopy (?:--config \S+ )?([a-z]+)")
WORDS_AFTER_NAME = {"appends", "is", "adds", "and", "alone", "did", "may"}
"""What may follow the name in a sentence."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_that_a_document_names_exists(name: str) -> None:
    missing = [p for p in PATH.findall((ROOT / name).read_text()) if not (ROOT / p).exists()]
    assert missing == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_that_a_document_names_exists(name: str) -> None:
    found = set(COMMAND.findall((ROOT / name).read_text())) - WORDS_AFTER_NAME
    assert found <= set(COMMANDS), found - set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    argv = [sys.executable, "-m", "infra.cli.main", name, "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_the_readme_names_the_test_command_that_ci_runs() -> None:
    assert "make test" in (ROOT / "README.md").read_text()
    assert "make test" in (ROOT / ".ci" / "run").read_text()
