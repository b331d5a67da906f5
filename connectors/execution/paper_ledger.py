"""What the paper venue knows: a pure fold of the tape, its own earlier records included.

Cash and shares are what its own OwnFill records say, so a killed venue finds itself again by
reading; the first MATCHED of an order counts, later ones are repeats. It takes displayed liquidity
once: what it took since the newest Depth is no longer there. A resolved market pays out at once, as
the venue's AutoRedeemer does. Never looks at a clock; knows no network and no key.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from flows.core.slippage import Fee, Walk, taker_fee, walk
from schemas.codec import decode_levels
from schemas.records.base import Account, Condition, OrderHash, Record, Side, Token
from schemas.records.market import BookEpoch, Depth, MarketClosed, MarketMeta, MarketResolved
from schemas.records.own import Holding, OrderSigned, OwnFill, OwnRedemption
from schemas.units import MICRO, floor_div

KINDS: Final = frozenset(
    {"Depth", "BookEpoch", "MarketMeta", "MarketClosed", "MarketResolved", "OwnRedemption"}
)
MARKETABLE_MIN_USD_MICRO: Final = 1_000_000
"""A marketable BUY below one dollar is refused (API reference 6.5)."""


@dataclass(slots=True)
class Book:
    """Newest depth of a token and what was taken from it since."""

    depth: Depth
    taken: dict[Side, int] = field(default_factory=lambda: {"BUY": 0, "SELL": 0})


@dataclass(frozen=True, slots=True)
class Payout:
    """What a resolution paid an account for a token so far."""

    condition: Condition
    shares_micro: int
    cash_micro: int


@dataclass(frozen=True, slots=True)
class Killed:
    """The order brings nothing, and why."""

    reason: str


class PaperLedger:
    """Cash, holdings, books and orders of the paper venue."""

    def __init__(self, cash_micro: int, accounts: Iterable[Account]) -> None:
        self.cash = dict.fromkeys(accounts, cash_micro)
        self.orders: dict[OrderHash, OwnFill] = {}
        self.unsettled: dict[str, OwnFill] = {}
        self._held: dict[Account, dict[Token, int]] = {account: {} for account in self.cash}
        self._confirmed: defaultdict[tuple[Account, Token], int] = defaultdict(int)
        self._books: dict[Token, Book] = {}
        self._markets: dict[Token, MarketMeta] = {}
        self._closed: dict[Condition, str] = {}
        self._payouts: dict[Token, int] = {}
        self._paid: dict[tuple[Account, Token], Payout] = {}
        self._told: dict[tuple[Account, Token], Payout] = {}

    def observe(self, _offset: int, record: Record) -> None:
        """Take one tape record in."""
        match record:
            case Depth():
                self._books[record.token] = Book(record)
            case BookEpoch(state="ended"):
                self._books.pop(record.token, None)
            case MarketMeta():
                for outcome in record.outcomes:
                    self._markets[outcome.token] = record
            case MarketClosed():
                self._closed[record.condition] = "market closed"
            case MarketResolved():
                self._resolve(record)
            case OwnFill(source="paper") if record.account in self.cash:
                self._fill(record)
            case OwnRedemption(source="paper"):
                told = Payout(record.condition, record.shares_micro, record.cash_micro)
                self._told[record.account, record.token] = told

    def untold(self) -> list[tuple[Account, Token, Payout]]:
        """What was paid out of resolved tokens and stands on no record yet: whole totals."""
        return [
            (account, token, paid)
            for (account, token), paid in self._paid.items()
            if paid != self._told.get((account, token))
        ]

    def holdings(self, account: Account) -> tuple[Holding, ...]:
        """Everything the account holds, by token."""
        return tuple(
            Holding(token=token, condition=self._markets[token].condition, shares_micro=shares)
            for token, shares in sorted(self._held[account].items())
            if shares
        )

    def condition(self, token: Token) -> Condition:
        """The market of a token that match() accepted."""
        return self._markets[token].condition

    def match(self, order: OrderSigned) -> Walk | Killed:
        """What a FAK order would get at this point of the tape; takes nothing by itself."""
        market, book = self._markets.get(order.token), self._books.get(order.token)
        if market is None:
            return Killed("market not known")
        if reason := self._closed.get(market.condition, "" if market.accepting else "closed"):
            return Killed(reason)
        if reason := _too_small(order, market):
            return Killed(reason)
        if book is None:
            return Killed("no trusted book")
        fee = Fee(market.fee_rate_micro, market.fee_exponent)
        if order.side == "BUY":
            limit = -(-order.maker_micro * MICRO // order.taker_micro)
            limit -= limit % market.tick_micro
            asks = _after(decode_levels(book.depth.asks), book.taken["BUY"])
            found = walk(asks, "BUY", limit_micro=limit, fee=fee, usd_max=order.maker_micro)
        else:
            limit = order.taker_micro * MICRO // order.maker_micro
            bids = _after(decode_levels(book.depth.bids), book.taken["SELL"])
            found = walk(bids, "SELL", limit_micro=limit, fee=fee, shares_max=order.maker_micro)
        return self._affordable(order, found)

    def _affordable(self, order: OrderSigned, found: Walk) -> Walk | Killed:
        if not found.shares_micro or not found.cash_micro:
            return Killed("killed")
        if order.side == "BUY":
            fee = self._fee(order.token, found.shares_micro, found.cash_micro)
            short = found.cash_micro + fee > self.cash[order.account]
        else:
            short = order.maker_micro > self._confirmed[order.account, order.token]
        return Killed("not enough balance") if short else found

    def _fill(self, fill: OwnFill) -> None:
        if fill.order not in self.orders:
            self.orders[fill.order] = fill
            self.unsettled[fill.trade] = fill
            self._book(fill)
        if fill.status == "CONFIRMED" and self.unsettled.pop(fill.trade, None) is not None:
            sign = 1 if fill.side == "BUY" else -1
            self._confirmed[fill.account, fill.token] += sign * fill.shares_micro

    def _book(self, fill: OwnFill) -> None:
        sign = 1 if fill.side == "BUY" else -1
        held = self._held[fill.account]
        held[fill.token] = held.get(fill.token, 0) + sign * fill.shares_micro
        fee = self._fee(fill.token, fill.shares_micro, fill.cash_micro)
        self.cash[fill.account] -= sign * fill.cash_micro + fee
        if fill.token in self._books:
            self._books[fill.token].taken[fill.side] += fill.shares_micro
        if fill.token in self._payouts:
            self._pay(fill.token)

    def _fee(self, token: Token, shares_micro: int, cash_micro: int) -> int:
        """Taker fee of a whole fill at its average price: all that its record on the tape says."""
        market = self._markets[token]
        price = floor_div(cash_micro, shares_micro)
        return taker_fee(shares_micro, price, Fee(market.fee_rate_micro, market.fee_exponent))

    def _resolve(self, record: MarketResolved) -> None:
        self._closed[record.condition] = "market resolved"
        for token, payout_micro in record.payouts.items():
            self._payouts[token] = payout_micro
            self._pay(token)

    def _pay(self, token: Token) -> None:
        for account, held in self._held.items():
            shares = held.pop(token, 0)
            cash = shares * self._payouts[token] // MICRO
            self.cash[account] += cash
            self._confirmed.pop((account, token), None)
            if shares:
                before = self._paid.get((account, token))
                self._paid[account, token] = Payout(
                    self._markets[token].condition,
                    shares + (before.shares_micro if before is not None else 0),
                    cash + (before.cash_micro if before is not None else 0),
                )


def _after(levels: list[tuple[int, int]], taken_micro: int) -> list[tuple[int, int]]:
    """The levels without their first `taken` shares."""
    left: list[tuple[int, int]] = []
    for price, size in levels:
        gone = min(size, taken_micro)
        taken_micro -= gone
        if size > gone:
            left.append((price, size - gone))
    return left


def _too_small(order: OrderSigned, market: MarketMeta) -> str:
    """The venue's minimums, checked on the signed amounts as it does (API reference 6.5)."""
    shares = order.taker_micro if order.side == "BUY" else order.maker_micro
    if shares < market.min_shares_micro:
        return f"size {shares} micro is lower than the minimum {market.min_shares_micro}"
    if order.side == "BUY" and order.maker_micro < MARKETABLE_MIN_USD_MICRO:
        return "a marketable BUY is at least 1 USD"
    return ""
