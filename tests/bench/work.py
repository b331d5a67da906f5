"""The loops that are timed, each in a process of its own: `python work.py NAME ARGUMENTS-AS-JSON`.

Prints one line of JSON: the figures found. Every loop counts from its first record to its last, so
neither the start of Python nor the first answer of the broker is in it.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.producer import Producer
from flows.core.fold import FoldState, fold
from flows.engine.collector import spare_collector
from infra.proof.recordings import KafkaRecording
from schemas import codec
from schemas.wiring import KafkaWiring

FIRST_S = 10.0
CONNECT_S = 1.0
BARE_BATCH = 5_000
EXPORT_BENCH = Path(__file__).resolve().parents[1] / "export"


def bare(bootstrap: str, topic: str, records: int) -> dict[str, float]:
    """Consume and decode, keep nothing: the most that this client and codec can do."""
    consumer = Consumer(consumer_config(bootstrap))
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert consumer.poll(FIRST_S) is not None, f"{topic} is empty"
    began, done = time.perf_counter(), 1
    while done < records:
        for message in consumer.consume(BARE_BATCH, 0.1):
            value = message.value()
            if message.error() is None and value is not None:  # else: the end of the partition
                codec.decode(value)
                done += 1
    took_s = time.perf_counter() - began
    consumer.close()
    return {"per_s": (done - 1) / took_s}


def steps(file: str, opening: int) -> dict[str, float]:
    """The flow's three steps over records in memory: decoded before, and decoded on the way."""
    values = Path(file).read_bytes().splitlines()
    decoded = [codec.decode(value) for value in values]
    state = FoldState()
    for offset, record in enumerate(decoded):
        if offset == opening:
            began = time.perf_counter()
        fold(state, offset, record)
    folding_s = time.perf_counter() - began
    began = time.perf_counter()
    for value in values[opening:]:
        codec.decode(value)
    decoding_s = time.perf_counter() - began
    count = len(values) - opening
    return {"fold_per_s": count / folding_s, "per_s": count / (folding_s + decoding_s)}


def replay(bootstrap: str, topic: str, opening: int, records: int) -> dict[str, float]:
    """The fold without an engine over a recorded tape, read as `truecopy replay` reads it."""
    spare_collector()
    kafka = KafkaWiring(bootstrap=bootstrap, prefix=topic.removesuffix("tape"))
    state, began = FoldState(), 0.0
    for batch in KafkaRecording(kafka).values("tape", 0, records):
        for offset, value in batch:
            if offset == opening:
                began = time.perf_counter()
            fold(state, offset, codec.decode(value))
    return {"per_s": (records - opening) / (time.perf_counter() - began)}


def idiom(bootstrap: str, topic: str, output: str, records: int) -> dict[str, float]:
    """The stock idiom to the end of the topic."""
    import idiom as stock

    return {"per_s": records / stock.run(bootstrap, topic, output)}


def pace(
    bootstrap: str, topic: str, file: str, stamps: str, per_s: int, linger_ms: int = 0
) -> dict[str, float]:
    """Append the file's records at a pace; `stamps` gets the time of each, ns, one a line."""
    values = Path(file).read_bytes().splitlines()
    headers = [codec.headers(codec.decode(value)) for value in values]
    producer = Producer(producer_config(bootstrap, linger_ms=linger_ms), name="pacer")
    # It is given its identity meanwhile, which is no latency of the pipeline's.
    time.sleep(CONNECT_S)
    took: list[int] = []
    began = time.perf_counter()
    for number, value in enumerate(values):
        due = began + number / per_s
        # Asleep, not in `poll`, which counts whole milliseconds and would spin: a core of its own.
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        producer.poll()
        took.append(time.time_ns())
        producer.append(topic, value, key=b"bench", partition=0, headers=headers[number])
    assert producer.flush(30) == 0, "the pacer's last records were not acknowledged in 30 s"
    Path(stamps).write_text("\n".join(map(str, took)))
    return {"per_s": len(values) / (time.perf_counter() - began)}


def mirroring(runs: int, tokens: int, frames: int) -> dict[str, float]:
    """What a connector does with a market frame, without a socket."""
    import mirror

    return mirror.measure(runs=runs, tokens=tokens, frames=frames)


def exporting(bootstrap: str, prefix: str, case: str, rows: int) -> dict[str, float]:
    """One kind of record to Parquet, by one process and by one a core, and the bare loop."""
    sys.path.append(str(EXPORT_BENCH))
    import bench_export as bench

    spare_collector()
    kafka = KafkaWiring(bootstrap=bootstrap, prefix=prefix)
    topic, _, make = bench.CASES[case]
    bench.produce(kafka, topic, map(make, range(rows)))
    found = {"bare": bench.bare_loop(kafka, topic, rows), "runs": float(bench.RUNS)}
    found["cores"] = float(bench.CORES)
    for processes, runs in bench.in_turns(kafka).items():
        found |= {f"{processes}_{number}": rate for number, (rate, _) in enumerate(runs)}
    return found


LOOPS: dict[str, Callable[..., dict[str, float]]] = {
    each.__name__: each for each in (bare, steps, replay, idiom, pace, mirroring, exporting)
}


def main(name: str, arguments: dict[str, Any]) -> None:
    print(json.dumps(LOOPS[name](**arguments)))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
