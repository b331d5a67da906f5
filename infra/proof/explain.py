"""Why was this decided? The state is folded up to the moment before, and read.

Every input is shown with its value, age, source and place on the tape; for an order also every
bound and which one bit; then what happened next. Works on any recording, a living one included.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from flows.core import leaders, planning
from infra.inspect.names import Names
from infra.proof.aftermath import Step, of_order, of_token
from infra.proof.chain import Link
from infra.proof.corrected import correction_facts
from infra.proof.cost import Cost, cost_of
from infra.proof.facts import Fact, facts_of
from infra.proof.provenance import Provenance
from infra.proof.rebuild import OnRead, Rebuilt, rebuild
from infra.proof.recordings import Recording, RecordingBroken, decoded
from infra.proof.subject import Found, find, links
from schemas.records import journal
from schemas.records.base import Account, Record, Token
from schemas.records.leader import LeaderFills
from schemas.records.own import PositionsReport, ReportAsked

TRADE_LED_TO_MAX = 20
MOVES = journal.NetDelta | journal.ExposureRebased | journal.LeaderFillWithdrawn
ANSWERS = journal.OrderRequested | journal.OrderHeld


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the tape that counts as evidence."""

    tape: int
    record: Any


class Explanation(msgspec.Struct, kw_only=True):
    """All that there is to say. event: the decision, None for a leader's trade; cause: the tape
    record that led to it; evidence: what it rests on besides the facts; next: what followed;
    cost: what an order cost against its leader's price."""

    id: str
    what: str
    number: int | None = None
    rules: int | None = None
    event: Any = None
    cause: Placed | None = None
    facts: tuple[Fact, ...] = ()
    bounds: tuple[journal.Bound, ...] = ()
    bit: str = ""
    evidence: list[Placed] = msgspec.field(default_factory=list)
    next: list[Step] = msgspec.field(default_factory=list)
    cost: Cost | None = None


class Explained(msgspec.Struct, kw_only=True):
    """An explanation and the names that people know things by."""

    explanation: Explanation
    names: Any


def explain(recording: Recording, text: str, on_read: OnRead = lambda _offset: None) -> Explained:
    """Explain what an ID names; raises NotFound and what a rebuild raises."""
    found = find(recording, text)
    if found.link is not None:
        return _event(recording, text, found.link, on_read)
    return _trade(recording, text, found)


def _event(recording: Recording, text: str, link: Link, on_read: OnRead) -> Explained:
    cause, event, known = link.envelope.cause, link.event, Provenance()
    made = rebuild(recording, until=cause - 1, on_read=on_read, on_record=known.learn)
    record = _at(recording, cause)
    before = _up_to(recording, made, record, link)
    known.learn(cause, record)
    account, token = _about(event)
    explanation = Explanation(
        id=text,
        what=_what(event),
        number=link.envelope.n,
        rules=link.envelope.rules,
        event=event,
        cause=Placed(tape=cause, record=record),
    )
    plan = made.state.plan
    if account is not None and token is not None:
        explanation.facts = facts_of(plan, known, account, token)
    match event:
        case journal.OrderRequested():
            explanation.bounds, explanation.bit = event.bounds, event.bound
            explanation.next = of_order(recording, event, cause)
            followed = [each.leader for each in plan.accounts[event.account].followed]
            explanation.cost = cost_of(
                recording, event, link.envelope.n, followed, explanation.next
            )
        case journal.PositionCorrected() | journal.DriftFound():
            drift = event if isinstance(event, journal.DriftFound) else _drift(before, event)
            explanation.facts = correction_facts(plan, known, event.subject, event.token, drift)
            explanation.evidence = list(_reports(recording, event.reports))
    if token is not None and not explanation.next:
        explanation.next = of_token(recording, account, token, cause, link.envelope.n)
    return Explained(explanation=explanation, names=known.names)


def _up_to(recording: Recording, made: Rebuilt, record: Record, target: Link) -> list[Record]:
    """Fold the causing record up to the event before the one explained; the events so far."""
    events, offset = [], target.envelope.cause
    for link in links(recording):
        if link.envelope.cause == offset and link.envelope.n < target.envelope.n:
            events.append(link.event)
        elif link.envelope.n >= target.envelope.n:
            break
    state = made.state
    leaders.observe(state.leaders, offset, record)
    for event in events:
        leaders.evolve(state.leaders, event)
    state.plan.touched.clear()
    planning.observe(state.plan, offset, record)
    for event in events:
        planning.evolve(state.plan, event)
    return events


def _drift(events: list[Record], event: journal.PositionCorrected) -> journal.DriftFound | None:
    """The proof of a correction is the event before it; others have none."""
    last = events[-1] if events else None
    return last if isinstance(last, journal.DriftFound) and last.token == event.token else None


def _at(recording: Recording, offset: int) -> Record:
    for batch in recording.values("tape", offset, offset + 1):
        for at, value in batch:
            return decoded(recording, at, value)
    raise RecordingBroken(f"tape offset {offset} is not in {recording.name}")


def _about(event: Record) -> tuple[Account | None, Token | None]:
    """Whom and what an event is about; a leader's has no account."""
    return getattr(event, "account", None), getattr(event, "token", None)


def _what(event: Record) -> str:
    match event:
        case journal.OrderRequested():
            return "order"
        case journal.OrderHeld():
            return "hold"
        case journal.PositionCorrected() | journal.DriftFound():
            return "correction"
    return "journal record"


def _reports(recording: Recording, names: tuple[str, ...]) -> Iterator[Placed]:
    """The questions and answers that a correction names."""
    needles = [name.encode() for name in names]
    for batch in recording.values("tape"):
        for offset, value in batch:
            if b'"report":"' in value and any(needle in value for needle in needles):
                record = decoded(recording, offset, value)
                if isinstance(record, ReportAsked | PositionsReport) and record.report in names:
                    yield Placed(tape=offset, record=record)


def _trade(recording: Recording, text: str, found: Found) -> Explained:
    """A leader's trade: as every source told it, the window it closed in, and what that led to."""
    names = Names()
    first = found.trade[0]
    for batch in recording.values("tape", 0, first.offset + 1):
        for offset, value in batch:
            if value.startswith((b'{"kind":"MarketMeta', b'{"kind":"Policy', b'{"kind":"Follow"')):
                names.learn(decoded(recording, offset, value))
    explanation = Explanation(id=text, what="leader trade")
    explanation.evidence = [Placed(tape=told.offset, record=told.record) for told in found.trade]
    explanation.next = list(_led_to(recording, found))
    return Explained(explanation=explanation, names=names)


def _led_to(recording: Recording, found: Found) -> Iterator[Step]:
    wallet, tokens = _who_and_what(found)
    netted: dict[str, None] = {}
    count = 0
    for link in links(recording):
        event = link.event
        if link.envelope.cause < found.trade[0].offset:
            continue
        if isinstance(event, MOVES) and event.leader == wallet and event.token in tokens:
            if event.token in netted and isinstance(event, journal.NetDelta):
                return  # the next window: what follows is no longer this trade's
            netted[event.token] = None
        elif not (netted and isinstance(event, ANSWERS) and event.token in tokens):
            continue
        yield Step(tape=link.envelope.cause, number=link.envelope.n, at_ns=None, record=event)
        count += 1
        if count >= TRADE_LED_TO_MAX:
            return


def _who_and_what(found: Found) -> tuple[str, dict[str, None]]:
    tokens: dict[str, None] = {}
    for _, record in found.trade:
        if isinstance(record, LeaderFills):
            tokens[record.token] = None
        else:
            tokens.update(dict.fromkeys(record.delta_micro))
    return found.trade[0].record.leader, tokens
