"""A fresh run of the dataflow over a recorded tape, into topics of another prefix.

`python replay_flow.py BOOTSTRAP PREFIX OUTPUT_PREFIX UNTIL`; appends nothing to the tape.
"""

import sys
import threading

from flows.copytrade import build, hub_of
from flows.core import RULES
from flows.engine.fence import Fence
from flows.engine.launch import run
from schemas.wiring import KafkaWiring, Wiring


def main(bootstrap: str, prefix: str, output_prefix: str, until: str) -> int:
    wiring = Wiring(kafka=KafkaWiring(bootstrap=bootstrap, prefix=prefix))
    stop = threading.Event()
    flow = build(
        wiring,
        hub=hub_of(wiring, stop),
        fence=Fence.read_only(rules=RULES),
        until=int(until),
        output_prefix=output_prefix,
    )
    return run(flow, stop=stop, epoch_s=1.0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
