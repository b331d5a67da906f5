"""What the execution process says of itself: conditions of readiness, counts of what it sent.

Reads what others keep (mirror, ledger, stop file) and changes nothing. A stop file makes the
process not ready, and leaves it healthy: it does what it was told.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from connectors.execution.mirror import Mirror
from connectors.kafka.producer import Producer
from connectors.telemetry.clients import export_producer
from connectors.telemetry.health import BEAT_S
from connectors.telemetry.metrics import POST_BUCKETS_S
from connectors.telemetry.server import Telemetry
from schemas.order_life import ENDED
from schemas.wiring import ExecutionWiring, KafkaWiring

log = logging.getLogger("truecopy.execution")
STOP_FILE: Final = "the stop file is there: nothing is sent"


class Said:
    """One per process. stopped: whether the stop file is there; clock_ns: the wall clock."""

    def __init__(
        self,
        wiring: ExecutionWiring,
        *,
        stopped: Callable[[], bool],
        clock_ns: Callable[[], int],
    ) -> None:
        self.telemetry = Telemetry("execution")
        self._wiring = wiring
        self._stopped = stopped
        self._clock_ns = clock_ns
        self._mirror: Mirror | None = None
        self._posts: Counter[str] = Counter()
        metrics, ready = self.telemetry.metrics, self.telemetry.readiness
        self._observe = metrics.histogram("post_seconds", POST_BUCKETS_S)
        metrics.read("posts_total", lambda: self._posts)
        metrics.read("orders_open", self.orders_open)
        metrics.read("stop_file", lambda: float(stopped()))
        metrics.read("clock_skew_seconds", self.skew_s)
        self.tape_read = ready.latch("tape", "not read to its end yet")
        self.orders_read = ready.latch("orders", "not read to their end yet")
        ready.require("clock", self.clock)
        ready.require("stop_file", lambda: STOP_FILE if stopped() else "")

    def writes(self, producer: Producer, kafka: KafkaWiring) -> None:
        """What leaves by this producer."""
        export_producer(self.telemetry, producer, kafka.prefix)

    def reads(self, mirror: Mirror, rows_s: Callable[[], float | None]) -> None:
        """What is known by the tape, and at which monotonic time that brought its last record."""
        self._mirror = mirror

        def age_s() -> float | None:
            moment_s = rows_s()
            return None if moment_s is None else time.monotonic() - moment_s

        self.telemetry.metrics.read("tape_read_age_seconds", age_s)

    def posted(self, outcome: str, took_s: float) -> None:
        """A POST was answered, or was not."""
        self._posts[outcome] += 1
        self._observe(max(took_s, 0.0))

    def orders_open(self) -> dict[str, float]:
        """Orders without an end, by state."""
        lives = list(self._mirror.ledger.lives.values()) if self._mirror is not None else []
        return dict(Counter(life.state for life in lives if life.state not in ENDED))

    def skew_s(self) -> float | None:
        """Own clock minus the newest Tick."""
        tick_ms = self._mirror.tick_ms if self._mirror is not None else None
        return None if tick_ms is None else (self._clock_ns() // 1_000_000 - tick_ms) / 1_000

    def clock(self) -> str:
        """Why nothing could be sent by the clock, '' if it could."""
        skew_s = self.skew_s()
        if skew_s is None:
            return "no Tick read yet"
        limit_s = self._wiring.clock_skew_max_ms / 1_000
        return f"{skew_s:+.3f} s from the newest Tick" if abs(skew_s) > limit_s else ""

    async def watch(self) -> None:
        """Beat for ever, and say when the stop file comes and goes."""
        was = False
        while True:
            self.telemetry.heart.beat()
            now = self._stopped()
            if now != was:
                level = logging.WARNING if now else logging.INFO
                said = ("there" if now else "gone", self._wiring.stop_file)
                log.log(level, "stop_file=%s path=%r", *said)
            was = now
            await asyncio.sleep(BEAT_S)
