"""Cash of an account: what the newest balance says, less what it may not know of, and no more.

An answer speaks of some moment between its question and its arrival, so against it stands
- what was spent since the question stood on the tape (the answer may know it: then it is taken
  off twice, until the next one);
- what a sale fetched only if its order was asked for after the answer: nothing else is certain
  not to be in it. Any other sale counts when a later balance shows it.
Both by the tape's order, never by a clock. What failed takes its own entry back and nothing else;
if its money may be in the balance it is taken off, if it may be missing the next balance has it.
"""

from dataclasses import dataclass, field

from schemas.records.base import Side
from schemas.records.own import BalanceReport

ASKED_MAX = 64
"""Balance reads that may be without an answer; the answer to an older one says nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one fill did to cash: + spent, - fetched; after how many questions it was booked."""

    spent_micro: int
    asks: int


@dataclass(slots=True)
class Cash:
    """The balance adopted last, questions without an answer, and what is entered since."""

    usd_micro: int | None = None
    as_of_ms: int = 0
    answers: int = 0
    asks: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    since: dict[str, Entry] = field(default_factory=dict)

    def ask(self, report: str) -> None:
        """A question stands on the tape."""
        self.asks += 1
        self.asked[report] = self.asks
        while len(self.asked) > ASKED_MAX:
            del self.asked[next(iter(self.asked))]

    def answer(self, record: BalanceReport) -> None:
        """A balance, if its question is known and none asked later was answered before."""
        number = self.asked.get(record.report)
        if number is None:
            return
        self.asked = {report: each for report, each in self.asked.items() if each > number}
        self.usd_micro, self.as_of_ms = record.usd_micro, record.answered_ms
        self.answers += 1
        self.since = {
            key: entry
            for key, entry in self.since.items()
            if entry.spent_micro > 0 and entry.asks >= number
        }

    def book(self, key: str, side: Side, cash_micro: int, fee_micro: int, answers: int) -> None:
        """A fill was booked; answers: how many there had been when its order was asked for."""
        spent = cash_micro + fee_micro if side == "BUY" else fee_micro - cash_micro
        if spent > 0 or answers == self.answers:
            self.since[key] = Entry(spent, self.asks)

    def fail(self, key: str, side: Side, cash_micro: int, fee_micro: int) -> None:
        """A booked fill is gone. What it fetched may stand in the balance, so it is taken off."""
        if self.since.pop(key, None) is None and side == "SELL":
            self.since[key] = Entry(max(cash_micro - fee_micro, 0), self.asks)

    @property
    def left_micro(self) -> int | None:
        """The balance as far as it is certain, None before the first one."""
        if self.usd_micro is None:
            return None
        return self.usd_micro - sum(entry.spent_micro for entry in self.since.values())
