"""Between Kafka and the sink: reads the tape into the mirror and orders into work, writes records.

Thin drivers only. A reader blocks in a thread of its own; what it brings is folded in the event
loop. Offsets on `orders` are committed by hand, with the tape offset to begin at in their metadata.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from connectors.execution.intake import Backlog, Intake, Position
from connectors.execution.kafka_threads import Threaded
from connectors.execution.mirror import Mirror
from connectors.kafka.consumer import PartitionReader, Place, Row
from connectors.kafka.offsets import Committed, GroupOffsets
from connectors.kafka.producer import Producer
from schemas.codec import UndecodableRecord, decode, encode, headers, unseal
from schemas.records.base import Record
from schemas.records.journal import OrderRequested

log = logging.getLogger("truecopy.execution")

READ_MAX: Final = 1_000
READ_WAIT_S: Final = 0.05
COMMIT_EVERY_S: Final = 0.2
OPEN_MAX: Final = 5_000
"""Orders taken up at a time; the flow has one working order per token, so this is never reached."""


BEGINNING: Final = Position(offset=0, n=0, tape=0)


class _Note(msgspec.Struct, frozen=True):
    """Metadata of a commit on orders; tape_id: the tape whose orders these were."""

    n: int
    tape: int
    tape_id: str = ""


def position_of(committed: Committed | None, tape_id: str) -> Position:
    """Where to begin: the committed position, or the beginning of both topics.

    A position of another tape (topics made anew under the same names) or without a readable note
    is none of ours: by it orders would be skipped. From the beginning none is, whatever was done:
    an order that was signed is found signed on the tape, one that is too old expires.
    """
    if committed is None:
        return BEGINNING
    try:
        note = msgspec.json.decode(committed.metadata.encode(), type=_Note)
    except msgspec.DecodeError:
        note = None
    if note is None or note.tape_id != tape_id:
        found = "no note" if note is None else f"tape {note.tape_id!r}"
        log.warning(
            "orders_position=%d state=not_ours has=%r tape=%r action='read from the beginning'",
            committed.offset,
            found,
            tape_id,
        )
        return BEGINNING
    return Position(offset=committed.offset, n=note.n, tape=note.tape)


def unseen(_row: Row) -> None:
    """Where nobody looks at records that are not folded."""


class TapeWriter:
    """Appends records to one tape partition and returns their offsets."""

    def __init__(self, producer: Producer, place: Place) -> None:
        self._producer = producer
        self._place = place

    async def append(self, record: Record) -> int:
        """The offset, once every replica has the record."""
        topic, partition = self._place
        key = str(getattr(record, "intent", "") or getattr(record, "account", "")).encode()
        return await self._producer.append_acknowledged(
            topic, encode(record), key=key or None, partition=partition, headers=headers(record)
        )


class TapeFeed:
    """Reads one tape partition into a mirror, decoding only the kinds that matter.

    Its thread hands over when there is something to fold or somebody waits for an offset: most
    records are neither, and a hand-over costs 0.16 ms of processor time. rows_s: monotonic time
    when it last brought a record; Ticks come ten times a second. on_rows is called before rows are
    folded: what this process appended has been acknowledged when it is read. glance is shown every
    record, in the reader's thread. now_s is that clock.
    """

    def __init__(
        self,
        reader: Threaded[PartitionReader],
        place: Place,
        mirror: Mirror,
        kinds: frozenset[str],
        *,
        on_rows: Callable[[], None] = lambda: None,
        glance: Callable[[Row], None] = unseen,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._on_rows = on_rows
        self._glance = glance
        self._now_s = now_s
        self._place = place
        self._mirror = mirror
        self._kinds = {kind.encode() for kind in kinds}
        self.rows_s: float | None = None

    async def catch_up(self) -> None:
        """Read to the end as it is now; nothing may be decided before."""
        end = (await self._reader.call(PartitionReader.end_offsets))[self._place]
        while self._mirror.position < end:
            await self._turn()

    async def follow(self) -> None:
        """Read on for ever."""
        while True:
            await self._turn()

    async def _turn(self) -> None:
        rows, position = await self._reader.call(self._read)
        if rows:
            self._on_rows()
        self._mirror.take([(row.offset, decode(row.value)) for row in rows], position)

    def _read(self, reader: PartitionReader) -> tuple[list[Row], int]:
        """In its thread: the rows that are to be folded, and the offset read up to."""
        deadline = self._now_s() + READ_WAIT_S
        while True:
            rows = reader.read(READ_MAX, max(deadline - self._now_s(), 0.0))
            position = reader.position[self._place]
            if rows:
                self.rows_s = self._now_s()
            for row in rows:
                self._glance(row)
            wanted = [row for row in rows if self._wants(row)]
            # A reader that has nothing has waited already.
            if wanted or not rows or self._now_s() >= deadline:
                return wanted, position
            if self._mirror.passes(position):
                return [], position

    def _wants(self, row: Row) -> bool:
        """By header; a record without one was not written by us, and is looked at."""
        kind = row.headers.get("kind")
        return kind is None or kind in self._kinds


class OrdersFeed:
    """Takes orders by number and hands each new one on.

    on_end is called whenever all has been taken that stood there at the beginning.
    """

    def __init__(
        self,
        reader: Threaded[PartitionReader],
        start: Position,
        backlog: Backlog,
        take: Callable[[OrderRequested], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader = reader
        self._intake = Intake(start.n)
        self._backlog = backlog
        self._take = take
        self._on_end = on_end

    async def follow(self) -> None:
        """Read on for ever. Raises OrdersDiverged or UndecodableRecord."""
        ends = await self._reader.call(PartitionReader.end_offsets)
        while True:
            if len(self._backlog) >= OPEN_MAX:
                await asyncio.sleep(READ_WAIT_S)
                continue
            rows, position = await self._reader.call(self._read)
            for row in rows:
                self._one(row)
                # Many orders may come of one Tick: each begins in a turn of its own, so that the
                # first is on its way while the last is still to be signed.
                await asyncio.sleep(0)
            if all(position[place] >= end for place, end in ends.items()):
                self._on_end()

    def _read(self, reader: PartitionReader) -> tuple[list[Row], dict[Place, int]]:
        return reader.read(READ_MAX, READ_WAIT_S), reader.position

    def _one(self, row: Row) -> None:
        where = f"{row.topic}/{row.partition}@{row.offset}"
        envelope, event = unseal(row.value)
        if not isinstance(event, OrderRequested):
            raise UndecodableRecord(f"{where}: {type(event).__name__} is no order")
        if self._intake.admit(envelope.n, row.value, where):
            self._backlog.add(event.intent, offset=row.offset, n=envelope.n, cause=envelope.cause)
            self._take(event)


class Commits:
    """Keeps the committed position on orders at the oldest open order."""

    def __init__(
        self,
        offsets: Threaded[GroupOffsets],
        place: Place,
        backlog: Backlog,
        mirror: Mirror,
        tape_id: str,
    ) -> None:
        self._tape_id = tape_id
        self._offsets = offsets
        self._place = place
        self._backlog = backlog
        self._mirror = mirror
        self._written = backlog.position()

    async def for_ever(self) -> None:
        """Commit whenever the position has moved."""
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self.once()

    async def once(self) -> None:
        """Write the position down if it has moved."""
        position = self._backlog.position()
        if position == self._written:
            return
        note = msgspec.json.encode(_Note(position.n, position.tape, self._tape_id)).decode()
        topic, partition = self._place
        await self._offsets.call(lambda o: o.commit(topic, partition, position.offset, note))
        self._written = position
        self._mirror.ledger.forget_before(position.tape)
