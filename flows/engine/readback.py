"""What already stands behind a snapshot, compared with what a resumed flow writes again.

Pure: rows come in as an iterator, verdicts go out. It reads a partition as every reader does: the
next number counts, and nothing else. So a record that some reader could not have taken in turn is
written again, and what a woken, superseded flow repeats (a zombie, fence.py) is passed over and
counted. Two records of one number must be equal byte for byte, in key, value and headers; if not,
the fold was not deterministic or its rules changed, and `Diverged` says where.

In a compacted partition numbers may be gone. One that is gone while a higher one stands was
written once and compacted away, so it is not written again.
"""

from collections.abc import Iterator

from flows.engine.errors import Diverged
from flows.engine.rows import OutRow, Standing, difference

REMEMBERED_MAX = 10_000
"""Rows kept to be compared with repeats of their number; older repeats are counted unchecked."""


class ReadBack:
    """Matches re-emitted rows against standing ones, in order. `where` names the partition."""

    def __init__(
        self, rows: Iterator[Standing], *, next_number: int, where: str, compacted: bool = False
    ) -> None:
        self.next_number = next_number
        self.matched = 0
        self.repeats = 0
        self.compacted_away = 0
        self._rows = rows
        self._where = where
        self._compacted = compacted
        self._remembered: dict[int, Standing] = {}
        self._scanned_to = next_number
        self._head = self._advance()

    @property
    def unmatched_offset(self) -> int | None:
        """Where the first row not yet written again stands; None when nothing is outstanding.

        This is what a snapshot must keep: the log's end would forget the rows in between if the
        process died once more (45 to 2,106 records doubled, before this rule).
        """
        return None if self._head is None else self._head.offset

    def match(self, row: OutRow) -> bool:
        """True: this row stands already, skip it. False: write it. Raises Diverged."""
        if row.number != self.next_number:
            raise Diverged(
                f"{self._where}: record {row.number} was to be written where {self.next_number} "
                "was due; the numbers of the fold and of the partition do not belong together"
            )
        self.next_number += 1
        if self._head is None:
            self._compare(row, self._remembered.pop(row.number, None))
            return False
        if self._head.row.number > row.number:
            assert self._compacted, "the scan admits the next number only"
            self.compacted_away += 1
            return True
        self._compare(row, self._head)
        self.matched += 1
        self._head = self._advance()
        return True

    def _advance(self) -> Standing | None:
        """The next row that a reader would take."""
        for standing in self._rows:
            number = standing.row.number
            self._compare(standing.row, self._remembered.get(number), standing.offset)
            self._remember(standing)
            if number == self._scanned_to or (self._compacted and number > self._scanned_to):
                self._scanned_to = number + 1
                return standing
            self.repeats += 1
        # Only rows that came before their turn are still of use: the flow will write their numbers.
        self._remembered = {n: s for n, s in self._remembered.items() if n >= self._scanned_to}
        return None

    def _remember(self, standing: Standing) -> None:
        self._remembered.setdefault(standing.row.number, standing)
        if len(self._remembered) > REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]

    def _compare(self, row: OutRow, standing: Standing | None, offset: int | None = None) -> None:
        if standing is None:
            return
        found = difference(row, standing.row)
        if found is None:
            return
        ours = "written again" if offset is None else f"at offset {offset}"
        raise Diverged(
            f"{self._where}: record {row.number} {ours} differs from the one that stands at "
            f"offset {standing.offset}, in {found}. The fold was not deterministic, or its rules "
            "changed; nothing more is written"
        )


def superseded_keys(rows: Iterator[Standing]) -> list[OutRow]:
    """Rows of a compacted partition that a zombie's older repeat has displaced, oldest first.

    Compaction keeps the last record of a key, not the one of the highest number; appended again,
    each of these becomes the last once more.
    """
    newest: dict[bytes | None, OutRow] = {}
    last: dict[bytes | None, int] = {}
    for _, row in rows:
        last[row.key] = row.number
        if row.key not in newest or newest[row.key].number < row.number:
            newest[row.key] = row
    displaced = [row for key, row in newest.items() if last[key] < row.number]
    return sorted(displaced, key=lambda row: row.number)
