"""The one codec: JSON on the wire, `kind` and `v` in the record and as Kafka headers.

Version rules: an added optional field changes nothing; a changed meaning or a removed field
raises the record's `v`, and the struct of the older version stays here in OLDER with its upcast.
On the tape an unknown kind or a newer `v` stops the fold (skipping would be silent divergence);
readers of the journal may pass over it and count.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Union

import msgspec

from schemas.records import journal, leader, market, operator, own, system
from schemas.records.base import Record
from schemas.records.summary import Summary

TAPE: Final[tuple[type[Record], ...]] = (
    system.Genesis,
    system.FlowStarted,
    system.ConnectorStarted,
    system.Policy,
    system.Tick,
    market.Depth,
    market.BookEpoch,
    market.MarketMeta,
    market.MarketClosed,
    market.MarketResolved,
    leader.LeaderFills,
    leader.LeaderMove,
    leader.ReadDone,
    leader.LeaderIncomplete,
    own.OwnFill,
    own.OwnRedemption,
    own.ReportAsked,
    own.PositionsReport,
    own.BalanceReport,
    own.OpenOrdersReport,
    own.OrderSigned,
    own.OrderAnswered,
    own.OrderExpired,
    own.OrderAbsent,
    operator.Follow,
    operator.Unfollow,
    operator.Halt,
    operator.Resume,
)
JOURNAL: Final[tuple[type[Record], ...]] = (
    journal.PolicyAdopted,
    journal.WordAdopted,
    journal.WordRefused,
    journal.LeaderFollowed,
    journal.LeaderUnfollowed,
    journal.NetDelta,
    journal.ExposureRebased,
    journal.BaselineLowered,
    journal.LeaderFillWithdrawn,
    journal.LeaderMarked,
    journal.DriftFound,
    journal.PositionCorrected,
    journal.OrderRequested,
    journal.OrderHeld,
    journal.HoldEnded,
    journal.OrderProgress,
    journal.FillBooked,
    journal.FillSettled,
    journal.PositionSettled,
    journal.PositionRedeemed,
    journal.Alarm,
    Summary,
)
COMPACTED: Final[tuple[type[Record], ...]] = (journal.Watch, journal.Cursor)
QUARANTINE: Final[tuple[type[Record], ...]] = (journal.Undecodable,)
KINDS: Final[dict[str, type[Record]]] = {
    cls.__name__: cls for cls in (*TAPE, *JOURNAL, *COMPACTED, *QUARANTINE)
}
CURRENT: Final[dict[str, int]] = {
    name: next(f.default for f in msgspec.structs.fields(cls) if f.name == "v")
    for name, cls in KINDS.items()
}
OLDER: Final[dict[tuple[str, int], Callable[[bytes], Record]]] = {}
"""(kind, v) of every version that was ever written and is not current -> decoder and upcast."""


class UndecodableRecord(ValueError):
    """Bytes that are no record of ours; the message quotes their beginning and the reason."""


class UnknownKind(UndecodableRecord):
    """A record of a kind this program does not know: it is older than the writer."""


class NewerVersion(UndecodableRecord):
    """A record of a known kind in a version this program does not know: deploy readers first."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds an event on journal, orders and watch.

    n: its number in the partition, from 0. cause: tape offset of the record that led to it.
    rules: version of the decisions that made it. prev: SHA-256 of the journal record before it.
    """

    n: int
    cause: int
    rules: int
    prev: str = ""


class _Head(msgspec.Struct):
    kind: str
    v: int = 1


_encoder = msgspec.json.Encoder()
_head = msgspec.json.Decoder(_Head)
_envelope = msgspec.json.Decoder(Envelope)
_any = msgspec.json.Decoder(Union[tuple(KINDS.values())])  # noqa: UP007
# msgspec lets the last two through as they are: text that is not UTF-8, brackets too deep.
_MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def encode(record: Record) -> bytes:
    """Compact JSON with `kind` first; equal records give equal bytes."""
    return _encoder.encode(record)


def headers(record: Record) -> tuple[tuple[str, bytes], ...]:
    """Kafka headers of a record: kind and v, so that readers can choose without decoding."""
    return (("kind", type(record).__name__.encode()), ("v", str(record.v).encode()))


def decode(
    data: bytes, *, older: Mapping[tuple[str, int], Callable[[bytes], Record]] = OLDER
) -> Record:
    """The record in these bytes, upcast from an older version if need be.

    Raises UnknownKind, NewerVersion or UndecodableRecord; the caller decides whether that stops it.
    """
    try:
        record: Record = _any.decode(data)
    except _MALFORMED as error:
        return _decode_other(data, older, error)
    if record.v == CURRENT[type(record).__name__]:
        return record
    return _decode_other(data, older, None)


def _decode_other(
    data: bytes,
    older: Mapping[tuple[str, int], Callable[[bytes], Record]],
    error: Exception | None,
) -> Record:
    try:
        head = _head.decode(data)
    except _MALFORMED as bad:
        raise UndecodableRecord(f"not a record ({bad}): {data[:120]!r}") from bad
    if head.kind not in KINDS:
        raise UnknownKind(f"kind {head.kind!r} is not known here; deploy readers before writers")
    if head.v > CURRENT[head.kind]:
        raise NewerVersion(f"{head.kind} v{head.v} is newer than v{CURRENT[head.kind]} known here")
    upcast = older.get((head.kind, head.v))
    if upcast is None:
        why = error or "no decoder for this version"
        raise UndecodableRecord(f"{head.kind} v{head.v}: {why}: {data[:120]!r}") from error
    return upcast(data)


def seal(event: Record, envelope: Envelope) -> bytes:
    """Event and envelope as one flat JSON object: what stands on journal, orders and watch."""
    body, around = _encoder.encode(event), _encoder.encode(envelope)
    return body[:-1] + b"," + around[1:]


def unseal(data: bytes) -> tuple[Envelope, Record]:
    """Envelope and event of one journal, orders or watch record."""
    try:
        envelope = _envelope.decode(data)
    except _MALFORMED as error:
        raise UndecodableRecord(f"no envelope ({error}): {data[:120]!r}") from error
    return envelope, decode(data)


def chain_hash(data: bytes) -> str:
    """What the next journal record carries as `prev`."""
    return hashlib.sha256(data).hexdigest()


def decode_levels(raw: msgspec.Raw) -> list[tuple[int, int]]:
    """(price_micro, shares_micro) best first, of one side of a Depth."""
    return _levels.decode(raw)


def encode_levels(levels: list[tuple[int, int]]) -> msgspec.Raw:
    """The levels field of a Depth."""
    return msgspec.Raw(_encoder.encode(levels))


_levels: msgspec.json.Decoder[list[tuple[int, int]]] = msgspec.json.Decoder(list[tuple[int, int]])


def json_schema(kind: str) -> dict[str, Any]:
    """JSON Schema of one kind, for whoever reads topics with other tools."""
    return msgspec.json.schema(KINDS[kind])
