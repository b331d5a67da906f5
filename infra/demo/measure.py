"""Measures of a run: slippage foreseen and paid, holds by reason, time per hop."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from infra.demo.evidence import Evidence
from schemas.records import journal, own
from schemas.records.leader import LeaderFills
from schemas.units import floor_div

NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Spread:
    """Quantiles of one quantity; n is how many values there were."""

    n: int
    p50: float
    p95: float
    worst: float


def spread(values: Iterable[float]) -> Spread | None:
    """Nearest-rank quantiles, None if there is no value."""
    ranked = sorted(values)
    if not ranked:
        return None
    last = len(ranked) - 1
    return Spread(len(ranked), ranked[last // 2], ranked[round(last * 0.95)], ranked[-1])


@dataclass(frozen=True)
class Slippage:
    """Cents a share against the touch at the decision: by the walk, and as paid (+ is worse)."""

    orders: int
    foreseen_cents: float
    paid_cents: float
    fees_usd_micro: int


def slippage(found: Evidence) -> Slippage:
    """Share-weighted over all orders that filled."""
    requests = found.requests()
    shares = foreseen = paid = 0
    filled: dict[str, list[journal.FillBooked]] = {}
    failed = {e.trade for e in found.of(journal.FillSettled) if e.status == "FAILED"}
    for event in found.of(journal.FillBooked):
        if event.intent is not None and event.trade not in failed:
            filled.setdefault(event.intent, []).append(event)
    for intent, fills in filled.items():
        request = requests[intent]
        size = sum(fill.shares_micro for fill in fills)
        average = floor_div(sum(fill.cash_micro for fill in fills), size)
        sign = 1 if request.side == "BUY" else -1
        shares += size
        foreseen += sign * (request.avg_micro - request.touch_micro) * size
        paid += sign * (average - request.touch_micro) * size
    whole = max(shares, 1) * 10_000
    fees = sum(f.fee_micro for fills in filled.values() for f in fills)
    return Slippage(len(filled), foreseen / whole, paid / whole, fees)


def holds(found: Evidence) -> Counter[str]:
    """How often each reason held an order back."""
    return Counter(event.reason for event in found.of(journal.OrderHeld))


def hops(found: Evidence) -> dict[str, Spread]:
    """Milliseconds of each step between a leader's fill and our confirmed position.

    The window is fold time and so waits by design; the rest is machine and venue time.
    """
    answers = [a for a in found.on_tape(own.OrderAnswered) if a.proof == "post"]
    asked = {row.intent: row for row in found.of(journal.OrderRequested)}
    written = _written_ms(found)
    signed = found.first_signed()
    measured: dict[str, list[float]] = {
        "leader's fill received -> on the tape": [
            placed.timestamp_ms - placed.record.recv_ns / NS_PER_MS
            for placed in found.tape
            if isinstance(placed.record, LeaderFills)
        ],
        "received -> window closed, order decided (fold time)": [
            request.now_ms - request.signal_recv_ns / NS_PER_MS
            for request in asked.values()
            if request.signal_recv_ns is not None
        ],
        "tape record -> order on its topic": [
            placed.timestamp_ms - cause
            for placed in found.events
            if isinstance(placed.record, journal.OrderRequested)
            and (cause := found.tape[placed.offset].timestamp_ms) is not None
        ],
        "order on its topic -> signed": [
            signed[intent].signed_ns / NS_PER_MS - at
            for intent, at in written.items()
            if intent in signed
        ],
        "signed -> sent": [
            (a.sent_ns - signed[a.intent].signed_ns) / NS_PER_MS for a in answers if a.sent_ns
        ],
        "sent -> answered": [(a.answered_ns - a.sent_ns) / NS_PER_MS for a in answers if a.sent_ns],
        "sent -> fill received": _fill_times(found, "MATCHED", answers),
        "sent -> confirmed": _fill_times(found, "CONFIRMED", answers),
    }
    # A negative time is a clock's, not a hop's: dropped, as the definition says.
    kept = {name: spread(v for v in values if v >= 0) for name, values in measured.items()}
    return {name: value for name, value in kept.items() if value is not None}


def _written_ms(found: Evidence) -> dict[str, int]:
    return {
        placed.record.intent: placed.timestamp_ms
        for placed in found.events
        if isinstance(placed.record, journal.OrderRequested)
    }


def _fill_times(found: Evidence, status: str, answers: list[own.OrderAnswered]) -> list[float]:
    sent = {answer.order: answer.sent_ns for answer in answers if answer.sent_ns}
    first: dict[str, int] = {}
    for fill in found.on_tape(own.OwnFill):
        if fill.status == status and fill.order in sent:
            first.setdefault(fill.trade, fill.recv_ns - sent[fill.order])
    return [value / NS_PER_MS for value in first.values()]
