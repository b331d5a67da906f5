"""`make bench`: every figure of the pipeline's cost in one run, against the real Kafka.

`python tests/bench/run.py` prints a table with the noise of each figure, its aim, and the change
since the table in ARCHITECTURE.md; `--write` puts the new one there. `--only PART` runs one part
(and writes nothing), `--quick` takes sizes that only show that the harness works.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click
import edges
import frames
import latency
import memory
import throughput
from figures import DOCUMENT, BenchFailed, Figure, machine, printed, replaced, standing, written
from rich.console import Console
from scene import Shape

from infra.children import ChildDied
from infra.kafka.cluster import KafkaCluster, archived
from infra.kafka.install import SMALL_HEAP

# A busy machine may fall silent for seconds without the broker being declared dead.
CALM_SESSIONS = {"broker.session.timeout.ms": "9000", "broker.heartbeat.interval.ms": "1000"}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured. shape: a minute of the mix, for throughput as for latency.

    per_s: records that are appended a second while latency is measured.
    """

    runs: int
    shape: Shape
    per_s: int
    frames_s: int
    mirror_frames: int
    export_rows: int
    memory_records: int
    tokens: list[int]
    leaders: list[int]


FULL = Sizes(
    runs=3,
    shape=Shape(records=60_000),
    per_s=1_000,
    frames_s=75,
    mirror_frames=100_000,
    export_rows=2_000_000,
    memory_records=20_000,
    tokens=[10, 100, 1_000],
    leaders=[1, 10, 100],
)
QUICK = Sizes(
    runs=1,
    shape=Shape(records=2_000, tokens=40, leaders=4),
    per_s=250,  # what a busy machine can keep: it is run among other tests
    frames_s=20,
    mirror_frames=2_000,
    export_rows=10_000,
    memory_records=1_000,
    tokens=[10, 40],
    leaders=[4],
)
Part = Callable[[str, Sizes], list[Figure]]
PARTS: dict[str, Part] = {
    "throughput": lambda at, sizes: throughput.measure(at, shape=sizes.shape, runs=sizes.runs),
    "latency": lambda at, sizes: latency.measure(at, shape=sizes.shape, per_s=sizes.per_s),
    "frames": lambda at, sizes: frames.measure(at, seconds=sizes.frames_s, per_s=sizes.per_s),
    "mirror": lambda _, sizes: edges.mirror(
        runs=sizes.runs, tokens=sizes.shape.tokens, frames=sizes.mirror_frames
    ),
    "export": lambda at, sizes: edges.export(at, rows=sizes.export_rows),
    "memory": lambda at, sizes: memory.measure(
        at, records=sizes.memory_records, tokens=sizes.tokens, leaders=sizes.leaders
    ),
}


@contextmanager
def broker() -> Iterator[str]:
    """The one that TRUECOPY_KAFKA names, or one of our own for as long as this runs."""
    named = os.environ.get("TRUECOPY_KAFKA")
    if named and named != "embedded":
        yield named
        return
    with KafkaCluster(jvm=[*SMALL_HEAP, *archived()], properties=CALM_SESSIONS) as cluster:
        yield cluster.bootstrap


def measure(names: Sequence[str], sizes: Sizes, console: Console) -> tuple[list[Figure], bool]:
    """Run the parts one after the other; their figures, and whether every part gave some."""
    figures: list[Figure] = []
    complete = True
    with broker() as bootstrap:
        for name in names:
            began = time.monotonic()
            try:
                figures += PARTS[name](bootstrap, sizes)
            except (BenchFailed, ChildDied, TimeoutError) as error:
                complete = False
                console.print(f"{name} stopped: {error}", style="red", markup=False)
            console.print(f"{name}: {time.monotonic() - began:.0f} s", style="dim")
    return figures, complete


@click.command()
@click.option("--only", type=click.Choice(list(PARTS)), multiple=True, help="Run this part only.")
@click.option("--write", is_flag=True, help="Put the table into ARCHITECTURE.md.")
@click.option("--quick", is_flag=True, help="Tiny sizes: shows that it works, measures nothing.")
def main(only: tuple[str, ...], write: bool, quick: bool) -> None:
    """Measure, print, and with --write record what the pipeline costs."""
    if write and (only or quick):
        raise click.UsageError("--write records a whole run: leave --only and --quick out")
    logging.basicConfig(level=logging.ERROR)
    console = Console() if sys.stdout.isatty() else Console(width=190)
    figures, complete = measure(only or list(PARTS), QUICK if quick else FULL, console)
    document = DOCUMENT.read_text()
    console.print(printed(figures, standing(document)))
    if write and complete:
        DOCUMENT.write_text(replaced(document, written(figures, machine())))
        console.print(f"written to {DOCUMENT.name}")
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
