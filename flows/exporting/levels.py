"""Levels of Depths as an Arrow column: lists of (price, shares), and counts as decimals; pure.

Sides are read together, as the lines of one text, where each is beyond doubt `[[price,shares],...]`
and nothing else: that makes no Python object a number. Whatever else there is goes one by one
through the codec, which says what is wrong with it.
"""

from collections.abc import Sequence
from itertools import accumulate, chain

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from schemas import codec

DECIMAL = pa.decimal128(38, 6)
_INT64_DIGITS = pa.decimal128(19, 0)
LEVELS = pa.list_(pa.struct([("price", DECIMAL), ("shares", DECIMAL)]))
_LEVEL = LEVELS.value_type
_COLUMNS = {"none": pa.string(), "price": pa.int64(), "shares": pa.int64()}
_LINES = bytes.maketrans(b"]", b"\n")
_EMPTY = b"[]"
# Where Arrow is to find the type of a value, it looks for packages that are not there, each time.
_ZERO, _ONE, _TWO = (pa.scalar(count, pa.int32()) for count in range(3))
READ_BYTES = 1024 * 1024
"""What Arrow's reader takes at once: more leaves the processor's cache between its steps."""


def decimals(counts: pa.Array) -> pa.Array:
    """Counts of millionths: the same digits, read with the point six places left."""
    return counts.cast(_INT64_DIGITS).view(DECIMAL)


def levels(sides: Sequence[msgspec.Raw]) -> pa.Array:
    """The column of these sides; raises msgspec's error or Arrow's for one that is none."""
    texts = list(map(bytes, sides))
    each = _counts(texts)
    found = None if each is None else _read(texts)
    if each is None or found is None or len(found) != (total := sum(each)):
        return _by_codec(sides)
    offsets = pa.array(list(accumulate(each, initial=0)), pa.int32())
    assert total == offsets[-1].as_py()
    parts = [decimals(found[name].combine_chunks()) for name in ("price", "shares")]
    pairs = pa.StructArray.from_arrays(parts, fields=list(_LEVEL))
    return pa.ListArray.from_arrays(offsets, pairs)


def _counts(texts: list[bytes]) -> list[int] | None:
    """How many levels each side has; None if one has a bracket where none belongs.

    All that open are counted: two at the beginning and one between each two levels. Those that
    close are as many, since it is JSON.
    """
    text = pa.array(texts, pa.binary())
    empty = pc.equal(text, pa.scalar(_EMPTY, pa.binary()))
    between = pc.count_substring(text, "],[")
    opened = pc.equal(pc.count_substring(text, "["), pc.add(between, _TWO))
    ends = pc.and_(pc.starts_with(text, "[["), pc.ends_with(text, "]]"))
    if not pc.all(pc.or_(empty, pc.and_(opened, ends)), min_count=0).as_py():
        return None
    found: list[int] = pc.if_else(empty, _ZERO, pc.add(between, _ONE)).to_pylist()
    return found


def _read(texts: list[bytes]) -> pa.Table | None:
    """Every level of every side as a line `,price,shares`; None if one is something else."""
    joined = b"".join([b"," + text for text in texts if text != _EMPTY])
    lines = joined.translate(_LINES, b"[")
    if not lines:
        return pa.table({name: pa.array([], kind) for name, kind in _COLUMNS.items()})
    try:
        return csv.read_csv(
            pa.BufferReader(lines),
            read_options=csv.ReadOptions(
                use_threads=False, block_size=READ_BYTES, column_names=list(_COLUMNS)
            ),
            parse_options=csv.ParseOptions(quote_char=False, double_quote=False),
            convert_options=csv.ConvertOptions(
                column_types=_COLUMNS, null_values=[], check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
        return None


def _by_codec(sides: Sequence[msgspec.Raw]) -> pa.Array:
    decoded = [codec.decode_levels(side) for side in sides]
    flat = list(chain.from_iterable(chain.from_iterable(decoded)))
    parts = [decimals(pa.array(flat[i::2], pa.int64())) for i in (0, 1)]
    pairs = pa.StructArray.from_arrays(parts, fields=list(_LEVEL))
    offsets = pa.array(list(accumulate(map(len, decoded), initial=0)), pa.int32())
    return pa.ListArray.from_arrays(offsets, pairs)
