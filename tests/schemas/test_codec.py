"""The codec: what is tolerated, what stops a reader and how it says so, and older versions."""

import json
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import (
    COMPACTED,
    CURRENT,
    JOURNAL,
    KINDS,
    QUARANTINE,
    TAPE,
    Envelope,
    NewerVersion,
    UndecodableRecord,
    UnknownKind,
    decode,
    decode_levels,
    encode,
    encode_levels,
    headers,
    seal,
    unseal,
)
from schemas.records.base import Record
from schemas.records.journal import Cursor
from schemas.records.market import MarketMeta

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
LEVELS = st.lists(st.tuples(st.integers(), st.integers()), max_size=4)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(),
    bool: st.booleans(),
    bytes: st.binary(max_size=8),
    type(None): st.none(),
    Any: JSON,
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of one annotation of a record; fails on an annotation nobody thought of."""
    hint = getattr(hint, "__supertype__", hint)
    origin, args = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        fields = (f for f in msgspec.structs.fields(hint) if f.name != "v")
        return st.builds(hint, **{f.name: values(f.type) for f in fields})
    if origin is Literal:
        return st.sampled_from(args)
    if origin is Annotated:
        assert args[0] is msgspec.Raw
        return LEVELS.map(encode_levels)
    if origin in (Union, UnionType):
        return st.one_of(*map(values, args))
    if origin is dict:
        return st.dictionaries(values(args[0]), values(args[1]), max_size=2)
    assert origin is tuple, f"no values for {hint}"
    if args[-1] is Ellipsis:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    return st.tuples(*map(values, args))


RECORDS = st.sampled_from(list(KINDS.values())).flatmap(values)
ENVELOPES: st.SearchStrategy[Envelope] = st.builds(
    Envelope, n=st.integers(0), cause=st.integers(0), rules=st.integers(0), prev=st.text()
)


@settings(max_examples=250)
@given(RECORDS)
def test_what_is_written_is_read_back_equal_and_written_again_the_same(record: Record) -> None:
    data = encode(record)
    again = decode(data)
    assert again == record
    assert encode(again) == data


@given(st.sampled_from([*JOURNAL, *COMPACTED]).flatmap(values), ENVELOPES)
def test_an_event_comes_out_of_its_envelope_as_it_went_in(event: Record, around: Envelope) -> None:
    sealed = seal(event, around)
    envelope, again = unseal(sealed)
    assert (envelope, again) == (around, event)
    assert seal(again, envelope) == sealed
    assert json.loads(sealed) == json.loads(encode(event)) | msgspec.to_builtins(around)


@given(LEVELS)
def test_levels_come_back_as_they_were(levels: list[tuple[int, int]]) -> None:
    assert decode_levels(encode_levels(levels)) == levels


@given(st.binary())
def test_any_bytes_are_a_record_or_undecodable(data: bytes) -> None:
    for read in (decode, unseal):
        with pytest.raises(UndecodableRecord):
            read(data)


@settings(max_examples=300)
@given(st.integers(0), st.integers(0), st.integers(0, 255))
def test_one_wrong_byte_leaves_a_record_or_makes_it_undecodable(
    golden_lines: list[bytes], which: int, where: int, byte: int
) -> None:
    data = bytearray(golden_lines[which % len(golden_lines)])
    data[where % len(data)] = byte
    try:
        record = decode(bytes(data))
    except UndecodableRecord:
        return
    assert isinstance(record, Record)


def test_each_kind_stands_on_one_list_and_no_sealed_event_has_an_envelope_field() -> None:
    assert len(KINDS) == len([*TAPE, *JOURNAL, *COMPACTED, *QUARANTINE])
    around = set(Envelope.__struct_fields__)
    for event in (*JOURNAL, *COMPACTED):
        assert not around.intersection(event.__struct_fields__), event.__name__


def test_headers_say_kind_and_version(golden: bytes) -> None:
    head = json.loads(golden)
    record = decode(golden)
    assert headers(record) == (("kind", head["kind"].encode()), ("v", str(record.v).encode()))


def test_a_field_that_a_newer_writer_added_is_passed_over(golden: bytes) -> None:
    assert decode(golden[:-1] + b',"added_later":{"a":[1,null]}}') == decode(golden)


def test_a_field_added_inside_a_part_is_passed_over_too(golden_lines: list[bytes]) -> None:
    meta = next(line for line in golden_lines if b'"MarketMeta"' in line)
    record = decode(meta.replace(b'"name":"Up"', b'"name":"Up","colour":"green"'))
    assert record == decode(meta)


def test_a_policy_key_that_is_not_known_here_stops_the_reader(golden_lines: list[bytes]) -> None:
    """The one exception: a limit that is passed over is a limit that is not kept."""
    policy = next(line for line in golden_lines if b'"Policy"' in line)
    with pytest.raises(UndecodableRecord, match=r"Policy v1: .*unknown field `cap_daily`"):
        decode(policy.replace(b'"document":{', b'"document":{"cap_daily":1,'))


def test_a_missing_field_is_named_unless_it_is_optional(golden: bytes) -> None:
    told = json.loads(golden)
    for field in msgspec.structs.fields(KINDS[told["kind"]]):
        data = json.dumps({key: value for key, value in told.items() if key != field.name})
        if field.required:
            with pytest.raises(UndecodableRecord, match=f"`{field.name}`"):
                decode(data.encode())
        else:
            assert getattr(decode(data.encode()), field.name) == field.default


def test_a_record_cut_short_or_with_something_behind_it_is_undecodable(golden: bytes) -> None:
    for length in {0, 1, len(golden) // 2, len(golden) - 1}:
        with pytest.raises(UndecodableRecord):
            decode(golden[:length])
    for tail in (b"}", b"x", golden, b",", b"\x00"):
        with pytest.raises(UndecodableRecord, match="trailing"):
            decode(golden + tail)


CURSOR = b'{"kind":"Cursor","feed":"f","subject":"s","upto_ms":1,"v":1}'

STOPS: list[tuple[bytes, type[UndecodableRecord], str]] = [
    (CURSOR.replace(b"Cursor", b"Cursed"), UnknownKind, "kind 'Cursed' is not known here"),
    (CURSOR.replace(b'"v":1', b'"v":2'), NewerVersion, "Cursor v2 is newer than v1"),
    (b'{"kind":"Cursor","v":2,"now":"all different"}', NewerVersion, "Cursor v2"),
    (CURSOR.replace(b'"v":1', b'"v":0'), UndecodableRecord, "Cursor v0: no decoder"),
    (CURSOR.replace(b'"v":1', b'"v":"1"'), UndecodableRecord, "not a record"),
    (CURSOR.replace(b'"kind":"Cursor",', b""), UndecodableRecord, "not a record.*`kind`"),
    (CURSOR.replace(b'"Cursor"', b"7"), UndecodableRecord, "not a record"),
    (CURSOR.replace(b":1,", b":1.5,"), UndecodableRecord, "Expected `int`.*upto_ms"),
    (CURSOR.replace(b":1,", b":true,"), UndecodableRecord, "Expected `int`.*upto_ms"),
    (CURSOR.replace(b'"f"', b"null"), UndecodableRecord, "Expected `str`.*feed"),
    (CURSOR.replace(b'"f"', b'"\xff"'), UndecodableRecord, "Cursor v1.*utf-8"),
    (CURSOR.replace(b"Cursor", b"\xff"), UndecodableRecord, "not a record.*utf-8"),
    (CURSOR.replace(b'"f"', b"[" * 9_999), UndecodableRecord, "not a record.*recursion"),
    (b"[" + CURSOR + b"]", UndecodableRecord, "Expected `object`"),
    (b"null", UndecodableRecord, "Expected `object`"),
    (b"", UndecodableRecord, "truncated"),
]


@pytest.mark.parametrize(("data", "refusal", "says"), STOPS)
def test_what_stops_a_reader_says_why(
    data: bytes, refusal: type[UndecodableRecord], says: str
) -> None:
    with pytest.raises(UndecodableRecord, match=says) as stopped:
        decode(data)
    assert type(stopped.value) is refusal
    assert len(str(stopped.value)) < 600


@pytest.mark.parametrize("around", [b"", b',"n":1,"cause":2', b',"n":"1","cause":2,"rules":3'])
def test_an_event_without_a_whole_envelope_is_undecodable(around: bytes) -> None:
    with pytest.raises(UndecodableRecord, match="no envelope"):
        unseal(CURSOR[:-1] + around + b"}")


class CursorInSeconds(msgspec.Struct, tag_field="kind", tag="Cursor"):
    """A Cursor as an imagined version 0 wrote it: whole seconds, and feeds had no names."""

    subject: str
    upto_s: int
    v: int


def from_seconds(data: bytes) -> Record:
    """Upcast of the imagined version 0."""
    old = msgspec.json.decode(data, type=CursorInSeconds)
    return Cursor(feed="trades", subject=old.subject, upto_ms=old.upto_s * 1_000)


def test_an_older_version_is_read_as_the_current_one() -> None:
    older = {("Cursor", 0): from_seconds}
    data = b'{"kind":"Cursor","subject":"s","upto_s":12,"v":0}'
    assert decode(data, older=older) == Cursor(feed="trades", subject="s", upto_ms=12_000)
    assert decode(CURSOR, older=older) == Cursor(feed="f", subject="s", upto_ms=1)
    with pytest.raises(UndecodableRecord, match="Cursor v0"):
        decode(data)


def test_an_older_version_whose_shape_still_fits_is_upcast_all_the_same() -> None:
    """The version decides, not whether the fields happen to fit: their meaning changed."""
    data = CURSOR.replace(b'"v":1', b'"v":0')
    seen: list[bytes] = []

    def upcast(old: bytes) -> Record:
        seen.append(old)
        return Cursor(feed="upcast", subject="s", upto_ms=1)

    assert decode(data, older={("Cursor", 0): upcast}) == Cursor(
        feed="upcast", subject="s", upto_ms=1
    )
    assert seen == [data]


def test_an_optional_field_that_an_older_writer_did_not_know_has_its_default(
    golden_lines: list[bytes],
) -> None:
    told = json.loads(next(line for line in golden_lines if b'"MarketMeta"' in line))
    del told["end_ms"]
    meta = decode(json.dumps(told).encode())
    assert isinstance(meta, MarketMeta)
    assert meta.end_ms is None


def test_every_kind_is_written_in_its_current_version(golden_lines: list[bytes]) -> None:
    for record in map(decode, golden_lines):
        assert record.v == CURRENT[type(record).__name__]
