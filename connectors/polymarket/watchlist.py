"""Following the watch topic: what the decisions want to see, from its beginning, for ever.

Compacted: the newest record of a key counts. A wallet's record is dated by the broker; that moment
is when it began to matter, and no read needs to reach further back.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from connectors.kafka.consumer import BEGINNING, PartitionReader, Row
from schemas import codec
from schemas.records.journal import Cursor, Watch

LOG = logging.getLogger(__name__)
READ_MAX = 500
READ_WAIT_S = 0.2

OnWatch = Callable[[Watch, int], None]
"""A watch record and when it was written, in epoch ms."""


async def follow_watch(
    config: Mapping[str, Any], topic: str, partition: int, on_watch: OnWatch
) -> None:
    """Hand over every record of the topic in order; raises on one that is no Watch."""
    place = (topic, partition)
    reader = await asyncio.to_thread(
        PartitionReader, config, {place: BEGINNING}, name="connector-watch"
    )
    try:
        while True:
            for row in await asyncio.to_thread(reader.read, READ_MAX, READ_WAIT_S):
                take(row, on_watch)
    finally:
        reader.close()


def take(row: Row, on_watch: OnWatch) -> None:
    """One row; an empty one is a deletion by compaction and says nothing."""
    if not row.value:
        return
    _, record = codec.unseal(row.value)
    if not isinstance(record, Watch):
        raise codec.UndecodableRecord(
            f"{row.topic}/{row.partition} offset {row.offset} holds {type(record).__name__}, "
            "not Watch"
        )
    on_watch(record, row.timestamp_ms)


def read_cursors(
    config: Mapping[str, Any], topic: str, feeds: frozenset[str]
) -> dict[tuple[str, str], int]:
    """Newest cursor of each (feed, subject) of these feeds; read once, at the start."""
    place = (topic, 0)
    found: dict[tuple[str, str], int] = {}
    with PartitionReader(config, {place: BEGINNING}, name="connector-cursors") as reader:
        for rows in reader.read_to(reader.end_offsets()):
            for row in rows:
                record = codec.decode(row.value) if row.value else None
                if isinstance(record, Cursor) and record.feed in feeds:
                    found[record.feed, record.subject] = record.upto_ms
    LOG.info("cursors=read count=%d", len(found))
    return found
