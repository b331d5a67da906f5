"""Typed Parquet columns from the record structs: the struct is the declaration, nothing repeats it.

| field | column | type |
|---|---|---|
| `x_micro` | `x` | decimal128(38, 6): the exact number, any 64-bit count of millionths fits |
| `x_ms`, `x_ns`, an instant | `x_at` | timestamp of that unit, UTC |
| `x_ms`, a length of time | `x` | duration |
| text, literals; bool; bytes; int | `x` | string; bool; binary; int64 |
| a tuple; a struct; a dict | `x` | list; struct; map of the same rules |
| levels of a Depth | `x` | list of (price, shares), decoded here |
| anything else (`Any`) | `x` | string of JSON |

A value that does not fit its column raises one of UNFIT; nothing is ever rounded or cut off.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, chain, count
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect as mi
import pyarrow as pa

from flows.exporting.levels import DECIMAL, LEVELS, decimals, levels
from schemas.policy import PolicyDocument

LENGTHS = frozenset({"age_ms", "depth_age_ms", "signal_age_ms", "for_ms"})
"""Fields of records that say how long and not when."""
UNFIT = (OverflowError, UnicodeEncodeError, pa.ArrowInvalid, msgspec.MsgspecError)
"""What building a column raises for a value outside its type: an integer of more than 64 bits,
levels that are no pairs of integers."""


class Cell(NamedTuple):
    """One type of value: its Arrow type, and the array of a list of such values (None is null)."""

    type: pa.DataType
    array: Callable[[Sequence[Any]], pa.Array]


class Column(NamedTuple):
    """One field of a struct as a column. field: the attribute it is read from."""

    name: str
    field: str
    cell: Cell

    def array(self, records: Sequence[Any]) -> pa.Array:
        """The column of these records."""
        return self.cell.array(list(map(attrgetter(self.field), records)))


def columns_of(cls: type[msgspec.Struct]) -> tuple[Column, ...]:
    """The columns of a struct, in its order; TypeError names a field that has no column type."""
    return _columns(mi.type_info(cls))


def _columns(info: mi.Type) -> tuple[Column, ...]:
    assert isinstance(info, mi.StructType), f"{info} is no struct"
    found = tuple(_column(field, info.cls.__module__) for field in info.fields)
    names = [column.name for column in found]
    assert len(set(names)) == len(names), f"two columns of one name in {info.cls}: {names}"
    return found


def _column(field: mi.Field, module: str) -> Column:
    # A policy knows no instants, only lengths of time; elsewhere the name says which it is.
    length = module == PolicyDocument.__module__ or field.name in LENGTHS
    cell = _cell(field.type, field.name, length)
    return Column(_name(field.name, length), field.name, cell)


def _name(field: str, length: bool) -> str:
    """The field's name without its unit, which the column's type states; instants end in _at."""
    if field.endswith("_micro"):
        return field.removesuffix("_micro")
    if field.endswith(("_ms", "_ns")):
        return field[:-3] if length else f"{field[:-3]}_at"
    return field


def simple(kind: pa.DataType) -> Cell:
    """A type that Arrow fills from Python values by itself."""
    return Cell(kind, lambda values: pa.array(values, kind))


def _decimals(values: Sequence[int | None]) -> pa.Array:
    return decimals(pa.array(values, pa.int64()))


def _json_texts(values: Sequence[Any]) -> pa.Array:
    return pa.array([msgspec.json.encode(value).decode() for value in values], pa.string())


_SIMPLE: dict[type[mi.Type], Cell] = {
    mi.StrType: simple(pa.string()),
    mi.LiteralType: simple(pa.string()),
    mi.BoolType: simple(pa.bool_()),
    mi.BytesType: simple(pa.binary()),
    mi.AnyType: Cell(pa.string(), _json_texts),
}


def _cell(info: mi.Type, field: str, length: bool) -> Cell:
    match info:
        case mi.IntType():
            return _integers(field, length)
        case mi.Metadata(type=inner):
            return _cell(inner, field, length)
        case mi.RawType():
            return _LEVELS
        case mi.UnionType(types=(inner, mi.NoneType())) if type(inner) in (mi.IntType, mi.StrType):
            return _cell(inner, field, length)
        case mi.UnionType(types=(mi.StructType() as inner, mi.NoneType())):
            return _optional(_cell(inner, field, length))
        case mi.VarTupleType(item_type=item) | mi.ListType(item_type=item):
            return _list(_cell(item, field, length))
        case mi.TupleType(item_types=items) if len({type(item) for item in items}) == 1:
            return _list(_cell(items[0], field, length))
        case mi.DictType(value_type=mi.AnyType()):
            return _SIMPLE[mi.AnyType]
        case mi.DictType(key_type=mi.StrType(), value_type=item):
            return _map(_cell(item, field, length))
        case mi.StructType():
            return _struct(_columns(info))
        case _ if type(info) in _SIMPLE:
            return _SIMPLE[type(info)]
    raise TypeError(f"no Parquet column for field {field}: {info}")


def _integers(field: str, length: bool) -> Cell:
    if field.endswith("_micro"):
        return Cell(DECIMAL, _decimals)
    unit = field[-2:]
    if not field.endswith(("_ms", "_ns")):
        return simple(pa.int64())
    return simple(pa.duration(unit) if length else pa.timestamp(unit, "UTC"))


def _offsets(values: Sequence[Any]) -> pa.Array:
    return pa.array(list(accumulate(map(len, values), initial=0)), pa.int32())


def _list(item: Cell) -> Cell:
    def array(values: Sequence[Any]) -> pa.Array:
        flat = item.array(list(chain.from_iterable(values)))
        return pa.ListArray.from_arrays(_offsets(values), flat)

    return Cell(pa.list_(item.type), array)


def _map(item: Cell) -> Cell:
    def array(values: Sequence[dict[str, Any]]) -> pa.Array:
        keys = pa.array(list(chain.from_iterable(values)), pa.string())
        items = item.array(list(chain.from_iterable(value.values() for value in values)))
        return pa.MapArray.from_arrays(_offsets(values), keys, items)

    return Cell(pa.map_(pa.string(), item.type), array)


def _struct(columns: tuple[Column, ...]) -> Cell:
    fields = [pa.field(column.name, column.cell.type) for column in columns]

    def array(values: Sequence[Any]) -> pa.Array:
        return pa.StructArray.from_arrays([c.array(values) for c in columns], fields=fields)

    return Cell(pa.struct(fields), array)


def _optional(cell: Cell) -> Cell:
    """A cell that may be missing: those that are there, with nulls in between."""

    def array(values: Sequence[Any]) -> pa.Array:
        numbers = count()
        places = [None if value is None else next(numbers) for value in values]
        there = cell.array([value for value in values if value is not None])
        return there.take(pa.array(places, pa.int64()))

    return Cell(cell.type, array)


_LEVELS = Cell(LEVELS, levels)
