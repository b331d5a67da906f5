"""Readers of `watch` go by a record's number: what a superseded flow repeats changes nothing."""

import asyncio
import threading

import pytest

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import Row
from connectors.kafka.producer import Producer
from connectors.polymarket.watchlist import Newest, follow_watch, take
from schemas import codec
from schemas.codec import Envelope, UndecodableRecord
from schemas.records.journal import Watch
from schemas.records.system import FlowStarted

LEADER = "0x" + "1" * 40
OTHER = "0x" + "2" * 40


def watched(n: int, *, on: bool, subject: str = LEADER) -> tuple[bytes, bytes]:
    """Key and value of a watch record with this number."""
    record = Watch(what="wallet", subject=subject, on=on, why="followed")
    sealed = codec.seal(record, Envelope(n=n, cause=n, rules=1))
    return f"wallet:{subject}".encode(), sealed


def row(offset: int, key: bytes, value: bytes) -> Row:
    return Row("watch", 0, offset, 1_000 + offset, key, {}, value)


def heard(*records: tuple[bytes, bytes]) -> list[tuple[str, bool, int]]:
    """What a reader takes from these records, in order."""
    newest, found = Newest(), []
    for offset, (key, value) in enumerate(records):
        take(row(offset, key, value), newest, lambda w, at: found.append((w.subject, w.on, at)))
    return found


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        ([(0, True), (1, False)], [True, False]),
        ([(0, True), (1, False), (0, True)], [True, False]),
        ([(0, False), (1, True), (0, False), (1, True)], [False, True]),
        ([(0, True), (5, False), (3, True), (7, True)], [True, False, True]),
        ([(4, True)], [True]),
    ],
)
def test_only_a_higher_number_of_the_same_key_is_news(
    records: list[tuple[int, bool]], wanted: list[bool]
) -> None:
    assert [on for _, on, _ in heard(*(watched(n, on=on) for n, on in records))] == wanted


def test_each_key_is_numbered_for_itself() -> None:
    mine, other = watched(7, on=True), watched(3, on=True, subject=OTHER)
    assert [subject for subject, _, _ in heard(mine, other, mine, other)] == [LEADER, OTHER]


def test_a_deletion_says_nothing_and_forgets_nothing() -> None:
    key, value = watched(7, on=True)
    old = watched(6, on=False)
    assert heard((key, value), (key, b""), old) == [(LEADER, True, 1_000)]


def test_the_first_repeat_is_logged_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    newest = Newest()
    key, value = watched(2, on=True)
    for offset in range(4):
        take(row(offset, key, value), newest, lambda watch, at: None)
    assert newest.repeats == 3
    assert [r.getMessage() for r in caplog.records] == [
        "watch=watch/0 offset=1 state=repeated cause='a second flow wrote here'"
    ]


def test_a_record_that_is_no_watch_is_refused_with_its_place() -> None:
    sealed = codec.seal(FlowStarted(shard=0, rules=1), Envelope(n=0, cause=0, rules=1))
    with pytest.raises(UndecodableRecord, match="watch/0 offset 9 holds FlowStarted, not Watch"):
        take(row(9, b"k", sealed), Newest(), lambda watch, at: None)


async def test_a_zombies_repeat_behind_its_successors_record_switches_nothing_off(
    any_broker, topics
) -> None:
    name = topics.make("watch", cleanup_policy="compact")
    producer = Producer(producer_config(any_broker.bootstrap, linger_ms=5))
    written = [(0, True), (1, False), (2, True), (1, False)]
    for n, on in written:
        key, value = watched(n, on=on)
        producer.append_and_wait(name, value, key=key, partition=0)
    key, value = watched(3, on=True, subject=OTHER)
    producer.append_and_wait(name, value, key=key, partition=0)

    halted, seen, last = threading.Event(), [], asyncio.Event()

    def on_watch(watch: Watch, at_ms: int) -> None:
        seen.append((watch.subject, watch.on))
        if watch.subject == OTHER:
            last.set()

    config = consumer_config(any_broker.bootstrap, fetch_wait_ms=5)
    following = asyncio.create_task(follow_watch(config, name, 0, on_watch, halted))
    try:
        await asyncio.wait_for(last.wait(), 30)
    finally:
        halted.set()
        await asyncio.wait_for(following, 10)
    assert seen == [(LEADER, True), (LEADER, False), (LEADER, True), (OTHER, True)]
