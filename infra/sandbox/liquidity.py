"""Who stands behind the displayed book: resting orders first, then anonymous makers.

Four in five anonymous makers stand in the other outcome's book, as measured on the venue (API
reference 10.6); a level belongs to one to three of them. Makers and strangers are funded without
limit, and split collateral when they sell what they do not hold.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator

from infra.sandbox.hashing import hex_id, uuid_id
from infra.sandbox.ledger import Ledger
from infra.sandbox.market import Market, resting_place
from infra.sandbox.matching import Fill, Maker, Offer
from infra.sandbox.orderbook import ASK, BID
from infra.sandbox.records import Order
from infra.sandbox.settings import SandboxSettings
from schemas.units import LOT_MICRO, MICRO

STRANGERS = 24
_ENDLESS_USD_MICRO = 10**15
_SEVERAL_FROM_MICRO = 20_000_000


class Liquidity:
    """Offers behind a market's displayed levels."""

    def __init__(
        self,
        *,
        settings: SandboxSettings,
        rng: random.Random,
        ledger: Ledger,
        split: Callable[[str, Market, int], None],
    ) -> None:
        self._rng, self._ledger, self._split = rng, ledger, split
        self._orders = 0
        self._seed = settings.seed
        self.wallets = [hex_id(settings.seed, "stranger", i, size=20) for i in range(STRANGERS)]
        for wallet in self.wallets:
            ledger.deposit(wallet, _ENDLESS_USD_MICRO)

    def stranger(self) -> str:
        return self._rng.choice(self.wallets)

    def next_order_id(self) -> str:
        self._orders += 1
        return hex_id(self._seed, "order", self._orders)

    def offers(self, market: Market, token: int, side: str, wallet: str) -> Iterator[Offer]:
        """What a taker on this side of this token may hit, best first; never its own orders."""
        book_side = ASK if side == "BUY" else BID
        for price, displayed in market.book.best_first(token, book_side):
            left = displayed
            for order in market.resting:
                if order.wallet != wallet and resting_place(order, token) == (book_side, price):
                    shares = min(order.left_micro, left)
                    if shares > 0:
                        yield Offer(price, shares, resting_maker(order))
                    left -= shares
                elif resting_place(order, token) == (book_side, price):
                    left -= min(order.left_micro, left)
            yield from self._anonymous(market, token, side, price, left)

    def _anonymous(
        self, market: Market, token: int, side: str, price: int, left: int
    ) -> Iterator[Offer]:
        several = left >= _SEVERAL_FROM_MICRO
        cuts = self._rng.choice((0, 0, 1, 2)) if several else 0
        for _ in range(cuts):
            part = left * self._rng.randint(20, 50) // 100 // LOT_MICRO * LOT_MICRO
            yield Offer(price, part, self.maker(token, side, price))
            left -= part
        if left > 0:
            yield Offer(price, left, self.maker(token, side, price))

    def maker(self, token: int, taker_side: str, price_micro: int) -> Maker:
        """An anonymous maker for a taker's side and price of a token."""
        wallet = self.stranger()
        other_book = self._rng.random() < 0.8
        opposite = "SELL" if taker_side == "BUY" else "BUY"
        return Maker(
            wallet=wallet,
            owner=uuid_id(self._seed, "owner", wallet),
            order_id=self.next_order_id(),
            token=1 - token if other_book else token,
            side=taker_side if other_book else opposite,
            price_micro=MICRO - price_micro if other_book else price_micro,
        )

    def fund(self, market: Market, wallet: str, token: int, side: str, shares_micro: int) -> None:
        """Let a stranger sell what it does not hold yet: it splits the rest from cash."""
        key = (wallet, market.condition_id, token)
        missing = shares_micro - self._ledger.shares_micro[key]
        if side == "SELL" and missing > 0 and wallet in self.wallets:
            self._split(wallet, market, missing)

    def fund_makers(self, market: Market, fills: list[Fill]) -> None:
        """Fund every maker for all it sells in these fills together."""
        needs: Counter[tuple[str, int, str]] = Counter()
        for fill in fills:
            needs[fill.maker.wallet, fill.maker.token, fill.maker.side] += fill.shares_micro
        for (wallet, token, side), shares_micro in needs.items():
            self.fund(market, wallet, token, side, shares_micro)


def resting_maker(order: Order) -> Maker:
    return Maker(
        wallet=order.wallet,
        owner=order.owner,
        order_id=order.order_id,
        token=order.token,
        side=order.terms.side,
        price_micro=order.terms.price_micro,
    )
