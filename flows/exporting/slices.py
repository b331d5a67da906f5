"""Where a file ends: a pure rule of the records in it, so that writing them again ends it there.

A *slice* is a closed range of one partition's offsets; all its files carry that range as name. A
*block* is what is converted and written at once: a row group in each file that it touches. Both end
at the first record that reaches a limit; a slice also ends when it is told to (`finish`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, TypeVar

Headers = list[tuple[str, bytes | None]]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What ends a block and a slice. Bytes are those of the values."""

    block_rows: int = 16_384
    block_bytes: int = 8 * 1024 * 1024
    slice_rows: int = 1_048_576
    slice_bytes: int = 512 * 1024 * 1024


@dataclass(kw_only=True, slots=True)
class Rows:
    """Consecutive records of one partition, column by column, exactly as Kafka holds them."""

    offsets: list[int]
    timestamps_ms: list[int]
    keys: list[bytes | None]
    headers: list[Headers | None]
    values: list[bytes | None]

    def __len__(self) -> int:
        return len(self.offsets)

    @classmethod
    def none(cls) -> "Rows":
        """No records yet."""
        return cls(offsets=[], timestamps_ms=[], keys=[], headers=[], values=[])

    def extend(self, other: "Rows") -> None:
        """Append what follows."""
        self.offsets += other.offsets
        self.timestamps_ms += other.timestamps_ms
        self.keys += other.keys
        self.headers += other.headers
        self.values += other.values

    def part(self, start: int, stop: int) -> "Rows":
        """Some of them, by position."""
        return Rows(
            offsets=self.offsets[start:stop],
            timestamps_ms=self.timestamps_ms[start:stop],
            keys=self.keys[start:stop],
            headers=self.headers[start:stop],
            values=self.values[start:stop],
        )

    def at(self, at: Sequence[int]) -> "Rows":
        """Those at these positions."""
        return Rows(
            offsets=taken(self.offsets, at),
            timestamps_ms=taken(self.timestamps_ms, at),
            keys=taken(self.keys, at),
            headers=taken(self.headers, at),
            values=taken(self.values, at),
        )

    def sizes(self) -> list[int]:
        """Bytes of each value."""
        return [0 if value is None else len(value) for value in self.values]


def taken(items: list[T], at: Sequence[int]) -> list[T]:
    """Items at these positions, which rise; all of them are given back as they are."""
    return items if len(at) == len(items) else [items[i] for i in at]


class Block(NamedTuple):
    """Rows to write at once. first: where their slice begins. last: where it ends, if it does."""

    rows: Rows
    first: int
    last: int | None


class Slicer:
    """Cuts one partition's records into blocks and slices."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pending = Rows.none()
        self._block_bytes = 0
        self._first: int | None = None
        self._rows = 0
        self._bytes = 0
        self._last = -1

    def push(self, rows: Rows) -> Iterator[Block]:
        """Take records; the blocks that are complete with them."""
        sizes, done = rows.sizes(), 0
        while done < len(rows):
            taken = self._room(sizes[done:] if done else sizes)
            part = rows if taken == len(rows) else rows.part(done, done + taken)
            self._take(part, sum(sizes[done : done + taken]))
            done += taken
            if self._slice_full():
                yield self._cut(closes=True)
            elif self._block_full():
                yield self._cut(closes=False)

    def finish(self) -> Block | None:
        """End the open slice here, whatever its size; None if there is none."""
        return None if self._first is None else self._cut(closes=True)

    def _room(self, sizes: list[int]) -> int:
        """How many records fit, the one that reaches a limit included."""
        limits = self._limits
        rows = min(limits.block_rows - len(self._pending), limits.slice_rows - self._rows)
        left = min(limits.block_bytes - self._block_bytes, limits.slice_bytes - self._bytes)
        rows = min(rows, len(sizes))
        if sum(sizes[:rows]) < left:
            return rows
        reached = accumulate(sizes)
        return next(i for i, total in enumerate(reached, 1) if total >= left or i == rows)

    def _take(self, rows: Rows, size: int) -> None:
        if self._first is None:
            self._first = rows.offsets[0]
        self._pending.extend(rows)
        self._last = rows.offsets[-1]
        self._rows += len(rows)
        self._bytes += size
        self._block_bytes += size

    def _slice_full(self) -> bool:
        return self._rows >= self._limits.slice_rows or self._bytes >= self._limits.slice_bytes

    def _block_full(self) -> bool:
        block = self._limits.block_rows, self._limits.block_bytes
        return len(self._pending) >= block[0] or self._block_bytes >= block[1]

    def _cut(self, *, closes: bool) -> Block:
        assert self._first is not None, "a slice is open"
        block = Block(self._pending, self._first, self._last if closes else None)
        self._pending, self._block_bytes = Rows.none(), 0
        if closes:
            self._first, self._rows, self._bytes = None, 0, 0
        return block
