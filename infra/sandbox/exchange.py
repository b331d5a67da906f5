"""The matching engine: orders in, answers and refusals out, resting orders in the book.

An account's order is checked on arrival and matched `latency_ms` later against the book as it then
is. Before every `rival_every`-th market order of an account a stranger takes most of what it would
have got. Resting orders come first at their price, and fill when a recorded book arrives that
crosses them. An owner never trades with itself. An order that was refused is forgotten; any other
stays known by its id, so the same bytes again are refused as a duplicate (API reference 6.7).
"""

import random
from collections import Counter
from collections.abc import Callable

from infra.sandbox import wire_user
from infra.sandbox.admission import GTD_MARGIN_S, NO_BOOK, Admission
from infra.sandbox.agenda import Agenda
from infra.sandbox.books import RecordedBook
from infra.sandbox.floor import Emit, Floor
from infra.sandbox.ledger import Ledger
from infra.sandbox.liquidity import Liquidity, resting_maker
from infra.sandbox.market import Market, resting_place
from infra.sandbox.matching import (
    Fill,
    Maker,
    Offer,
    Refusal,
    Terms,
    fill_at,
    limit_terms,
    walk,
)
from infra.sandbox.orderbook import ASK, BID, Change
from infra.sandbox.patterns import trade_groups, twins
from infra.sandbox.records import Answer, Emission, Order, Trade
from infra.sandbox.settings import SandboxSettings
from infra.sandbox.settlement import Settlement

NO_FAK = (
    "no orders found to match with FAK order. "
    "FAK orders are partially filled or killed if no match is found."
)
NO_FOK = "order couldn't be fully filled. FOK orders are fully filled or killed."
Done = Callable[[Answer | Refusal], None]


class Exchange:
    """Orders of accounts, leaders and strangers."""

    def __init__(
        self,
        *,
        settings: SandboxSettings,
        rng: random.Random,
        agenda: Agenda,
        ledger: Ledger,
        floor: Floor,
        liquidity: Liquidity,
        settlement: Settlement,
        emit: Emit,
    ) -> None:
        self._settings, self._rng, self._agenda, self._ledger = settings, rng, agenda, ledger
        self._floor, self._liquidity, self._settlement = floor, liquidity, settlement
        self._emit = emit
        self._market_orders = 0
        self.orders: dict[str, Order] = {}
        self.admission = Admission(agenda=agenda, ledger=ledger, orders=self.orders)
        self.partial_fills: Counter[str] = Counter()
        floor.before_book = self._fill_crossed
        floor.on_close.append(lambda market: self._cancel_all_of(market))

    def submit(self, order: Order, done: Done) -> None:
        """Take an account's order: refuse it now, or answer after the latency."""
        refusal = self.admission.refusal(order)
        if refusal is not None:
            done(refusal)
            return
        self.orders[order.order_id] = order
        self._agenda.after(self._settings.latency_ms, lambda: done(self._execute(order)))

    def _execute(self, order: Order) -> Answer | Refusal:
        """Match an order that passed its checks; a refused one is forgotten."""
        if not order.market.is_open:
            return self._forget(order, Refusal(404, NO_BOOK))
        if order.terms.is_market and order.owner in self._settlement.accounts:
            self._market_orders += 1
            if self._settings.rival_every and self._market_orders % self._settings.rival_every == 0:
                self._let_rival_go_first(order)
        fills = self._walk(order)
        if not fills and order.terms.is_market:
            text = NO_FAK if order.terms.order_type == "FAK" else NO_FOK
            return self._forget(order, Refusal(400, text))
        if order.terms.order_type == "FOK" and not _is_whole(order.terms, fills):
            return self._forget(order, Refusal(400, NO_FOK))
        trades = self._take(order, fills, "auto")
        if order.terms.order_type == "FAK" and not _is_whole(order.terms, fills):
            self.partial_fills[order.wallet] += 1
        return self._answer(order, trades)

    def _forget(self, order: Order, refusal: Refusal) -> Refusal:
        del self.orders[order.order_id]
        order.status = "INVALID"
        return refusal

    def _walk(self, order: Order) -> list[Fill]:
        market, side = order.market, order.terms.side
        offers = self._liquidity.offers(market, order.token, side, order.wallet)
        return walk(order.terms, offers)

    def _let_rival_go_first(self, order: Order) -> None:
        """A stranger takes all within the order's limit but a part of what the order would get."""
        wanted = sum(fill.shares_micro for fill in self._walk(order))
        offers = self._liquidity.offers(order.market, order.token, order.terms.side, order.wallet)
        reach = sum(o.shares_micro for o in offers if order.terms.admits(o.price_micro))
        shares = reach - wanted * self._rng.randint(30, 70) // 100
        if wanted and shares > 0:
            terms = limit_terms(order.terms.side, order.terms.price_micro, shares)
            wallet = self._liquidity.stranger()
            self.trade_now(wallet, "", order.market, order.token, terms, pattern="one")

    def trade_now(
        self,
        wallet: str,
        owner: str,
        market: Market,
        token: int,
        terms: Terms,
        *,
        pattern: str = "auto",
    ) -> list[Trade]:
        """A leader's or stranger's taker order, matched at once; what is not filled is killed.

        pattern is one of patterns.PATTERNS.
        """
        order = Order(
            order_id=self._liquidity.next_order_id(),
            wallet=wallet,
            owner=owner,
            market=market,
            token=token,
            terms=terms,
            placed_ms=self._agenda.now_ms,
        )
        self._liquidity.fund(market, wallet, token, terms.side, terms.shares_micro)
        return self._take(order, self._walk(order), pattern)

    def _take(self, order: Order, fills: list[Fill], pattern: str) -> list[Trade]:
        """Settle a taker's fills, tell everybody, and rest what is left of a limit order."""
        market = order.market
        if pattern == "twins":
            fills = twins(order.terms.side, fills, lambda fill: self._twin_maker(order, fill))
        trades: list[Trade] = []
        if fills:
            self._liquidity.fund_makers(market, fills)
            trades = self._settlement.match(order, trade_groups(fills, pattern, self._rng))
            self._fill_makers(market, trades)
            book_side = ASK if order.terms.side == "BUY" else BID
            for fill in fills:
                market.book.take(order.token, book_side, fill.price_micro, fill.shares_micro)
            self._record(order, trades)
            self._print(order, trades, fills)
        if order.order_id in self.orders:
            self._rest_or_end(order, bool(fills))
        return trades

    def _twin_maker(self, order: Order, fill: Fill) -> Maker | None:
        """A new anonymous maker for half of a fill; a resting order's fill stays whole."""
        if fill.maker.order_id in self.orders:
            return None
        return self._liquidity.maker(order.token, order.terms.side, fill.price_micro)

    def _record(self, order: Order, trades: list[Trade]) -> None:
        order.matched_shares_micro += sum(trade.shares_micro for trade in trades)
        order.matched_usd_micro += sum(trade.usd_micro for trade in trades)
        order.trade_ids += [trade.trade_id for trade in trades]

    def _print(self, order: Order, trades: list[Trade], fills: list[Fill]) -> None:
        market = order.market
        market.last_trade_price_micro = fills[-1].price_micro
        market.last_trade_side = order.terms.side
        self._floor.publish_trade(
            market,
            order.token,
            side=order.terms.side,
            shares_micro=sum(fill.shares_micro for fill in fills),
            tx_hash=trades[0].tx_hash,
        )

    def _fill_makers(self, market: Market, trades: list[Trade]) -> None:
        """Count fills of resting orders and tell their owners."""
        for trade in trades:
            for fill in trade.fills:
                order = self.orders.get(fill.maker.order_id)
                if order is not None:
                    self._fill_maker(market, order, trade, fill)

    def _fill_maker(self, market: Market, order: Order, trade: Trade, fill: Fill) -> None:
        order.matched_shares_micro += fill.shares_micro
        order.matched_usd_micro += fill.maker_usd_micro(trade.token)
        order.trade_ids.append(trade.trade_id)
        if order.left_micro == 0:
            order.status = "MATCHED"
            market.resting.remove(order)
        self._tell(order, "UPDATE")

    def _rest_or_end(self, order: Order, matched: bool) -> None:
        if order.terms.is_market or order.left_micro == 0:
            order.status = "MATCHED"
        else:
            order.status = "LIVE"
            order.market.resting.append(order)
            self._show(order, order.left_micro)
            self._tell(order, "PLACEMENT")
            if order.terms.order_type == "GTD":
                due_ms = (order.expiration_s - GTD_MARGIN_S) * 1000
                self._agenda.at(due_ms, lambda: self._expire(order))
        if matched:
            self._tell(order, "UPDATE")

    def _show(self, order: Order, shares_micro: int) -> None:
        """Add to (or, negative, take from) the displayed size of an order's level and mirror."""
        changes = []
        for token in (0, 1):
            side, price = resting_place(order, token)
            size = order.market.book.levels[token][side].get(price, 0) + shares_micro
            changes.append(Change(token, side, price, max(size, 0)))
        self._floor.publish(order.market, changes)

    def _answer(self, order: Order, trades: list[Trade]) -> Answer:
        usd = sum(trade.usd_micro for trade in trades)
        shares = sum(trade.shares_micro for trade in trades)
        buys = order.terms.side == "BUY"
        return Answer(
            order_id=order.order_id,
            status="matched" if trades else "live",
            making_micro=usd if buys else shares,
            taking_micro=shares if buys else usd,
            trade_ids=tuple(trade.trade_id for trade in trades),
        )

    def _tell(self, order: Order, kind: str) -> None:
        if order.owner in self._settlement.accounts:
            frame = wire_user.order_frame(order, kind, self._agenda.now_ms)
            self._emit(Emission(channel="user", key=order.owner, payload=frame))

    def quote(self, order: Order) -> None:
        """Rest a leader's order in the book as it is."""
        self.orders[order.order_id] = order
        self._rest_or_end(order, matched=False)

    def end(self, order: Order, status: str) -> bool:
        """Take a resting order out of the book; False when it no longer rests."""
        if order.status != "LIVE":
            return False
        order.market.resting.remove(order)
        order.status = status
        self._show(order, -order.left_micro)
        self._tell(order, "CANCELLATION")
        return True

    def _expire(self, order: Order) -> None:
        self.end(order, "CANCELED_EXPIRED_ORDER")

    def _cancel_all_of(self, market: Market) -> None:
        for order in list(market.resting):
            self.end(order, "CANCELED_MARKET_RESOLVED")

    def _fill_crossed(self, market: Market, recorded: RecordedBook) -> None:
        """A recorded book that crosses a resting order trades with it first."""
        for order in list(market.resting):
            if order.token not in recorded.sides:
                continue
            bids, asks = recorded.sides[order.token]
            buys = order.terms.side == "BUY"
            limit = order.terms.price_micro
            crossing = (
                [size for price, size in asks.items() if price <= limit]
                if buys
                else [size for price, size in bids.items() if price >= limit]
            )
            shares = min(order.left_micro, sum(crossing))
            if shares > 0:
                self._hit(order, shares)

    def _hit(self, resting: Order, shares_micro: int) -> None:
        """A stranger takes a part of a resting order at its price."""
        side = "SELL" if resting.terms.side == "BUY" else "BUY"
        wallet, price = self._liquidity.stranger(), resting.terms.price_micro
        self._liquidity.fund(resting.market, wallet, resting.token, side, shares_micro)
        taker = Order(
            order_id=self._liquidity.next_order_id(),
            wallet=wallet,
            owner="",
            market=resting.market,
            token=resting.token,
            terms=limit_terms(side, price, shares_micro),
            placed_ms=self._agenda.now_ms,
        )
        fill = fill_at(side, Offer(price, shares_micro, resting_maker(resting)), shares_micro)
        self._take(taker, [fill], "one")


def _is_whole(terms: Terms, fills: list[Fill]) -> bool:
    """Whether nothing that could still be bought or sold is left of a market order."""
    if terms.side == "SELL":
        return sum(fill.shares_micro for fill in fills) == terms.shares_micro
    left = terms.usd_micro - sum(fill.usd_micro for fill in fills)
    return left < terms.price_micro // 100
