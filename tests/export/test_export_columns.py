"""Typed columns hold exactly what the bytes hold, and what does not fit is set aside by name."""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import msgspec.inspect as mi
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.exporting.columns import LENGTHS, columns_of
from flows.exporting.slices import Rows
from flows.exporting.tables import BASE, TOPICS, layout, tables_of
from schemas import codec
from schemas.records.base import Token
from schemas.records.journal import OrderHeld, Watch
from schemas.records.market import Depth
from schemas.records.own import OrderAbsent
from schemas.records.system import FlowStarted, Policy, Tick

INT64 = st.integers(-(2**63), 2**63 - 1)
DAY_MS = 86_400_000


class Amount(msgspec.Struct, kw_only=True):
    """A struct of every rule for numbers."""

    paid_micro: int
    left_micro: int | None
    seen_ms: int
    recv_ns: int
    age_ms: int
    count: int
    by_name_micro: dict[str, int]


def only(tables: dict[tuple[str, str], pa.Table]) -> pa.Table:
    (table,) = tables.values()
    return table


@given(st.lists(st.tuples(INT64, st.none() | INT64)))
def test_a_count_of_millionths_becomes_the_same_decimal(
    pairs: list[tuple[int, int | None]],
) -> None:
    made = [
        Amount(
            paid_micro=a,
            left_micro=b,
            seen_ms=0,
            recv_ns=0,
            age_ms=0,
            count=a,
            by_name_micro={"x": a},
        )
        for a, b in pairs
    ]
    found = {column.name: column.array(made).to_pylist() for column in columns_of(Amount)}
    micro = Decimal("0.000001")
    with_context = [None if n is None else (Decimal(n) * micro).normalize() for _, n in pairs]
    assert [p.normalize() for p in found["paid"]] == [
        (Decimal(a) * micro).normalize() for a, _ in pairs
    ]
    assert [n and n.normalize() for n in found["left"]] == with_context
    assert found["count"] == [a for a, _ in pairs]
    assert [dict(m)["x"] for m in found["by_name"]] == found["paid"]


def test_instants_lengths_and_amounts_are_named_without_their_units() -> None:
    utc = pa.timestamp("ms", "UTC")
    decimal = pa.decimal128(38, 6)
    assert {c.name: c.cell.type for c in columns_of(Amount)} == {
        "paid": decimal,
        "left": decimal,
        "seen_at": utc,
        "recv_at": pa.timestamp("ns", "UTC"),
        "age": pa.duration("ms"),
        "count": pa.int64(),
        "by_name": pa.map_(pa.string(), decimal),
    }


class Maybe(msgspec.Struct, kw_only=True):
    """A struct inside another that may be missing."""

    inner: Amount | None


@given(st.lists(st.none() | INT64))
def test_a_struct_that_may_be_missing_is_null_where_it_is(paid: list[int | None]) -> None:
    rest = {"left_micro": None, "seen_ms": 0, "recv_ns": 0, "age_ms": 0, "count": 0}
    made = [
        Maybe(inner=None if n is None else Amount(paid_micro=n, by_name_micro={"x": n}, **rest))
        for n in paid
    ]
    (column,) = columns_of(Maybe)
    found = column.array(made)
    assert found.type == column.cell.type
    assert [row and row["paid"] for row in found.to_pylist()] == [
        None if n is None else micro(n) for n in paid
    ]


def test_a_policy_holds_lengths_of_time_and_records_name_theirs() -> None:
    document = next(c for c in columns_of(Policy) if c.name == "document")
    assert document.cell.type.field("order_ttl").type == pa.duration("ms")
    assert pa.types.is_nested(document.cell.type.field("accounts").type)
    named = {f.name for kind in codec.KINDS.values() for f in all_fields(mi.type_info(kind))}
    assert named >= LENGTHS, "a length that no record has"


def all_fields(info: Any) -> list[mi.Field]:
    inner = [getattr(info, name) for name in ("item_type", "value_type") if hasattr(info, name)]
    own = list(info.fields) if isinstance(info, mi.StructType) else []
    return own + [f for each in [*inner, *(g.type for g in own)] for f in all_fields(each)]


@pytest.mark.parametrize("kind", codec.KINDS)
def test_every_kind_has_columns_none_of_which_hides_another(kind: str) -> None:
    cls = codec.KINDS[kind]
    for sealed in {False, cls in (*codec.JOURNAL, Watch)}:
        schema = layout(kind, sealed=sealed).schema
        assert len(set(schema.names)) == len(schema.names)
        assert schema.names[: len(BASE)] == BASE.names
        assert len(layout(kind, sealed=sealed).own) == len(cls.__struct_fields__)


def plain(value: Any, info: Any, field: str = "") -> Any:
    """What a typed column should give back for a field's value."""
    match info:
        case mi.Metadata(type=inner):
            return plain(value, inner, field)
        case mi.RawType():
            return [[micro(price), micro(size)] for price, size in codec.decode_levels(value)]
        case mi.UnionType(types=(inner, _)):
            return None if value is None else plain(value, inner, field)
        case mi.IntType() if field.endswith("_micro"):
            return micro(value)
        case mi.VarTupleType(item_type=item):
            return [plain(v, item, field) for v in value]
        case mi.TupleType():
            return list(value)
        case mi.DictType(value_type=mi.AnyType()):
            return msgspec.json.encode(value).decode()
        case mi.DictType(value_type=item):
            return [(k, plain(v, item, field)) for k, v in value.items()]
        case mi.StructType(fields=fields):
            return [plain(getattr(value, f.name), f.type, f.name) for f in fields]
    return value


def micro(value: int) -> Decimal:
    return Decimal(value).scaleb(-6)


def bare(value: Any) -> Any:
    """Arrow's Python value with structs as lists of their fields, times as integers."""
    if isinstance(value, dict):
        return [bare(v) for v in value.values()]
    if isinstance(value, list):
        return [bare(v) for v in value]
    return bare_pair(value) if isinstance(value, tuple) else value


def bare_pair(pair: tuple[Any, ...]) -> tuple[Any, ...]:
    return (pair[0], *(bare(v) for v in pair[1:]))


def as_numbers(array: pa.Array) -> pa.Array:
    """The same with every time, however deep, as the integer that it is."""
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return array.cast(pa.int64())
    if pa.types.is_struct(kind):
        parts = [as_numbers(array.field(i)) for i in range(kind.num_fields)]
        return pa.StructArray.from_arrays(parts, names=[f.name for f in kind])
    if pa.types.is_map(kind):
        return pa.MapArray.from_arrays(array.offsets, array.keys, as_numbers(array.items))
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(array.offsets, as_numbers(array.values))
    return array


@pytest.mark.parametrize("topic", [t for t in TOPICS if not t.startswith("raw.")])
def test_every_field_of_the_recorded_run_stands_in_its_column(
    recorded_run: list[Any], rows_of: Callable[..., Rows], topic: str
) -> None:
    """Read back from the columns, each record equals the one in the bytes, field by field."""
    sent = [s for s in recorded_run if s.topic == topic]
    if not sent:
        assert topic == "dead", "the recorded run has all topics but this one"
        return
    for (kind, _), table in tables_of(topic, 0, rows_of(sent)).items():
        plan = layout(kind, sealed=False)
        records = [codec.decode(value) for value in table["value"].to_pylist()]
        fields = {f.name: f for f in mi.type_info(codec.KINDS[kind]).fields}  # type: ignore[union-attr]
        for column in plan.own:
            field = fields[column.field]
            expected = [plain(getattr(r, field.name), field.type, field.name) for r in records]
            chunk = table[column.name].combine_chunks()
            assert [bare(v) for v in as_numbers(chunk).to_pylist()] == expected, (kind, field.name)


def test_events_have_their_envelope_in_columns_beside_them(
    recorded_run: list[Any], rows_of: Callable[..., Rows]
) -> None:
    sent = [s for s in recorded_run if s.topic == "journal"]
    found = defaultdict(list)
    for table in tables_of("journal", 0, rows_of(sent)).values():
        for row in table.select(["offset", "n", "cause", "rules", "prev"]).to_pylist():
            found[row.pop("offset")].append(row)
    envelopes = [msgspec.structs.asdict(codec.unseal(s.value)[0]) for s in sent]
    assert [found[i] for i in range(len(sent))] == [[envelope] for envelope in envelopes]


def test_frames_carry_what_their_headers_say(rows_of: Callable[..., Rows]) -> None:
    rows = rows_of([b"{}", b"not json", b""])
    rows.headers[0] = [("feed", b"market"), ("recv_ns", b"1795000000000000001"), ("conn", b"m-1")]
    rows.headers[1] = [("recv_ns", b"soon")]
    rows.headers[2] = None
    table = only(tables_of("raw.market", 3, rows))
    assert table["kind"].to_pylist() == ["Frame"] * 3
    assert table["partition"].to_pylist() == [3] * 3
    assert table["feed"].to_pylist() == ["market", None, None]
    assert table["recv_at"].cast(pa.int64()).to_pylist() == [1795000000000000001, None, None]
    assert table["value"].to_pylist() == [b"{}", b"not json", b""]


TICK = Tick(producer="p", seq=1, now_ms=5, feeds={})
HELD = OrderHeld(
    account="a", token=Token("1"), reason="x", target_micro=1, position_micro=2, gap_micro=3,
    numbers={"age_ms": 4},
)  # fmt: skip
BOOK = Depth(
    token=Token("1"), epoch="e", as_of_ms=1, recv_ns=2, tick_micro=10_000,
    bids=codec.encode_levels([(500_000, 7)]), asks=codec.encode_levels([]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not a record"),
        (b"\xff\xfe", "not a record"),
        (b'{"kind":"Nobody","v":1}', "kind 'Nobody' is not known here"),
        (codec.encode(TICK).replace(b'"v":1', b'"v":99'), "Tick v99 is newer"),
        (codec.encode(TICK).replace(b'"seq":1', b'"seq":"one"'), "Tick v1"),
        (codec.encode(TICK).replace(b'"seq":1', b'"seq":9223372036854775808'), "does not fit"),
        (codec.encode(HELD).replace(b":2,", b":%d," % 2**70), "does not fit"),
        (codec.encode(HELD).replace(b'"age_ms":4', b'"age_ms":%d' % 2**70), "does not fit"),
        (codec.encode(BOOK).replace(b"[[500000,7]]", b'[["a",7]]'), "does not fit"),
        (codec.encode(BOOK).replace(b"[[500000,7]]", b"7"), "does not fit"),
    ],
)
def test_what_cannot_be_read_is_set_aside_with_the_reason_and_the_rest_goes_on(
    rows_of: Callable[..., Rows], value: bytes, reason: str
) -> None:
    good = [codec.encode(TICK), codec.encode(HELD), codec.encode(BOOK)]
    values = [*good * 3, value, *good * 2]
    tables = {kind: table for (kind, _), table in tables_of("tape", 0, rows_of(values)).items()}
    aside = tables.pop("_undecoded")
    assert aside["value"].to_pylist() == [value]
    assert aside["offset"].to_pylist() == [9]
    assert reason in aside["reason"].to_pylist()[0]
    assert {kind: len(table) for kind, table in tables.items()} == {
        "Tick": 5,
        "OrderHeld": 5,
        "Depth": 5,
    }
    for table in tables.values():
        assert table["offset"].to_pylist() == sorted(table["offset"].to_pylist())


def test_an_event_without_an_envelope_is_set_aside(rows_of: Callable[..., Rows]) -> None:
    envelope = codec.Envelope(n=0, cause=5, rules=1)
    watch = Watch(what="token", subject="7", on=True, why="held")
    stray = codec.seal(FlowStarted(shard=0, rules=1), envelope)
    values = [codec.seal(watch, envelope), codec.encode(watch), None, stray]
    tables = {kind: table for (kind, _), table in tables_of("watch", 0, rows_of(values)).items()}
    assert tables["Watch"]["cause"].to_pylist() == [5]
    assert tables["_undecoded"]["value"].to_pylist() == [codec.encode(watch), stray]
    assert tables["_deleted"]["value"].to_pylist() == [None]


def test_a_kind_is_divided_by_the_day_of_the_broker_in_utc(rows_of: Callable[..., Rows]) -> None:
    midnight = 20_000 * DAY_MS
    rows = rows_of([codec.encode(TICK)] * 4)
    rows.timestamps_ms = [midnight - 1, midnight, midnight - 1, midnight + DAY_MS]
    found = {
        day: table["offset"].to_pylist() for (_, day), table in tables_of("tape", 0, rows).items()
    }
    assert found == {"2024-10-03": [0, 2], "2024-10-04": [1], "2024-10-05": [3]}


def test_an_absent_number_is_null_and_a_length_is_a_duration() -> None:
    absent = OrderAbsent(
        account="a", intent="i", order="o", lookups=3, last_post_ms=None,  # type: ignore[arg-type]
        first_lookup_ms=1, last_lookup_ms=2,
    )  # fmt: skip
    assert column(absent, "last_post_at").to_pylist() == [None]
    assert column(
        Amount(**dict.fromkeys(Amount.__struct_fields__, 0)), "age", Amount
    ).to_pylist() == [timedelta(0)]


def column(record: Any, name: str, cls: Any = OrderAbsent) -> pa.Array:
    return next(c for c in columns_of(cls) if c.name == name).array([record])
