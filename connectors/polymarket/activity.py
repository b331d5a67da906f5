"""One connection to the RTDS activity feed, sans-I/O: all traders' fills, filtered to our leaders.

Liveness is data, never PONG: the feed freezes while connected, every half hour on average in bad
months (API reference 9). The driver keeps two and rotates them; whatever a connection may have
missed is read again by REST. Rows are added to totals of this connection, never deduplicated.
"""

import json
from collections import Counter
from collections.abc import Callable

from connectors.polymarket.effects import Append, Effect, Quarantine, Reconnect, Resync, Send
from connectors.polymarket.fills import FeedTotals
from connectors.polymarket.wire import Unknown, Unreadable
from connectors.polymarket.wire_activity import SUBSCRIPTIONS, decode_activity
from schemas.records.journal import Undecodable

PING_MS = 5_000
NS = 1_000_000


class ActivitySession:
    """follows: whether a wallet is followed now. ids: each connection is an instance of its own."""

    def __init__(
        self, *, ids: Callable[[], str], follows: Callable[[str], bool], silence_ms: int
    ) -> None:
        self._follows = follows
        self._silence_ms = silence_ms
        self._ids = ids
        self._totals: dict[str, FeedTotals] = {}
        self._ping_ms = self._data_ms = 0
        self.connected = False
        self.proven = False
        self.counts: Counter[str] = Counter()

    @property
    def fresh_ms(self) -> int:
        """Receipt of the newest message, 0 before the first: the subscription is unproven."""
        return self._data_ms if self.proven else 0

    def opened(self, now_ms: int) -> list[Effect]:
        """Subscribe; without `action` the server would ignore the frame silently."""
        instance = self._ids()
        self._totals = {type_: FeedTotals(f"{instance}.{type_}") for type_ in SUBSCRIPTIONS}
        self.connected, self.proven = True, False
        self._ping_ms = self._data_ms = now_ms
        topics = [{"topic": "activity", "type": type_} for type_ in SUBSCRIPTIONS]
        subscribe = {"action": "subscribe", "subscriptions": topics}
        return [Send(json.dumps(subscribe)), Resync("opened")]

    def closed(self, reason: str, now_ms: int) -> list[Effect]:
        """Nothing to end: the totals stay true for what this connection saw."""
        self.connected = self.proven = False
        return []

    def receive(self, raw: bytes, recv_ns: int) -> list[Effect]:
        """One message of the venue."""
        if not raw.strip():
            return []
        match decode_activity(raw):
            case Unknown() as unknown:
                self.counts[f"unknown:{unknown.type}"[:64]] += 1
                return []
            case Unreadable() as bad:
                self.counts["unreadable"] += 1
                record = Undecodable(
                    feed="activity", reason=bad.reason, raw=bad.raw, recv_ns=recv_ns
                )
                return [Quarantine(record), Resync("undecodable_message")]
            case type_, row:
                self.proven = True
                self._data_ms = recv_ns // NS
                self.counts[type_] += 1
                if not self._follows(row.wallet):
                    return []
                total = self._totals[type_].add(row, recv_ns)
                return [Append(total, row.wallet)] if total is not None else []

    def tick(self, now_ms: int) -> list[Effect]:
        """What is due by time alone."""
        if not self.connected:
            return []
        effects: list[Effect] = []
        if now_ms - self._ping_ms >= PING_MS:
            self._ping_ms = now_ms
            effects.append(Send("PING"))
        if now_ms - self._data_ms >= self._silence_ms:
            effects.append(Reconnect("silent"))
        return effects
