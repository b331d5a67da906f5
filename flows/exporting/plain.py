"""Records of one plain kind as columns at once, by Arrow's JSON reader; pure.

A second way to what codec and columns.py make of each record alone, for kinds whose fields are
text, integers and truth values: Arrow's reader makes no Python object a field and leaves
other threads the interpreter. It is never the judge: whatever is not beyond doubt in the form that
the codec writes (text that is not ASCII, an escape, a missing, unknown or doubled field, a number
that is no 64-bit integer, a literal out of its list, another version) is left to the codec, which
alone says what is undecodable and why.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import msgspec.inspect as mi
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from flows.exporting.columns import Column, columns_of
from flows.exporting.levels import decimals
from flows.exporting.slices import Headers
from schemas import codec

WORTH_ROWS = 32
"""Below that the reader's own start costs more than it saves."""
_KIND = "kind"
Finish = Callable[[pa.Array], pa.Array | None]
"""From what was read to the column; None leaves it to the codec."""


class Field(NamedTuple):
    """How one field is read and made a column. nullable: null stands for None."""

    name: str
    read: pa.DataType
    nullable: bool
    finish: Finish


class Plan(NamedTuple):
    """How a kind is read: the fields in the order of its columns."""

    kind: str
    version: int
    fields: tuple[Field, ...]

    def options(self) -> pj.ParseOptions:
        """Every field with its type, and no other field."""
        read = [(_KIND, pa.string()), *((field.name, field.read) for field in self.fields)]
        return pj.ParseOptions(
            explicit_schema=pa.schema(read),
            newlines_in_values=False,
            unexpected_field_behavior="error",
        )


@cache
def plan_of(kind: str) -> Plan | None:
    """How a kind is read; None if it is unknown or has a field that is not plain."""
    cls = codec.KINDS.get(kind)
    if cls is None:
        return None
    info = mi.type_info(cls)
    assert isinstance(info, mi.StructType), f"{kind} is no struct"
    pairs = zip(info.fields, columns_of(cls), strict=True)
    fields = [_field(field, column) for field, column in pairs]
    whole = tuple(field for field in fields if field is not None)
    return Plan(kind, codec.CURRENT[kind], whole) if len(whole) == len(fields) else None


def kinds_said(headers: list[Headers | None]) -> dict[str, Sequence[int]]:
    """Positions by the kind that headers name first: a hint which way of reading is worth a try."""
    names = [each[0][1] if each else None for each in headers]
    if names.count(names[0]) == len(names):
        return {_text(names[0]): range(len(names))}
    places: defaultdict[bytes | None, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        places[name].append(i)
    return {_text(name): at for name, at in places.items()}


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")


def plain_columns(kind: str, values: list[bytes | None]) -> list[pa.Array] | None:
    """The columns of these records, all said to be of one kind; None leaves them to the codec."""
    plan = plan_of(kind) if len(values) >= WORTH_ROWS else None
    if plan is None:
        return None
    there = [value for value in values if value is not None]
    text = b"\n".join(there)
    found = _read(plan, text) if _are_lines(there, text) else None
    if found is None or found.num_rows != len(values) or not _of(found, plan):
        return None
    columns = []
    for field in plan.fields:
        array = found[field.name].chunk(0)
        column = None if array.null_count and not field.nullable else field.finish(array)
        if column is None:
            return None
        columns.append(column)
    return columns


def _read(plan: Plan, text: bytes) -> pa.Table | None:
    try:
        found = pj.read_json(
            pa.BufferReader(text),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(text) + 1),
            parse_options=plan.options(),
        )
    except pa.ArrowInvalid:
        return None
    return found if all(each.num_chunks == 1 for each in found.columns) else None


def _of(found: pa.Table, plan: Plan) -> bool:
    """Whether all are of the plan's kind and version."""
    return _only(found[_KIND], plan.kind) and _only(found["v"], plan.version)


def _are_lines(values: list[bytes], text: bytes) -> bool:
    """Whether each value begins and ends as an object does, escapes nothing, and is one line.

    A text begun in one value and ended in another would hold a line end, which JSON forbids; so
    what the reader finds in the lines are the values, one a line.
    """
    whole = all(value[:1] == b"{" and value[-1:] == b"}" for value in values)
    return whole and text.isascii() and b"\\" not in text and text.count(b"\n") < len(values)


def _only(column: pa.ChunkedArray, value: str | int) -> bool:
    return column.null_count == 0 and bool(pc.all(pc.equal(column, value)).as_py())


def _field(field: mi.Field, column: Column) -> Field | None:
    """How a field is read, or None. What None could not be told from missing is not plain."""
    kind, nullable = field.type, False
    match kind:
        case mi.UnionType(types=(mi.IntType() | mi.StrType() as inner, mi.NoneType())):
            if field.default is not None:
                return None
            kind, nullable = inner, True
    target = column.cell.type
    if kind == mi.IntType():
        return Field(field.name, pa.int64(), nullable, _number(target))
    if kind in (mi.StrType(), mi.BoolType()):
        return Field(field.name, target, nullable, lambda read: read)
    if isinstance(kind, mi.LiteralType) and all(isinstance(each, str) for each in kind.values):
        return Field(field.name, pa.string(), nullable, _one_of(pa.array(kind.values)))
    return None


def _one_of(words: pa.Array) -> Finish:
    return lambda read: read if pc.all(pc.is_in(read, words)).as_py() else None


def _number(target: pa.DataType) -> Finish:
    if pa.types.is_decimal(target):
        return decimals
    return lambda read: read.view(target)
