"""Rows a second from Kafka to Parquet, by kind: `python tests/export/bench_export.py`.

Fills a topic of the real Kafka (or that of TRUECOPY_KAFKA) with records of one kind, then exports
it with the flow as `truecopy export --once` runs it, in turns by one process and by one for each
core, its start and its end included. Beside it, in the same run, the bare loop over the same
records: consume and decode, nothing kept. Not a test: nothing here can fail.
"""

import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka.config import admin_config, consumer_config, producer_config
from flows.engine.collector import spare_collector
from flows.engine.launch import run
from flows.engine.recovery import Identity
from flows.export import Export, build
from flows.export_source import Tally, places_of
from infra.kafka.cluster import KafkaCluster
from infra.topics import apply
from schemas import codec
from schemas.records.base import Condition, Group, Record, Token, Wallet
from schemas.records.journal import OrderHeld
from schemas.records.leader import LeaderFills
from schemas.records.market import BookEpoch, Depth
from schemas.records.system import Genesis
from schemas.wiring import KafkaWiring

RUNS = 3
CORES = os.cpu_count() or 1
BEGAN_MS = 1_795_000_000_000
GENESIS = Genesis(tape_id="bench", schema=1, shard=0, accounts=())


def fill(i: int) -> LeaderFills:
    """A flat record: 14 typed fields, about 500 bytes."""
    return LeaderFills(
        source="feed",
        instance=f"activity-{i % 4}",
        leader=Wallet(f"0x{i % 100:040x}"),
        group=Group(f"{i * 7919:016x}"),
        tx=f"0x{i * 104_729:064x}",
        token=Token(str(10**76 + i % 1_000)),
        condition=Condition(f"0x{i % 500:064x}"),
        side="SELL" if i % 3 else "BUY",
        rows=1 + i % 3,
        shares_micro=i * 10_007 % 900_000_000,
        cash_micro=i * 10_009 % 500_000_000,
        venue_ms=BEGAN_MS + i // 50 * 1_000,
        recv_ns=(BEGAN_MS + i * 20) * 1_000_000,
    )


def book_epoch(i: int) -> BookEpoch:
    """A short flat record: 4 typed fields, about 170 bytes."""
    return BookEpoch(
        token=Token(str(10**76 + i % 1_000)),
        epoch=f"public-3.{i}",
        state="live" if i % 2 else "ended",
        reason="snapshot" if i % 2 else "echo",
    )


def held(i: int) -> OrderHeld:
    """A journal event; it goes into an envelope."""
    return OrderHeld(
        account="main",
        token=Token(str(10**76 + i % 1_000)),
        reason=("one_sided", "signal_old", "feed_stale")[i % 3],
        target_micro=i * 10_007 % 900_000_000,
        position_micro=i * 10_009 % 900_000_000,
        gap_micro=i * 31 % 1_000_000,
        numbers={"age_ms": i % 5_000, "max_ms": 10_000},
    )


def depth(i: int) -> Depth:
    """A book of 20 levels a side."""
    middle = 50 + i % 20
    bids = [((middle - n) * 10_000, (i * 7 + n * 13) % 10**9) for n in range(20)]
    asks = [((middle + 1 + n) * 10_000, (i * 11 + n * 17) % 10**9) for n in range(20)]
    return Depth(
        token=Token(str(10**76 + i % 1_000)),
        epoch="public-3.1",
        as_of_ms=BEGAN_MS + i * 4,
        recv_ns=(BEGAN_MS + i * 4) * 1_000_000,
        tick_micro=10_000,
        bids=codec.encode_levels(bids),
        asks=codec.encode_levels(asks),
    )


def value_of(topic: str, record: Record, i: int) -> bytes:
    """The record as it stands on its topic; the journal's stand in an envelope."""
    if topic != "journal":
        return codec.encode(record)
    return codec.seal(record, codec.Envelope(n=i, cause=i, rules=1, prev=f"{i:064x}"))


@contextmanager
def broker() -> Iterator[str]:
    """The one that TRUECOPY_KAFKA names, or one of our own."""
    named = os.environ.get("TRUECOPY_KAFKA")
    if named:
        yield named
        return
    with KafkaCluster() as cluster:
        yield cluster.bootstrap


def produce(kafka: KafkaWiring, topic: str, made: Iterator[Record]) -> None:
    producer = Producer(producer_config(kafka.bootstrap, linger_ms=20))
    for i, record in enumerate(made):
        value = value_of(topic, record, i)
        headers = list(codec.headers(record))
        if topic == "journal":
            headers.append(("n", b"%d" % i))
        while True:
            try:
                producer.produce(
                    kafka.prefix + topic, value=value, key=b"bench", headers=headers, partition=0
                )
                break
            except BufferError:
                producer.poll(0.05)
    assert producer.flush(60) == 0


def bare_loop(kafka: KafkaWiring, topic: str, count: int) -> float:
    """Rows a second of consuming and decoding alone."""
    consumer = Consumer(consumer_config(kafka.bootstrap))
    consumer.assign([TopicPartition(kafka.prefix + topic, 0, 0)])
    consumer.poll(5)
    began, done = time.perf_counter(), 1
    while done < count:
        for message in consumer.consume(5_000, 0.1):
            value = message.value()
            if message.error() is None and value is not None:
                codec.decode(value)
                done += 1
    consumer.close()
    return count / (time.perf_counter() - began)


def export(kafka: KafkaWiring, folder: Path, processes: int = 1) -> tuple[float, float, int]:
    """Rows a second from the flow's start to its end, bytes a row on disk, rows."""
    stop, tally = threading.Event(), Tally()
    plan = Export(
        kafka=kafka,
        folder=folder,
        tape_id=GENESIS.tape_id,
        places=places_of(kafka, stop=stop),
        once=True,
        group=None,
        processes=processes,
    )
    began = time.perf_counter()
    code = run(
        build(plan, stop=stop, tally=tally),
        stop=stop,
        epoch_s=20,
        recovery_dir=folder / ".state",
        identity=Identity(tape_id=GENESIS.tape_id, schema_version=1, partition=0),
    )
    took_s = time.perf_counter() - began
    assert code == 0, f"the export ended with code {code}"
    rows = tally.rows.total()
    return rows / took_s, tally.size.total() / rows, rows


def in_turns(kafka: KafkaWiring) -> dict[int, list[tuple[float, float]]]:
    """(rows a second, bytes a row) of each run, by the number of processes."""
    found: dict[int, list[tuple[float, float]]] = {}
    for _ in range(RUNS):
        for processes in sorted({1, CORES}):
            with tempfile.TemporaryDirectory() as home:
                rate, size, _ = export(kafka, Path(home), processes)
            found.setdefault(processes, []).append((rate, size))
    return found


CASES: dict[str, tuple[str, int, Callable[[int], Record]]] = {
    "LeaderFills (flat)": ("tape", 2_000_000, fill),
    "BookEpoch (short, flat)": ("tape", 2_000_000, book_epoch),
    "OrderHeld (a map, an envelope)": ("journal", 800_000, held),
    "Depth (20 + 20 levels)": ("tape", 600_000, depth),
}


def main() -> None:
    spare_collector()
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    with broker() as bootstrap:
        for name, (topic, most, make) in CASES.items():
            count = round(most * scale)
            kafka = KafkaWiring(bootstrap=bootstrap, prefix=f"b{uuid.uuid4().hex[:6]}.")
            apply(bootstrap, prefix=kafka.prefix)
            produce(kafka, topic, map(make, range(count)))
            bare = bare_loop(kafka, topic, count)
            print(f"{name}: {count:,} rows; bare consume and decode {bare:,.0f} rows/s")
            for processes, runs in in_turns(kafka).items():
                rates = [rate for rate, _ in runs]
                print(
                    f"    {processes} process(es) {median(rates):>10,.0f} rows/s (median of {RUNS};"
                    f" worst {min(rates):,.0f}, best {max(rates):,.0f}), {runs[0][1]:.0f} B each"
                )
            AdminClient(admin_config(bootstrap)).delete_topics([kafka.prefix + topic])


if __name__ == "__main__":
    main()
