"""The cycle collector, in a process that only moves records: seldom, and never over old things.

Records and state hold no cycles, but it would look at each of them several times: 0.9 of 5.9 us a
row in the export, 8 % of the flow's time over a backlog, and a pause in the middle of a record.
"""

import gc


def spare_collector() -> None:
    """Call it once, when all is imported and nothing was read yet."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 20, 20)
