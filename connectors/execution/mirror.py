"""The tape as this process has read it so far: ledger, newest foreign Tick, position, waiters.

State changes only by what is read from the tape, never by what was meant to be written: whoever
appends waits until the mirror has reached the record. Belongs to one event loop.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from connectors.execution.ledger import Ledger
from schemas.records.base import Intent, Record
from schemas.records.system import Tick

Observer = Callable[[int, Record], None]


class Mirror:
    """Fold of the tape up to `position`, the next offset to be read.

    own_producer: whose Ticks prove nothing about the clock, because they are our own.
    """

    def __init__(self, own_producer: str, observers: Iterable[Observer] = ()) -> None:
        self.ledger = Ledger()
        self.position = 0
        self.tick_ms: int | None = None
        self._own = own_producer
        self._observers = tuple(observers)
        self._passed = 0
        self._reach: list[tuple[int, asyncio.Future[None]]] = []
        self._moved: dict[Intent, asyncio.Event] = {}

    def take(self, rows: Iterable[tuple[int, Record]], position: int) -> None:
        """Fold these rows in; everything before `position` has now been read."""
        for offset, record in rows:
            if isinstance(record, Tick):
                if record.producer != self._own:
                    self.tick_ms = record.now_ms
                continue
            intent = self.ledger.fold(offset, record)
            if intent is not None and intent in self._moved:
                self._moved[intent].set()
            for observe in self._observers:
                observe(offset, record)
        self.position = position
        self._wake()

    def passes(self, position: int) -> bool:
        """Whether somebody waits for an offset before this one; called from the reader's thread.

        It says at the same time that all before `position` was either taken or is nothing to fold.
        It tells so before it looks who waits, and `reach` waits before it looks what was told: so
        one of the two sees the other, whichever comes first.
        """
        self._passed = position
        return any(offset < position for offset, _ in self._reach)

    async def reach(self, offset: int) -> None:
        """Return once the record at this offset has been folded."""
        if self.position > offset:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reach.append((offset, reached))
        if self._passed > offset:
            self.position = self._passed
            self._wake()
        await reached

    @contextmanager
    def news_of(self, intent: Intent) -> Iterator[asyncio.Event]:
        """An event that is set as soon as the tape says something about an intent."""
        self._moved[intent] = asyncio.Event()
        try:
            yield self._moved[intent]
        finally:
            del self._moved[intent]

    def _wake(self) -> None:
        waiting = []
        for offset, reached in self._reach:
            if self.position <= offset:
                waiting.append((offset, reached))
            elif not reached.done():
                reached.set_result(None)
        self._reach = waiting
