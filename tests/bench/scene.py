"""Records of an invented venue, drawn from a seed: markets, books, leaders' orders, our own life.

Makes records and knows the time; which one comes next, and at which offset, is tape.py's.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from schemas import codec
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.records import leader, market, own, system
from schemas.records.base import (
    Account,
    Condition,
    OrderHash,
    Record,
    Side,
    Token,
    Wallet,
    group_id,
)
from schemas.records.journal import OrderRequested
from schemas.units import ceil_mul

BEGAN_MS = 1_795_000_000_000
LAG_MS = 2_000
LEVELS = 20
CENT_MICRO = 10_000
FAVOURITES = 20
ACCOUNT = Account("bench")
WALLET = Wallet("0x" + "a" * 40)
AMPLE_USD_MICRO = 10**15
FEEDS = {
    "public": ("market", "activity", "trades", "moves", "positions"),
    "account": ("user", "own_trades", "own_positions", "own_orders", "own_balance"),
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a tape is made of. records: of the mix, the opening comes before them."""

    records: int
    tokens: int = 1_000
    leaders: int = 100
    seed: int = 7


@dataclass
class Book:
    """A token's ladder; one level changes at a time, and now and then the middle moves."""

    middle: int
    sizes: list[int]


class Scene:
    """Everything that stands behind the records. `now_ms` is whoever's who makes the tape."""

    def __init__(self, shape: Shape) -> None:
        chance = self.chance = random.Random(shape.seed)
        self.now_ms = BEGAN_MS
        self.tokens = [Token(str(10**76 + n * 7_919)) for n in range(shape.tokens)]
        self.wallets = [Wallet(f"0x{n * 104_729 + 7:040x}") for n in range(shape.leaders)]
        self.books = [
            Book(
                chance.randint(25, 75),
                [chance.randint(5, 2_000) * 10**6 for _ in range(2 * LEVELS)],
            )
            for _ in self.tokens
        ]
        most = min(FAVOURITES, len(self.tokens))
        self.favourites = {w: chance.sample(range(len(self.tokens)), most) for w in self.wallets}
        self.held: dict[tuple[Wallet, Token], int] = {}
        self.trades = self.reports = self.ticks = 0

    def condition(self, token: int) -> Condition:
        """Neighbouring tokens are the two outcomes of one market."""
        return Condition(f"0x{token // 2:064x}")

    def epoch(self, number: int) -> str:
        """The one epoch of a token's book: the public connector begins at offset 2."""
        return f"public-2.{number}"

    def nothing_held(self, subject: str, wallet: Wallet) -> own.PositionsReport:
        """An empty wallet: everything that it will hold is on the tape."""
        return own.PositionsReport(
            report=f"account-3.{self.reports}",
            subject=subject,
            wallet=wallet,
            rows=(),
            complete=True,
            floor_micro=0,
            answered_ms=self.now_ms,
        )

    def ticked(self, producer: str) -> system.Tick:
        """A Tick with every feed fresh."""
        self.ticks += 1
        fresh = system.FeedState(state="up", last_data_ms=self.now_ms)
        return system.Tick(
            producer=producer,
            seq=self.ticks,
            now_ms=self.now_ms,
            feeds=dict.fromkeys(FEEDS[producer], fresh),
        )

    def policy(self) -> PolicyDocument:
        """Everybody is followed, no cap binds, and time stands in for what is not in the mix."""
        account = AccountPolicy(
            name=ACCOUNT,
            wallet=WALLET,
            cap_trade_usd_micro=AMPLE_USD_MICRO,
            cap_market_usd_micro=AMPLE_USD_MICRO,
            cap_account_usd_micro=AMPLE_USD_MICRO,
            leaders=tuple(
                LeaderPolicy(wallet=w, cap_usd_micro=AMPLE_USD_MICRO) for w in self.wallets
            ),
        )
        return PolicyDocument(
            accounts=(account,),
            fills_lag_ms=LAG_MS // 2,
            leader_report_lag_ms=LAG_MS,
            account_report_lag_ms=LAG_MS,
            reconcile_max_age_ms=10**9,
        )

    def meta(self, number: int) -> market.MarketMeta:
        """The market of a token and the one after it."""
        pair = self.tokens[number : number + 2]
        return market.MarketMeta(
            condition=self.condition(number),
            outcomes=tuple(
                market.Outcome(token=token, name=name)
                for token, name in zip(pair, ("Yes", "No"), strict=False)
            ),
            tick_micro=CENT_MICRO,
            min_shares_micro=5_000_000,
            fee_rate_micro=70_000,
            fee_exponent=1,
            neg_risk=False,
            accepting=True,
            title=f"Will number {number} happen?",
            event=f"number-{number}",
        )

    def depth(self, number: int) -> market.Depth:
        """The token's book after one level has changed."""
        book, chance = self.books[number], self.chance
        book.sizes[chance.randrange(2 * LEVELS)] = chance.randint(500, 200_000) * 10_000
        if chance.random() < 0.05:
            book.middle = min(max(book.middle + chance.choice((-1, 1)), LEVELS + 1), 99 - LEVELS)
        bids = [((book.middle - n) * CENT_MICRO, book.sizes[n]) for n in range(LEVELS)]
        asks = [((book.middle + 1 + n) * CENT_MICRO, book.sizes[LEVELS + n]) for n in range(LEVELS)]
        return market.Depth(
            token=self.tokens[number],
            epoch=self.epoch(number),
            as_of_ms=self.now_ms,
            recv_ns=self.now_ms * 1_000_000,
            tick_micro=CENT_MICRO,
            bids=codec.encode_levels(bids),
            asks=codec.encode_levels(asks),
        )

    def trade(self) -> Iterator[leader.LeaderFills]:
        """An order of a leader: its growing totals by two sockets in turn, then all by REST."""
        chance = self.chance
        wallet = chance.choice(self.wallets)
        number = chance.choice(self.favourites[wallet])
        token, price = self.tokens[number], self.books[number].middle * CENT_MICRO
        before = self.held.get((wallet, token), 0)
        sells = before > 20_000_000 and chance.random() < 0.4
        size = round(min(chance.expovariate(1 / 30) + 5, 500) * 100) * 10_000
        size = min(size, before) if sells else size
        self.held[(wallet, token)] = before + (-size if sells else size)
        self.trades += 1
        rows = chance.randint(1, 6)
        told = [
            (rank * size // rows, rank, name)
            for rank in range(1, rows + 1)
            for name in ("public-2.a1", "public-2.a2")
        ]
        tx = f"0x{self.trades:064x}"
        side: Side = "SELL" if sells else "BUY"
        for shares, rank, instance in (*told, (size, rows, f"public-2.r{self.trades}")):
            yield leader.LeaderFills(
                source="rest" if ".r" in instance else "feed",
                instance=instance,
                leader=wallet,
                group=group_id(tx=tx, wallet=wallet, token=token, side=side),
                tx=tx,
                token=token,
                condition=self.condition(number),
                side=side,
                rows=rank,
                shares_micro=shares,
                cash_micro=shares * price // 1_000_000,
                venue_ms=self.now_ms // 1_000 * 1_000,
                recv_ns=self.now_ms * 1_000_000,
            )

    def asked(self, about: Literal["positions", "balance"], subject: str) -> own.ReportAsked:
        """A question about a wallet."""
        self.reports += 1
        return own.ReportAsked(
            report=f"account-3.{self.reports}",
            subject=subject,
            about=about,
            asked_ms=self.now_ms,
        )

    def balance(self) -> own.BalanceReport:
        """More cash than all orders need."""
        return own.BalanceReport(
            report=f"account-3.{self.reports}",
            subject=ACCOUNT,
            usd_micro=AMPLE_USD_MICRO,
            answered_ms=self.now_ms,
        )

    def life_of(self, request: OrderRequested) -> Iterator[Record]:
        """An order's records: signed, accepted in full, filled, confirmed."""
        order = OrderHash("0x" + request.intent.encode().hex().zfill(64))
        shares, price = request.shares_micro, request.touch_micro
        cash = ceil_mul(shares, price)
        yield own.OrderSigned(
            account=ACCOUNT,
            intent=request.intent,
            order=order,
            backend="paper",
            token=request.token,
            side=request.side,
            maker_micro=request.budget_micro,
            taker_micro=shares,
            payload={},
            executor="execution-4",
            signed_ns=self.now_ms * 1_000_000,
        )
        yield own.OrderAnswered(
            account=ACCOUNT,
            intent=request.intent,
            order=order,
            outcome="accepted",
            status="matched",
            reason="",
            http_status=200,
            shares_micro=shares,
            usd_micro=cash,
            trades=(f"t{request.intent}",),
            proof="paper",
            sent_ns=self.now_ms * 1_000_000,
            answered_ns=self.now_ms * 1_000_000,
        )
        statuses: tuple[own.FillStatus, ...] = ("MATCHED", "CONFIRMED")
        for status in statuses:
            yield own.OwnFill(
                account=ACCOUNT,
                source="user",
                trade=f"t{request.intent}",
                order=order,
                role="TAKER",
                token=request.token,
                condition=request.condition,
                side=request.side,
                shares_micro=shares,
                cash_micro=cash,
                status=status,
                tx="",
                venue_ms=self.now_ms // 1_000 * 1_000,
                recv_ns=self.now_ms * 1_000_000,
            )
