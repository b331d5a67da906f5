"""Beginning a tape and putting policy on it, on both brokers."""

import pytest

from connectors.kafka.config import producer_config
from connectors.kafka.producer import Producer
from infra.tape import NoTape, apply_policy, begin, genesis, newest_policy
from schemas import codec
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.records.summary import Summary
from schemas.records.system import Policy, Tick
from schemas.wiring import KafkaWiring

WALLET = "0x" + "a" * 40


@pytest.fixture
def wiring(any_broker, topics) -> KafkaWiring:
    topics.make("tape")
    topics.make("journal")
    return KafkaWiring(
        bootstrap=any_broker.bootstrap, prefix=topics.prefix, linger_ms=5, fetch_wait_ms=5
    )


def document(ratio_micro: int) -> PolicyDocument:
    leader = LeaderPolicy(wallet="0x" + "1" * 40)
    account = AccountPolicy(name="main", wallet=WALLET, ratio_micro=ratio_micro, leaders=(leader,))
    return PolicyDocument(accounts=(account,))


def test_a_tape_begins_once(wiring) -> None:
    assert genesis(wiring) is None
    first = begin(wiring, ("main",))
    assert begin(wiring, ("other",)) == first
    assert genesis(wiring) == first
    assert first.accounts == ("main",)


def test_a_policy_is_appended_only_when_it_differs(wiring) -> None:
    assert apply_policy(wiring, document(100_000)) == (
        Policy(version=1, document=document(100_000)),
        True,
    )
    assert apply_policy(wiring, document(100_000))[1] is False
    second, appended = apply_policy(wiring, document(200_000))
    assert (second.version, appended) == (2, True)
    assert newest_policy(wiring) == second


def put(wiring: KafkaWiring, topic: str, value: bytes, kind: str) -> int:
    producer = Producer(producer_config(wiring.bootstrap))
    return producer.append_and_wait(
        f"{wiring.prefix}{topic}", value, key=None, partition=0, headers=[("kind", kind.encode())]
    )


def summary(cause: int, policy_offset: int | None) -> bytes:
    found = Summary(
        now_ms=1, accounts=(), positions=(), working=(), leaders=(), feeds=(), counts={},
        policy_offset=policy_offset,
    )  # fmt: skip
    return codec.seal(found, codec.Envelope(n=0, cause=cause, rules=1))


def policy_on(wiring: KafkaWiring, version: int) -> tuple[Policy, int]:
    record = Policy(version=version, document=document(version))
    return record, put(wiring, "tape", codec.encode(record), "Policy")


def test_the_policy_in_force_is_read_from_the_newest_summary_on(wiring) -> None:
    """What the flow has come to is not read again, and what it has not come to counts."""
    begin(wiring, ("main",))
    assert newest_policy(wiring) is None
    put(wiring, "journal", summary(0, None), "Summary")
    first, at = policy_on(wiring, 1)
    assert newest_policy(wiring) == first
    put(wiring, "journal", summary(at, at), "Summary")
    second, at = policy_on(wiring, 2)
    assert newest_policy(wiring) == second
    cause = put(wiring, "tape", b"read, it would be refused", "Policy")
    with pytest.raises(codec.UndecodableRecord):
        newest_policy(wiring)
    put(wiring, "journal", summary(cause, at), "Summary")
    put(wiring, "journal", b"another event", "OrderHeld")
    assert newest_policy(wiring) == second
    third, _ = policy_on(wiring, 3)
    assert newest_policy(wiring) == third


def test_a_tape_that_begins_with_anything_else_is_refused(wiring) -> None:
    tick = Tick(producer="public", seq=1, now_ms=1, feeds={})
    producer = Producer(producer_config(wiring.bootstrap))
    producer.append_and_wait(
        f"{wiring.prefix}tape", codec.encode(tick), key=None, partition=0, headers=()
    )
    with pytest.raises(NoTape, match="Tick"):
        genesis(wiring)
