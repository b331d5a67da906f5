"""Golden lines as parameters: a test with an argument `golden` runs once for each line."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


def _lines() -> list[bytes]:
    files = ("tape.jsonl", "journal.jsonl")
    return [line for name in files for line in (GOLDEN / name).read_bytes().splitlines()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden" in metafunc.fixturenames:
        metafunc.parametrize("golden", _lines(), ids=lambda line: json.loads(line)["kind"])


@pytest.fixture(scope="session")
def golden_lines() -> list[bytes]:
    """Every golden line of a single record."""
    return _lines()


@pytest.fixture(scope="session")
def sealed_line() -> bytes:
    """The golden line of an event in its envelope."""
    return (GOLDEN / "sealed.jsonl").read_bytes().rstrip(b"\n")
