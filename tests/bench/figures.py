"""A measured figure, the table of all of them, and the table's place in ARCHITECTURE.md.

A figure is the median of its runs and says how far they lay apart. What it is compared with is what
the document held before: a change inside the spread of the runs is called noise, not progress.
"""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
HEADING = "## What it costs"


class BenchFailed(RuntimeError):
    """A measurement that could not be made, or measured something that was wrong."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """runs: one value a run, in `unit`. aim: least (more is better) or most that it should be.

    ratio: what it is of something else, in words with the number.
    """

    part: str
    name: str
    unit: str
    runs: tuple[float, ...]
    aim_least: float | None = None
    aim_most: float | None = None
    ratio: str = ""

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.runs)

    @property
    def aim(self) -> str:
        """The aim in words, with how it was met; empty without one."""
        if self.aim_least is not None:
            met = self.value >= self.aim_least
            return f">= {spelled(self.aim_least)} {'met' if met else 'missed'}"
        if self.aim_most is not None:
            met = self.value <= self.aim_most
            return f"<= {spelled(self.aim_most)} {'met' if met else 'missed'}"
        return ""

    def change(self, before: float | None) -> str:
        """Against an earlier value: per cent, or noise if it lies within these runs."""
        if before is None or not before:
            return ""
        per_cent = f"{100 * (self.value / before - 1):+.0f} %"
        within = min(self.runs) <= before <= max(self.runs)
        return f"{per_cent}, noise" if within else per_cent


def spelled(value: float) -> str:
    """A number as people read it: three digits that matter, thousands divided."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cells(figure: Figure) -> tuple[str, str, str, str, str]:
    """A row of the document: figure, value, runs, ratio, aim."""
    low, high = spelled(min(figure.runs)), spelled(max(figure.runs))
    runs = f"{low} to {high}" if len(figure.runs) > 1 else ""
    value = f"{spelled(figure.value)} {figure.unit}"
    return f"{figure.part}: {figure.name}", value, runs, figure.ratio, figure.aim


def printed(figures: Sequence[Figure], before: dict[str, float]) -> Table:
    """The table for a terminal, with the change since the one in the document."""
    table = Table("figure", "value", "runs", "ratio", "aim", "change", box=None, pad_edge=False)
    for column in table.columns[1:3]:
        column.justify = "right"
    for figure in figures:
        row = cells(figure)
        table.add_row(*row, figure.change(before.get(row[0])))
    return table


def written(figures: Sequence[Figure], machine: str) -> str:
    """The table for the document."""
    lines = [machine, "", "| figure | value | runs | ratio | aim |", "|---|---:|---:|---|---|"]
    lines += ["| " + " | ".join(cells(figure)) + " |" for figure in figures]
    return "\n".join(lines)


def standing(document: str) -> dict[str, float]:
    """Values by figure of the table that a document holds; empty if it holds none."""
    found = {}
    for line in _between(document).splitlines():
        columns = [column.strip() for column in line.strip("| ").split("|")]
        number = re.match(r"-?[\d,]+(\.\d+)?", columns[1]) if len(columns) > 1 else None
        if number is not None:
            found[columns[0]] = float(number[0].replace(",", ""))
    return found


def _between(document: str) -> str:
    _, begun, rest = document.partition(BEGIN)
    return rest.partition(END)[0] if begun else ""


def replaced(document: str, table: str) -> str:
    """The document with this table between the marks, which are made at its end if missing."""
    block = f"{BEGIN}\n{table}\n{END}"
    if BEGIN not in document:
        return f"{document.rstrip()}\n\n{HEADING}\n\n{block}\n"
    before, _, rest = document.partition(BEGIN)
    return before + block + rest.partition(END)[2]


def machine() -> str:
    """Date, machine, Python and commit, as the line above the table."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `make bench` at commit {commit or 'unknown'}: "
        f"{os.cpu_count()} cores ({_processor()}), {memory_gb:.0f} GB, "
        f"Python {platform.python_version()}."
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
