"""A pure step inside Bytewax: batches in, batches out, state out at the end of an epoch.

The step itself (`Fold`) knows nothing of Bytewax. This shell gives it whole batches (a call costs
1.4 microseconds a key and batch, not an item), checks that the tape offsets it is given are
contiguous with its state, and wraps its snapshot. Batches pass between steps as one item each: an
item costs Bytewax as much whatever is in it. State keys are partition numbers, never wallets or
orders: Bytewax scans all stored keys at every epoch.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from flows.engine.contiguous import Contiguity

V = TypeVar("V")
W = TypeVar("W")

Snapshot = tuple[int, Any]
"""What is pickled: the offset due next, and the fold's own snapshot."""


class Fold(Protocol[V, W]):
    """A pure object whose outputs depend on the items it was given and on nothing else."""

    def on_batch(self, values: list[V], /) -> list[W]:
        """Fold the items in order; how they are cut into batches must not matter."""
        ...

    def snapshot(self) -> Any:
        """A copy of the state, in plain types; it is pickled later, while the fold goes on."""
        ...


class FoldLogic(StatefulBatchLogic[V, W, Snapshot], Generic[V, W]):
    """The shell: contiguity before the fold, both in the snapshot."""

    def __init__(
        self,
        build: Callable[[Any | None], Fold[V, W]],
        offset_of: Callable[[V], int],
        resume_state: Snapshot | None,
    ) -> None:
        next_offset, state = resume_state or (0, None)
        self._due = Contiguity(next_offset)
        self._offset_of = offset_of
        self._fold = build(state)

    def on_batch(self, values: list[V]) -> tuple[list[W], bool]:
        """Check every offset, then fold the batch; the state is never discarded."""
        self._due.admit_all(list(map(self._offset_of, values)))
        return self._fold.on_batch(values), self.RETAIN

    def snapshot(self) -> Snapshot:
        """The offset due next and the fold's state, as of the end of this epoch."""
        return self._due.next_offset, self._fold.snapshot()


class _Batches(StatefulBatchLogic[list[V], list[W], Snapshot], Generic[V, W]):
    """Items that are batches, for a logic that takes what is in them."""

    def __init__(self, logic: FoldLogic[V, W]) -> None:
        self._logic = logic

    def on_batch(self, values: list[list[V]]) -> tuple[list[list[W]], bool]:
        flat = values[0] if len(values) == 1 else list(chain.from_iterable(values))
        found, discard = self._logic.on_batch(flat)
        return ([found] if found else []), discard

    def snapshot(self) -> Snapshot:
        return self._logic.snapshot()


def batch_step(
    step_id: str,
    up: KeyedStream[list[V]],
    build: Callable[[Any | None], Fold[V, W]],
    *,
    offset_of: Callable[[V], int],
) -> KeyedStream[list[W]]:
    """A `fold_step` whose items are batches, in and out; state and snapshot are the same."""
    return op.stateful_batch(
        step_id, up, lambda resume_state: _Batches(FoldLogic(build, offset_of, resume_state))
    )


def fold_step(
    step_id: str,
    up: KeyedStream[V],
    build: Callable[[Any | None], Fold[V, W]],
    *,
    offset_of: Callable[[V], int],
) -> KeyedStream[W]:
    """Add a stateful step. `build` makes the fold from its snapshot, or from None at the start.

    Exactly one item per tape record must reach the step, since each is checked against the one
    before; a step may emit any number. Renaming a step loses its state.
    """
    return op.stateful_batch(
        step_id, up, lambda resume_state: FoldLogic(build, offset_of, resume_state)
    )
