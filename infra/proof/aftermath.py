"""What happened next: records of the tape and the journal that belong to a decision, in order.

Read on from the decision's cause to the recording's end. Tape records are told from their first
bytes (`kind` comes first), so that only those that may belong are decoded.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from typing import Any

import msgspec

from infra.proof.recordings import Recording
from infra.proof.subject import links
from schemas.codec import decode
from schemas.records import journal, own
from schemas.records.base import Account, Intent, Record, Token

OWN = (b'{"kind":"Order', b'{"kind":"Own')


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. tape: its offset there, for a journal record that of its cause;
    number: of a journal record; at_ns: when, as far as the record says."""

    tape: int
    number: int | None
    at_ns: int | None
    record: Any


Belongs = Callable[[Record], bool]


def of_order(recording: Recording, event: journal.OrderRequested, cause: int) -> list[Step]:
    """Signature, answer, fills, end and settlement of one order, and its market's payout."""
    return list(_both(recording, cause, _OrderTrail(event)))


def of_token(
    recording: Recording, account: Account | None, token: Token, cause: int, number: int
) -> list[Step]:
    """The journal on a token behind a record, up to the next order or hold; account None: any."""
    found = []
    for step in _journal(recording, cause, lambda event: _about(event, account, token)):
        if step.number is not None and step.number > number:
            found.append(step)
            if isinstance(step.record, journal.OrderRequested | journal.OrderHeld):
                break
    return found


def _about(event: Record, account: Account | None, token: Token) -> bool:
    if getattr(event, "token", None) != token:
        return False
    return account is None or getattr(event, "account", None) == account


class _OrderTrail:
    """Which records belong to an order; learns its hash and trades as they pass."""

    def __init__(self, event: journal.OrderRequested) -> None:
        self._event = event
        self._intent: Intent = event.intent
        self._hashes: dict[str, None] = {}
        self._trades: dict[str, None] = {}
        self._over = False

    def __call__(self, record: Record) -> bool:
        match record:
            case own.OrderSigned() | own.OrderAnswered() if record.intent == self._intent:
                self._hashes[record.order] = None
                return True
            case own.OrderExpired() | own.OrderAbsent():
                return record.intent == self._intent
            case own.OwnFill():
                return record.order in self._hashes
            case journal.OrderProgress():
                return record.intent == self._intent
            case journal.FillBooked() if record.intent == self._intent:
                self._trades[record.trade] = None
                return True
            case journal.FillSettled():
                return record.trade in self._trades and record.account == self._event.account
            case journal.PositionSettled() | journal.PositionRedeemed():
                mine = record.account == self._event.account and record.token == self._event.token
                return mine and bool(self._trades)
        return False


def _both(recording: Recording, cause: int, belongs: Belongs) -> Iterator[Step]:
    """Tape and journal by tape offset, the record before what it led to."""
    tape = _tape(recording, cause + 1, lambda record: True)
    rest = _journal(recording, cause, lambda event: True)
    for step in merge(tape, rest, key=lambda s: (s.tape, -1 if s.number is None else s.number)):
        if belongs(step.record):
            yield step


def _tape(recording: Recording, start: int, belongs: Belongs) -> Iterator[Step]:
    for batch in recording.values("tape", start):
        for offset, value in batch:
            if value.startswith(OWN):
                record = decode(value)
                if belongs(record):
                    yield Step(tape=offset, number=None, at_ns=_moment(record), record=record)


def _journal(recording: Recording, cause: int, belongs: Belongs) -> Iterator[Step]:
    for link in links(recording):
        if link.envelope.cause >= cause and belongs(link.event):
            yield Step(
                tape=link.envelope.cause,
                number=link.envelope.n,
                at_ns=None,
                record=link.event,
            )


def _moment(record: Record) -> int | None:
    for name in ("signed_ns", "answered_ns", "recv_ns"):
        found = getattr(record, name, None)
        if isinstance(found, int) and found:
            return found
    return None
