"""Each row of any topic gives one line: in human units for people, as it stands for programs."""

import json
import re
from collections.abc import Callable

import pytest

from connectors.kafka.consumer import Row
from infra.inspect.dead import dead_json, dead_line
from infra.inspect.lines import COLOURS, Line, Shape, json_of, line_of, opened, shape_of
from infra.inspect.names import Names
from infra.inspect.phrases_journal import told
from schemas import codec
from schemas.codec import KINDS, Envelope
from schemas.records.base import Record
from schemas.records.journal import Alarm, OrderHeld, Undecodable
from schemas.records.market import Depth
from schemas.records.system import FlowStarted

MakeRow = Callable[..., Row]
UNITS_LEFT = re.compile(r"_(micro|ms|ns)\b|\b\d{10,}\b")
"""A name of a unit, or a number as long as only micro units, epochs and token ids have them."""


def line(row: Row, shape: Shape = "record", names: Names | None = None) -> Line:
    return line_of(opened(row, shape), shape, names or Names(), partitions=1)


def in_json(row: Row, shape: Shape = "record") -> dict[str, object]:
    text = json_of(opened(row, shape), shape)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_every_kind_is_told_in_human_units(golden: list[Record], row: MakeRow) -> None:
    names = Names()
    for record in golden:
        names.learn(record)
        shown = line(row(codec.encode(record)), names=names)
        assert shown.kind == type(record).__name__
        assert shown.text, shown
        assert not UNITS_LEFT.search(shown.text), shown.text


def test_no_two_records_of_the_golden_set_are_told_alike(
    golden: list[Record], row: MakeRow
) -> None:
    lines = [line(row(codec.encode(record))) for record in golden]
    assert len({(each.kind, each.text) for each in lines}) == len(golden)


def test_a_line_names_market_outcome_and_leader(golden: list[Record], row: MakeRow) -> None:
    names = Names()
    for record in golden:
        names.learn(record)
    [fill] = [r for r in golden if type(r).__name__ == "LeaderFills"]
    assert line(row(codec.encode(fill)), names=names).text == (
        "the quick one (0x1eade71e) BUY 150 [71321045 Up · Will Atlético win?] at 0.495 for "
        "$74.25, 2 rows at 23:59:59.000 by feed public-2/activity.1, group 97894096fd7319c5"
    )


def test_a_kind_nobody_has_words_for_is_told_field_by_field() -> None:
    class Novelty(Record, frozen=True):
        token: str
        leader: str
        price_micro: int
        age_ms: int
        why: str

    new = Novelty(token="7" * 20, leader="0x" + "1" * 40, price_micro=480_000, age_ms=40, why="x")
    assert told(new, Names()) == "[77777777], 0x11111111, price 0.48, age 40 ms, why x"


def test_the_offset_stands_first_and_the_partition_where_there_are_several(row: MakeRow) -> None:
    value = codec.encode(FlowStarted(shard=0, rules=1))
    assert line(row(value, offset=42)) == (
        "42",
        "2026-11-19 00:00:00.123",
        "FlowStarted",
        "shard 0, rules 1",
        "magenta",
    )
    several = opened(row(value, offset=42, partition=3), "record")
    assert line_of(several, "record", Names(), partitions=16).place == "3:42"


def test_colours_belong_to_kinds_there_are() -> None:
    assert set(COLOURS) <= set(KINDS)


def test_the_envelope_is_told_behind_the_event(row: MakeRow) -> None:
    event = FlowStarted(shard=0, rules=1)
    sealed = codec.seal(event, Envelope(n=138, cause=794, rules=1, prev="ab"))
    assert line(row(sealed), shape_of("journal")).text == "shard 0, rules 1 (n 138, tape 794)"
    assert in_json(row(sealed), "sealed")["prev"] == "ab"


@pytest.mark.parametrize(
    ("value", "shape", "reason"),
    [
        (b"not json", "record", "not a record"),
        (b'{"kind":"Depthh"}', "record", "kind 'Depthh' is not known here"),
        (b'{"kind":"Tick","v":9}', "record", "Tick v9 is newer than v1"),
        (b'{"kind":"FlowStarted","shard":"x","rules":1}', "record", "FlowStarted v1: Expected"),
        (b'{"kind":"FlowStarted","shard":0,"rules":1}', "sealed", "no envelope"),
        (b"\xff\xfe\x00", "record", "not a record"),
    ],
)
def test_what_cannot_be_decoded_is_shown_with_the_reason_and_its_bytes(
    value: bytes, shape: Shape, reason: str, row: MakeRow
) -> None:
    shown = line(row(value), shape)
    assert (shown.kind, shown.colour) == ("UNDECODABLE", "red")
    assert shown.text.startswith(reason)
    held = value.hex() if value.startswith(b"\xff") else value.decode()
    assert shown.text.count(held) == 1
    said = in_json(row(value), shape)
    assert str(said["undecodable"]).startswith(reason)
    assert held in (said.get("text"), said.get("hex"))
    assert said["offset"] == 7


def test_a_depth_whose_levels_are_no_levels_is_undecodable(
    golden: list[Record], row: MakeRow
) -> None:
    [depth] = [codec.encode(r) for r in golden if isinstance(r, Depth)]
    broken = depth.replace(b'"bids":[[480000,', b'"bids":[["a",')
    assert broken != depth
    assert line(row(broken)).kind == "UNDECODABLE"


def test_json_is_the_record_as_it_stands_behind_its_place(
    golden: list[Record], row: MakeRow
) -> None:
    for record in golden:
        value = codec.encode(record)
        text = json_of(opened(row(value), "record"), "record")
        where = '{"offset":7,"partition":0,"timestamp_ms":1795046400123,'
        assert text == where + value.decode()[1:]


def test_a_record_written_over_several_lines_is_still_one_line(row: MakeRow) -> None:
    value = b' {\n "kind": "FlowStarted",\n "shard": 0, "rules": 1}\n'
    assert in_json(row(value))["kind"] == "FlowStarted"


def test_a_deletion_says_what_it_deletes(row: MakeRow) -> None:
    gone = row(b"", key=b"wallet:0x1")
    assert line(gone, "sealed")[2:4] == ("deleted", "wallet:0x1")
    assert in_json(gone, "sealed") == {
        "offset": 7,
        "partition": 0,
        "timestamp_ms": 1_795_046_400_123,
        "deleted": "wallet:0x1",
    }


def test_a_frame_says_where_it_came_from(row: MakeRow) -> None:
    headers = {"feed": b"market", "conn": b"public-2.1", "recv_ns": b"1795046400000000000"}
    frame = row(b'{"event_type":"book"}', headers=headers, topic="raw.market")
    shown = line(frame, shape_of("raw.market"))
    assert shown.kind == "market"
    assert shown.text == 'public-2.1 received 00:00:00.000: {"event_type":"book"}'
    said = in_json(frame, "frame")
    assert (said["feed"], said["conn"], said["text"]) == (
        "market",
        "public-2.1",
        '{"event_type":"book"}',
    )


def test_a_frame_without_headers_and_with_wild_bytes_is_shown_too(row: MakeRow) -> None:
    assert line(row(b"\x1b]0;x\x07"), "frame").text == ("unknown connection: hex 1b5d303b7807")


def test_what_comes_from_outside_cannot_reach_the_terminal_as_commands(row: MakeRow) -> None:
    evil = "\x1b[2J\x9b31m\u202eTitle\r\n"
    alarm = Alarm(name="a", subject="s", detail=evil, numbers={})
    shown = line(row(codec.encode(alarm)))
    assert shown.text.isprintable()
    assert "Title" in shown.text


def test_a_secret_inside_any_record_is_masked_in_both_forms(row: MakeRow) -> None:
    secret = "0123-4567-never-shown"
    leaked = f'{{"apiKey":"{secret}"}}'
    alarm = codec.encode(Alarm(name="a", subject="s", detail=leaked, numbers={}))
    bad = leaked.encode()
    dead = codec.encode(Undecodable(feed="user", reason=leaked, raw=bad, recv_ns=1))
    for value, shape in ((alarm, "record"), (bad, "record"), (bad, "frame"), (dead, "record")):
        item = opened(row(value), shape)
        assert secret not in line_of(item, shape, Names(), partitions=1).text
        assert secret not in json_of(item, shape)
        assert secret not in dead_line(item, 0).text
        assert secret not in dead_json(item)


DEAD = Undecodable(
    feed="activity", reason="price is not a number", raw=b'{"price":"x"}', recv_ns=10**18
)


def test_dead_says_when_which_feed_why_and_shows_the_bytes(row: MakeRow) -> None:
    assert dead_line(opened(row(codec.encode(DEAD)), "record"), 160) == (
        "7",
        "2001-09-09 01:46:40.000",
        "activity",
        'price is not a number: {"price":"x"}',
        "red",
    )


@pytest.mark.parametrize(
    ("raw", "name", "shown"), [(b"{}", "text", "{}"), (b"\x00\xff", "hex", "00ff")]
)
def test_dead_in_json_has_the_bytes_as_text_or_as_hex(
    raw: bytes, name: str, shown: str, row: MakeRow
) -> None:
    record = Undecodable(feed="user", reason="r", raw=raw, recv_ns=5)
    said = json.loads(dead_json(opened(row(codec.encode(record)), "record")))
    assert said == {
        "offset": 7,
        "partition": 0,
        "feed": "user",
        "reason": "r",
        "recv_ns": 5,
        name: shown,
    }


def test_dead_cuts_long_bytes_unless_all_are_asked_for(row: MakeRow) -> None:
    long = Undecodable(feed="user", reason="r", raw=b"x" * 5_000, recv_ns=5)
    item = opened(row(codec.encode(long)), "record")
    assert dead_line(item, 160).text == "r: " + "x" * 160 + "… (5,000 bytes)"
    assert dead_line(item, 0).text == "r: " + "x" * 5_000


def test_what_is_no_record_on_dead_is_shown_all_the_same(row: MakeRow) -> None:
    item = opened(row(b"junk"), "record")
    assert dead_line(item, 160).kind == "UNDECODABLE"
    assert json.loads(dead_json(item))["text"] == "junk"


def test_a_hold_shows_its_numbers(row: MakeRow) -> None:
    held = OrderHeld(
        account="main",
        token="1001",
        reason="market_feed_stale",
        target_micro=50_000_000,
        position_micro=0,
        gap_micro=50_000_000,
        numbers={"age_ms": 12_500},
    )
    assert line(row(codec.encode(held))).text == (
        "main market_feed_stale [1001] gap 50 = target 50 - position 0, age 12.5 s"
    )
