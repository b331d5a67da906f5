"""Which records of the orders topic are new: the next number only. Pure.

A woken zombie of the flow can only repeat what its successor wrote too (design 2), so an identical
repeat is passed over and counted; a repeat that differs, or a hole in the numbers, stops the sink.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

from schemas.records.base import Intent

REMEMBERED_MAX = 10_000
"""Numbers whose bytes are remembered for comparison; older repeats are passed over all the same."""


class OrdersDiverged(RuntimeError):
    """The orders topic contradicts itself; nothing may be sent until an operator has looked."""


class Intake:
    """Admits each number once, in order."""

    def __init__(self, next_n: int | None) -> None:
        self.next_n = next_n
        self.repeats = 0
        self._digests: OrderedDict[int, bytes] = OrderedDict()

    def admit(self, n: int, value: bytes, where: str) -> bool:
        """Whether this record is the next one. Raises OrdersDiverged."""
        digest = sha256(value).digest()
        if self.next_n is None or n == self.next_n:
            self.next_n = n + 1
            self._remember(n, digest)
            return True
        if n > self.next_n:
            raise OrdersDiverged(f"{where}: number {n} where {self.next_n} was due: a hole")
        if self._digests.get(n, digest) != digest:
            raise OrdersDiverged(f"{where}: number {n} stands twice with different bytes")
        self.repeats += 1
        return False

    def _remember(self, n: int, digest: bytes) -> None:
        self._digests[n] = digest
        if len(self._digests) > REMEMBERED_MAX:
            self._digests.popitem(last=False)


@dataclass(slots=True)
class _Entry:
    offset: int
    n: int
    cause: int
    done: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """Where a restart begins: next record and number on orders, and the tape offset to read from.

    No record of an open intent stands on the tape before its cause, and causes never fall along
    the orders topic; so the cause of the oldest open intent is a safe place to begin.
    """

    offset: int
    n: int
    tape: int


class Backlog:
    """Orders taken up and not finished, in the order of their numbers."""

    def __init__(self, start: Position) -> None:
        self._next = start
        self._open: OrderedDict[Intent, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, intent: Intent, *, offset: int, n: int, cause: int) -> None:
        """An order was taken up. Raises OrdersDiverged if its intent is open already."""
        if intent in self._open:
            raise OrdersDiverged(f"orders: intent {intent} stands under two numbers")
        self._open[intent] = _Entry(offset, n, cause)
        self._next = Position(offset + 1, n + 1, cause)

    def finish(self, intent: Intent) -> None:
        """Nothing is left to do about it."""
        self._open[intent].done = True
        while self._open and next(iter(self._open.values())).done:
            self._open.popitem(last=False)

    def position(self) -> Position:
        """What to commit now."""
        oldest = next(iter(self._open.values()), None)
        return self._next if oldest is None else Position(oldest.offset, oldest.n, oldest.cause)
