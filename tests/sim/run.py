"""`make sim`: worlds by the thousand, with a progress bar; exit 1 if one broke.

make sim SEEDS=10000 SEED_BASE=7          seeds 7 to 10,006 on all cores
make sim SEEDS=1 SEED_BASE=4711 SIM=--minimise    the fewest faults that still break it
"""

import os
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT)
import tests  # noqa: E402 - a dependency ships a package of this name; ours comes first

if str(ROOT / "tests") not in list(tests.__path__):
    tests.__path__.insert(0, str(ROOT / "tests"))

import click  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import (  # noqa: E402
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tests.sim import campaign  # noqa: E402

FAILURES_SHOWN = 10


@click.command()
@click.option("--seeds", default=300, show_default=True, help="how many worlds")
@click.option("--base", default=-1, help="first seed; by default it follows from the commit")
@click.option("--processes", default=os.cpu_count() or 1, show_default=True)
@click.option("--minimise", is_flag=True, help="shrink the faults of the first failure")
@click.option("--forgetful", is_flag=True, help="the venue forgets pending orders it kills")
def main(seeds: int, base: int, processes: int, minimise: bool, forgetful: bool) -> None:
    """Run worlds and say which broke."""
    console = Console()
    first = campaign.seed_base() if base < 0 else base
    console.print(f"seeds {first} to {first + seeds - 1} at commit {campaign.commit()}")
    began = time.monotonic()
    failed, struck, events, steps = [], *campaign.totals([]), 0
    with _bar(console) as bar:
        task = bar.add_task("worlds", total=seeds, failed=0)
        worlds = range(first, first + seeds)
        run = campaign.run_forgetful if forgetful else campaign.run_seed
        for outcome in campaign.run_many(worlds, processes=processes, run=run):
            struck, events = struck + outcome.struck, events + outcome.events
            steps += outcome.steps
            if outcome.broken:
                failed.append(outcome)
                if len(failed) <= FAILURES_SHOWN:
                    console.print(campaign.failure_text(outcome), highlight=False, soft_wrap=True)
            bar.update(task, advance=1, failed=len(failed))
    console.print(
        f"{steps:,} tape records, {sum(struck.values()):,} faults struck: {_list(struck)}"
    )
    console.print(f"events: {_list(events)}")
    took_s = time.monotonic() - began
    console.print(f"{seeds - len(failed)} of {seeds} worlds clean, {took_s:.0f} s", style="bold")
    if failed and minimise:
        _minimise(console, min(failed, key=lambda outcome: outcome.seed))
    sys.exit(1 if failed else 0)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("broken {task.fields[failed]}"),
        console=console,
    )


def _list(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _minimise(console: Console, outcome: campaign.Outcome) -> None:
    left = campaign.minimised(outcome.seed, outcome.broken, console.print)
    console.print(f"{outcome.broken} needs {len(left)} faults of seed {outcome.seed}:")
    for fault in left:
        console.print(f"  {fault}")


if __name__ == "__main__":
    main()
