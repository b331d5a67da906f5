"""State made anew from the log: the tape, with the journal's events in the place of decisions.

Up to the journal's end nothing is decided. The record at which it ends may have been cut among its
events by a kill; what is missing there is decided now and handed over as `missing`, to be appended
before a flow goes on. Behind that record the flow decides by itself.

If rules of another version wrote the journal, orders that stand without their journal record cannot
be made again here: that is refused, since a release with those rules can.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from flows.core.fold import FoldState
from flows.core.sealing import Sealed, SealState
from flows.engine.errors import Diverged
from flows.engine.rows import OutRow, difference
from infra.proof.chain import Link
from infra.proof.decided import Decided, WatchTopic
from infra.proof.recordings import Recording, RecordingBroken, decoded
from infra.proof.refold import OURS, Rules, complete, decide, sealed, take_in
from schemas import codec
from schemas.records import journal
from schemas.records.base import Record


class RebuildRefused(RuntimeError):
    """What stands cannot be taken over by these rules; the message says which release can."""


@dataclass(slots=True)
class Rebuilt:
    """A state and the tape offset it takes next. taken: events read back, by version of rules.

    missing: records that belong to it and do not stand on their topics yet, in order.
    """

    state: FoldState = field(default_factory=FoldState)
    next_offset: int = 0
    taken: Counter[int] = field(default_factory=Counter)
    missing: list[Sealed] = field(default_factory=list)
    repeats: int = 0


OnRead = Callable[[int], None]
OnRecord = Callable[[int, Record], None]


def rebuild(
    recording: Recording,
    *,
    rules: Rules = OURS,
    until: int | None = None,
    on_read: OnRead = lambda _offset: None,
    on_record: OnRecord = lambda _offset, _record: None,
) -> Rebuilt:
    """The state as the journal leaves it, or as of the tape offset `until` (for comparisons).

    on_record sees every tape record, on_read the offset reached after each batch.
    Raises RecordingBroken, ChainBroken, Diverged or RebuildRefused, each naming the record.
    """
    work = _Rebuild(recording, rules, until)
    for batch in recording.values("tape"):
        for offset, value in batch:
            if work.done:
                break
            record = decoded(recording, offset, value)
            work.take(offset, record)
            on_record(offset, record)
        on_read(work.made.next_offset)
        if work.done:
            break
    return work.finish()


class _Rebuild:
    def __init__(self, recording: Recording, rules: Rules, until: int | None) -> None:
        self.made = Rebuilt()
        self._recording = recording
        self._rules = rules
        self._until = until
        self._journal = Decided(recording, "journal")
        self._orders = Decided(recording, "orders")
        self._watch = WatchTopic(recording.rows("watch"))
        self._last_rules = self._journal.next_rules
        # Wishes that these same rules had are decided again; other rules will have their own.
        self._upto = self._watch.last_cause if self._watch.last_rules == rules.version else -1

    @property
    def done(self) -> bool:
        """Whether nothing that was decided, and nothing asked for, is left."""
        if self._until is not None:
            return self.made.next_offset > self._until
        ended = self._journal.ended and self._orders.ended
        return ended and self.made.next_offset > self._upto

    def take(self, offset: int, record: Record) -> None:
        """Fold the next tape record."""
        links, orders = self._journal.at(offset), self._orders.at(offset)
        if not self._journal.ended:
            self._taken_in(offset, record, links, orders)
        elif self._by_others(links):
            self._completed(offset, record, links, orders)
        else:
            self._decided(offset, record, links, orders)
        self.made.next_offset = offset + 1

    def finish(self) -> Rebuilt:
        """What was made, once it covers all that was decided."""
        self._journal.close()
        self._orders.close()
        if not self.done:
            cause = self._journal.next_cause or self._orders.next_cause or self._upto
            asked = f"the journal names tape offset {cause}"
            raise RecordingBroken(
                f"{asked if self._until is None else f'tape offset {self._until} was asked for'}, "
                f"but the tape in {self._recording.name} ends at {self.made.next_offset}"
            )
        self.made.repeats = self._journal.chain.repeats + self._orders.chain.repeats
        if self._until is None:
            self._settle_watch()
        return self.made

    def _taken_in(self, offset: int, record: Record, links: list[Link], orders: list[Link]) -> None:
        wishes = take_in(self.made.state, offset, record, [link.event for link in links])
        if links or orders:
            self._book(offset, links, orders)
        self.made.state.seal.next_number["watch"] += len(wishes)

    def _decided(self, offset: int, record: Record, links: list[Link], orders: list[Link]) -> None:
        """Nothing, or a part, stands of what these same rules decide: the rest is missing."""
        events = decide(self.made.state, offset, record, self._rules)
        out = sealed(self.made.state, offset, events, self._rules)
        self.made.taken[self._rules.version] += len(links)
        for topic, standing in (("journal", links), ("orders", orders)):
            made = [each for each in out if each.topic == topic]
            _check_prefix(offset, topic, made, standing)
            self.made.missing += made[len(standing) :]

    def _by_others(self, links: list[Link]) -> bool:
        """Whether other rules had a part in what stands at this record, or stand last of all."""
        if not links:
            return self._last_rules not in (None, self._rules.version)
        self._last_rules = links[-1].envelope.rules
        return any(link.envelope.rules != self._rules.version for link in links)

    def _completed(
        self, offset: int, record: Record, links: list[Link], orders: list[Link]
    ) -> None:
        if len(orders) > len(asked(links)):
            raise RebuildRefused(
                f"orders decided by rules {self._last_rules} at tape offset {offset} stand without "
                f"their journal records, and this release has rules {self._rules.version}: run "
                f"`truecopy rebuild` of a release with rules {self._last_rules} first, which "
                "completes the journal, then this one"
            )
        standing = [link.event for link in links]
        rest = complete(self.made.state, offset, record, standing, self._rules)
        self._book(offset, links, orders)
        out = sealed(self.made.state, offset, rest, self._rules)
        self.made.missing += [each for each in out if each.topic != "watch"]

    def _book(self, offset: int, links: list[Link], orders: list[Link]) -> None:
        """Move the numbers and the chain over what stands; an order that is missing is made."""
        seal = self.made.state.seal
        passed(seal, links)
        self.made.taken.update(link.envelope.rules for link in links)
        first = seal.next_number["orders"]
        wanted = [_order_of(link, number) for number, link in enumerate(asked(links), first)]
        _check_prefix(offset, "orders", wanted, orders)
        self.made.missing += wanted[len(orders) :]
        seal.next_number["orders"] += len(wanted)

    def _settle_watch(self) -> None:
        """The watch topic as the state has it: numbers go on, what differs is said again."""
        state, offset = self.made.state, self.made.next_offset - 1
        numbers = state.seal.next_number
        numbers["watch"] = max(numbers["watch"], self._watch.next_number)
        there, wanted = self._watch.on(), state.plan.watching.on
        said: list[Record] = [
            journal.Watch(what=what, subject=subject, on=True, why="rebuilt")
            for what, subject in wanted
            if (what, subject) not in there
        ]
        said += [
            journal.Watch(what=what, subject=subject, on=False, why="rebuilt")
            for (what, subject), cause in there.items()
            # What was wished behind the journal's end, the flow will wish again.
            if (what, subject) not in wanted and cause <= offset
        ]
        self.made.missing += sealed(state, max(offset, 0), said, self._rules)


def asked(links: list[Link]) -> list[Link]:
    """Those that ask for an order, and so stand on orders as well."""
    return [link for link in links if isinstance(link.event, journal.OrderRequested)]


def passed(seal: SealState, links: list[Link]) -> None:
    """Move the journal's number and chain over what stands."""
    for link in links:
        seal.next_number["journal"] = link.envelope.n + 1
        seal.prev = codec.chain_hash(link.value)


def _order_of(link: Link, number: int) -> Sealed:
    """The record on orders of an order that the journal has."""
    assert isinstance(link.event, journal.OrderRequested), "only orders are asked for here"
    around = codec.Envelope(n=number, cause=link.envelope.cause, rules=link.envelope.rules)
    value = codec.seal(link.event, around)
    return Sealed("orders", number, link.event.intent.encode(), value, codec.headers(link.event))


def _check_prefix(offset: int, topic: str, made: list[Sealed], standing: list[Link]) -> None:
    """What stands must be what was made, as far as it goes; raises Diverged, quoting both."""
    for i, link in enumerate(standing):
        found = "nothing more was decided"
        if i < len(made):
            ours = OutRow(made[i].number, made[i].key, made[i].value, made[i].headers)
            difference_ = difference(ours, link.out)
            if difference_ is None:
                continue
            found = difference_
        raise Diverged(
            f"{topic} record {link.envelope.n} at offset {link.offset}, caused by tape offset "
            f"{offset}, is not what is made again: {found}"
        )
