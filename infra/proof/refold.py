"""The fold with decisions read back: what the journal holds is taken in, never decided again.

Three ways to take one tape record: `take_in` (its events stand in the journal), `decide` (nothing
stands yet), and `complete` (the journal ends among its events: a flow was killed between two of
them). Wishes to watch stand on a compacted topic, which forgets, so they are derived anew.

Rules are a value: the version that seals what is decided, and the two functions that decide. The
state is what flows.core evolves; nothing here knows where records come from.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from flows.core import RULES, fold, leaders, planning, watching
from flows.core.fold import FoldState
from flows.core.leaders import LeadersState
from flows.core.planning import PlanState
from flows.core.sealing import Sealed, seal_events
from schemas.records import journal
from schemas.records.base import Record


class Rules(NamedTuple):
    """Who decides: a version, and the deciding halves of the two steps."""

    version: int
    window: Callable[[LeadersState, int, Record], Iterator[Record]]
    plan: Callable[[PlanState, int, Record], Iterator[Record]]


OURS = Rules(RULES, leaders.decide, planning.decide)


def take_in(state: FoldState, offset: int, record: Record, events: list[Record]) -> list[Record]:
    """Fold a record whose journal events are these; the wishes that follow from them."""
    leaders.observe(state.leaders, offset, record)
    for event in events:
        leaders.evolve(state.leaders, event)
    state.plan.touched.clear()
    planning.observe(state.plan, offset, record)
    for event in events:
        planning.evolve(state.plan, event)
    return _wished(state)


def decide(state: FoldState, offset: int, record: Record, rules: Rules = OURS) -> Sequence[Record]:
    """Fold a record and decide on it: what the dataflow's first two steps do."""
    if rules is OURS:  # the dataflow's own functions, not their like
        return fold.join_and_size(
            state.plan, fold.window(state.leaders, fold.Entry(offset, record))
        ).events
    leaders.observe(state.leaders, offset, record)
    windowed = []
    for event in rules.window(state.leaders, offset, record):
        leaders.evolve(state.leaders, event)
        windowed.append(event)
    state.plan.touched.clear()
    planning.observe(state.plan, offset, record)
    for event in windowed:
        planning.evolve(state.plan, event)
    planned = []
    for event in rules.plan(state.plan, offset, record):
        planning.evolve(state.plan, event)
        planned.append(event)
    return windowed + planned


def complete(
    state: FoldState, offset: int, record: Record, standing: list[Record], rules: Rules = OURS
) -> list[Record]:
    """Fold the record at which the journal ends: what stands is taken in, the rest is decided.

    For a journal that rules of another version wrote: nobody can tell whether all of the record's
    events stand, and one that is missing must not be lost (an order that has its fills but not its
    end would keep its token for ever). What is decided again and stands already is left out.
    The rest is returned, wishes among it.
    """
    leaders.observe(state.leaders, offset, record)
    for event in standing:
        leaders.evolve(state.leaders, event)
    known, rest = list(standing), list[Record]()
    for event in rules.window(state.leaders, offset, record):
        if not _struck(known, event):
            leaders.evolve(state.leaders, event)
            rest.append(event)
    state.plan.touched.clear()
    planning.observe(state.plan, offset, record)
    for event in (*standing, *rest):
        planning.evolve(state.plan, event)
    for event in rules.plan(state.plan, offset, record):
        if not _struck(known, event):
            planning.evolve(state.plan, event)
            rest.append(event)
    return rest


def sealed(
    state: FoldState, offset: int, events: Sequence[Record], rules: Rules = OURS
) -> list[Sealed]:
    """The bytes of events that were decided now."""
    return seal_events(state.seal, offset, list(events), rules=rules.version) if events else []


def of_journal(events: Sequence[Record]) -> list[Record]:
    """Those that stand in the journal: all but wishes."""
    return [event for event in events if not isinstance(event, journal.Watch)]


def _struck(known: list[Record], event: Record) -> bool:
    """Whether the event stands already; each standing one counts once."""
    if event not in known:
        return False
    known.remove(event)
    return True


def _wished(state: FoldState) -> list[Record]:
    if not state.plan.watching.wanted:
        return []
    wishes = list(watching.decide(state.plan.watching))
    for wish in wishes:
        planning.evolve(state.plan, wish)
    return wishes
