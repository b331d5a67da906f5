"""What a running dataflow counts beside its work: events by kind, open holds, fold time.

It hears what the decoder and the journal's sink were given and changes nothing. Of journal events
only holds, alarms and summaries are decoded, and of those only the fields it needs. It starts
empty: the first Summary, each `summary_every`, tells it which holds stood before it began.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from connectors.telemetry.clients import away, export_producer
from connectors.telemetry.server import Telemetry
from flows.core.fold import Entry
from flows.engine.hub import Hub, Progress
from flows.engine.rows import OutRow
from schemas.records.system import Tick

NS = 1_000_000


class _Hold(msgspec.Struct):
    account: str
    token: str
    reason: str


class _Alarm(msgspec.Struct):
    name: str


class _Line(msgspec.Struct):
    account: str
    token: str
    hold: str | None


class _Summary(msgspec.Struct):
    positions: list[_Line]


_hold = msgspec.json.Decoder(_Hold)
_alarm = msgspec.json.Decoder(_Alarm)
_summary = msgspec.json.Decoder(_Summary)


class FlowMeter:
    """Counts of one flow process. Written by the worker's thread, read at each scrape."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._kinds: Counter[bytes] = Counter()
        self._holds: dict[tuple[str, str], str] = {}
        self.alarms: Counter[str] = Counter()
        self.fold_ms = 0

    def decoded(self, entries: Sequence[Entry]) -> None:
        """Entries on their way into the fold: the last Tick among them moves fold time."""
        for entry in reversed(entries):
            if isinstance(entry.record, Tick):
                self.fold_ms = max(self.fold_ms, entry.record.now_ms)
                return

    def journalled(self, rows: Sequence[OutRow]) -> None:
        """Rows that stand on the journal now."""
        for row in rows:
            kind = row.headers[0][1]
            self._kinds[kind] += 1
            match kind:
                case b"OrderHeld":
                    held = _hold.decode(row.value)
                    self._holds[held.account, held.token] = held.reason
                case b"HoldEnded":
                    ended = _hold.decode(row.value)
                    self._holds.pop((ended.account, ended.token), None)
                case b"Alarm":
                    self.alarms[_alarm.decode(row.value).name] += 1
                case b"Summary":
                    lines = _summary.decode(row.value).positions
                    self._holds = {(x.account, x.token): x.hold for x in lines if x.hold}

    def events(self) -> dict[str, float]:
        """Events by kind."""
        return {kind.decode(): n for kind, n in dict(self._kinds).items()}

    def holds(self) -> dict[str, float]:
        """Gaps that are held now, by reason."""
        return dict(Counter(list(self._holds.values())))

    def lag_s(self) -> float | None:
        """How far fold time is behind the clock."""
        return (self._clock_ns() // NS - self.fold_ms) / 1_000 if self.fold_ms else None


def export_flow(telemetry: Telemetry, meter: FlowMeter, hub: Hub, prefix: str) -> None:
    """All metrics and conditions of a flow process, read from its meter and its hub."""
    progress, read = hub.progress, telemetry.metrics.read
    progress.beat = telemetry.heart.beat
    export_producer(telemetry, hub.producer, prefix)
    read("tape_records_total", lambda: progress.records)
    read("tape_lag_records", lambda: max(progress.end - progress.due, 0))
    read("fold_lag_seconds", meter.lag_s)
    read("events_total", meter.events)
    read("holds", meter.holds)
    read("alarms_total", lambda: meter.alarms)
    read("drift_found_total", lambda: meter.events().get("DriftFound", 0))
    read("last_snapshot_seconds", lambda: _since(progress.snapshot_s))
    telemetry.readiness.require("caught_up", progress.behind)
    telemetry.readiness.require("kafka", lambda: waits(progress))


def _since(moment_s: float | None) -> float | None:
    return None if moment_s is None else time.monotonic() - moment_s


def waits(progress: Progress) -> str:
    """Why Kafka is waited for, '' while it is not. Nothing says it is there before it is read."""
    return away(progress.reading) if progress.reading is not None else "nothing read from it yet"
