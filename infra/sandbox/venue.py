"""The venue as a whole: a deterministic machine driven by `advance(now_ms)`.

It puts floor, exchange, settlement, index, leaders and strangers together and collects what they
emit. Given the same settings, start and calls it does the same, whatever the steps of `advance`. It
knows no socket and no clock; server.py does.
"""

import random
from collections.abc import Callable

from infra.sandbox.agenda import Agenda
from infra.sandbox.books import Recordings
from infra.sandbox.chance import stream
from infra.sandbox.exchange import Exchange
from infra.sandbox.faults import Faults
from infra.sandbox.floor import Emit, Floor
from infra.sandbox.hashing import hex_id, uuid_id
from infra.sandbox.index import Index
from infra.sandbox.leaders import BASELINE_MICRO, SLIP_TICKS, Leader
from infra.sandbox.ledger import Ledger, Leg
from infra.sandbox.liquidity import Liquidity
from infra.sandbox.market import Market
from infra.sandbox.matching import Terms, limit_terms
from infra.sandbox.records import Order
from infra.sandbox.settings import SandboxSettings
from infra.sandbox.settlement import Settlement
from schemas.units import MICRO, ceil_to_tick, floor_div, floor_to_lot, floor_to_tick

BASELINE_AGE_MS = 3_600_000
STRANGER_USD = (3, 40)


class Venue:
    """Everything behind the sockets. `accounts` maps an API key to its wallet."""

    def __init__(
        self, settings: SandboxSettings, recordings: Recordings, start_ms: int, emit: Emit
    ) -> None:
        def rng(name: str) -> random.Random:
            return stream(settings.seed, name)

        self.settings, self.start_ms = settings, start_ms
        self.agenda = Agenda(start_ms)
        self.ledger = Ledger()
        self.index = Index(settings.index_lag_ms)
        self.faults = Faults(settings.seed, settings.faults, settings.fault_rates)
        self.floor = Floor(
            settings=settings,
            recordings=recordings,
            rng=rng("floor"),
            agenda=self.agenda,
            emit=emit,
        )
        self.settlement = Settlement(
            settings=settings,
            rng=rng("settlement"),
            agenda=self.agenda,
            ledger=self.ledger,
            index=self.index,
            faults=self.faults,
            emit=emit,
        )
        self.liquidity = Liquidity(
            settings=settings,
            rng=rng("liquidity"),
            ledger=self.ledger,
            split=self.settlement.split,
        )
        self.exchange = Exchange(
            settings=settings,
            rng=rng("exchange"),
            agenda=self.agenda,
            ledger=self.ledger,
            floor=self.floor,
            liquidity=self.liquidity,
            settlement=self.settlement,
            emit=emit,
        )
        self._strangers = rng("strangers")
        self._pace = rng("pace")
        self.accounts: dict[str, str] = {}
        self.floor.open_planned()
        self.leaders = self._hire_leaders(rng)
        self.floor.on_resolve.append(self._on_resolve)
        self._next_leader_move()
        self._next_stranger()
        self.agenda.after(settings.rest_ms, self.rest)

    def advance(self, now_ms: int) -> None:
        """Let all happen that is due by now."""
        self.agenda.advance(now_ms)
        self.index.advance(now_ms)

    def open_account(self, wallet: str, api_key: str) -> None:
        """A wallet that authenticates for the first time finds its cash."""
        if wallet not in self.accounts.values():
            self.ledger.deposit(wallet, self.settings.account_cash_usd_micro)
        self.accounts[api_key] = wallet
        self.settlement.accounts.add(api_key)

    def rest(self) -> None:
        """The leaders stop trading; strangers go on, so no feed falls silent."""
        for leader in self.leaders:
            leader.rest()

    # Leaders and strangers

    def _hire_leaders(self, rng: Callable[[str], random.Random]) -> list[Leader]:
        """Leaders share the lasting markets out, each with a favourite outcome in its own."""
        leaders = []
        lasting = self.floor.markets[1:] or self.floor.markets
        for number in range(self.settings.leaders):
            chance = rng(f"leader:{number}")
            wallet = hex_id(self.settings.seed, "leader", number, size=20)
            self.ledger.deposit(wallet, self.settings.leader_cash_usd_micro)
            self.settlement.leaders.add(wallet)
            offset = number * len(lasting) // max(self.settings.leaders, 1)
            turned = lasting[offset:] + lasting[:offset]
            homes = [(market, chance.randint(0, 1)) for market in turned[:4]]
            leaders.append(Leader(wallet, chance, self, homes))
            self._give_baseline(wallet, *homes[0])
        return leaders

    def _give_baseline(self, wallet: str, market: Market, token: int) -> None:
        """A purchase of an hour ago, so that the leader holds something before the run."""
        price = floor_to_tick(market.price_micro(token), market.tick_micro)
        usd = BASELINE_MICRO * price // MICRO
        other = BASELINE_MICRO - usd
        tx_hash, block_ms = self.settlement.next_tx(), self.start_ms - BASELINE_AGE_MS
        condition_id = market.condition_id
        legs = tuple(
            Leg(
                wallet=who,
                condition_id=condition_id,
                token=which,
                side="BUY",
                shares_micro=BASELINE_MICRO,
                usd_micro=paid,
            )
            for who, which, paid in (
                (wallet, token, usd),
                (self.liquidity.stranger(), 1 - token, other),
            )
        )
        self.ledger.book(legs)
        self.ledger.confirm(legs)
        for leg in legs:
            self.index.add(
                block_ms=block_ms,
                wallet=leg.wallet,
                kind="TRADE",
                market=market,
                token=leg.token,
                side=leg.side,
                shares_micro=leg.shares_micro,
                usd_micro=leg.usd_micro,
                tx_hash=tx_hash,
                is_taker=leg.wallet == wallet,
            )

    def _next_leader_move(self) -> None:
        if not self.leaders or self.settings.leader_rate_per_s <= 0:
            return
        gap_ms = self._gap_ms(self.settings.leader_rate_per_s)
        self.agenda.after(gap_ms, self._leader_move)

    def _gap_ms(self, rate_per_s: float) -> int:
        """Time to the next order of many independent ones, never an eternity."""
        return int(min(self._pace.expovariate(rate_per_s), 4 / rate_per_s) * 1000)

    def _leader_move(self) -> None:
        self._pace.choice(self.leaders).act()
        self._next_leader_move()

    def _next_stranger(self) -> None:
        if self.settings.stranger_rate_per_s > 0:
            gap_ms = self._gap_ms(self.settings.stranger_rate_per_s)
            self.agenda.after(gap_ms, self._stranger_trade)

    def _stranger_trade(self) -> None:
        chance, markets = self._strangers, self.floor.open_markets()
        if markets:
            market, token = chance.choice(markets), chance.randint(0, 1)
            usd_micro = chance.randint(*STRANGER_USD) * MICRO
            side = chance.choice(("BUY", "SELL"))
            price = self._limit(market, token, side)
            if price is not None:
                shares = floor_to_lot(floor_div(usd_micro, price))
                terms = limit_terms(side, price, max(shares, market.min_shares_micro))
                self.exchange.trade_now(self.liquidity.stranger(), "", market, token, terms)
        self._next_stranger()

    def _limit(self, market: Market, token: int, side: str) -> int | None:
        """A few ticks through the touch; None where that side is empty."""
        book, tick = market.book, market.tick_micro
        if side == "BUY":
            best = book.best_ask(token)
            return None if best is None else min(best + SLIP_TICKS * tick, MICRO - tick)
        best = book.best_bid(token)
        return None if best is None else max(best - SLIP_TICKS * tick, tick)

    def _on_resolve(self, market: Market) -> None:
        self.ledger.resolve(market.condition_id, market.payouts_micro)
        for leader in self.leaders:
            leader.on_resolve(market)
        if self.settings.auto_redeem_ms:
            self.agenda.after(self.settings.auto_redeem_ms, lambda: self._redeem_accounts(market))

    def _redeem_accounts(self, market: Market) -> None:
        for wallet in sorted(set(self.accounts.values())):
            self.settlement.redeem(wallet, market)

    # The desk of the leaders (leaders.Desk)

    def buy(self, wallet: str, market: Market, token: int, usd_micro: int, pattern: str) -> int:
        """Spend dollars within a few ticks of the touch; returns the shares bought."""
        price = self._limit(market, token, "BUY")
        if price is None or not market.is_open:
            return 0
        terms = Terms(
            side="BUY",
            order_type="FAK",
            usd_micro=usd_micro,
            shares_micro=floor_div(usd_micro, price),
            price_micro=ceil_to_tick(price, market.tick_micro),
        )
        return self._traded(wallet, market, token, terms, pattern)

    def sell(self, wallet: str, market: Market, token: int, shares_micro: int) -> int:
        """Sell settled shares within a few ticks of the touch; returns the shares sold."""
        price = self._limit(market, token, "SELL")
        free = self.exchange.admission.free_shares_micro(wallet, market, token)
        shares = min(shares_micro, free)
        if price is None or not market.is_open or shares <= 0:
            return 0
        return self._traded(wallet, market, token, limit_terms("SELL", price, shares), "auto")

    def _traded(self, wallet: str, market: Market, token: int, terms: Terms, pattern: str) -> int:
        owner = uuid_id(self.settings.seed, "owner", wallet)
        trades = self.exchange.trade_now(wallet, owner, market, token, terms, pattern=pattern)
        return sum(trade.shares_micro for trade in trades)

    def quote(self, wallet: str, market: Market, token: int, shares_micro: int) -> list[str]:
        """Two equal bids at the touch; none where there is no bid or the market is closed."""
        price = market.book.best_bid(token)
        if price is None or not market.is_open:
            return []
        return [self._bid(wallet, market, token, price, shares_micro) for _ in range(2)]

    def _bid(
        self, wallet: str, market: Market, token: int, price_micro: int, shares_micro: int
    ) -> str:
        order = Order(
            order_id=self.liquidity.next_order_id(),
            wallet=wallet,
            owner=uuid_id(self.settings.seed, "owner", wallet),
            market=market,
            token=token,
            terms=limit_terms("BUY", price_micro, shares_micro),
            placed_ms=self.agenda.now_ms,
        )
        self.exchange.quote(order)
        return order.order_id

    def cancel(self, order_id: str) -> None:
        self.exchange.end(self.exchange.orders[order_id], "CANCELED")

    def split(self, wallet: str, market: Market, shares_micro: int) -> None:
        if market.is_open:
            self.settlement.split(wallet, market, shares_micro)

    def redeem(self, wallet: str, market: Market) -> int:
        return self.settlement.redeem(wallet, market)

    def settled_micro(self, wallet: str, market: Market, token: int) -> int:
        return self.exchange.admission.free_shares_micro(wallet, market, token)

    def open_markets(self) -> list[Market]:
        return self.floor.open_markets()

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self.agenda.after(delay_ms, action)
