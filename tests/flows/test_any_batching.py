"""Any batching of one log prefix, and any cut with a restored snapshot, gives one journal.

Through the engine's own shell of each step (`FoldLogic` around `Step`), with random cuts.
"""

import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.copytrade import Step
from flows.core import fold
from flows.core.fold import Entry
from flows.core.leaders import LeadersState
from flows.core.planning import PlanState
from flows.core.sealing import Sealed, SealState
from flows.engine.stateful import FoldLogic
from schemas import codec
from tests.golden.stand import lines

Steps = list[FoldLogic[Any, Any]]
SHAPES: tuple[tuple[Callable[[], Any], Callable[[Any, Entry], list[Any]]], ...] = (
    (LeadersState, fold.window_all),
    (PlanState, fold.join_and_size_all),
    (SealState, fold.seal_all),
)


def steps(snapshots: list[Any]) -> Steps:
    """The three steps as the dataflow has them, from what they left."""
    return [
        FoldLogic(
            lambda kept, make=make, apply=apply: Step(make, apply, kept),
            lambda e: e.offset,
            snapshot,
        )
        for (make, apply), snapshot in zip(SHAPES, snapshots, strict=True)
    ]


def through(logics: Steps, batch: list[Any]) -> list[Sealed]:
    for logic in logics:
        batch, done = logic.on_batch(batch)
        assert not done
    return batch


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    """The golden tape, decoded."""
    return [Entry(offset, codec.decode(line)) for offset, line in enumerate(lines())]


@pytest.fixture(scope="module")
def once(entries: list[Entry]) -> list[list[Sealed]]:
    """What each record leads to when they come one by one."""
    state = fold.FoldState()
    return [fold.fold(state, entry.offset, entry.record) for entry in entries]


@settings(max_examples=25)
@given(st.data())
def test_any_batching_of_a_prefix_gives_one_journal(
    entries: list[Entry], once: list[list[Sealed]], data: st.DataObject
) -> None:
    """Batches of any sizes; between some of them the process is gone and a snapshot goes on."""
    end = data.draw(st.integers(1, len(entries)))
    cuts = data.draw(st.lists(st.integers(0, end), max_size=12))
    restored = data.draw(st.sets(st.sampled_from([0, *cuts]), max_size=3))
    logics, out = steps([None, None, None]), []
    for start, stop in pairwise(sorted([0, *cuts, end])):
        if start in restored:
            logics = steps(pickle.loads(pickle.dumps([logic.snapshot() for logic in logics])))
        out += through(logics, entries[start:stop])
    assert out == [sealed for each in once[:end] for sealed in each]
