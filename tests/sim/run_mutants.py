"""`make sim-mutants`: each planted bug must be caught, and the same seeds be clean without it.

Prints the table (mutant, invariant or rule test, seed, step); --write puts it into ARCHITECTURE.md
between its markers if all went well. Exit 1 if a mutant lives or a world without one breaks.
"""

import multiprocessing
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT)
import tests  # noqa: E402 - a dependency ships a package of this name; ours comes first

if str(ROOT / "tests") not in list(tests.__path__):
    tests.__path__.insert(0, str(ROOT / "tests"))

import click  # noqa: E402
import pytest  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402

from tests.sim import campaign, mutants_acting, mutants_seeing  # noqa: E402
from tests.sim.mutants import MUTANTS, Mutant  # noqa: E402

DOCUMENT = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- mutants: begin -->", "<!-- mutants: end -->"
AT_A_TIME = 4
BY_THE_SIMULATOR = 20
PARTS = mutants_seeing, mutants_acting
"""Importing them registers their mutants."""


@dataclass(frozen=True, slots=True)
class Caught:
    """By what a mutant was caught; nothing: it lives."""

    mutant: Mutant
    by: str
    seed: int | None = None
    step: int | None = None

    def cells(self) -> list[str]:
        where = ["", ""] if self.seed is None else [str(self.seed), str(self.step)]
        return [self.mutant.name, self.mutant.what, self.by or "LIVES", *where]


@click.command()
@click.option("--seeds", default=300, show_default=True, help="worlds a mutant may live through")
@click.option("--base", default=0, show_default=True, help="first seed")
@click.option("--processes", default=os.cpu_count() or 1, show_default=True)
@click.option("--only", default="", help="names of mutants, separated by commas")
@click.option("--write", is_flag=True, help="put the table into ARCHITECTURE.md")
def main(seeds: int, base: int, processes: int, only: str, write: bool) -> None:
    """Plant each bug and see what catches it."""
    if write and only:
        raise click.UsageError("--write wants the whole table: leave --only out")
    console = Console()
    names = only.split(",") if only else list(MUTANTS)
    caught = []
    for name in track(names, description="mutants", console=console):
        found = hunt(MUTANTS[name], range(base, base + seeds), processes)
        caught.append(found)
        console.print("  ".join(found.cells()), highlight=False, soft_wrap=True)
    worlds = range(base, base + 1 + max((c.seed or base) - base for c in caught))
    broken = [o for o in campaign.run_many(worlds, processes=processes) if o.broken]
    console.print(_table(caught))
    lives = [c.mutant.name for c in caught if not c.by]
    by_simulator = sum(c.seed is not None for c in caught)
    console.print(
        f"{len(caught) - len(lives)} of {len(caught)} caught, {by_simulator} by the simulator; "
        f"the same {len(worlds)} seeds without a mutant: {len(worlds) - len(broken)} clean",
        style="bold",
    )
    for outcome in broken:
        console.print(campaign.failure_text(outcome), highlight=False, soft_wrap=True)
    few = not only and by_simulator < BY_THE_SIMULATOR
    bad = bool(lives or broken or few)
    if write and not bad:
        DOCUMENT.write_text(written_into(DOCUMENT.read_text(), caught, base))
    sys.exit(bad)


def hunt(mutant: Mutant, seeds: range, processes: int) -> Caught:
    """The first world in which an invariant breaks; or that the named rule test fails by it alone.

    A mutant that names one is nothing that worlds like these need notice: they are not asked.
    """
    if mutant.rule_test:
        if _fails(mutant.rule_test):
            return Caught(mutant, "")
        with mutant.planted():
            return Caught(mutant, mutant.rule_test if _fails(mutant.rule_test) else "")
    with mutant.planted():
        for start in range(seeds.start, seeds.stop, processes * AT_A_TIME):
            part = range(start, min(start + processes * AT_A_TIME, seeds.stop))
            outcomes = campaign.run_many(part, processes=processes)
            broken = [outcome for outcome in outcomes if outcome.broken]
            if broken:
                first = min(broken, key=lambda outcome: outcome.seed)
                return Caught(mutant, first.broken, first.seed, first.steps)
    return Caught(mutant, "")


def _fails(rule_test: str) -> bool:
    """Whether a test fails in a process of its own that has the mutant inside."""
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_run_test, args=(rule_test,))
    child.start()
    child.join()
    return child.exitcode == int(pytest.ExitCode.TESTS_FAILED)


def _run_test(rule_test: str) -> None:
    os.chdir(ROOT)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        sys.exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", rule_test])))


def _table(caught: list[Caught]) -> Table:
    table = Table("mutant", "the bug", "caught by", "seed", "step")
    for each in caught:
        table.add_row(*each.cells())
    return table


def written_into(document: str, caught: list[Caught], base: int) -> str:
    """The document with this table between its markers."""
    before, _, rest = document.partition(BEGIN)
    _, found, after = rest.partition(END)
    assert found, f"{DOCUMENT.name} has no place for the table: {BEGIN} ... {END}"
    said = f"Run of {datetime.now(UTC):%Y-%m-%d}, seeds from {base} on."
    return f"{before}{BEGIN}\n{said}\n\n{_markdown(caught)}\n{END}{after}"


def _markdown(caught: list[Caught]) -> str:
    rows = ["| " + " | ".join(_marked(each)) + " |" for each in caught]
    return "\n".join(
        ["| mutant | the bug | caught by | seed | step |", "|---|---|---|---|---|", *rows]
    )


def _marked(each: Caught) -> list[str]:
    """Cells with the invariant or test set as code."""
    name, what, by, *where = each.cells()
    return [name, what, f"`{by}`", *where]


if __name__ == "__main__":
    main()
