"""One connection to the market channel, sans-I/O: what to send, append, fetch, and when to give up.

Feed it bytes and the time; do what it answers. It subscribes, pings, keeps the books (mirrors.py)
and notices a connection that is open but dead: PONG proves nothing (silent freezes for hours, API
reference 7.5), data does, or a REST book that agrees. Never drops anything silently: unreadable
frames are quarantined and end every epoch of the connection, since what they held is unknown.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable

from connectors.polymarket.book_hash import HashBudget
from connectors.polymarket.effects import Effect, Reconnect, RereadMarket, Send
from connectors.polymarket.mirrors import Mirrors
from connectors.polymarket.subscribing import operation, quarantined
from connectors.polymarket.wire import Unknown, Unreadable
from connectors.polymarket.wire_market import (
    Book,
    BookFrame,
    LastTrade,
    MarketFrame,
    MarketResolvedFrame,
    NewMarket,
    PriceChange,
    TickSizeChange,
    decode_market,
)

PING_MS = 10_000
PONG_SILENCE_MS = 30_000
NS = 1_000_000


class MarketSession:
    """ids: makes an id that is unique for ever. budget: shared by all connections."""

    def __init__(
        self,
        *,
        ids: Callable[[], str],
        depth_levels: int,
        depth_interval_ms: int,
        silence_ms: int,
        budget: HashBudget,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.mirrors = Mirrors(
            ids=ids,
            depth_levels=depth_levels,
            depth_interval_ms=depth_interval_ms,
            budget=budget,
            counts=self.counts,
        )
        self._silence_ms = silence_ms
        self._opened_ms = self._ping_ms = self._pong_ms = 0
        self.connected = False

    @property
    def tokens(self) -> list[str]:
        """Tokens of this connection."""
        return list(self.mirrors.books)

    @property
    def live_tokens(self) -> list[str]:
        """Tokens whose book is believed."""
        return [token for token, book in self.mirrors.books.items() if book.live]

    @property
    def fresh_ms(self) -> int:
        """Newest moment at which this connection is known to have been right; 0 before any."""
        return max(self.mirrors.data_ms, self.mirrors.proof_ms)

    def opened(self, now_ms: int) -> list[Effect]:
        """The connection is up: subscribe at once, an unsubscribed one is closed."""
        self.connected = True
        self._opened_ms = self._ping_ms = self._pong_ms = now_ms
        self.mirrors.begin_waiting(now_ms)
        first = {
            "type": "market",
            "assets_ids": self.tokens,
            "custom_feature_enabled": True,
            "initial_dump": True,
        }
        return [Send(json.dumps(first))]

    def closed(self, reason: str, now_ms: int) -> list[Effect]:
        """The connection is gone, and every epoch with it."""
        self.connected = False
        return self.mirrors.end_all(reason, now_ms)

    def follow(self, add: Iterable[str], drop: Iterable[str], now_ms: int) -> list[Effect]:
        """Subscribe and unsubscribe tokens."""
        effects: list[Effect] = []
        known = self.mirrors.books
        gone = [token for token in drop if token in known]
        for token in gone:
            effects += self.mirrors.drop(token, now_ms)
        new = [token for token in add if token not in known]
        for token in new:
            self.mirrors.add(token, now_ms)
        if self.connected:
            effects += [operation("unsubscribe", gone)] if gone else []
            effects += [operation("subscribe", new)] if new else []
        return effects

    def receive(self, raw: bytes, recv_ns: int) -> list[Effect]:
        """One message of the venue."""
        if raw == b"PONG":
            self._pong_ms = recv_ns // NS
            return []
        frames = decode_market(raw)
        if len(frames) == 1:
            frame = frames[0]
            if isinstance(frame, PriceChange):  # nine frames of ten: a call less
                self.mirrors.data_ms = recv_ns // NS
                return self.mirrors.changes(frame, recv_ns)
            return self._frame(frame, recv_ns)
        effects: list[Effect] = []
        for frame in frames:
            effects += self._frame(frame, recv_ns)
        return effects

    def _frame(self, frame: MarketFrame | Unknown | Unreadable, recv_ns: int) -> list[Effect]:
        if isinstance(frame, PriceChange):
            self.mirrors.data_ms = recv_ns // NS
            return self.mirrors.changes(frame, recv_ns)
        match frame:
            case Unreadable():
                self.counts["unreadable"] += 1
                put_aside = quarantined(frame.reason, frame.raw, recv_ns)
                return [put_aside, Reconnect("undecodable_frame")]
            case Unknown():
                self.counts[f"unknown:{frame.type}"[:64]] += 1
                return []
            case NewMarket():
                return []
            case MarketResolvedFrame():
                return [RereadMarket(frame.market, "market_resolved")]
        self.mirrors.data_ms = recv_ns // NS
        match frame:
            case BookFrame():
                return self.mirrors.snapshot(frame, recv_ns)
            case TickSizeChange():
                return self.mirrors.tick_changed(frame, recv_ns)
            case LastTrade():
                self.mirrors.traded(frame)
        return []

    def books_answered(
        self, asked: Iterable[str], answers: dict[str, Book], asked_ms: int, recv_ns: int
    ) -> list[Effect]:
        """An answer of POST /books.

        One asked before this connection was there proves nothing about what it has missed.
        """
        if not self.connected or asked_ms < self._opened_ms:
            return []
        return self.mirrors.answered(asked, answers, asked_ms, recv_ns)

    def check_begin(self, tokens: Iterable[str], now_ms: int) -> list[str]:
        """Books of these tokens are about to be asked for comparison; those that are believed."""
        return self.mirrors.check_begin(tokens, now_ms) if self.connected else []

    def tick(self, now_ms: int) -> list[Effect]:
        """What is due by time alone."""
        if not self.connected:
            return []
        effects = self.mirrors.due(now_ms)
        if now_ms - self._ping_ms >= PING_MS:
            self._ping_ms = now_ms
            effects.append(Send("PING"))
        newest_ms = max(self.mirrors.data_ms, self._opened_ms)
        if now_ms - self._pong_ms >= PONG_SILENCE_MS:
            effects.append(Reconnect("no_pong"))
        elif self.tokens and now_ms - newest_ms >= self._silence_ms:
            effects.append(Reconnect("silent"))
        return effects
