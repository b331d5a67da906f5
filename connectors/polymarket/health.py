"""How fresh each feed is, as its producer may honestly say: the content of Ticks. Sans-I/O.

A read feed (polls) is as fresh as the oldest newest answer over its subjects: one leader unread is
a leader unread. It is suspect from a doubt until every subject was read by a question asked later.
A feed without subjects is up and fresh: there is nothing it could miss.
"""

from dataclasses import dataclass, field

from schemas.records.system import FeedState


@dataclass(slots=True)
class ReadFeed:
    """One kind of REST read over several subjects."""

    stale_after_ms: int
    asked_ms: dict[str, int] = field(default_factory=dict)
    answered_ms: dict[str, int] = field(default_factory=dict)
    doubt_ms: int = 0

    def follow(self, subject: str) -> None:
        """A subject that must be read; it never has been."""
        self.asked_ms.setdefault(subject, 0)
        self.answered_ms.setdefault(subject, 0)

    def drop(self, subject: str) -> None:
        """A subject of no interest any more."""
        self.asked_ms.pop(subject, None)
        self.answered_ms.pop(subject, None)

    def read(self, subject: str, *, asked_ms: int, answered_ms: int) -> None:
        """A complete, fresh answer stands on the tape."""
        if subject in self.asked_ms:
            self.asked_ms[subject] = max(asked_ms, self.asked_ms[subject])
            self.answered_ms[subject] = max(answered_ms, self.answered_ms[subject])

    def doubt(self, now_ms: int) -> None:
        """Something was unreadable, stale or missed: only newer answers count."""
        self.doubt_ms = max(self.doubt_ms, now_ms)

    def state(self, now_ms: int) -> FeedState:
        """What the next Tick says."""
        if not self.asked_ms:
            return FeedState(state="up", last_data_ms=now_ms)
        oldest_ms = min(self.answered_ms.values())
        if oldest_ms == 0 or now_ms - oldest_ms > self.stale_after_ms:
            return FeedState(state="down", last_data_ms=oldest_ms)
        doubtful = min(self.asked_ms.values()) <= self.doubt_ms
        return FeedState(state="suspect" if doubtful else "up", last_data_ms=oldest_ms)


def socket_state(*, wanted: bool, connected: bool, fresh_ms: int, now_ms: int) -> FeedState:
    """State of a socket feed: nothing wanted is up; connected without data yet is suspect."""
    if not wanted:
        return FeedState(state="up", last_data_ms=now_ms)
    if not connected:
        return FeedState(state="down", last_data_ms=fresh_ms)
    return FeedState(state="up" if fresh_ms else "suspect", last_data_ms=fresh_ms)
