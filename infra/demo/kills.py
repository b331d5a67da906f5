"""SIGKILLs during a demo: the dataflow three times, execution twice, once in the worst moment.

The worst moment is between OrderSigned on the tape and its answer: the watcher reads the tape as
it grows and kills execution as soon as it sees a signature that has no answer yet.
"""

import time

from infra.demo.judge import Verdict
from infra.demo.stage import Stage
from infra.tape import open_reader
from schemas import codec
from schemas.records.own import OrderAnswered, OrderSigned

FLOW_KILLS_AT = (0.35, 0.5, 0.65)
"""When the dataflow dies, as shares of the run."""
EXECUTION_KILL_AT = 0.45
SIGNED_KILL_FROM = 0.3
READ_MAX = 500
SPIN_S = 0.05


class Kills:
    """Looked at often; kills what is due and says what it did."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._began = time.monotonic()
        self._flow_due = list(FLOW_KILLS_AT)
        self._execution_due = True
        self._signed_due = True
        self.done: list[str] = []

    def look(self) -> None:
        """Kill what is due now."""
        part = (time.monotonic() - self._began) / self._stage.options.seconds
        if self._flow_due and part >= self._flow_due[0]:
            self._flow_due.pop(0)
            self._kill("flow", f"at {part:.0%}")
        if self._execution_due and part >= EXECUTION_KILL_AT:
            self._execution_due = False
            self._kill("execution", f"at {part:.0%}")
        if self._signed_due and part >= SIGNED_KILL_FROM and between_signed_and_answer(self._stage):
            self._signed_due = False
            self._kill("execution", "between OrderSigned and its answer")

    def verdict(self) -> Verdict:
        """Whether every kill took place: a run that was spared proves nothing."""
        spared = bool(self._flow_due) or self._execution_due or self._signed_due
        return Verdict("killed as asked", not spared, "; ".join(self.done))

    def _kill(self, name: str, when: str) -> None:
        self._stage.kill_and_restart(name)
        self.done.append(f"{name} killed {when}")


def between_signed_and_answer(stage: Stage) -> bool:
    """Watch the tape's end for a moment; true as soon as a signature lacks its answer."""
    kafka = stage.settings.wiring.kafka
    reader = open_reader(kafka, "tape", offset=0, partition=kafka.shard)
    _, end = reader.watermarks(f"{kafka.prefix}tape", kafka.shard)
    reader.close()
    reader = open_reader(kafka, "tape", offset=end, partition=kafka.shard)
    try:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            kinds = []
            for row in reader.read(READ_MAX, SPIN_S):
                record = codec.decode(row.value)
                if isinstance(record, OrderSigned):
                    kinds.append(record.intent)
                elif isinstance(record, OrderAnswered) and record.intent in kinds:
                    kinds.remove(record.intent)
            if kinds:
                return True
        return False
    finally:
        reader.close()
