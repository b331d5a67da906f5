"""Where each input came from: the tape offset of the newest record that said it. Pure.

Learned beside a rebuild, record by record; the state itself keeps values, not their places.
"""

from collections import deque
from dataclasses import dataclass, field

from infra.inspect.names import NAMING, Names
from schemas.records import leader, market, own, system
from schemas.records.base import Record

KEPT = 3
Key = tuple[str, ...]


@dataclass
class Provenance:
    """Offsets by what was said: ("MarketMeta", condition), ("LeaderFills", leader, token), ..."""

    names: Names = field(default_factory=Names)
    _newest: dict[Key, deque[int]] = field(default_factory=dict)

    def learn(self, offset: int, record: Record) -> None:
        """Note a record of the tape."""
        match record:
            case market.Depth():
                return  # the book in the state knows its own offset
            case system.Tick():
                self._note(offset, "Tick", record.producer)
            case market.MarketMeta():
                self._note(offset, "MarketMeta", record.condition)
            case leader.LeaderFills():
                self._note(offset, "LeaderFills", record.leader, record.token)
            case leader.LeaderMove():
                for token in record.delta_micro:
                    self._note(offset, "LeaderFills", record.leader, token)
            case own.OwnFill():
                self._note(offset, "OwnFill", record.account, record.token)
            case own.BalanceReport():
                self._note(offset, "BalanceReport", record.subject)
            case own.PositionsReport():
                self._note(offset, "PositionsReport", record.subject)
            case system.Policy():
                self._note(offset, "Policy")
        if type(record).__name__ in NAMING:
            self.names.learn(record)

    def newest(self, *key: str) -> int | None:
        """Offset of the newest record about this, None if there was none."""
        found = self._newest.get(key)
        return found[-1] if found else None

    def last(self, *key: str) -> tuple[int, ...]:
        """Offsets of the newest few."""
        return tuple(self._newest.get(key, ()))

    def _note(self, offset: int, *key: str) -> None:
        self._newest.setdefault(key, deque(maxlen=KEPT)).append(offset)
