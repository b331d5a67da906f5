"""What a starting account connector must know from Kafka: when the tape began, how far it had read.

Nothing before the tape's first record is a fill of this tape, so a lost cursor costs a read from
there and never a fill. A tape without a beginning is waited for: appended to, it would begin with
something that is no Genesis. Blocking calls for a thread; `stop` ends them.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.kafka.consumer import BEGINNING, PartitionReader
from connectors.kafka.tape import other_fills, tape_began_ms
from schemas import codec
from schemas.records.journal import Cursor
from schemas.settings import SettingsError
from schemas.wiring import KafkaWiring

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """tape_ms: when the first record of the shard's tape was written. upto_ms: cursors by feed."""

    tape_ms: int
    upto_ms: Mapping[str, int]


def begun(
    config: Mapping[str, Any], kafka: KafkaWiring, subject: str, stop: threading.Event
) -> Begun:
    """Both, from Kafka. Raises SettingsError on a tape of paper fills, WaitEnded once stopped."""
    tape = (kafka.prefix + "tape", kafka.shard)
    tape_ms = tape_began_ms(config, tape, stop)
    if refused := other_fills(config, tape, stop, live=True):
        raise SettingsError(f"{refused}. See RUNBOOK.md#live-refused")
    upto_ms = _cursors(config, (kafka.prefix + "cursors", 0), subject, stop)
    LOG.info("tape_began_ms=%d cursors_ms=%s", tape_ms, upto_ms)
    return Begun(tape_ms=tape_ms, upto_ms=upto_ms)


def _cursors(
    config: Mapping[str, Any], place: tuple[str, int], subject: str, stop: threading.Event
) -> dict[str, int]:
    """Newest cursor of each of the subject's feeds; a deleted one is none."""
    ours = f":{subject}"
    newest: dict[str, bytes] = {}
    with PartitionReader(config, {place: BEGINNING}, name="account-cursor", stop=stop) as reader:
        for rows in reader.read_to(reader.end_offsets()):
            for row in rows:
                key = (row.key or b"").decode()
                if key.endswith(ours):
                    newest[key.removesuffix(ours)] = row.value
    return {feed: _upto_ms(place, value) for feed, value in newest.items() if value}


def _upto_ms(place: tuple[str, int], value: bytes) -> int:
    record = codec.decode(value)
    assert isinstance(record, Cursor), f"{place[0]} holds {type(record).__name__}, not Cursor"
    return record.upto_ms
