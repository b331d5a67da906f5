"""The simulator is what it says: deterministic, shrinkable, and able to fail."""

import json
import os
import subprocess
import sys

from tests.sim import campaign
from tests.sim.campaign import ROOT, shrunk
from tests.sim.mischief import Fault

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
