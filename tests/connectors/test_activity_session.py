"""One connection to the activity feed: filtered, added up, and never trusted for being open."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.polymarket.activity import ActivitySession
from connectors.polymarket.effects import Append, Effect, Quarantine, Reconnect, Resync, Send
from schemas.records.leader import LeaderFills

LEADER, STRANGER = "0x" + "1f" * 20, "0x" + "2e" * 20
MS = 1_000_000
START_MS = 1_790_000_000_000


def session(follows: Callable[[str], bool] = LEADER.__eq__) -> ActivitySession:
    numbers = iter(range(1, 100))
    made = ActivitySession(
        ids=lambda: f"public-3.{next(numbers)}", follows=follows, silence_ms=15_000
    )
    made.opened(START_MS)
    return made


def message(wallet: str = LEADER, kind: str = "trades", **payload: Any) -> bytes:
    body = {
        "proxyWallet": wallet,
        "asset": "77",
        "conditionId": "0x" + "cd" * 32,
        "side": "BUY",
        "size": 10,
        "price": 0.42,
        "timestamp": 1_790_000_000,
        "transactionHash": "0x" + "9f" * 32,
        "outcome": "Up",
        "bio": "",
        **payload,
    }
    outer = {
        "topic": "activity",
        "type": kind,
        "timestamp": 1_790_000_000_123,
        "connection_id": "Z",
    }
    return json.dumps({**outer, "payload": body}).encode()


def fills(effects: list[Effect]) -> list[LeaderFills]:
    return [
        e.record for e in effects if isinstance(e, Append) and isinstance(e.record, LeaderFills)
    ]


def test_the_subscription_names_its_action_and_both_types_without_filters() -> None:
    made = ActivitySession(ids=lambda: "x", follows=LEADER.__eq__, silence_ms=1)
    sent, resync = made.opened(START_MS)
    assert isinstance(sent, Send)
    frame = json.loads(sent.text)
    assert frame["action"] == "subscribe"
    assert [each["type"] for each in frame["subscriptions"]] == ["orders_matched", "trades"]
    assert not any("filters" in each for each in frame["subscriptions"])
    assert resync == Resync("opened")


def test_empty_frames_answer_pings_and_say_nothing() -> None:
    made = session()
    assert made.receive(b"", START_MS * MS) == []
    assert made.fresh_ms == 0


def test_everybody_elses_fills_prove_the_connection_and_nothing_more() -> None:
    made = session()
    assert made.receive(message(STRANGER), (START_MS + 5) * MS) == []
    assert made.fresh_ms == START_MS + 5


def test_the_same_fill_in_both_types_counts_in_two_instances_not_twice_in_one() -> None:
    made = session()
    first = fills(made.receive(message(kind="orders_matched", size=91.135592), START_MS * MS))
    second = fills(made.receive(message(kind="trades", size=91.135592), START_MS * MS))
    assert [(r.instance, r.rows, r.shares_micro) for r in (*first, *second)] == [
        ("public-3.1.orders_matched", 1, 91_135_592),
        ("public-3.1.trades", 1, 91_135_592),
    ]
    assert first[0].group == second[0].group


def test_identical_rows_of_one_type_are_added() -> None:
    made = session()
    made.receive(message(), START_MS * MS)
    (second,) = fills(made.receive(message(), START_MS * MS))
    assert (second.rows, second.shares_micro) == (2, 20_000_000)


def test_a_new_connection_is_a_new_instance_and_counts_from_nothing() -> None:
    made = session()
    made.receive(message(), START_MS * MS)
    made.closed("cut", START_MS)
    assert made.fresh_ms == 0
    made.opened(START_MS)
    (again,) = fills(made.receive(message(), START_MS * MS))
    assert (again.instance, again.rows) == ("public-3.2.trades", 1)


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b'{"topic":"activity","type":"trades","payload":{"size":1}}',
        b"\xff\xfe",
        message(size="x"),
    ],
)
def test_what_cannot_be_read_is_put_aside_and_rest_must_read_everything(raw: bytes) -> None:
    put_aside, resync = session().receive(raw, START_MS * MS)
    assert isinstance(put_aside, Quarantine)
    assert put_aside.record.raw == raw
    assert resync == Resync("undecodable_message")


def test_other_topics_are_counted_and_prove_nothing() -> None:
    made = session()
    assert made.receive(b'{"topic":"comments","type":"new","payload":{}}', START_MS * MS) == []
    assert made.fresh_ms == 0
    assert made.counts["unknown:comments/new"] == 1


def test_silence_reconnects_although_pings_are_answered() -> None:
    made = session()
    made.receive(message(STRANGER), START_MS * MS)
    seen: list[Effect] = []
    for second in range(1, 16):
        now_ms = START_MS + second * 1_000
        seen += made.receive(b"", now_ms * MS) + made.tick(now_ms)
    assert seen.count(Send("PING")) == 3
    assert seen[-1] == Reconnect("silent")
    assert seen.count(Reconnect("silent")) == 1
