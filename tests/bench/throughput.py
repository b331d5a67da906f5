"""Backlog throughput: the flow process, and what it is compared with, over the same tape.

The flow is the real process with recovery on, and its rate is read off its own journal: records
between the causes of the first and the last event over the time between their stamps, so its start
is not in it. Its journal must be as long as the pure fold's and end with the same bytes. Runs take
turns, so that a machine that slows down slows all of them.
"""

import tempfile
from pathlib import Path

from figures import BenchFailed, Figure
from scene import Shape
from stand import count, measured, put, running, save, settings, shard, wait_for
from tape import Tape, made

from infra.tape import rows_now
from schemas import codec
from schemas.wiring import KafkaWiring

PART = "throughput"
FLOW, BARE, IDIOM, STEPS = "flow", "bare loop", "stock idiom", "steps in memory"
FOLD, REPLAY = "fold", "replay"
QUARTER, TIMES_THE_IDIOM = 0.25, 20


def measure(bootstrap: str, *, shape: Shape, runs: int) -> list[Figure]:
    """All figures of the part."""
    tape = made(shape)
    rates: dict[str, list[float]] = {}

    def note(name: str, per_s: float) -> None:
        rates.setdefault(name, []).append(per_s)

    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "tape.jsonl"
        save(tape, file)
        for _ in range(runs):
            with shard(bootstrap) as kafka:
                put(kafka, tape.records)
                where = {"bootstrap": bootstrap, "topic": f"{kafka.prefix}tape"}
                whole = len(tape.records)
                note(BARE, measured("bare", **where, records=whole)["per_s"])
                note(FLOW, flow_rate(kafka, tape))
                again = measured("replay", **where, opening=tape.opening, records=whole)
                note(REPLAY, again["per_s"])
            alone = measured("steps", file=str(file), opening=tape.opening)
            note(STEPS, alone["per_s"])
            note(FOLD, alone["fold_per_s"])
            note(IDIOM, idiom_rate(bootstrap, tape))
    return _figures(rates)


def _figures(rates: dict[str, list[float]]) -> list[Figure]:
    def rate(name: str, label: str) -> Figure:
        return Figure(part=PART, name=label, unit="records/s", runs=tuple(rates[name]))

    def against(name: str, other: str, aim_least: float | None = None) -> Figure:
        pairs = tuple(a / b for a, b in zip(rates[name], rates[other], strict=True))
        label = f"{name} against the {other}"
        return Figure(part=PART, name=label, unit="x", runs=pairs, aim_least=aim_least)

    return [
        rate(FLOW, "flow process, tape to journal and orders"),
        rate(BARE, "bare loop: consume and decode"),
        rate(IDIOM, "stock idiom: KafkaSource, fold_window, join, KafkaSink"),
        rate(STEPS, "the flow's steps in memory, decoding included"),
        rate(FOLD, "the flow's steps in memory, records decoded"),
        rate(REPLAY, "replay: the fold over the tape, read from Kafka"),
        against(FLOW, BARE, QUARTER),
        against(FLOW, IDIOM, TIMES_THE_IDIOM),
        against(FLOW, STEPS),
    ]


def flow_rate(kafka: KafkaWiring, tape: Tape) -> float:
    """Records a second of the flow process over the mix; checks what it wrote."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        config = settings(kafka, folder)
        with running("flow", folder, config, "flow") as flow:
            wait_for(
                f"{tape.journal} journal records",
                lambda: count(kafka, "journal") >= tape.journal,
                flow,
            )
    return journal_rate(kafka, tape)


def journal_rate(kafka: KafkaWiring, tape: Tape) -> float:
    """The rate that the journal's own stamps tell."""
    rows = list(rows_now(kafka, "journal", kafka.shard))
    if len(rows) != tape.journal or rows[-1].value != tape.last:
        raise BenchFailed(f"the flow wrote {len(rows)} events, the pure fold {tape.journal} others")
    causes = [codec.unseal(row.value)[0].cause for row in rows]
    mixed = [place for place, cause in enumerate(causes) if cause >= tape.opening]
    first, last = mixed[0], mixed[-1]
    took_ms = rows[last].timestamp_ms - rows[first].timestamp_ms
    return (causes[last] - causes[first]) / (max(took_ms, 1) / 1_000)


def idiom_rate(bootstrap: str, tape: Tape) -> float:
    """Records a second of the stock idiom."""
    with shard(bootstrap) as kafka:
        put(kafka, tape.records)
        found = measured(
            "idiom",
            bootstrap=bootstrap,
            topic=f"{kafka.prefix}tape",
            output=f"{kafka.prefix}orders",
            records=len(tape.records),
        )
        if not count(kafka, "orders"):
            raise BenchFailed("the stock idiom wrote no order: it was not measured at work")
    return found["per_s"]
