"""What a process must know of its tape before it writes there: that it has begun, and whose it is.

Offset 0 is Genesis and belongs to `truecopy policy apply`: a tape that begins with anything else
can never be folded. Paper and real fills never share a tape: the process that first played an
account on it says which of the two it holds. Blocking calls for a thread; `stop` ends them.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Any

from connectors.kafka.consumer import BEGINNING, PartitionReader, Place, Row, WaitEnded
from schemas import codec
from schemas.records.system import ConnectorStarted, Genesis

LOG = logging.getLogger(__name__)
LOOK_S = 0.2


def tape_began_ms(config: Mapping[str, Any], place: Place, stop: threading.Event) -> int:
    """When the tape's oldest record was written; an empty tape is waited for.

    Raises WaitEnded once stop is set.
    """
    return _oldest(config, place, stop).timestamp_ms


def tape_id(config: Mapping[str, Any], place: Place, stop: threading.Event) -> str:
    """Which tape this is, by the Genesis it begins with; '' if it begins with something else.

    An empty tape is waited for. Raises WaitEnded once stop is set.
    """
    record = codec.decode(_oldest(config, place, stop).value)
    return record.tape_id if isinstance(record, Genesis) else ""


def _oldest(config: Mapping[str, Any], place: Place, stop: threading.Event) -> Row:
    with PartitionReader(config, {place: BEGINNING}, name="tape-began", stop=stop) as reader:
        said = False
        while not stop.is_set():
            if rows := reader.read(1, LOOK_S):
                return rows[0]
            if not said:
                LOG.warning("tape=%s/%d state=empty fix='truecopy policy apply'", *place)
                said = True
    raise WaitEnded("stopped while waiting for the tape to begin")


def other_fills(
    config: Mapping[str, Any], place: Place, stop: threading.Event, *, live: bool
) -> str:
    """Why fills of this kind, real (live) or paper, may not stand on this tape; '' if they may."""
    role = _account_role(config, place, stop)
    if role is None or (role == "account") == live:
        return ""
    has, wants = ("live", "paper") if role == "account" else ("paper", "live")
    return (
        f"the tape {place[0]}/{place[1]} has {has} fills, which would count as {wants} ones; "
        "use another kafka.prefix and flow.recovery_dir"
    )


def _account_role(config: Mapping[str, Any], place: Place, stop: threading.Event) -> str | None:
    """Who began to play an account first. He began with the tape: few records are read."""
    with PartitionReader(config, {place: BEGINNING}, name="tape-role", stop=stop) as reader:
        for rows in reader.read_to(reader.end_offsets()):
            for row in rows:
                if row.headers.get("kind") == b"ConnectorStarted":
                    record = codec.decode(row.value)
                    assert isinstance(record, ConnectorStarted), "the header says what it is"
                    if record.role != "public":
                        return record.role
    return None
