"""Records of one plain kind as columns at once, by Arrow's CSV reader; pure.

A second way to what codec and columns.py make of each record alone, for kinds whose fields are
text, integers and truth values. The codec writes their fields in one order and without a blank, so
a record is a line that commas cut into one cell a field, `"tx":"0x…"`; nothing here makes a Python
object a field, and other threads have the interpreter meanwhile. It is never the judge: whatever is
not beyond doubt in the form that the codec writes (an escape, a comma in a text, a missing, unknown
or doubled field, a number that is no 64-bit integer, a literal out of its list, another version) is
left to the codec, which alone says what is undecodable and why.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import msgspec.inspect as mi
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from flows.exporting.columns import Column, columns_of
from flows.exporting.levels import READ_BYTES, decimals
from flows.exporting.slices import Headers
from schemas import codec

WORTH_ROWS = 32
"""Below that the reader's own start costs more than it saves."""
_BLANK, _TILDE = 0x20, 0x7E
_QUOTE = pa.scalar(ord('"'), pa.uint8())
_TRUTHS = pa.array(["true", "false"], pa.string())
_TRUE = _TRUTHS[0]
_TO_THE_END = 2**31 - 1
"""pyarrow 26 takes an open end for a negative size."""
Columns = list[pa.Array | pa.ChunkedArray]
Finish = Callable[[pa.ChunkedArray], pa.Array | pa.ChunkedArray | None]
"""From a field's texts to its column; None leaves it to the codec."""


class Cell(NamedTuple):
    """A field in its line: what stands before and behind its value, and how that is read."""

    before: bytes
    behind: bytes
    finish: Finish

    def read(self, cells: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray | None:
        """The field's column; None if a cell has another form."""
        least = len(self.before) + len(self.behind)
        if not (
            pc.min(pc.binary_length(cells)).as_py() >= least
            and _all(pc.starts_with(cells, self.before))
            and _all(pc.ends_with(cells, self.behind))
        ):
            return None
        stop = -len(self.behind) if self.behind else _TO_THE_END
        texts = pc.binary_slice(cells, len(self.before), stop)
        # Not looked through for UTF-8 again: it is ASCII.
        return self.finish(texts.cast(pa.string(), safe=False))


class Plan(NamedTuple):
    """How a kind is read: its own cell, then one for each of its columns, in their order."""

    cells: tuple[Cell, ...]

    def quotes(self) -> int:
        """How many stand in a line, if there is none in a text."""
        return sum((cell.before + cell.behind).count(b'"') for cell in self.cells)


@cache
def plan_of(kind: str) -> Plan | None:
    """How a kind is read; None if it is unknown or has a field that is not plain."""
    cls = codec.KINDS.get(kind)
    if cls is None:
        return None
    info = mi.type_info(cls)
    assert isinstance(info, mi.StructType), f"{kind} is no struct"
    assert info.fields[-1].name == "v", f"{kind} ends with another field than its version"
    named = Cell(b'{"kind":"', b'"', _one_of([kind]))
    cells = [_cell(*pair) for pair in zip(info.fields, columns_of(cls), strict=True)]
    whole = [cell for cell in cells if cell is not None]
    if len(whole) < len(cells):
        return None
    version = whole[-1]._replace(behind=b"}", finish=_this(codec.CURRENT[kind]))
    return Plan((named, *whole[:-1], version))


def kinds_said(headers: Sequence[Headers | None]) -> dict[str, Sequence[int]]:
    """Positions by the kind that headers name first: a hint which way of reading is worth a try."""
    places: defaultdict[bytes | None, list[int]] = defaultdict(list)
    for i, each in enumerate(headers):
        places[each[0][1] if each else None].append(i)
    return {_text(name): at for name, at in places.items()}


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")


def plain_columns(kind: str, values: list[bytes | None], column: pa.BinaryArray) -> Columns | None:
    """The columns of these records, all said to be of one kind; None leaves them to the codec.

    column: the same values, one after the other in Arrow's memory.
    """
    plan = plan_of(kind) if len(values) >= WORTH_ROWS else None
    whole = [value for value in values if value is not None]
    if plan is None or len(whole) < len(values):
        return None
    octets = _octets(column)
    # As many as the form needs: so, where each cell has its own, none is in a text.
    if not _printable(octets) or _quotes(octets) != len(whole) * plan.quotes():
        return None
    text = b"\n".join(whole)
    found = None if b"\\" in text else _read(text, len(plan.cells))
    if found is None or found.num_rows != len(whole):
        return None
    columns: Columns = []
    for cell, cells in zip(plan.cells, found.columns, strict=True):
        read = cell.read(cells)
        if read is None:
            return None
        columns.append(read)
    return columns[1:]


def _octets(column: pa.BinaryArray) -> pa.Array:
    """All bytes of the values, one after the other."""
    _, offsets, held = column.buffers()
    ends = pa.Array.from_buffers(pa.int32(), len(column) + 1, [None, offsets], offset=column.offset)
    first, last = ends[0].as_py(), ends[-1].as_py()
    return pa.Array.from_buffers(pa.uint8(), last - first, [None, held], offset=first)


def _printable(octets: pa.Array) -> bool:
    """Whether there is nothing but printable ASCII: so each value is one line."""
    found = pc.min_max(octets).as_py()
    return bool(len(octets) and found["min"] >= _BLANK and found["max"] <= _TILDE)


def _quotes(octets: pa.Array) -> int:
    return int(pc.sum(pc.equal(octets, _QUOTE)).as_py())


def _read(text: bytes, cells: int) -> pa.Table | None:
    """The cells of each line, if each has so many."""
    names = list(map(str, range(cells)))
    try:
        return csv.read_csv(
            pa.BufferReader(text),
            read_options=csv.ReadOptions(
                use_threads=False, block_size=READ_BYTES, column_names=names
            ),
            parse_options=csv.ParseOptions(quote_char=False, double_quote=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()),
                null_values=[],
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _cell(field: mi.Field, column: Column) -> Cell | None:
    """How a field is read; None if it is not plain."""
    name, kind, target = f'"{field.name}":'.encode(), field.type, column.cell.type
    if kind == mi.IntType():
        return Cell(name, b"", _number(target))
    if kind == mi.BoolType():
        return Cell(name, b"", _truth)
    if kind == mi.StrType():
        return Cell(name + b'"', b'"', lambda texts: texts)
    if isinstance(kind, mi.LiteralType) and all(isinstance(each, str) for each in kind.values):
        return Cell(name + b'"', b'"', _one_of(kind.values))
    return None


def _one_of(words: Sequence[object]) -> Finish:
    known = pa.array(words, pa.string())
    return lambda texts: texts if _all(pc.is_in(texts, known)) else None


def _truth(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    return pc.equal(texts, _TRUE) if _all(pc.is_in(texts, _TRUTHS)) else None


def _integers(texts: pa.ChunkedArray) -> pa.Array | None:
    """64-bit integers, if they are written as the codec writes them."""
    try:
        numbers = texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    written = _all(pc.equal(numbers.cast(pa.string()), texts))
    return numbers.combine_chunks() if written else None


def _number(target: pa.DataType) -> Finish:
    def finish(texts: pa.ChunkedArray) -> pa.Array | None:
        numbers = _integers(texts)
        if numbers is None:
            return None
        return decimals(numbers) if pa.types.is_decimal(target) else numbers.view(target)

    return finish


def _this(version: int) -> Finish:
    current = pa.scalar(version, pa.int64())

    def finish(texts: pa.ChunkedArray) -> pa.Array | None:
        numbers = _integers(texts)
        return numbers if numbers is not None and _all(pc.equal(numbers, current)) else None

    return finish


def _all(found: pa.Array | pa.ChunkedArray) -> bool:
    return bool(pc.all(found, min_count=0).as_py())
