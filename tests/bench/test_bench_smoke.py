"""The harness of `make bench`: tiny sizes run through it, and its table survives being written."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.kafka import install, tether
from tests.bench.figures import Figure, cells, replaced, standing, written

RUN = Path(__file__).with_name("run.py")
TIMEOUT_S = 500


@pytest.mark.skipif(install.missing() is not None, reason=f"no real Kafka: {install.missing()}")
def test_the_bench_measures_throughput_and_latency_of_a_tiny_tape() -> None:
    argv = [sys.executable, str(RUN), "--quick", "--only", "throughput", "--only", "latency"]
    done = subprocess.run(
        tether.command(argv), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    for figure in ("flow process", "bare loop", "stock idiom", "record appended"):
        assert figure in done.stdout


def figure(*runs: float, **changes: float) -> Figure:
    return Figure(part="flow", name="rate", unit="records/s", runs=runs, **changes)


def test_a_written_table_is_read_back_and_replaces_only_itself() -> None:
    rate, size = figure(81_234.0, 79_000.0, 83_000.0), figure(0.31)
    first = replaced("# Title\n\ntext\n", written([rate], "machine"))
    assert standing(first) == {cells(rate)[0]: 81_234.0}
    again = replaced(first + "\nafter\n", written([size], "machine"))
    assert standing(again) == {cells(size)[0]: 0.31}
    assert again.startswith("# Title\n\ntext\n")
    assert again.endswith("\nafter\n")
    assert "81,234" not in again


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (None, ""),
        (50.0, "+100 %"),
        (200.0, "-50 %"),
        (95.0, "+5 %, noise"),
    ],
)
def test_a_change_inside_the_spread_of_the_runs_is_called_noise(
    before: float | None, told: str
) -> None:
    assert figure(90.0, 100.0, 110.0).change(before) == told


def test_an_aim_says_whether_it_was_met() -> None:
    assert figure(500.0, aim_least=400).aim == ">= 400 met"
    assert figure(500.0, aim_most=400).aim == "<= 400 missed"
    assert figure(500.0).aim == ""
