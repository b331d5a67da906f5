"""May a flow go on from here? The watermarks of a partition against the snapshot; pure.

A fold that starts on a log whose beginning is gone would forget what came before, and a snapshot
past a log's end belongs to another log or the broker lost records. Neither is ever repaired here.
"""

from flows.engine.errors import StartRefused

REBUILD = "Run `truecopy rebuild`"


def first_offset(
    resumed: int | None, *, low: int, end: int, where: str, compacted: bool = False
) -> int:
    """The offset to read from; raises StartRefused if what lies behind it is not whole.

    low and end: the partition's watermarks. where: topic and partition, for the message.
    compacted: holes belong to such a topic, only its end is checked.
    """
    if resumed is None:
        if low != 0 and not compacted:
            raise StartRefused(
                f"{where} begins at offset {low}, not at 0, and there is no snapshot: a start from "
                f"there would forget what came before. {REBUILD}"
            )
        return low
    if resumed < low and not compacted:
        raise StartRefused(
            f"the snapshot goes on at offset {resumed} of {where}, which now begins at {low}: "
            f"{low - resumed} records are gone. {REBUILD}"
        )
    if resumed > end:
        raise StartRefused(
            f"the snapshot goes on at offset {resumed} of {where}, which ends at {end}: the broker "
            f"lost records, or this is another log. {REBUILD}"
        )
    return max(resumed, low)
