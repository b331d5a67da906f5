"""What could not be decoded, as `truecopy topics dead` shows it: when, which feed, why. Pure.

A record on `dead` that is itself no record of ours is shown as such: quarantine has no quarantine.
"""

import msgspec

from infra.inspect.human import masked, moment, printable, raw_shown
from infra.inspect.lines import UNDECODABLE, Item, Line, json_of, line_of, value_fields
from infra.inspect.names import Names
from schemas.records.journal import Undecodable


def dead_line(item: Item, limit: int) -> Line:
    """Offset, time of receipt, feed, and the reason with so many characters of the bytes."""
    record = item.record
    if not isinstance(record, Undecodable):
        return line_of(item, "record", Names(), partitions=1)._replace(kind=UNDECODABLE)
    return Line(
        place=str(item.row.offset),
        time=moment(record.recv_ns // 1_000_000),
        kind=printable(record.feed),
        text=f"{printable(masked(record.reason))}: {raw_shown(record.raw, limit)}",
        colour="red",
    )


def dead_json(item: Item) -> str:
    """The same as one JSON object: the bytes as `text` where they are printable, else as `hex`."""
    record = item.record
    if not isinstance(record, Undecodable):
        return json_of(item, "record")
    said: dict[str, object] = {
        "offset": item.row.offset,
        "partition": item.row.partition,
        "feed": record.feed,
        "reason": record.reason,
        "recv_ns": record.recv_ns,
        **value_fields(record.raw),
    }
    return masked(msgspec.json.encode(said).decode())
