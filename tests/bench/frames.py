"""Frame received -> POST sent, hop by hop, through the whole real pipeline against the sandbox.

Both connectors, the flow with recovery on, and live execution with the official client trade on a
loopback venue, while a pacer fills the tape up to 1,000 records a second with Depths of tokens that
nobody holds. Per order: the leader's fill from its frame to the tape, then, once its netting window
has closed, from the Tick that closed it to the order, the signature and the POST. The window waits
by design and is left out. Kafka stamps whole milliseconds, taken as their middle, so a single sum
is right to a millisecond and a median to less.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import msgspec
from figures import BenchFailed, Figure
from latency import NS_PER_MS, PACE_LEAST, quantile_figure
from scene import Scene, Shape
from stand import loop, resident_mb, started

from infra.demo.evidence import Evidence, gather
from infra.demo.stage import PIPELINE, Options, Stage
from schemas import codec
from schemas.records import journal, market, own
from schemas.records.base import Record
from schemas.records.leader import LeaderFills

PART = "frames"
WAY = "frame received -> POST sent"
P50_AIM_MS, P99_AIM_MS = 6.0, 20.0
BACKGROUND = "busy"
HALF_MS = 0.5
PATIENCE_S = 120
HOPS = (
    "leader's fill received -> on the tape",
    "Tick on the tape -> order on its topic",
    "order on its topic -> signed",
    "signed -> POST sent",
)


@dataclass(frozen=True, kw_only=True)
class Way:
    """One order's milliseconds, hop by hop, in the order of HOPS."""

    sent_ms: float
    hops: tuple[float, ...]

    @property
    def whole(self) -> float:
        """All of it."""
        return sum(self.hops)


class BusyStage(Stage):
    """The demo's stage with leaders that trade more often."""

    def _sandbox_arguments(self) -> list[str]:
        return [*super()._sandbox_arguments(), "--leader-rate-per-s", "8"]


def measure(bootstrap: str, *, seconds: int, per_s: int) -> list[Figure]:
    """p50, p99 and worst of the whole way, each hop's median and share, and memory on the way."""
    with TemporaryDirectory() as home:
        folder = Path(home)
        found, resident = run(bootstrap, folder, seconds, per_s)
    ways = ways_of(found)
    if not ways:
        raise BenchFailed("no order was sent: nothing was measured")
    return [*_figures(ways), *_memory(resident)]


def _figures(ways: list[Way]) -> list[Figure]:
    ways.sort(key=lambda way: way.sent_ms)
    third = max(len(ways) // 3, 1)
    runs = [ways[n : n + third] for n in range(0, third * min(3, len(ways)), third)]
    whole = [[way.whole for way in run] for run in runs]
    told, mean = f"{len(ways)} orders", fmean(way.whole for way in ways)
    figures = [
        quantile_figure(PART, f"{WAY}, p50", whole, 0.5, told, P50_AIM_MS),
        quantile_figure(PART, f"{WAY}, p99", whole, 0.99, told, P99_AIM_MS),
        quantile_figure(PART, f"{WAY}, max", whole, 1.0, told),
    ]
    for place, hop in enumerate(HOPS):
        took = [[way.hops[place] for way in run] for run in runs]
        share = fmean(way.hops[place] for way in ways) / mean
        figures.append(quantile_figure(PART, f"{hop}, p50", took, 0.5, f"{share:.0%} of the way"))
    return figures


def _memory(resident: dict[str, float]) -> list[Figure]:
    return [
        Figure(part=PART, name=f"resident memory, {name}", unit="MB", runs=(mb,))
        for name, mb in resident.items()
    ]


def run(
    bootstrap: str, folder: Path, seconds: int, per_s: int
) -> tuple[Evidence, dict[str, float]]:
    """The demo's stage on this broker with a busy tape; what it left behind, and its memory."""
    busy = folder / "busy.jsonl"
    busy.write_bytes(b"\n".join(codec.encode(record) for record in background(seconds * per_s)))
    stage = BusyStage(Options(seconds=seconds, kafka=bootstrap, rest_s=2), folder)
    try:
        stage.set_up()
        kafka = stage.settings.wiring.kafka
        pace = {
            "bootstrap": bootstrap,
            "topic": f"{kafka.prefix}tape",
            "file": str(busy),
            "stamps": str(folder / "stamps"),
            "per_s": per_s,
        }
        with started("pacer", folder, loop("pace", **pace)) as pacer:
            paced = pacer.ready(seconds + PATIENCE_S)["per_s"]
        stage.look()
        if paced < PACE_LEAST * per_s:
            raise BenchFailed(f"paced {paced:.0f} records a second, not {per_s}: too busy")
        resident = {name: resident_mb(stage.children[name]) for name in PIPELINE}
        stage.stop_pipeline()
        return gather(kafka, 0, {}, [], {}), resident
    finally:
        stage.tear_down()


def background(records: int) -> list[Record]:
    """Depths of books that nobody holds, each in a live epoch of a producer of its own."""
    scene = Scene(Shape(records=records))
    epochs = [f"{BACKGROUND}-0.{number}" for number in range(len(scene.tokens))]
    made: list[Record] = [
        market.BookEpoch(token=token, epoch=epoch, state="live", reason="snapshot")
        for token, epoch in zip(scene.tokens, epochs, strict=True)
    ]
    while len(made) < records:
        number = scene.chance.randrange(len(scene.tokens))
        made.append(msgspec.structs.replace(scene.depth(number), epoch=epochs[number]))
    return made[:records]


def ways_of(found: Evidence) -> list[Way]:
    """The way of every order that a closed window led to and that was sent at once."""
    on_tape = {
        placed.record.recv_ns: placed.timestamp_ms
        for placed in reversed(found.tape)
        if isinstance(placed.record, LeaderFills)
    }
    closed = {
        (placed.offset, placed.record.token, placed.record.last_recv_ns)
        for placed in found.events
        if isinstance(placed.record, journal.NetDelta)
    }
    signed, sent = found.first_signed(), _sent(found)
    ways = []
    for placed in found.events:
        order = placed.record
        if not isinstance(order, journal.OrderRequested) or order.signal_recv_ns is None:
            continue
        key = (placed.offset, order.token, order.signal_recv_ns)
        if key not in closed or order.intent not in sent or order.signal_recv_ns not in on_tape:
            continue
        signed_ms = signed[order.intent].signed_ns / NS_PER_MS
        sent_ms = sent[order.intent] / NS_PER_MS
        hops = (
            on_tape[order.signal_recv_ns] + HALF_MS - order.signal_recv_ns / NS_PER_MS,
            float(placed.timestamp_ms - found.tape[placed.offset].timestamp_ms),
            signed_ms - placed.timestamp_ms - HALF_MS,
            sent_ms - signed_ms,
        )
        ways.append(Way(sent_ms=sent_ms, hops=hops))
    return ways


def _sent(found: Evidence) -> dict[str, int]:
    """When each intent's first POST left."""
    first: dict[str, int] = {}
    for answer in found.on_tape(own.OrderAnswered):
        if answer.proof == "post" and answer.sent_ns:
            first.setdefault(answer.intent, answer.sent_ns)
    return first
