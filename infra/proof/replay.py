"""Decisions made again on recorded inputs, and held against the journal byte for byte.

What these rules decided is decided again and compared; what other rules decided is taken as it
stands and counted. A stretch without events belongs to the rules of the event behind it: the flow
that wrote that one folded the stretch. A record at which the rules changed is taken as it stands.
Behind the journal's end nothing can be compared; what would come is counted.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flows.core.fold import FoldState
from flows.core.sealing import Sealed
from flows.engine.rows import OutRow, difference
from infra.proof.chain import Link
from infra.proof.decided import Decided
from infra.proof.rebuild import asked, passed
from infra.proof.recordings import Recording, decoded
from infra.proof.refold import OURS, Rules, decide, of_journal, sealed, take_in
from schemas import codec
from schemas.records.base import Record


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place where what is decided now is not what stands. number: of the record that
    was due; stands: the offset of the one that is there, None if there is none."""

    cause: int
    record: Record
    topic: str
    number: int
    stands: int | None
    found: str


@dataclass(slots=True)
class Replayed:
    """What a replay came to. compared: events made again alike; taken: events of other rules, by
    version; ahead: events that the journal does not have yet; kinds: of all events."""

    records: int = 0
    compared: int = 0
    taken: Counter[int] = field(default_factory=Counter)
    ahead: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    first_ms: int = 0
    last_ms: int = 0
    divergence: Divergence | None = None


OnRead = Callable[[int], None]


def replay(
    recording: Recording, *, until: int | None = None, on_read: OnRead = lambda _offset: None
) -> Replayed:
    """Decide on the whole tape anew, whatever the journal says."""
    state, done = FoldState(), Replayed()
    end = None if until is None else until + 1
    kinds = done.kinds
    for batch in recording.values("tape", 0, end):
        for offset, value in batch:
            for event in decide(state, offset, decoded(recording, offset, value)):
                kinds[type(event).__name__] += 1
            if not done.first_ms:
                done.first_ms = state.plan.clock.now_ms
        _reached(done, state, len(batch), on_read)
    return done


def check(
    recording: Recording,
    *,
    rules: Rules = OURS,
    until: int | None = None,
    on_read: OnRead = lambda _offset: None,
) -> Replayed:
    """The same, held against journal and orders; ends at the first divergence."""
    work = _Check(recording, rules)
    end = None if until is None else until + 1
    try:
        for batch in recording.values("tape", 0, end):
            for offset, value in batch:
                work.take(offset, decoded(recording, offset, value))
                if work.done.divergence is not None:
                    return work.done
            _reached(work.done, work.state, len(batch), on_read)
    finally:
        work.close()
    return work.done


def _reached(done: Replayed, state: FoldState, count: int, on_read: OnRead) -> None:
    done.records += count
    done.last_ms = state.plan.clock.now_ms
    on_read(done.records)


class _Check:
    def __init__(self, recording: Recording, rules: Rules) -> None:
        self.state = FoldState()
        self.done = Replayed()
        self._rules = rules
        self._journal = Decided(recording, "journal")
        self._orders = Decided(recording, "orders")

    def take(self, offset: int, record: Record) -> None:
        """Fold one record, and hold what is decided against what stands."""
        links, orders = self._journal.at(offset), self._orders.at(offset)
        if self._of_others(links):
            self._take_as_it_stands(offset, record, links)
        else:
            events = decide(self.state, offset, record, self._rules)
            if events or links or orders:
                self._compare(offset, record, events, links, orders)
        if not self.done.first_ms:
            self.done.first_ms = self.state.plan.clock.now_ms

    def close(self) -> None:
        """Leave the recording."""
        self._journal.close()
        self._orders.close()

    def _of_others(self, links: list[Link]) -> bool:
        """Whether rules of another version decided at this record, or passed it by."""
        ours = self._rules.version
        if links:
            return any(link.envelope.rules != ours for link in links)
        return self._journal.next_rules not in (None, ours)

    def _take_as_it_stands(self, offset: int, record: Record, links: list[Link]) -> None:
        wishes = take_in(self.state, offset, record, [link.event for link in links])
        passed(self.state.seal, links)
        numbers = self.state.seal.next_number
        numbers["watch"] += len(wishes)
        numbers["orders"] += len(asked(links))
        for link in links:
            self.done.taken[link.envelope.rules] += 1
            self.done.kinds[type(link.event).__name__] += 1

    def _compare(
        self,
        offset: int,
        record: Record,
        events: Sequence[Record],
        links: list[Link],
        orders: list[Link],
    ) -> None:
        out = sealed(self.state, offset, events, self._rules)
        self.done.kinds.update(type(event).__name__ for event in events)
        for log, standing in ((self._journal, links), (self._orders, orders)):
            made = [each for each in out if each.topic == log.topic]
            found = _differing(made, standing, ended=log.ended)
            if found is not None:
                number, stands, said = found
                self.done.divergence = Divergence(offset, record, log.topic, number, stands, said)
                return
        self.done.compared += len(links)
        self.done.ahead += len(of_journal(events)) - len(links)


def _differing(
    made: list[Sealed], standing: list[Link], *, ended: bool
) -> tuple[int, int | None, str] | None:
    """Number and place of the first difference, and what it is."""
    for ours, link in zip(made, standing, strict=False):
        row = OutRow(ours.number, ours.key, ours.value, ours.headers)
        said = difference(row, link.out)
        if said is not None:
            return ours.number, link.offset, said
    if len(made) < len(standing):
        link = standing[len(made)]
        return link.envelope.n, link.offset, f"nothing is decided, {_named(link.event)} stands"
    if len(made) > len(standing) and not ended:
        ours = made[len(standing)]
        _, event = codec.unseal(ours.value)
        return ours.number, None, f"{_named(event)} is decided, nothing stands"
    return None


def _named(event: Record) -> str:
    return f"{type(event).__name__} {codec.encode(event).decode()}"
