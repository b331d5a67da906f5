"""The seal step: events become numbered, chained bytes for journal, orders and watch.

The number of a record in its partition and the hash of the journal record before it are state of
the fold, so a replay makes the same bytes, and a missing or altered record shows.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from flows.core import RULES
from schemas.codec import Envelope, chain_hash, headers, seal
from schemas.records import journal
from schemas.records.base import Record

Topic = Literal["journal", "orders", "watch"]


class Sealed(NamedTuple):
    """One record ready for its topic."""

    topic: Topic
    number: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class SealState:
    """Next number of each topic, and the hash of the newest journal record."""

    next_number: dict[str, int] = field(
        default_factory=lambda: {"journal": 0, "orders": 0, "watch": 0}
    )
    prev: str = ""


def seal_events(
    state: SealState, offset: int, events: list[Record], *, rules: int = RULES
) -> list[Sealed]:
    """The records that the events of one tape offset become, in order; rules: who decided them."""
    sealed = []
    for event in events:
        if isinstance(event, journal.Watch):
            sealed.append(_sealed(state, "watch", offset, event, _key(event), rules))
            continue
        sealed.append(_sealed(state, "journal", offset, event, _key(event), rules))
        if isinstance(event, journal.OrderRequested):
            sealed.append(_sealed(state, "orders", offset, event, event.intent, rules))
    return sealed


def _sealed(
    state: SealState, topic: Topic, offset: int, event: Record, key: str, rules: int
) -> Sealed:
    number = state.next_number[topic]
    prev = state.prev if topic == "journal" else ""
    value = seal(event, Envelope(n=number, cause=offset, rules=rules, prev=prev))
    state.next_number[topic] = number + 1
    if topic == "journal":
        state.prev = chain_hash(value)
    return Sealed(topic, number, key.encode(), value, headers(event))


def _key(event: Record) -> str:
    """Key of a watch record: its subject. Of a journal record: the token, account or leader it is
    about, for topic readers."""
    if isinstance(event, journal.Watch):
        return f"{event.what}:{event.subject}"
    for name in ("token", "account", "leader", "subject"):
        value = getattr(event, name, None)
        if value is not None:
            return str(value)
    return type(event).__name__
