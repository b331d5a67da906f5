"""From a row of any topic to what is printed: a line for people, or one JSON object. Pure.

Every row gives a line. What cannot be decoded says why and shows its bytes; a deletion says what it
deletes; frames as received show where they came from.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from connectors.kafka.consumer import Row
from infra.inspect.human import clock_ns, masked, moment, printable, raw_shown, raw_text
from infra.inspect.names import Names
from infra.inspect.phrases_journal import told
from schemas import codec
from schemas.codec import Envelope, UndecodableRecord
from schemas.records.base import Record
from schemas.records.market import Depth

SEALED: Final = frozenset({"journal", "orders", "watch"})
"""Topics whose records stand inside an envelope."""

Shape = Literal["record", "sealed", "frame"]

COLOURS: Final[dict[str, str]] = {
    **dict.fromkeys(("Genesis", "FlowStarted", "ConnectorStarted", "Policy"), "magenta"),
    **dict.fromkeys(("Follow", "Unfollow", "Halt", "Resume", "WordAdopted"), "bright_magenta"),
    **dict.fromkeys(("PolicyAdopted", "LeaderFollowed", "LeaderUnfollowed"), "magenta"),
    **dict.fromkeys(("Tick", "ReadDone", "ReportAsked", "Cursor", "Watch"), "bright_black"),
    **dict.fromkeys(("Depth", "BookEpoch", "MarketMeta", "MarketClosed"), "blue"),
    **dict.fromkeys(
        ("MarketResolved", "PositionSettled", "OwnRedemption", "PositionRedeemed"), "bright_blue"
    ),
    **dict.fromkeys(("LeaderFills", "LeaderMove", "NetDelta", "ExposureRebased"), "cyan"),
    **dict.fromkeys(("BaselineLowered",), "cyan"),
    **dict.fromkeys(("OwnFill", "FillBooked", "FillSettled"), "green"),
    **dict.fromkeys(("OrderRequested", "OrderSigned", "OrderAnswered"), "bright_green"),
    **dict.fromkeys(("OrderProgress", "OrderExpired", "OrderAbsent"), "bright_green"),
    **dict.fromkeys(("OrderHeld", "HoldEnded"), "yellow"),
    **dict.fromkeys(("PositionsReport", "BalanceReport", "OpenOrdersReport", "Summary"), "white"),
    **dict.fromkeys(
        ("Alarm", "DriftFound", "PositionCorrected", "Undecodable", "WordRefused"), "red"
    ),
    **dict.fromkeys(("WordRefused",), "red"),
    **dict.fromkeys(("LeaderIncomplete", "LeaderMarked", "LeaderFillWithdrawn"), "red"),
}
UNDECODABLE: Final = "UNDECODABLE"
DELETED: Final = "deleted"


class Item(NamedTuple):
    """A row and what it says. problem: why it could not be decoded, '' if it could."""

    row: Row
    record: Record | None
    envelope: Envelope | None
    problem: str


class Line(NamedTuple):
    """A line for people, in columns, without colours."""

    place: str
    time: str
    kind: str
    text: str
    colour: str | None


def shape_of(topic: str) -> Shape:
    """How the values of a topic (its name without prefix) are to be read."""
    if topic.startswith("raw."):
        return "frame"
    return "sealed" if topic in SEALED else "record"


def opened(row: Row, shape: Shape) -> Item:
    """The row with its record, or with the reason why it has none."""
    if shape == "frame" or not row.value:
        return Item(row, None, None, "")
    try:
        envelope, record = (
            codec.unseal(row.value) if shape == "sealed" else (None, codec.decode(row.value))
        )
        if isinstance(record, Depth):  # its levels are left undecoded by the codec
            codec.decode_levels(record.bids)
            codec.decode_levels(record.asks)
    except (UndecodableRecord, msgspec.MsgspecError) as error:
        # The codec's reason ends with the beginning of the bytes, which are shown anyway.
        return Item(row, None, None, str(error).removesuffix(f": {row.value[:120]!r}"))
    return Item(row, record, envelope, "")


def line_of(item: Item, shape: Shape, names: Names, *, partitions: int) -> Line:
    """What people see of it, safe for a terminal."""
    row = item.row
    kind, text = _told(item, shape, names)
    return Line(
        place=f"{row.partition}:{row.offset}" if partitions > 1 else str(row.offset),
        time=moment(row.timestamp_ms),
        kind=kind,
        text=printable(masked(text)),
        colour="red" if kind == UNDECODABLE else COLOURS.get(kind),
    )


def _told(item: Item, shape: Shape, names: Names) -> tuple[str, str]:
    row = item.row
    if item.problem:
        return UNDECODABLE, f"{item.problem}: {raw_shown(row.value)}"
    if item.record is not None:
        around = item.envelope
        numbers = f" (n {around.n}, tape {around.cause})" if around is not None else ""
        return type(item.record).__name__, told(item.record, names) + numbers
    if shape == "frame":
        return _header(row, "feed") or "frame", f"{_came(row)}: {raw_shown(row.value)}"
    return DELETED, raw_shown(row.key or b"")


def _header(row: Row, name: str) -> str:
    return row.headers.get(name, b"").decode(errors="replace")


def _came(row: Row) -> str:
    recv_ns = _header(row, "recv_ns")
    received = f" received {clock_ns(int(recv_ns))}" if recv_ns.isdecimal() else ""
    return f"{_header(row, 'conn') or 'unknown connection'}{received}"


def json_of(item: Item, shape: Shape) -> str:
    """The record as it stands, after its place, as one flat JSON object on one line."""
    row = item.row
    where = {"offset": row.offset, "partition": row.partition, "timestamp_ms": row.timestamp_ms}
    if item.record is not None:
        body = row.value.strip()
        if b"\n" in body:
            body = msgspec.json.format(body, indent=-1)
        flat = msgspec.json.encode(where)[:-1] + b"," + body[1:]
        return masked(flat.decode(errors="backslashreplace"))
    if item.problem:
        return _object({**where, "undecodable": item.problem, **value_fields(row.value)})
    if shape == "frame":
        origin = {name: _header(row, name) for name in ("feed", "conn", "recv_ns")}
        return _object({**where, **origin, **value_fields(row.value)})
    return _object({**where, "deleted": raw_text(row.key or b"")[0]})


def value_fields(data: bytes) -> dict[str, str]:
    """Bytes as `text` where they are printable, else as `hex`."""
    text, readable = raw_text(data)
    return {"text" if readable else "hex": text}


def _object(fields: dict[str, object]) -> str:
    return masked(msgspec.json.encode(fields).decode())
