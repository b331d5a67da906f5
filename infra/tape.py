"""Beginning a tape and putting policy on it: what stands there before any process decides.

Genesis is offset 0 of every tape partition; policy reaches the decisions only as a tape record.
Both are idempotent: nothing is appended that already stands.
"""

import secrets
from collections.abc import Generator

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import BEGINNING, PartitionReader, Row
from connectors.kafka.producer import Producer
from schemas import codec
from schemas.policy import PolicyDocument
from schemas.records.base import Account, Record
from schemas.records.summary import Summary
from schemas.records.system import SCHEMA_VERSION, Genesis, Policy
from schemas.wiring import KafkaWiring

READ_MAX = 2_000
CHUNK = 2_000
READ_S = 0.5


class NoTape(RuntimeError):
    """The partition does not begin with Genesis; the message says what to do."""


def open_reader(kafka: KafkaWiring, topic: str, *, offset: int, partition: int) -> PartitionReader:
    """A reader of one partition of one of our topics (name without prefix) from an offset on."""
    name = f"{kafka.prefix}{topic}"
    config = consumer_config(kafka.bootstrap, fetch_wait_ms=kafka.fetch_wait_ms)
    return PartitionReader(config, {(name, partition): offset})


def bounds(kafka: KafkaWiring, topic: str, partition: int) -> tuple[int, int]:
    """First offset of a partition and the one after its last."""
    # Not from 0: a reader of an offset that has left the log sometimes never closes (librdkafka).
    reader = open_reader(kafka, topic, offset=BEGINNING, partition=partition)
    try:
        return reader.watermarks(f"{kafka.prefix}{topic}", partition)
    finally:
        reader.close()


def rows_now(
    kafka: KafkaWiring, topic: str, partition: int, offset: int = 0
) -> Generator[Row, None, None]:
    """All records of a partition from an offset to the end as it is when this begins."""
    _, end = bounds(kafka, topic, partition)
    reader = open_reader(kafka, topic, offset=offset, partition=partition)
    try:
        reached = offset
        while reached < end:
            for row in reader.read(READ_MAX, READ_S):
                reached = row.offset + 1
                if row.offset < end:
                    yield row
    finally:
        reader.close()


def genesis(kafka: KafkaWiring) -> Genesis | None:
    """The first record of the shard's tape, None while the tape is empty; raises NoTape."""
    reader = open_reader(kafka, "tape", offset=BEGINNING, partition=kafka.shard)
    try:
        low, end = reader.watermarks(f"{kafka.prefix}tape", kafka.shard)
        if low:
            raise NoTape(
                f"tape {kafka.prefix}tape/{kafka.shard} begins at offset {low}: its beginning is "
                "gone; `truecopy rebuild` folds it from the archive"
            )
        while end:
            for row in reader.read(1, READ_S):
                record = codec.decode(row.value)
                if isinstance(record, Genesis):
                    return record
                raise NoTape(f"offset 0 of the tape holds {type(record).__name__}, not Genesis")
        return None
    finally:
        reader.close()


class TapeWriter:
    """Appends records to the shard's tape and waits for each; for commands, not for feeds."""

    def __init__(self, kafka: KafkaWiring, name: str) -> None:
        self._kafka = kafka
        config = producer_config(kafka.bootstrap, linger_ms=kafka.linger_ms)
        self._producer = Producer(config, name=name)

    def append(self, record: Record, key: str) -> int:
        """Put a record on the tape; its offset once every replica has it."""
        return self._producer.append_and_wait(
            f"{self._kafka.prefix}tape",
            codec.encode(record),
            key=key.encode(),
            partition=self._kafka.shard,
            headers=codec.headers(record),
        )


def begin(kafka: KafkaWiring, accounts: tuple[str, ...]) -> Genesis:
    """The tape's Genesis, appended if the partition is empty."""
    known = genesis(kafka)
    if known is not None:
        return known
    # A name for this tape, used nowhere in a decision: it tells snapshots of two tapes apart.
    made = Genesis(
        tape_id=secrets.token_hex(8),
        schema=SCHEMA_VERSION,
        shard=kafka.shard,
        accounts=tuple(Account(name) for name in accounts),
    )
    TapeWriter(kafka, "truecopy-begin").append(made, "genesis")
    found = genesis(kafka)
    assert found is not None, "the tape has a record now"
    return found


def newest_summary(kafka: KafkaWiring) -> tuple[int, Summary] | None:
    """The journal's newest Summary and the tape offset that it was made at."""
    low, end = bounds(kafka, "journal", kafka.shard)
    span = CHUNK
    while low < end:
        start = max(low, end - span)
        rows = list(rows_now(kafka, "journal", kafka.shard, start))
        for row in reversed(rows):
            if row.headers.get("kind") == b"Summary":
                envelope, event = codec.unseal(row.value)
                assert isinstance(event, Summary), "the header says what the record is"
                return envelope.cause, event
        if start == low:
            break
        span *= 4
    return None


def policy_at(kafka: KafkaWiring, offset: int) -> Policy:
    """The policy that stands at an offset of the tape."""
    for row in rows_now(kafka, "tape", kafka.shard, offset):
        record = codec.decode(row.value)
        assert isinstance(record, Policy), f"the Summary names {offset} as its policy's offset"
        return record
    raise NoTape(f"the tape ends before offset {offset}, where the journal's policy stands")


def newest_policy(kafka: KafkaWiring) -> Policy | None:
    """The policy in force at the tape's end.

    The journal's newest Summary says where the policy stood when it was made, so only what the
    flow has not come to yet is read; the whole tape only where no flow ever came to a policy.
    """
    newest: Policy | None = None
    start, found = 0, newest_summary(kafka)
    if found is not None and found[1].policy_offset is not None:
        newest, start = policy_at(kafka, found[1].policy_offset), found[0] + 1
    for row in rows_now(kafka, "tape", kafka.shard, start):
        if row.headers.get("kind") == b"Policy":
            record = codec.decode(row.value)
            assert isinstance(record, Policy), "the header says what the record is"
            newest = record
    return newest


def apply_policy(kafka: KafkaWiring, document: PolicyDocument) -> tuple[Policy, bool]:
    """The policy in force, and whether it was appended just now because the document differs."""
    begin(kafka, tuple(account.name for account in document.accounts))
    newest = newest_policy(kafka)
    if newest is not None and newest.document == document:
        return newest, False
    policy = Policy(version=newest.version + 1 if newest is not None else 1, document=document)
    TapeWriter(kafka, "truecopy-policy").append(policy, "policy")
    return policy, True
