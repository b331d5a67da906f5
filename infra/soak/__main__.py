"""`python -m infra.soak --kills 100`: bounded, resumable; exits 1 on a broken promise.

About two minutes for ten kills. Killed itself, it goes on with the round it was in when it is
called again with the same folder.
"""

import sys
import time
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from connectors.kafka.errors import KafkaFailed
from infra.children import ChildDied
from infra.kafka.cluster import KafkaCluster
from infra.kafka.install import KafkaUnavailable
from infra.soak.plan import rounds
from infra.soak.rounds import Asked, Done, ForeignRounds, remember, remembered, run_round

COLUMNS = (
    *("number", "seconds", "kills", "tape", "journal", "signals"),
    *("orders", "posts", "fills", "lost", "doubled"),
)


@click.command()
@click.option("--kills", default=100, show_default=True, help="SIGKILLs in all, ten a round.")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True)
@click.option("--seed", default=1, show_default=True, help="Everything that is drawn.")
@click.option("--only", type=int, help="One round of it, to see a failure again.")
@click.option("--folder", type=click.Path(path_type=Path), default="var/soak", show_default=True)
def soak(kills: int, brokers: str, seed: int, only: int | None, folder: Path) -> None:
    """Kill connectors, dataflow, execution and broker at random while the sandbox trades."""
    console = Console() if sys.stdout.isatty() else Console(width=130)
    asked = Asked(seed=seed, brokers=int(brokers), kills=kills)
    folder.mkdir(parents=True, exist_ok=True)
    done: list[Done] = []
    number = only or 0
    try:
        done = [] if only is not None else remembered(folder, asked)
        due = [only] if only is not None else range(len(done), len(rounds(kills)))
        with _progress(console) as bar:
            shown = bar.add_task("kills", total=kills, completed=sum(d.kills for d in done))
            for number in due:
                done.append(_round(folder, asked, number))
                if only is None:
                    remember(folder, done[-1])
                bar.advance(shown, done[-1].kills)
                if done[-1].broken:
                    break
    except (ChildDied, ForeignRounds, KafkaFailed, KafkaUnavailable, TimeoutError) as error:
        console.print(f"[bold red]stopped:[/] {error}", highlight=False, markup=True)
        console.print(_again(asked, number, folder), highlight=False)
        sys.exit(1)
    console.print(_table(done))
    for what in ("faults", "restarted", "alarms"):
        console.print(_counted(done, what), highlight=False)
    for round_ in (round_ for round_ in done if round_.broken):
        for line in round_.broken:
            console.print(f"[bold red]broken[/] in round {round_.number}: {line}", highlight=False)
        console.print(_again(asked, round_.number, folder), highlight=False)
    sys.exit(1 if any(round_.broken for round_ in done) else 0)


def _round(folder: Path, asked: Asked, number: int) -> Done:
    with KafkaCluster(asked.brokers) as cluster:
        return run_round(folder, asked, number, cluster)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _table(done: list[Done]) -> Table:
    table = Table(title=f"soak, {time.strftime('%Y-%m-%d')}")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for round_ in done:
        table.add_row(*(str(getattr(round_, name)) for name in COLUMNS))
    return table


def _counted(done: list[Done], what: str) -> str:
    total: Counter[str] = Counter()
    for round_ in done:
        total.update(getattr(round_, what))
    return f"{what}: " + (", ".join(f"{n} {name}" for name, n in sorted(total.items())) or "none")


def _again(asked: Asked, number: int, folder: Path) -> str:
    words = f"--kills {asked.kills} --brokers {asked.brokers} --seed {asked.seed} --only {number}"
    return f"see it again: python -m infra.soak {words}; logs: {folder}/round{number}"


if __name__ == "__main__":
    soak()
