"""One tape, one journal: again, from any snapshot, in any process, and with decisions read back."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core import leaders, planning, watching
from flows.core.fold import Entry, FoldState, fold, seal
from flows.core.sealing import Sealed
from schemas import codec
from schemas.records.base import Record
from schemas.records.summary import Summary
from tests.core.chaos import Chaos

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """A tape with a bit of everything, as bytes."""
    tape = Chaos(38).begin().run(300).world.tape
    return [codec.encode(record) for record in tape]


@pytest.fixture(scope="module")
def folded(lines: list[bytes]) -> list[list[Sealed]]:
    """What each record leads to in an uninterrupted fold."""
    state = FoldState()
    return [fold(state, n, codec.decode(line)) for n, line in enumerate(lines)]


def test_the_tape_of_these_tests_is_rich(folded: list[list[Sealed]]) -> None:
    kinds = {dict(sealed.headers)["kind"].decode() for out in folded for sealed in out}
    events = {cls.__name__ for cls in codec.JOURNAL} | {"Watch"}
    assert events - kinds <= {"LeaderFillWithdrawn"}


def test_the_same_tape_gives_the_same_bytes(lines: list[bytes], folded: list[list[Sealed]]) -> None:
    state = FoldState()
    assert [fold(state, n, codec.decode(line)) for n, line in enumerate(lines)] == folded


@settings(max_examples=12)
@given(st.data())
def test_a_pickled_state_goes_on_with_the_same_bytes(
    lines: list[bytes], folded: list[list[Sealed]], data: st.DataObject
) -> None:
    """Cut anywhere, twice, once right after the other: the suffix is what it would have been."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1, max_size=3)))
    state = FoldState()
    for n, line in enumerate(lines):
        if n in cuts:
            state = pickle.loads(pickle.dumps(state))
        assert fold(state, n, codec.decode(line)) == folded[n]


def test_kinds_that_are_passed_by_undecided_never_lead_to_an_event(lines: list[bytes]) -> None:
    """Whatever the state: `quiet` looks at what else waits, and asks nobody about these."""
    state, asked = FoldState(), 0
    for offset, line in enumerate(lines):
        record = codec.decode(line)
        if isinstance(record, planning.SILENT):
            asked += 1
            windowed = leaders.quiet(state.leaders, record)
            if windowed:
                assert list(leaders.decide(state.leaders, offset, record)) == []
            state.plan.touched.clear()
            if not state.plan.watching.wanted:
                assert list(planning.decide(state.plan, offset, record)) == []
        fold(state, offset, record)
    assert asked > 400


SCRIPT = """
import hashlib, sys
from flows.core.fold import FoldState, fold
from schemas import codec
from schemas.records.summary import Summary
state, digest = FoldState(), hashlib.sha256()
for n, line in enumerate(open(sys.argv[1], "rb")):
    for sealed in fold(state, n, codec.decode(line.rstrip(b"\\n"))):
        digest.update(sealed.topic.encode() + sealed.key + sealed.value)
print(digest.hexdigest())
"""


def test_no_hash_seed_changes_a_byte(lines: list[bytes], tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    tape.write_bytes(b"".join(line + b"\n" for line in lines))
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tape)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def refold(state: FoldState, offset: int, record: Record, decided: list[Record]) -> list[Sealed]:
    """Fold a record whose decisions stand in the journal: they are taken in, not made again.

    Wishes to watch are on a compacted topic, so they are the one thing derived anew.
    """
    leaders.observe(state.leaders, offset, record)
    for event in decided:
        leaders.evolve(state.leaders, event)
    state.plan.touched.clear()
    planning.observe(state.plan, offset, record)
    for event in decided:
        planning.evolve(state.plan, event)
    wishes = list(watching.decide(state.plan.watching))
    for wish in wishes:
        planning.evolve(state.plan, wish)
    return seal(state.seal, Entry(offset, record, (*decided, *wishes)))


def events_of(out: list[Sealed]) -> list[Record]:
    return [codec.unseal(sealed.value)[1] for sealed in out if sealed.topic == "journal"]


def by_topic(out: list[list[Sealed]]) -> list[Sealed]:
    return sorted((sealed for each in out for sealed in each), key=lambda s: (s.topic, s.number))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.77, 1.0])
def test_what_was_decided_once_is_read_back_and_the_fold_goes_on(
    lines: list[bytes], folded: list[list[Sealed]], share: float
) -> None:
    """A rebuild from tape and journal lands in a state that continues with the same bytes."""
    cut = int(len(lines) * share)
    state = FoldState()
    again = [
        refold(state, n, codec.decode(line), events_of(folded[n]))
        for n, line in enumerate(lines[:cut])
    ]
    assert by_topic(again) == by_topic(folded[:cut])
    rest = [fold(state, n, codec.decode(line)) for n, line in enumerate(lines[cut:], cut)]
    assert rest == folded[cut:]


def test_deciding_changes_nothing(lines: list[bytes]) -> None:
    """decide may be asked and its answer thrown away: only evolve and observe move the state."""
    state, asked = FoldState(), 0
    for n, line in enumerate(lines):
        record, window_events = codec.decode(line), []
        leaders.observe(state.leaders, n, record)
        asked += only_asks(leaders.decide, state.leaders, n, record)
        for event in leaders.decide(state.leaders, n, record):
            leaders.evolve(state.leaders, event)
            window_events.append(event)
        state.plan.touched.clear()
        planning.observe(state.plan, n, record)
        for event in window_events:
            planning.evolve(state.plan, event)
        asked += only_asks(planning.decide, state.plan, n, record)
        for event in planning.decide(state.plan, n, record):
            planning.evolve(state.plan, event)
    assert asked > 100


def only_asks(decide: Callable[..., Iterator[Record]], state: Any, n: int, record: Record) -> bool:
    """Whether there was an event, after showing that drawing it left the state alone."""
    before = pickle.dumps(state) if n % 5 == 0 else b""
    event = next(decide(state, n, record), None)
    assert n % 5 or pickle.dumps(state) == before
    return event is not None


def test_a_summary_is_written_each_interval_of_fold_time(started) -> None:
    world = started(summary_every_ms=10_000)
    world.wait(60_000)
    times = [e.now_ms for e in world.of(Summary)]
    assert {after - before for before, after in pairwise(times)} == {10_000}
