"""One connection to the user channel, sans-I/O: our trades as they move towards settlement.

The channel has no replay and no acknowledgement, so every opening asks for a full REST resync, and
so does every frame that could not be read. Order events are only a hint to read open orders again.
It can also freeze while PONG goes on (issue reports of the market channel, API reference 7.5): what
REST says of a trade and the channel does not within HEAR_MS ends the connection.
Credentials go into the first frame and nowhere else: not into errors, logs or records.
"""

import json
from collections import Counter

from connectors.polymarket.credentials import Credentials
from connectors.polymarket.effects import Append, Effect, Quarantine, Reconnect, Resync, Send
from connectors.polymarket.own_fills import OwnFills
from connectors.polymarket.redact import redact
from connectors.polymarket.wire import BadValue, Unknown, Unreadable
from connectors.polymarket.wire_user import OrderEvent, TradeRow, decode_user, status_of
from schemas.records.journal import Undecodable
from schemas.records.own import FillStatus

PING_MS = 10_000
HEAR_MS = 5_000
STAMP_MS = 2_000
"""How far the venue's whole seconds and its clock may differ from ours."""
HEARD_MAX = 10_000
ORDER_EVENT = "order_event"
OPENED = "user_channel_opened"
NS = 1_000_000


class UserSession:
    """fills is shared with the REST reads, so that each transition is stated once."""

    def __init__(self, *, credentials: Credentials, fills: OwnFills, silence_ms: int) -> None:
        self._credentials = credentials
        self._fills = fills
        self._silence_ms = silence_ms
        self._ping_every_ms = min(PING_MS, silence_ms // 3)
        self._opened_ms = self._ping_ms = self._alive_ms = 0
        self._heard: dict[str, str] = {}
        self._expected: dict[str, int] = {}
        self.connected = False
        self.counts: Counter[str] = Counter()

    @property
    def fresh_ms(self) -> int:
        """Newest sign of life. The channel is quiet by nature; REST is what proves fills."""
        return self._alive_ms

    def opened(self, now_ms: int) -> list[Effect]:
        """Authenticate, and read by REST whatever happened while nobody listened."""
        self.connected = True
        self._opened_ms = self._ping_ms = self._alive_ms = now_ms
        self._heard.clear()
        self._expected.clear()
        first = {"type": "user", "auth": self._credentials.as_frame()}
        return [Send(json.dumps(first)), Resync(OPENED)]

    def closed(self, reason: str, now_ms: int) -> list[Effect]:
        """Nothing to end; the next opening reads everything again."""
        self.connected = False
        return []

    def rest_said(self, trade: str, status: FillStatus, happened_ms: int, now_ms: int) -> None:
        """REST told a transition of a trade; this connection should tell it too, or soon will.

        A match that REST tells after the channel told more is only REST being late.
        """
        heard = self._heard.get(trade)
        known = heard == status or (heard is not None and status == "MATCHED")
        if not known and happened_ms > self._opened_ms + STAMP_MS:
            self._expected.setdefault(trade, now_ms + HEAR_MS)

    def receive(self, raw: bytes, recv_ns: int) -> list[Effect]:
        """One message of the venue."""
        self._alive_ms = recv_ns // NS
        if not raw.strip() or raw == b"PONG":
            return []
        effects: list[Effect] = []
        for frame in decode_user(raw):
            match frame:
                case TradeRow():
                    effects += self._trade(frame, raw, recv_ns)
                case OrderEvent():
                    self.counts["order"] += 1
                    effects.append(Resync(ORDER_EVENT))
                case Unknown():
                    self.counts[f"unknown:{frame.type}"[:64]] += 1
                case Unreadable():
                    effects += self._unreadable(frame.reason, frame.raw, recv_ns)
        return effects

    def _trade(self, row: TradeRow, raw: bytes, recv_ns: int) -> list[Effect]:
        self.counts["trade"] += 1
        try:
            fills = self._fills.stated(row, "user", recv_ns)
        except BadValue as error:
            return self._unreadable(str(error), raw, recv_ns)
        self._heard[row.id] = status_of(row.status) or row.status
        if len(self._heard) > HEARD_MAX:
            del self._heard[next(iter(self._heard))]
        self._expected.pop(row.id, None)
        return [Append(fill, fill.token) for fill in fills]

    def _unreadable(self, reason: str, raw: bytes, recv_ns: int) -> list[Effect]:
        self.counts["unreadable"] += 1
        record = Undecodable(
            feed="user",
            reason=redact(reason, self._credentials),
            raw=redact(raw.decode(errors="replace"), self._credentials).encode(),
            recv_ns=recv_ns,
        )
        return [Quarantine(record), Resync("undecodable_frame")]

    def tick(self, now_ms: int) -> list[Effect]:
        """What is due by time alone."""
        if not self.connected:
            return []
        effects: list[Effect] = []
        if now_ms - self._ping_ms >= self._ping_every_ms:
            self._ping_ms = now_ms
            effects.append(Send("PING"))
        if now_ms - self._alive_ms >= self._silence_ms:
            effects.append(Reconnect("silent"))
        elif any(due_ms <= now_ms for due_ms in self._expected.values()):
            self._expected.clear()
            effects.append(Reconnect("frozen"))
        return effects
