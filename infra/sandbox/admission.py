"""Which orders are taken: the checks on arrival that need the book, the clock or a balance.

The texts are the venue's (API reference 13.3). Balances count settled amounts only, less what open
orders keep: what a trade brings cannot be spent before the trade is confirmed.
"""

from infra.sandbox.agenda import Agenda
from infra.sandbox.ledger import Ledger
from infra.sandbox.liquidity import resting_maker
from infra.sandbox.market import Market
from infra.sandbox.matching import Offer, Refusal, fee_micro, fill_at, size_refusal
from infra.sandbox.records import Order
from schemas.units import floor_div

NO_BOOK = "No orderbook exists for the requested token id"
CROSSES = "invalid post-only order: order crosses book"
GTD_MARGIN_S = 60
"""A GTD order expires this much earlier than stated (6.3)."""


class Admission:
    """Checks an order against what is open, held and displayed."""

    def __init__(self, *, agenda: Agenda, ledger: Ledger, orders: dict[str, Order]) -> None:
        self._agenda, self._ledger, self._orders = agenda, ledger, orders

    def refusal(self, order: Order) -> Refusal | None:
        """Why an order is not taken; None when it is."""
        if order.order_id in self._orders:
            return Refusal(400, f"order {order.order_id} is invalid. Duplicated.")
        if not order.market.is_open:
            return Refusal(404, NO_BOOK)
        now_s = self._agenda.now_ms // 1000
        if order.terms.order_type == "GTD" and order.expiration_s < now_s + GTD_MARGIN_S:
            return Refusal(400, "invalid expiration")
        marketable = order.terms.is_market or self._would_cross(order)
        if order.post_only and marketable:
            return Refusal(400, CROSSES)
        return size_refusal(
            order.order_id,
            order.terms,
            min_shares_micro=order.market.min_shares_micro,
            marketable=marketable,
        ) or self._balance_refusal(order)

    def _would_cross(self, order: Order) -> bool:
        book = order.market.book
        buys = order.terms.side == "BUY"
        best = book.best_ask(order.token) if buys else book.best_bid(order.token)
        return best is not None and order.terms.admits(best)

    def _balance_refusal(self, order: Order) -> Refusal | None:
        if order.terms.side == "BUY":
            needed = order.terms.usd_micro + self._worst_fee(order)
            balance = self.free_cash_micro(order.wallet)
        else:
            needed = order.terms.shares_micro
            balance = self.free_shares_micro(order.wallet, order.market, order.token)
        if needed <= balance:
            return None
        return Refusal(
            400,
            "not enough balance / allowance: the balance is not enough -> "
            f"balance: {balance}, order amount: {needed}",
        )

    def _worst_fee(self, order: Order) -> int:
        market, price = order.market, order.terms.price_micro
        shares = floor_div(order.terms.usd_micro, price)
        fill = fill_at("BUY", Offer(price, shares, resting_maker(order)), shares)
        return fee_micro([fill], rate_micro=market.fee_rate_micro, exponent=market.fee_exponent)

    def free_cash_micro(self, wallet: str) -> int:
        """Settled cash that no open order keeps."""
        reserved = sum(o.reserved_usd_micro for o in self._orders.values() if o.wallet == wallet)
        return self._ledger.cash_micro[wallet] - reserved

    def free_shares_micro(self, wallet: str, market: Market, token: int) -> int:
        """Settled shares that no open order keeps."""
        reserved = sum(
            order.reserved_shares_micro
            for order in self._orders.values()
            if order.wallet == wallet and order.market is market and order.token == token
        )
        return self._ledger.shares_micro[wallet, market.condition_id, token] - reserved
