"""The trading floor: which markets there are, and the recorded books playing in each.

Every recorded book becomes `price_change` frames, one per changed level and its mirror, each with
the quotes and the hash that hold after it. What trades have taken stays gone until the next
recorded book of that token. A resolved market is replaced by a new one, so a run never ends.
"""

import random
from collections.abc import Callable

from infra.sandbox import wire_market
from infra.sandbox.agenda import Agenda
from infra.sandbox.books import (
    FINE_TICK_MICRO,
    RESOLVE_AFTER_CLOSE_MS,
    RecordedBook,
    Recordings,
    Stretch,
    plan_stretches,
    replacement,
)
from infra.sandbox.market import Market
from infra.sandbox.orderbook import Change, differences, paired
from infra.sandbox.records import Emission
from infra.sandbox.settings import SandboxSettings

MAX_MARKETS = 10_000
Emit = Callable[[Emission], None]


class Floor:
    """All markets ever listed, by number, condition and token."""

    def __init__(
        self,
        *,
        settings: SandboxSettings,
        recordings: Recordings,
        rng: random.Random,
        agenda: Agenda,
        emit: Emit,
    ) -> None:
        self._settings, self._recordings, self._rng = settings, recordings, rng
        self._agenda, self._emit = agenda, emit
        self.markets: list[Market] = []
        self.by_condition: dict[str, Market] = {}
        self.by_token: dict[str, tuple[Market, int]] = {}
        self.before_book: Callable[[Market, RecordedBook], None] = lambda market, book: None
        self.on_close: list[Callable[[Market], None]] = []
        self.on_resolve: list[Callable[[Market], None]] = []

    def open_planned(self) -> None:
        """List the markets that play from the start."""
        for stretch in plan_stretches(self._recordings, self._settings, self._rng):
            self.list_market(stretch)

    def list_market(self, stretch: Stretch) -> Market:
        """A market opens with the book standing at its stretch's start, and is announced."""
        assert len(self.markets) < MAX_MARKETS
        market = Market(
            number=len(self.markets) + 1,
            stretch=stretch,
            books=self._recordings.books(stretch),
            origin_ms=self._agenda.now_ms,
            speed=self._settings.speed,
            min_shares_micro=self._settings.min_shares_micro,
            fee_rate_micro=self._settings.fee_rate_micro,
        )
        self.markets.append(market)
        self.by_condition[market.condition_id] = market
        for token, token_id in enumerate(market.tokens):
            self.by_token[token_id] = market, token
        self._play(market)
        self._agenda.at(market.wall_ms(stretch.market.close_ms), lambda: self._close(market))
        frame = wire_market.new_market_frame(market, self._agenda.now_ms)
        self._emit_market(market, frame, custom=True, everyone=True)
        return market

    def open_markets(self) -> list[Market]:
        return [market for market in self.markets if market.is_open]

    def _play(self, market: Market) -> None:
        """Show the next recorded book and come back for the one after it."""
        if not market.is_open:
            return
        if market.played < len(market.books):
            self._show(market, market.books[market.played])
            market.played += 1
        if market.played < len(market.books):
            due_ms = market.wall_ms(market.books.at_ms(market.played))
            self._agenda.at(due_ms, lambda: self._play(market))

    def _show(self, market: Market, recorded: RecordedBook) -> None:
        self.before_book(market, recorded)
        refines = market.tick_micro != FINE_TICK_MICRO and recorded.is_fine
        changes = [
            change
            for token in recorded.sides
            for change in differences(market.book, token, market.target_sides(token, recorded))
        ]
        if refines:
            self._refine(market, changes)
        else:
            self.publish(market, changes)

    def _refine(self, market: Market, changes: list[Change]) -> None:
        """The tick becomes finer: both books are new, so each gets a whole snapshot."""
        old, market.tick_micro = market.tick_micro, FINE_TICK_MICRO
        for change in changes:
            market.book.apply(change)
        if market.played == 0:
            return
        now_ms = self._agenda.now_ms
        for token in (0, 1):
            self._emit_market(market, wire_market.tick_frame(market, token, old, now_ms))
        self.publish_books(market)

    def refine(self, market: Market) -> bool:
        """Make the tick finer now, whatever the recording says; False if it is fine already."""
        if market.tick_micro == FINE_TICK_MICRO:
            return False
        self._refine(market, [])
        return True

    def publish(self, market: Market, changes: list[Change]) -> None:
        """Apply changes to the displayed book and tell them, mirrored ones in one frame."""
        if market.played == 0:
            for change in changes:
                market.book.apply(change)
            return
        before = [wire_market.quotes(market, token) for token in (0, 1)]
        now_ms = self._agenda.now_ms
        for pair in paired(changes):
            for change in pair:
                market.book.apply(change)
            self._emit_market(market, wire_market.price_change_frame(market, pair, now_ms))
        for token in (0, 1):
            if wire_market.quotes(market, token) != before[token]:
                frame = wire_market.best_bid_ask_frame(market, token, now_ms)
                self._emit_market(market, frame, custom=True)

    def publish_books(self, market: Market) -> None:
        """Whole snapshots of both tokens, as the venue sends them after trades."""
        for token in (0, 1):
            frame = wire_market.later_book_frame(market, token, self._agenda.now_ms)
            self._emit_market(market, frame)

    def publish_trade(
        self, market: Market, token: int, *, side: str, shares_micro: int, tx_hash: str
    ) -> None:
        """The public print of a taker order, then the books it left behind."""
        frame = wire_market.last_trade_frame(
            market,
            token,
            side=side,
            shares_micro=shares_micro,
            tx_hash=tx_hash,
            now_ms=self._agenda.now_ms,
        )
        self._emit_market(market, frame)
        self.publish_books(market)

    def _emit_market(
        self,
        market: Market,
        frame: dict[str, object],
        *,
        custom: bool = False,
        everyone: bool = False,
    ) -> None:
        self._emit(
            Emission(
                channel="market",
                key=market.condition_id,
                payload=frame,
                custom=custom,
                everyone=everyone,
            )
        )

    def _close(self, market: Market) -> None:
        market.status, market.closed_ms = "closed", self._agenda.now_ms
        for listener in self.on_close:
            listener(market)
        self._agenda.after(RESOLVE_AFTER_CLOSE_MS, lambda: self._resolve(market))

    def _resolve(self, market: Market) -> None:
        market.status, market.resolved_ms = "resolved", self._agenda.now_ms
        for listener in self.on_resolve:
            listener(market)
        frame = wire_market.resolved_frame(market, self._agenda.now_ms)
        self._emit_market(market, frame, custom=True)
        used = [listed.stretch for listed in self.markets]
        self.list_market(replacement(self._recordings, used, self._rng))
