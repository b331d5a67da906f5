"""`truecopy topics` as a user meets it: what it lists, shows, refuses, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from connectors.kafka.offsets import GroupOffsets
from infra.cli.main import cli
from infra.cli.topics import plainly
from infra.inspect.broker import Broker
from schemas import codec
from schemas.records.base import Record
from schemas.records.journal import Undecodable
from schemas.records.system import FlowStarted
from schemas.wiring import KafkaWiring, Wiring
from tests.core.conftest import DOWN, LEADER, UP, World
from tests.waiting import WAIT_S, heed_interrupts

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"(\d+:)?\d+ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ +\S")
ESCAPE = "\x1b["


def commit(shelf: Any, group: str, topic: str, offset: int) -> None:
    offsets = GroupOffsets(shelf.bootstrap, group)
    offsets.commit(shelf.prefix + topic, 0, offset)
    offsets.close()


# list


def test_list_counts_records_and_says_how_far_each_process_is_behind(
    full: Any, traded: World, any_broker: Any
) -> None:
    wiring = Wiring()
    end = len(traded.tape)
    commit(full, wiring.flow.group, "tape", end - 12)
    commit(full, f"truecopy-{wiring.execution.producer}", "orders", 0)
    listed = {row["topic"]: row for row in json.loads(full.run("list", "--json").stdout)}
    assert (listed["tape"]["records"], listed["tape"]["partitions"]) == (end, 1)
    assert listed["tape"]["lag_records"] == {"flow": 12}
    assert listed["orders"]["lag_records"] == {"execution": len(traded.requests())}
    assert listed["journal"]["lag_records"] == {}
    assert (listed["raw.data"]["partitions"], listed["raw.data"]["records"]) == (16, 0)
    known = any_broker.kind != "embedded"
    assert (listed["tape"]["size_bytes"] or 0) > 0 or not known
    assert listed["tape"]["retention_ms"] == (-1 if known else None)
    assert listed["raw.data"]["retention_ms"] == (604_800_000 if known else None)
    assert listed["watch"]["compacted"] == (True if known else None)


def test_list_is_a_table_for_people(full: Any, traded: World, any_broker: Any) -> None:
    commit(full, Wiring().flow.group, "tape", len(traded.tape) - 12)
    lines = full.lines("list")
    rows = {line.split()[0]: line for line in lines}
    assert list(rows)[:3] == ["topic", "tape", "journal"]
    assert "flow 12" in rows["tape"]
    assert "execution" in rows["orders"]
    if any_broker.kind == "embedded":
        assert "note: the embedded broker tells neither bytes nor retention" in lines
    else:
        assert "for ever" in rows["tape"]
        assert "last of each key" in rows["watch"]
        assert "7 d" in rows["raw.market"]


def test_list_names_topics_that_are_missing(any_broker: Any, topics: Any) -> None:
    topics.make("tape")
    environment = {"TRUECOPY_KAFKA": any_broker.bootstrap, "TRUECOPY__KAFKA__PREFIX": topics.prefix}
    done = CliRunner().invoke(cli, ["topics", "list"], env=environment)
    assert done.exit_code == 0, done.output
    assert "flow -" in done.output
    assert "missing: journal, orders," in done.output
    assert "run `truecopy topics apply`" in done.output


# tail


def test_tail_shows_the_last_twenty_offset_first(full: Any, traded: World) -> None:
    lines = full.lines("tail", "tape")
    end = len(traded.tape)
    assert [int(line.split()[0]) for line in lines] == list(range(end - 20, end))
    assert all(LINE.match(line) for line in lines)


def test_tail_from_the_beginning_shows_every_record_once(full: Any, traded: World) -> None:
    wanted = {"tape": len(traded.tape)}
    for topic in ("journal", "orders", "watch"):
        wanted[topic] = len([s for s in traded.sealed if s.topic == topic])
    for topic, count in wanted.items():
        lines = full.lines("tail", topic, "--from", "0")
        assert [int(line.split()[0]) for line in lines] == list(range(count)), topic
        assert not any("UNDECODABLE" in line for line in lines)


def test_tail_filters_by_what_records_mention(full: Any, traded: World) -> None:
    def offsets(*words: str) -> list[int]:
        return [int(line.split()[0]) for line in full.lines("tail", *words, "--from", "0")]

    wanted = [n for n, r in enumerate(traded.tape) if type(r).__name__ in ("OwnFill", "Depth")]
    assert offsets("tape", "--kind", "OwnFill", "-k", "depth") == wanted
    fills = [n for n, r in enumerate(traded.tape) if type(r).__name__ == "LeaderFills"]
    assert offsets("tape", "-k", "LeaderFills", "--leader", LEADER[:6]) == fills
    assert offsets("tape", "-k", "LeaderFills", "--market", "up or DOWN") == fills
    assert offsets("tape", "-k", "LeaderFills", "--token", DOWN) == []
    assert offsets("tape", "-k", "LeaderFills", "--token", UP) == fills
    assert offsets("journal", "-k", "OrderRequested", "--account", "main") != []
    assert offsets("journal", "-k", "OrderRequested", "--account", "other") == []


def test_tail_names_markets_and_says_amounts_in_human_units(full: Any) -> None:
    (request,) = full.lines("tail", "orders")
    assert "main:" in request
    assert "BUY 50 [1001 Up · Up or down] at" in request
    held = full.lines("tail", "journal", "--kind", "OrderHeld", "--last", "1")
    assert "main market_closed [1001 Up · Up or down] gap 30" in held[0]


def test_tail_in_json_gives_the_records_as_they_stand(full: Any, traded: World) -> None:
    lines = full.lines("tail", "tape", "--from", "0", "--json")
    assert len(lines) == len(traded.tape)
    for offset, (text, record) in enumerate(zip(lines, traded.tape, strict=True)):
        assert text.endswith(codec.encode(record).decode()[1:])
        assert json.loads(text)["offset"] == offset
    sealed = [s.value.decode()[1:] for s in traded.sealed if s.topic == "journal"]
    journal = full.lines("tail", "journal", "--from", "0", "--json")
    assert [text.endswith(value) for text, value in zip(journal, sealed, strict=True)]
    assert all(text.endswith(value) for text, value in zip(journal, sealed, strict=True))


def test_tail_of_raw_topics_looks_for_text_in_the_bytes(shelf: Any) -> None:
    for number, token in enumerate(("71", "52", "71")):
        body = b'{"asset_id":"%s","n":%d}' % (token.encode(), number)
        shelf.put("raw.market", body, partition=number, feed=b"market", conn=b"public-1.1")
    lines = shelf.lines("tail", "raw.market", "--token", "71", "--from", "-10m")
    assert [line.split()[0] for line in lines] == ["0:0", "2:0"]
    assert all("public-1.1" in line and '"asset_id":"71"' in line for line in lines)
    assert [line.split()[0] for line in shelf.lines("tail", "raw.market", "--partition", "1")] == [
        "0"
    ]


REFUSED = {
    "tail taep": "did you mean tape?",
    "tail tape --kind Deph": "there is no kind 'Deph'; did you mean Depth?",
    "tail tape --from soon": "'soon' is no place to begin; give an offset",
    "tail dead --from 1": "dead/0 ends at offset 0, before 1",
    "tail tape --from 0 --last 3": "give --from or --last, not both",
    "tail tape --last 0": "not in the range",
    "tail raw.data --from 5": "name one with --partition, or give a time",
    "tail tape --partition 1": "has 1 partitions, from 0 on",
    "tail raw.data --kind Tick": "frames as received, which have no kind",
}


def test_what_cannot_be_shown_is_refused_with_the_way_out(full: Any) -> None:
    for words, said in REFUSED.items():
        done = full.run(*words.split())
        assert isinstance(done.exception, SystemExit), words
        assert done.exit_code != 0, words
        assert said in " ".join(done.output.split())


def test_a_market_nobody_has_named_yet_is_said_to_be_unknown(full: Any) -> None:
    done = full.run("tail", "tape", "--market", "no such market")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no market seen so far is 'no such market'" in done.stderr


def test_colours_are_for_terminals_only(full: Any) -> None:
    assert ESCAPE not in full.run("tail", "journal").stdout
    assert ESCAPE in full.run("tail", "journal", color=True).stdout
    assert ESCAPE not in full.run("list").stdout


# dead and schema


def test_dead_shows_why_when_which_feed_and_the_bytes(shelf: Any) -> None:
    shelf.records(
        "dead",
        [
            Undecodable(feed="market", reason="no price", raw=b'{"a":1}', recv_ns=10**18),
            Undecodable(feed="user", reason="not UTF-8", raw=b"\xff\x00", recv_ns=10**18),
        ],
    )
    shelf.put("dead", b"junk")
    first, second, third = shelf.lines("dead")
    assert first.split(maxsplit=4) == [
        *("0", "2001-09-09", "01:46:40.000", "market", 'no price: {"a":1}')
    ]
    assert second.endswith("not UTF-8: hex ff00")
    assert "UNDECODABLE" in third
    said = [json.loads(line) for line in shelf.lines("dead", "--json", "--last", "2")]
    assert (said[0]["hex"], said[1]["text"]) == ("ff00", "junk")


def test_schema_prints_what_the_codec_says_of_every_kind() -> None:
    runner = CliRunner()
    listed = runner.invoke(cli, ["topics", "schema"])
    named = {line[17:].split()[0] for line in listed.stdout.splitlines()}
    assert named == set(codec.KINDS)
    for kind in codec.KINDS:
        done = runner.invoke(cli, ["topics", "schema", kind.lower()])
        assert json.loads(done.stdout) == json.loads(json.dumps(codec.json_schema(kind)))


def test_schema_of_a_kind_there_is_none_of_names_the_nearest() -> None:
    done = CliRunner().invoke(cli, ["topics", "schema", "LeaderFill"])
    assert done.exit_code == 2
    assert "there is no kind 'LeaderFill'; did you mean LeaderFills?" in done.output


# As a process.


@contextmanager
def process(shelf: Any, *words: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "infra.cli.main", "topics", *words],
        cwd=ROOT,
        env={**os.environ, **shelf.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate(timeout=WAIT_S)


def test_a_reader_that_goes_away_ends_it_quietly(shelf: Any, golden: list[Record]) -> None:
    shelf.records("tape", golden * 200)
    with process(shelf, "tail", "tape", "--from", "0") as child:
        assert child.stdout is not None
        assert LINE.match(child.stdout.readline())
        child.stdout.close()
        assert child.wait(WAIT_S) == 0
        assert child.stderr is not None
        assert child.stderr.read() == ""


def test_following_ends_with_the_interrupt_key_and_without_a_complaint(shelf: Any) -> None:
    shelf.records("tape", [FlowStarted(shard=7, rules=1)])
    with process(shelf, "tail", "tape", "--follow") as child:
        assert child.stdout is not None
        assert "shard 7" in child.stdout.readline()
        shelf.records("tape", [FlowStarted(shard=8, rules=1)])
        assert "shard 8" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert child.wait(WAIT_S) == 0
        assert child.stderr is not None
        assert child.stderr.read() == ""


def test_a_broker_that_is_not_there_is_said_in_one_line() -> None:
    nowhere = KafkaWiring(bootstrap="127.0.0.1:1")
    with pytest.raises(click.ClickException) as said, plainly(nowhere):
        Broker(nowhere, patience_s=0.2)
    assert said.value.format_message().startswith("Kafka at 127.0.0.1:1: topics of 127.0.0.1:1: ")
