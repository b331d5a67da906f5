"""What a process must know of its tape before it writes there: that it has begun.

Offset 0 is Genesis and belongs to `truecopy policy apply`: a tape that begins with anything else
can never be folded. Blocking calls for a thread; `stop` ends them.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Any

from connectors.kafka.consumer import BEGINNING, PartitionReader, Place, WaitEnded

LOG = logging.getLogger(__name__)
LOOK_S = 0.2


def tape_began_ms(config: Mapping[str, Any], place: Place, stop: threading.Event) -> int:
    """When the tape's oldest record was written; an empty tape is waited for.

    Raises WaitEnded once stop is set.
    """
    with PartitionReader(config, {place: BEGINNING}, name="tape-began", stop=stop) as reader:
        said = False
        while not stop.is_set():
            if rows := reader.read(1, LOOK_S):
                return rows[0].timestamp_ms
            if not said:
                LOG.warning("tape=%s/%d state=empty fix='truecopy policy apply'", *place)
                said = True
    raise WaitEnded("stopped while waiting for the tape to begin")
