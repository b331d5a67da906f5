"""Contiguous offsets: the check that a step's state and its input belong together.

Part of each stateful step's state. Bytewax can hand back state that is ahead of its source (rows
of an uncommitted epoch survive a crash, and the next execution reuses the epoch number); the purge
in recovery.py removes the cause, this check stops whatever it missed. A tape is neither compacted
nor transactional, so its offsets have no holes of their own. Never repairs, never skips.
"""

from flows.engine.errors import TapeGap, TapeRepeat


class Contiguity:
    """The offset a step must be given next; that number is all of its state."""

    __slots__ = ("next_offset",)

    def __init__(self, next_offset: int = 0) -> None:
        self.next_offset = next_offset

    def admit_all(self, offsets: list[int]) -> None:
        """Take a batch, each as `admit` does; one comparison where all is well."""
        due = self.next_offset
        if offsets == list(range(due, due + len(offsets))):
            self.next_offset = due + len(offsets)
            return
        for offset in offsets:
            self.admit(offset)

    def admit(self, offset: int) -> None:
        """Take the next offset; raises TapeGap or TapeRepeat, naming both, for any other."""
        if offset == self.next_offset:
            self.next_offset = offset + 1
            return
        said = f"tape offset {offset} came where {self.next_offset} was due"
        if offset > self.next_offset:
            raise TapeGap(f"{said}: {offset - self.next_offset} records are missing")
        raise TapeRepeat(f"{said}: it was taken before")
