"""An explanation for people, line by line, or as one JSON object. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from infra.inspect.human import amount, clock_ns, masked, moment, printable, span, usd
from infra.inspect.names import Names
from infra.inspect.phrases_journal import told
from infra.proof.cost import Cost
from infra.proof.explain import Explained, Explanation, Placed
from infra.proof.facts import Fact
from schemas.records.base import Record


def as_json(explained: Explained) -> str:
    """The whole of it, in micro units."""
    return masked(msgspec.json.encode(explained.explanation).decode())


def lines_of(explained: Explained) -> Iterator[str]:
    """What people read; safe for a terminal."""
    return (printable(masked(line)) for line in _lines(explained.explanation, explained.names))


def _lines(found: Explanation, names: Names) -> Iterator[str]:
    if found.event is not None:
        yield f"{found.what} {_told(found.event, names)}"
        yield f"  journal record {found.number}, decided by rules {found.rules}"
    else:
        yield f"{found.what} {found.id}"
    if found.cause is not None:
        yield f"caused by tape {found.cause.tape}: {_told(found.cause.record, names)}"
    if found.facts:
        yield "it rested on"
        yield from _columns([_fact(fact) for fact in found.facts])
    if found.bounds:
        yield "bounds, the smallest bites"
        rows = [
            (bound.name, amount(bound.shares_micro), "<- bit" if bound.name == found.bit else "")
            for bound in found.bounds
        ]
        yield from _columns(rows)
    if found.evidence:
        yield "evidence"
        yield from (_evidence(each, names) for each in found.evidence)
    if found.cost is not None:
        yield from _cost(found.cost)
    yield "what happened next" if found.next else "nothing is known to have happened since"
    for step in found.next:
        where = f"journal {step.number}" if step.number is not None else f"tape {step.tape}"
        when = f"{clock_ns(step.at_ns)} " if step.at_ns is not None else ""
        yield f"  {where}: {when}{_told(step.record, names)}"


def _cost(cost: Cost) -> Iterator[str]:
    """Implementation shortfall, part by part, in dollars and in cents a share."""
    trade, parts = cost.trade, cost.shortfall
    so_far = "" if cost.ended else " so far"
    yield (
        f"cost against the leader's price of {amount(trade.leader_micro)}{so_far}: "
        f"{amount(trade.filled_micro)} of {amount(trade.wanted_micro)} shares filled"
    )
    rows = (
        ("delay: his price to the mid", parts.delay_micro),
        ("half the spread", parts.half_spread_micro),
        ("impact beyond the touch", parts.impact_micro),
        ("fees", parts.fees_micro),
        ("not filled, after 5 min", parts.opportunity_micro),
        ("together", parts.total_micro),
    )
    yield from _columns([(name, usd(n), _a_share(n, trade.wanted_micro)) for name, n in rows])


def _a_share(usd_micro: int | None, shares_micro: int) -> str:
    """Cents a share to the hundredth of a cent, rounded down; more than 0 is worse than he did."""
    if usd_micro is None:
        return "not known yet"
    return f"{amount(usd_micro * 10_000 // shares_micro * 10_000)} ct a share"


def _told(record: Record, names: Names) -> str:
    return f"{type(record).__name__} {told(record, names)}"


def _evidence(placed: Placed, names: Names) -> str:
    return f"  tape {placed.tape}: {_told(placed.record, names)}"


def _fact(fact: Fact) -> tuple[str, ...]:
    age = f"{span(fact.age_ms)} old" if fact.age_ms is not None else ""
    place = f", tape {fact.offset}" if fact.offset is not None else ""
    return fact.name, _value(fact), age, f"{fact.source}{place}"


def _value(fact: Fact) -> str:
    value = fact.value
    if isinstance(value, str):
        return value
    match fact.unit:
        case "usd":
            return usd(value)
        case "ms":
            return moment(value) if fact.name == "fold time" else span(value)
        case _:
            return amount(value)


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield f"  {'  '.join(cells).rstrip()}"
