"""The simulator is what it says: deterministic, shrinkable, and able to fail."""

import json
import os
import subprocess
import sys

import pytest

from tests.sim import campaign, mutants_acting, mutants_seeing
from tests.sim.campaign import ROOT, run_seed, shrunk
from tests.sim.mischief import Fault
from tests.sim.mutants import MUTANTS

PLANTED_IN = mutants_acting, mutants_seeing

DIGESTS = """
import sys, json
sys.path.insert(0, {root!r})
import tests
tests.__path__.insert(0, {root!r} + "/tests")
from tests.sim.campaign import run_seed
print(json.dumps([run_seed(seed).digest for seed in (3, 21)]))
"""


def _digests(hash_seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS.format(root=str(ROOT))],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def test_a_seed_gives_the_same_bytes_in_every_process_and_under_every_hash_seed() -> None:
    assert _digests("1") == _digests("2")


def test_shrinking_leaves_exactly_the_faults_that_matter() -> None:
    faults = [Fault(ms, "drop", "market", 1) for ms in range(40)]
    needed = {faults[3], faults[29], faults[30]}

    def fails(chosen: object) -> bool:
        return needed <= set(chosen)  # type: ignore[call-overload]

    assert set(shrunk(faults, fails)) == needed


def test_a_failure_names_its_seed_the_commit_and_the_one_command() -> None:
    outcome = campaign.Outcome(seed=77, steps=1, digest="", broken="caps_hold", detail="why")
    text = campaign.failure_text(outcome)
    assert "seed 77" in text
    assert campaign.commit() in text
    assert "make sim SEEDS=1 SEED_BASE=77" in text


@pytest.mark.parametrize(
    ("name", "seed"),
    [("failed_not_reversed", 4), ("token_freed_at_the_answer", 0), ("merge_ignored", 5)],
)
def test_a_planted_bug_breaks_a_world_that_is_clean_without_it(name: str, seed: int) -> None:
    """A few of `make sim-mutants`, so that the simulator cannot lose its teeth unnoticed."""
    with MUTANTS[name].planted():
        assert run_seed(seed).broken
    assert not run_seed(seed).broken


def test_there_are_at_least_25_mutants_and_each_leaves_no_trace() -> None:
    assert len(MUTANTS) >= 25
    for mutant in MUTANTS.values():
        places = [(owner, name) for owner, name, _ in mutant.patches()]
        before = [getattr(owner, name) for owner, name in places]
        with mutant.planted():
            pass
        assert [getattr(owner, name) for owner, name in places] == before


def test_the_table_of_what_catches_which_mutant_stands_in_the_architecture() -> None:
    """Written by `make sim-mutants MUTANTS=--write`, between its markers; no row is missing."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text.partition("<!-- mutants: begin -->")[2].partition("<!-- mutants: end -->")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert rows == ["mutant", *MUTANTS]
