"""Records of one partition as Arrow tables, one for each kind and day; pure.

Every record lands in exactly one table, in offset order, with its exact bytes:
- a record of ours under its kind, with a column for each field (columns.py),
- a frame of raw.* under `Frame`, with what its headers say,
- a compacted topic's deletion under `_deleted`,
- whatever cannot be decoded, or does not fit its columns, under `_undecoded` with the reason: an
  archive that stopped at it would lose what comes behind.

The day is that of the broker's timestamp, UTC.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import accumulate, chain
from typing import Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.compute as pc

from flows.exporting.columns import UNFIT, Cell, Column, columns_of, simple
from flows.exporting.plain import kinds_said, plain_columns
from flows.exporting.slices import Headers, Rows, taken
from schemas import codec
from schemas.records.base import Record
from schemas.records.journal import Watch

TOPICS = (
    "tape",
    "journal",
    "orders",
    "watch",
    "cursors",
    "raw.market",
    "raw.activity",
    "raw.data",
    "raw.user",
    "dead",
)
"""Every topic of the pipeline, without prefix."""
SEALED = frozenset({"journal", "orders", "watch"})
"""Topics whose records carry an envelope."""
_SEALABLE: tuple[type[Record], ...] = (*codec.JOURNAL, Watch)
RAW = "raw."

FRAME, DELETED, UNDECODED = "Frame", "_deleted", "_undecoded"
HEADERS = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))
BASE = pa.schema(
    [
        pa.field("topic", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", pa.timestamp("ms", "UTC"), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("headers", HEADERS),
        pa.field("value", pa.binary()),
    ]
)
"""What every file begins with, whatever its kind."""

_TEXT, _NANOSECONDS = simple(pa.string()), simple(pa.timestamp("ns", "UTC"))


class Frame(NamedTuple):
    """What a raw record's headers say of it."""

    feed: str | None
    conn: str | None
    recv_ns: int | None


class Reason(NamedTuple):
    """Why a record has no columns of its own."""

    reason: str


Read = Record | Frame | Reason | None
"""What was made of one value; None is a deletion."""


class Layout(NamedTuple):
    """The columns of one kind behind the base columns: of the envelope and of the record.

    schema: all columns of its files.
    """

    kind: str
    version: int
    around: tuple[Column, ...]
    own: tuple[Column, ...]
    schema: pa.Schema

    @classmethod
    def of(
        cls, kind: str, version: int, around: tuple[Column, ...], own: tuple[Column, ...]
    ) -> "Layout":
        """Raises AssertionError for two columns of one name."""
        fields = [pa.field(c.name, c.cell.type) for c in (*around, *own)]
        names = [*BASE.names, *(field.name for field in fields)]
        assert len(set(names)) == len(names), f"two columns of one name in {kind}: {names}"
        return cls(kind, version, around, own, pa.schema([*BASE, *fields]))


class Part(NamedTuple):
    """Some records of one kind: base columns, what was read, the envelopes where there are any."""

    base: pa.Table
    read: Sequence[Read]
    envelopes: Sequence[codec.Envelope]

    def take(self, at: Sequence[int]) -> "Part":
        """Those at these positions."""
        if len(at) == len(self.read):
            return self
        envelopes = [self.envelopes[i] for i in at] if self.envelopes else []
        return Part(self.base.take(at), [self.read[i] for i in at], envelopes)

    def by_type(self) -> Iterator[tuple[type[Any], "Part"]]:
        """Divided by what was read."""
        kinds = set(map(type, self.read))
        if len(kinds) == 1:
            yield kinds.pop(), self
            return
        places: defaultdict[type[Any], list[int]] = defaultdict(list)
        for i, cls in enumerate(map(type, self.read)):
            places[cls].append(i)
        for cls, at in places.items():
            yield cls, self.take(at)


def _named(*columns: tuple[str, str, Cell]) -> tuple[Column, ...]:
    return tuple(Column(name, field, cell) for name, field, cell in columns)


@cache
def layout(kind: str, *, sealed: bool) -> Layout:
    """The layout of a kind, on topics with or without envelopes."""
    if kind == DELETED:
        return Layout.of(kind, 0, (), ())
    if kind == UNDECODED:
        return Layout.of(kind, 0, (), _named(("reason", "reason", _TEXT)))
    if kind == FRAME:
        seen = ("recv_at", "recv_ns", _NANOSECONDS)
        said = _named(("feed", "feed", _TEXT), ("conn", "conn", _TEXT), seen)
        return Layout.of(kind, 0, (), said)
    around = columns_of(codec.Envelope) if sealed else ()
    return Layout.of(kind, codec.CURRENT[kind], around, columns_of(codec.KINDS[kind]))


def tables_of(topic: str, partition: int, rows: Rows) -> dict[tuple[str, str], pa.Table]:
    """{(kind, day): table} of some records of a topic (its name without prefix)."""
    headers, alike = _headers(rows.headers)
    base = _base(topic, partition, rows, headers)
    found: defaultdict[str, list[pa.Table]] = defaultdict(list)
    rest: list[Sequence[int]] = []
    for said, at in _ways(topic, rows, alike).items():
        part = _rows(base, at)
        columns = plain_columns(said, taken(rows.values, at), _one(part["value"]))
        if columns is None:
            rest.append(at)
        else:
            found[said].append(_joined(layout(said, sealed=False), part, columns))
    at = rest[0] if len(rest) == 1 else sorted(chain.from_iterable(rest))
    for kind, table in _by_codec(topic, _rows(base, at), rows.at(at)) if at else ():
        found[kind].append(table)
    return {
        (kind, day): part
        for kind, tables in found.items()
        for day, part in _by_day(_in_order(tables))
    }


def _ways(topic: str, rows: Rows, alike: bool) -> dict[str, Sequence[int]]:
    """Positions by the kind that may be read at once; what has an envelope or is raw never is."""
    every = range(len(rows))
    if topic in SEALED or topic.startswith(RAW):
        return {"": every}
    return dict.fromkeys(kinds_said(rows.headers[:1]), every) if alike else kinds_said(rows.headers)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _rows(table: pa.Table, at: Sequence[int]) -> pa.Table:
    return table if len(at) == len(table) else table.take(at)


def _by_codec(topic: str, base: pa.Table, rows: Rows) -> Iterator[tuple[str, pa.Table]]:
    """Tables by kind, each record decoded alone."""
    read, envelopes = _read(topic, rows)
    for cls, part in Part(base, read, envelopes).by_type():
        plan = layout(_SPECIAL.get(cls, cls.__name__), sealed=topic in SEALED)
        yield from _tables(plan, part)


_SPECIAL: dict[type[Any], str] = {Frame: FRAME, Reason: UNDECODED, type(None): DELETED}


def _read(topic: str, rows: Rows) -> tuple[list[Read], list[codec.Envelope]]:
    """What each value is; with the envelopes of a sealed topic, place by place."""
    if topic.startswith(RAW):
        return [_frame(headers) for headers in rows.headers], []
    if topic not in SEALED:
        return _records(rows.values), []
    pairs = [_event(value) for value in rows.values]
    return [record for _, record in pairs], [envelope for envelope, _ in pairs]


def _records(values: list[bytes | None]) -> list[Read]:
    # Nearly always all are records, and then a call and a test less for each is felt.
    whole = [value for value in values if value is not None]
    if len(whole) == len(values):
        with suppress(codec.UndecodableRecord):
            return list(map(codec.decode, whole))
    return [_record(value) for value in values]


def _record(value: bytes | None) -> Read:
    if value is None:
        return None
    try:
        return codec.decode(value)
    except codec.UndecodableRecord as error:
        return Reason(str(error))


_NO_ENVELOPE = codec.Envelope(n=-1, cause=-1, rules=-1)


def _event(value: bytes | None) -> tuple[codec.Envelope, Read]:
    if value is None:
        return _NO_ENVELOPE, None
    try:
        envelope, record = codec.unseal(value)
    except codec.UndecodableRecord as error:
        return _NO_ENVELOPE, Reason(str(error))
    if not isinstance(record, _SEALABLE):
        return _NO_ENVELOPE, Reason(
            f"{type(record).__name__} is no kind that stands in an envelope"
        )
    return envelope, record


def _frame(headers: Headers | None) -> Frame:
    said = dict(headers or ())
    recv_ns = said.get("recv_ns") or b""
    return Frame(
        feed=_text(said.get("feed")),
        conn=_text(said.get("conn")),
        recv_ns=int(recv_ns) if recv_ns.isdigit() else None,
    )


def _text(said: bytes | None) -> str | None:
    return None if said is None else said.decode(errors="replace")


def _tables(plan: Layout, part: Part) -> Iterator[tuple[str, pa.Table]]:
    """One table, or halves of it until what does not fit is alone, and then set aside."""
    try:
        around = [column.array(part.envelopes) for column in plan.around]
        own = [column.array(part.read) for column in plan.own]
    except UNFIT as error:
        count = len(part.read)
        if count == 1:
            aside = layout(UNDECODED, sealed=False)
            reason = pa.array([f"{plan.kind} does not fit its columns: {error}"])
            yield UNDECODED, _joined(aside, part.base, [reason])
            return
        for at in (range(count // 2), range(count // 2, count)):
            yield from _tables(plan, part.take(list(at)))
    else:
        yield plan.kind, _joined(plan, part.base, [*around, *own])


def _joined(plan: Layout, base: pa.Table, own: list[pa.Array]) -> pa.Table:
    kinds = _repeat(plan.kind, pa.string(), len(base))
    columns = [base["topic"], kinds, *base.columns[1:], *own]
    return pa.Table.from_arrays(columns, schema=plan.schema)


def _in_order(tables: list[pa.Table]) -> pa.Table:
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).sort_by("offset")


def _base(topic: str, partition: int, rows: Rows, headers: pa.Array) -> pa.Table:
    columns = {
        "topic": _repeat(topic, pa.string(), len(rows)),
        "partition": _repeat(partition, pa.int32(), len(rows)),
        "offset": pa.array(rows.offsets, pa.int64()),
        "timestamp": pa.array(rows.timestamps_ms, pa.timestamp("ms", "UTC")),
        "key": pa.array(rows.keys, pa.binary()),
        "headers": headers,
        "value": _bytes(rows.values),
    }
    return pa.table(columns)


def _repeat(value: object, kind: pa.DataType, count: int) -> pa.Array:
    # Where the type is left to Arrow, it looks for packages that are not there, each time anew.
    return pa.repeat(pa.scalar(value, kind), count)


def _bytes(values: list[bytes | None]) -> pa.Array:
    """The column of these values; joined at once, which fails where one is missing."""
    whole = cast("list[bytes]", values)
    try:
        ends = array("i", accumulate(map(len, whole), initial=0))
    except TypeError:
        return pa.array(values, pa.binary())
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(whole))]
    return pa.Array.from_buffers(pa.binary(), len(whole), buffers)


def _headers(found: list[Headers | None]) -> tuple[pa.Array, bool]:
    """The column, and whether all are alike, as those of one kind of record are."""
    alike = found.count(found[0]) == len(found)
    each = [headers or [] for headers in (found[:1] if alike else found)]
    flat = list(chain.from_iterable(each))
    offsets = pa.array(list(accumulate(map(len, each), initial=0)), pa.int32())
    parts = [
        pa.array([name for name, _ in flat], pa.string()),
        pa.array([value for _, value in flat], pa.binary()),
    ]
    pairs = pa.StructArray.from_arrays(parts, fields=list(HEADERS.value_type))
    column = pa.ListArray.from_arrays(offsets, pairs, type=HEADERS)
    return column.take(_repeat(0, pa.int64(), len(found))) if alike else column, alike


def _by_day(table: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    days = table["timestamp"].cast(pa.date32())
    found = pc.unique(days).sort()
    for day in found:
        yield str(day.as_py()), table if len(found) == 1 else table.filter(pc.equal(days, day))
