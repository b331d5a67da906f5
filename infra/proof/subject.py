"""What an ID names: an order, a hold, a correction, a leader's trade, or any journal record.

| ID | looks like |
|---|---|
| an order | its intent `main:1234:0`, or its hash (0x and 64 digits) |
| a hold | `main:<token or its beginning>`: the newest one |
| a journal record | its number, `journal:123` or just `123` |
| a leader's trade | its transaction (0x and 64 digits) or fill group (16 digits) |
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from infra.proof.chain import Chain, Link
from infra.proof.recordings import Recording, decoded
from schemas.records import journal
from schemas.records.leader import LeaderFills, LeaderMove

HASH = re.compile(r"0x[0-9a-f]{64}")
GROUP = re.compile(r"[0-9a-f]{16}")
NUMBER = re.compile(r"(?:journal:)?(\d+)")
INTENT = re.compile(r"[^:]+:\d+:\d+")
HOLD = re.compile(r"([^:]+):(\d+)")

FORMS = (
    "an order's intent (main:1234:0) or hash, a hold (main:<token>), a journal number, or a "
    "leader's transaction or fill group"
)


class NotFound(LookupError):
    """Nothing in the recording has this ID; the message says what was looked through."""


class Trade(NamedTuple):
    """What one source told of a leader's trade, and the tape offset where that stands."""

    offset: int
    record: LeaderFills | LeaderMove


class Found(NamedTuple):
    """Either one journal event, or a leader's trade as the tape tells it."""

    link: Link | None
    trade: tuple[Trade, ...] = ()


def find(recording: Recording, text: str) -> Found:
    """What the ID names; raises NotFound."""
    wanted = text.strip()
    if number := NUMBER.fullmatch(wanted):
        # A number of 16 digits may be a fill group too; journals are not that long.
        if link := _numbered(recording, int(number[1])):
            return Found(link)
    elif INTENT.fullmatch(wanted):
        if link := _order(recording, wanted):
            return Found(link)
    elif hold := HOLD.fullmatch(wanted):
        if link := _hold(recording, hold[1], hold[2]):
            return Found(link)
    elif HASH.fullmatch(wanted.lower()) and (link := _order_of_hash(recording, wanted.lower())):
        return Found(link)
    if HASH.fullmatch(wanted.lower()) or GROUP.fullmatch(wanted.lower()):
        trade = tuple(_trade(recording, wanted.lower()))
        if trade:
            return Found(None, trade)
    raise NotFound(f"nothing in {recording.name} has the ID {text!r}; an ID is {FORMS}")


def links(recording: Recording) -> Iterator[Link]:
    """The journal, record by record."""
    return Chain("journal").walk(recording.rows("journal"))


def _numbered(recording: Recording, number: int) -> Link | None:
    return next((link for link in links(recording) if link.envelope.n == number), None)


def _order(recording: Recording, intent: str) -> Link | None:
    for link in links(recording):
        if isinstance(link.event, journal.OrderRequested) and link.event.intent == intent:
            return link
    return None


def _order_of_hash(recording: Recording, order: str) -> Link | None:
    for link in links(recording):
        event = link.event
        if isinstance(event, journal.OrderProgress | journal.FillBooked) and event.order == order:
            return _order(recording, event.intent) if event.intent is not None else link
    return None


def _hold(recording: Recording, account: str, token: str) -> Link | None:
    newest: dict[str, Link] = {}
    for link in links(recording):
        event = link.event
        if isinstance(event, journal.OrderHeld) and event.account == account:
            if event.token == token:
                newest = {token: link}
            elif event.token.startswith(token) and token not in newest:
                newest[event.token] = link
    if len(newest) > 1:
        raise NotFound(f"{len(newest)} tokens with holds begin with {token}: {', '.join(newest)}")
    return next(iter(newest.values()), None)


def _trade(recording: Recording, text: str) -> Iterator[Trade]:
    needle = text.encode()
    for batch in recording.values("tape"):
        for offset, value in batch:
            if needle in value.lower() and b'"kind":"Leader' in value:
                record = decoded(recording, offset, value)
                if isinstance(record, LeaderFills | LeaderMove) and text in (
                    record.tx.lower(),
                    record.group,
                ):
                    yield Trade(offset, record)
