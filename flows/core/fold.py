"""The whole fold without an engine: tape records in, sealed journal, orders and watch records out.

The dataflow runs the same three steps one behind the other; this is what tests, replays and the
simulator run, and what the dataflow's output must equal byte for byte.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from flows.core import leaders, planning
from flows.core.leaders import LeadersState
from flows.core.planning import PlanState
from flows.core.sealing import Sealed, SealState, seal_events
from schemas.records.base import Record
from schemas.records.market import Depth

S = TypeVar("S")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One tape record on its way through the steps, with the events it has led to so far.

    A struct of msgspec's, since one is made for each record: a fourth of a named tuple's time.
    """

    offset: int
    record: Record
    events: tuple[Record, ...] = ()


@dataclass(slots=True)
class FoldState:
    """State of all three steps."""

    leaders: LeadersState = field(default_factory=LeadersState)
    plan: PlanState = field(default_factory=PlanState)
    seal: SealState = field(default_factory=SealState)


def window(state: LeadersState, entry: Entry) -> Entry:
    """The window step: what leaders did."""
    if isinstance(entry.record, Depth):
        return entry  # four records of five, and none of them is about leaders
    leaders.observe(state, entry.offset, entry.record)
    if leaders.quiet(state, entry.record):
        return entry
    decided = _drawn(state, leaders.decide(state, entry.offset, entry.record), leaders.evolve)
    return Entry(entry.offset, entry.record, (*entry.events, *decided)) if decided else entry


def join_and_size(state: PlanState, entry: Entry) -> Entry:
    """The join-and-size step: what it means for us."""
    state.touched.clear()
    planning.observe(state, entry.offset, entry.record)
    if not entry.events and planning.quiet(state, entry.record):
        return entry
    for event in entry.events:
        planning.evolve(state, event)
    decided = _drawn(state, planning.decide(state, entry.offset, entry.record), planning.evolve)
    return Entry(entry.offset, entry.record, (*entry.events, *decided))


def seal(state: SealState, entry: Entry) -> list[Sealed]:
    """The seal step: bytes."""
    return seal_events(state, entry.offset, list(entry.events)) if entry.events else []


def window_all(state: LeadersState, entries: list[Entry]) -> list[Entry]:
    """The window step over a batch, as a dataflow's step takes it."""
    return [window(state, entry) for entry in entries]


def join_and_size_all(state: PlanState, entries: list[Entry]) -> list[Entry]:
    """The join-and-size step over a batch."""
    return [join_and_size(state, entry) for entry in entries]


def seal_all(state: SealState, entries: list[Entry]) -> list[Sealed]:
    """The seal step over a batch."""
    return [sealed for entry in entries for sealed in seal(state, entry)]


def fold(state: FoldState, offset: int, record: Record) -> list[Sealed]:
    """One tape record through all steps."""
    entry = window(state.leaders, Entry(offset, record))
    return seal(state.seal, join_and_size(state.plan, entry))


def _drawn(
    state: S, decisions: Iterator[Record], evolve: Callable[[S, Record], None]
) -> list[Record]:
    """Draw decisions one by one; each is evolved before the next is made."""
    drawn = []
    for event in decisions:
        evolve(state, event)
        drawn.append(event)
    return drawn
