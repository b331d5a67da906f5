"""One golden tape, one digest: whatever hash seed, batches, epochs, crashes and Python fold it.

The digest stands in the repository. It changes only with RULES (`make golden`). That the dataflow
of Bytewax gives it too is in tests/flows.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.core import RULES
from schemas import codec
from schemas.records import journal
from tests.golden import pythons
from tests.golden.digests import TOPICS, digests, folded
from tests.golden.stand import ROOT, TAPE, lines, refusal, standing

BYTES_MAX = 300_000


def digest_by(python: str, *, seed: str = "0", path: Path | None = None) -> dict[str, str]:
    """The digests that a process of its own comes to."""
    places = [str(ROOT), *([str(path)] if path is not None else [])]
    done = subprocess.run(
        [python, str(Path(__file__).with_name("digests.py")), str(TAPE)],
        env={"PYTHONPATH": os.pathsep.join(places), "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=100,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


def golden() -> dict[str, object]:
    return {topic: standing()[topic] for topic in TOPICS}


def test_the_standing_digest_is_that_of_these_rules() -> None:
    """If it fails: decisions changed. Raise RULES, say so in CHANGELOG.md, then `make golden`."""
    assert standing()["rules"] == RULES
    assert standing()["records"] == len(lines())
    assert digests(folded(lines())) == golden()


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_no_hash_seed_changes_the_golden_digest(seed: str) -> None:
    assert digest_by(sys.executable, seed=seed, path=Path(pytest.__file__).parents[1]) == golden()


@pytest.mark.parametrize("minor", pythons.MINORS)
def test_every_python_that_is_here_folds_the_golden_tape_alike(
    minor: str, summary_line: Callable[[str], None]
) -> None:
    """Also versions that have no Bytewax: the fold is ours alone."""
    python = pythons.found(minor)
    if python is None:
        summary_line(f"golden tape: no Python {minor} here")
        pytest.skip(f"no Python {minor} here")
    path = pythons.msgspec_for(minor)
    if isinstance(path, str):
        summary_line(f"golden tape: Python {python.version} is here, but {path}")
        pytest.skip(f"Python {python.version} without msgspec: {path}")
    assert digest_by(python.path, path=path) == golden()
    summary_line(f"golden tape: Python {python.version} gives the digest of rules {RULES}")


@pytest.mark.parametrize(
    ("rules", "same_rules", "written"),
    [(3, False, False), (2, False, False), (4, False, True), (3, True, True)],
)
def test_another_digest_is_written_only_under_higher_rules_or_on_demand(
    rules: int, same_rules: bool, written: bool
) -> None:
    why = refusal({"rules": 3, "journal": "a"}, {"rules": rules, "journal": "b"}, same_rules)
    assert (why is None) is written


def test_the_golden_tape_is_small_and_rich() -> None:
    """Equal digests prove something only of a tape in which everything happens."""
    tape = [codec.decode(line) for line in lines()]
    assert TAPE.stat().st_size < BYTES_MAX
    assert {type(record) for record in tape} == set(codec.TAPE)
    assert any(getattr(record, "rows", 1) == 2 for record in tape), "no identical rows"
    events = [codec.unseal(each.value)[1] for each in folded(lines()) if each.topic == "journal"]
    missing = {kind.__name__ for kind in codec.JOURNAL} - {type(e).__name__ for e in events}
    assert missing <= {"BaselineLowered"}
    states = {e.state for e in events if isinstance(e, journal.OrderProgress)}
    assert states >= {"signed", "accepted", "filled", "absent", "expired"}
    assert any(isinstance(e, journal.FillSettled) and e.status == "FAILED" for e in events)
    assert any(isinstance(e, journal.PositionCorrected) and not e.opening for e in events)
    assert {e.side for e in events if isinstance(e, journal.OrderRequested)} == {"BUY", "SELL"}
    assert len({e.reason for e in events if isinstance(e, journal.OrderHeld)}) >= 4
