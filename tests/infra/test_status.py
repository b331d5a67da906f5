"""Status is the newest Summary and what follows it: it must say what the fold's own state says."""

import json
import os
import subprocess
import sys

import pytest

from infra.status import Status, as_json, status_of
from schemas import codec
from schemas.records import journal
from schemas.records.summary import Summary
from schemas.units import parse_micro
from tests.core.conftest import UP, World
from tests.waiting import WAIT_S


def journal_of(world: World) -> list[tuple[int, object]]:
    rows = [codec.unseal(s.value) for s in world.sealed if s.topic == "journal"]
    return [(envelope.n, event) for envelope, event in rows]


def filled(world: World, size: str, n: int = 1) -> None:
    (request,) = [
        r
        for r in world.of(journal.OrderRequested)
        if r.intent in world.state.plan.accounts["main"].working.values()
    ]
    world.signed(request, order=f"0xo{n}")
    world.answered(request, shares=size, usd="1", order=f"0xo{n}")
    world.own_fill(request, size, trade=f"T{n}", order=f"0xo{n}")


def since_newest_summary(events: list) -> list:
    starts = [i for i, (_, e) in enumerate(events) if isinstance(e, Summary)]
    return events[starts[-1] :]


def test_status_from_the_newest_summary_says_what_the_state_says(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    filled(world, "50")
    world.wait(11_000)
    world.fills("300", tx="0xt2")
    world.wait(2_000)
    filled(world, "30", n=2)
    status = status_of(since_newest_summary(journal_of(world)))
    line = status.lines[("main", UP)]
    account = world.state.plan.accounts["main"]
    assert line.position_micro == account.held_micro(UP) == parse_micro("80")
    assert line.target_micro == parse_micro("80")
    assert (line.gap_micro, status.working) == (0, {})
    assert line.outcome == "Up"


def test_a_working_order_is_shown_with_what_is_in_flight(started) -> None:
    world = started()
    world.fills("500")
    world.wait(11_500)
    status = status_of(since_newest_summary(journal_of(world)))
    (order,) = status.working.values()
    assert (order.side, order.shares_micro, order.state) == ("BUY", parse_micro("50"), "requested")
    line = status.lines[("main", UP)]
    assert (line.in_flight_micro, line.gap_micro) == (parse_micro("50"), 0)


def test_a_failed_fill_leaves_the_position(started) -> None:
    world = started()
    world.fills("500")
    world.wait(11_500)
    (request,) = world.of(journal.OrderRequested)
    filled(world, "50")
    world.own_fill(request, "50", status="FAILED", trade="T1", order="0xo1")
    status = status_of(since_newest_summary(journal_of(world)))
    assert status.lines[("main", UP)].position_micro == 0


def test_value_is_the_bid_with_its_age_and_nothing_where_there_is_no_bid(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    filled(world, "50")
    world.wait(11_000)
    line = status_of(since_newest_summary(journal_of(world))).lines[("main", UP)]
    assert line.value_micro == parse_micro("19.5")
    assert line.unrealised_micro == parse_micro("-0.5")
    world.epoch(UP, state="ended", reason="echo_mismatch")
    world.wait(11_000)
    line = status_of(since_newest_summary(journal_of(world))).lines[("main", UP)]
    assert (line.bid_micro, line.value_micro, line.unrealised_micro) == (None, None, None)


def test_json_holds_positions_gaps_and_feeds(started) -> None:
    world = started()
    world.wait(11_000)
    world.fills("500")
    world.wait(11_000)
    said = json.loads(as_json(status_of(journal_of(world))))
    assert {"positions", "accounts", "working", "feeds", "as_of_ms"} <= said.keys()
    assert {feed["feed"] for feed in said["feeds"]} >= {"market", "own_trades"}
    (row,) = [row for row in said["positions"] if row["token"] == UP]
    assert row["gap_micro"] == 0


def test_an_empty_journal_has_no_summary() -> None:
    assert Status().summary_n == -1


@pytest.mark.parametrize("words", [["--json"], []])
def test_the_command_answers_from_the_broker(kafka, topics, started, words) -> None:
    from connectors.kafka.config import producer_config
    from connectors.kafka.producer import Producer
    from infra.status import read_status
    from schemas.wiring import KafkaWiring

    world = started()
    world.fills("500")
    world.wait(60_000)
    name = topics.make("journal")
    producer = Producer(producer_config(kafka))
    for sealed in world.sealed:
        if sealed.topic == "journal":
            producer.append(name, sealed.value, key=None, partition=0, headers=sealed.headers)
    assert producer.flush(WAIT_S) == 0
    wiring = KafkaWiring(bootstrap=kafka, prefix=topics.prefix)
    assert read_status(wiring).lines[("main", UP)].target_micro == parse_micro("50")
    env = {
        **os.environ,
        "TRUECOPY__KAFKA__BOOTSTRAP": kafka,
        "TRUECOPY__KAFKA__PREFIX": topics.prefix,
    }
    argv = [sys.executable, "-m", "infra.cli.main", "status", *words]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    assert "main" in done.stdout
