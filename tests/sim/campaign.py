"""Many worlds: run a seed, run thousands on all cores, shrink the faults of one that failed."""

import multiprocessing
import subprocess
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from tests.sim.broken import Broken
from tests.sim.judge import Judge
from tests.sim.mischief import Fault
from tests.sim.options import Options, draw
from tests.sim.world import World

ROOT = Path(__file__).parents[2]
WORLDS_A_PROCESS = 200
"""A worker is replaced after so many worlds, which bounds memory whatever a world leaves behind."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one world. broken: the invariant, or the exception that ended a process."""

    seed: int
    steps: int
    digest: str
    broken: str = ""
    detail: str = ""
    struck: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)


def run_seed(seed: int) -> Outcome:
    """One world, whole."""
    return run_options(draw(seed))


def run_forgetful(seed: int) -> Outcome:
    """The same at a venue that forgets an order it had called pending, once it is killed."""
    return run_options(replace(draw(seed), forgetful=True))


def run_options(options: Options) -> Outcome:
    """The same with options of one's own."""
    world = World(options, Judge)
    broken = detail = ""
    try:
        world.run()
    except Broken as failure:
        broken, detail = failure.name, str(failure)
    except Exception as error:  # noqa: BLE001 - whatever ends a process is what is looked for
        broken = f"no_process_dies ({type(error).__name__})"
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{error} ({Path(where.filename).name}:{where.lineno})"
    return Outcome(
        seed=options.seed,
        steps=world.judge.steps,
        digest=_digest(world),
        broken=broken,
        detail=detail,
        struck=Counter(world.mischief.struck),
        events=Counter(world.judge.counts),
    )


def _digest(world: World) -> str:
    """All bytes of all topics that matter."""
    found = sha256()
    for name in ("tape", "journal", "orders", "watch"):
        for stored in world.broker.topic(name).rows:
            found.update(stored.value)
    return found.hexdigest()[:16]


def run_many(
    seeds: Sequence[int], *, processes: int, run: Callable[[int], Outcome] = run_seed
) -> Iterator[Outcome]:
    """Outcomes as they come, in any order."""
    if processes == 1:
        yield from map(run, seeds)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, maxtasksperchild=WORLDS_A_PROCESS) as pool:
        yield from pool.imap_unordered(run, seeds, chunksize=1)


def minimised(seed: int, broken: str, say: Callable[[str], None]) -> tuple[Fault, ...]:
    """The fewest faults found with which the same invariant breaks (delta debugging)."""
    options = draw(seed)
    return shrunk(options.faults, partial(_breaks, options, broken), say)


def _breaks(options: Options, broken: str, faults: Sequence[Fault]) -> bool:
    return run_options(replace(options, faults=tuple(faults))).broken == broken


def shrunk(
    faults: Sequence[Fault],
    fails: Callable[[Sequence[Fault]], bool],
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Fault, ...]:
    """ddmin: drop ever smaller parts as long as it fails without them."""
    left, parts = tuple(faults), 2
    if fails(()):
        return ()
    while len(left) > 1:
        size = -(-len(left) // parts)
        for start in range(0, len(left), size):
            rest = left[:start] + left[start + size :]
            if fails(rest):
                say(f"{len(rest)} of {len(faults)} faults suffice")
                left, parts = rest, max(parts - 1, 2)
                break
        else:
            if parts >= len(left):
                break
            parts = min(parts * 2, len(left))
    return left


def commit() -> str:
    """The commit that is checked out, with + if files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def seed_base() -> int:
    """A base that changes with the commit: CI tries other seeds each time."""
    return int(sha256(commit().rstrip("+").encode()).hexdigest()[:7], 16) * 1_000


def failure_text(outcome: Outcome) -> str:
    """What is needed to see it again."""
    return (
        f"seed {outcome.seed} at commit {commit()}: {outcome.broken}: {outcome.detail}\n"
        f"  again:  make sim SEEDS=1 SEED_BASE={outcome.seed}\n"
        f"  faults: make sim SEEDS=1 SEED_BASE={outcome.seed} SIM=--minimise"
    )


def totals(outcomes: Iterable[Outcome]) -> tuple[Counter[str], Counter[str]]:
    """Faults that struck and events that happened, over all worlds."""
    struck: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for outcome in outcomes:
        struck += outcome.struck
        events += outcome.events
    return struck, events
