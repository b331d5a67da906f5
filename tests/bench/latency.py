"""Record appended -> order on the topic, at 1,000 records a second, recovery on, by the real flow.

A pacer process appends the mix; the record that causes an order (a Tick closes its netting window)
is stamped as it is appended, the order as a consumer receives it. So the window's own waiting is
not in it, everything else is: both producers, the broker twice, the flow, its snapshots.
"""

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import Consumer, TopicPartition
from figures import BenchFailed, Figure
from scene import Shape
from stand import count, measured, put, running, settings, shard, wait_for
from tape import Tape, made

from connectors.kafka.config import consumer_config
from schemas import codec
from schemas.wiring import KafkaWiring

PART = "latency"
WAY = "record appended -> order on its topic"
NS_PER_MS = 1_000_000
PARTS = 3
PACE_LEAST = 0.95
P50_AIM_MS, P99_AIM_MS = 1.5, 8.0


class Arrivals:
    """Orders as they come, each with the tape offset that caused it and when it was here."""

    def __init__(self, kafka: KafkaWiring) -> None:
        self.came: list[tuple[int, int]] = []
        self._consumer = Consumer(consumer_config(kafka.bootstrap))
        self._consumer.assign([TopicPartition(f"{kafka.prefix}orders", kafka.shard, 0)])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="arrivals")

    def _read(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            now_ns, value = time.time_ns(), message.value()
            assert value is not None, "an order is never empty"
            self.came.append((codec.unseal(value)[0].cause, now_ns))

    def __enter__(self) -> "Arrivals":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close()


def measure(bootstrap: str, *, shape: Shape, per_s: int) -> list[Figure]:
    """p50, p99 and the worst, and the spread of each over thirds of the run."""
    tape = made(shape)
    with TemporaryDirectory() as home, shard(bootstrap) as kafka:
        took = orders_ms(kafka, tape, Path(home), per_s)
    parts = [
        [ms for offset, ms in took if offset * PARTS // len(tape.records) == part]
        for part in range(PARTS)
    ]
    parts = [part for part in parts if part]
    if not parts:
        raise BenchFailed("no order was made: nothing was measured")
    told = f"{len(took)} orders"
    return [
        quantile_figure(PART, f"{WAY}, p50", parts, 0.5, told, P50_AIM_MS),
        quantile_figure(PART, f"{WAY}, p99", parts, 0.99, told, P99_AIM_MS),
        quantile_figure(PART, f"{WAY}, max", parts, 1.0, told),
    ]


def quantile_figure(
    part: str,
    name: str,
    runs: list[list[float]],
    share: float,
    told: str,
    aim_most: float | None = None,
) -> Figure:
    """A quantile in ms, of each run."""
    values = tuple(quantile(run, share) for run in runs)
    return Figure(part=part, name=name, unit="ms", runs=values, aim_most=aim_most, ratio=told)


def quantile(values: list[float], share: float) -> float:
    """By nearest rank."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, round(share * (len(ranked) - 1)))]


def orders_ms(kafka: KafkaWiring, tape: Tape, folder: Path, per_s: int) -> list[tuple[int, float]]:
    """Cause's offset and milliseconds of every order of the mix, appended at this rate."""
    mix, stamps = folder / "mix.jsonl", folder / "stamps"
    mix.write_bytes(b"\n".join(codec.encode(record) for record in tape.records[tape.opening :]))
    put(kafka, tape.records[: tape.opening - 1])
    with running("flow", folder, settings(kafka, folder), "flow") as flow, Arrivals(kafka) as here:
        # Its FlowStarted takes the place that the tape keeps for it, so every intent will fit.
        wait_for("FlowStarted", lambda: count(kafka, "tape") == tape.opening, flow)
        topic = f"{kafka.prefix}tape"
        paced = measured(
            "pace",
            bootstrap=kafka.bootstrap,
            topic=topic,
            file=str(mix),
            stamps=str(stamps),
            per_s=per_s,
        )
        wait_for(f"{tape.orders} orders", lambda: len(here.came) == tape.orders, flow)
    if paced["per_s"] < PACE_LEAST * per_s:
        raise BenchFailed(f"paced {paced['per_s']:.0f} records a second, not {per_s}: too busy")
    appended = [int(line) for line in stamps.read_text().splitlines()]
    return [
        (offset, (came_ns - appended[offset - tape.opening]) / NS_PER_MS)
        for offset, came_ns in here.came
    ]
