"""Trades of ours to fills: which legs are ours, what they cost, how far they are settled.

Rules: API reference 8.2. Taker: the whole trade; its cash is the sum over the makers' legs, exact,
since `price` may be the average or the last level; a leg in the complementary token costs us one
minus its price. Maker: only the rows whose owner is our API key, each with its own order, token
and side. Never guesses whose a trade is: what cannot be told is refused with a reason.
"""

from typing import Literal

from connectors.polymarket.wire import (
    BadValue,
    condition_id,
    epoch_ms,
    price_micro,
    size_micro,
    token_id,
)
from connectors.polymarket.wire_user import MakerOrder, TradeRow, status_of
from schemas.records.base import Account, Condition, OrderHash, Side, Token
from schemas.records.own import FillStatus, OwnFill
from schemas.units import MICRO

Source = Literal["user", "rest"]
STATED_MAX = 100_000
"""Fills remembered; one forgotten is stated again, which changes nothing."""
FINAL: frozenset[FillStatus] = frozenset({"CONFIRMED", "FAILED"})


class OwnFills:
    """Turns trades into fills of one account and states each of their transitions once.

    api_key tells our legs from others'; it never leaves this object.
    """

    def __init__(self, *, account: Account, wallet: str, api_key: str) -> None:
        self._account = account
        self._wallet = wallet.lower()
        self._api_key = api_key
        self._stated: dict[tuple[str, str], tuple[FillStatus, int, int, str]] = {}

    def stated(self, row: TradeRow, source: Source, recv_ns: int) -> list[OwnFill]:
        """Fills of ours in this trade that say something new; raises BadValue.

        A status behind a final one (REST lags behind the channel) says nothing.
        """
        news = []
        for fill in self._fills(row, source, recv_ns):
            key = (fill.trade, fill.order if fill.role == "MAKER" else "")
            said = self._stated.get(key)
            word = (fill.status, fill.shares_micro, fill.cash_micro, fill.tx)
            if said == word or (said and said[0] in FINAL and fill.status not in FINAL):
                continue
            self._stated[key] = word
            if len(self._stated) > STATED_MAX:
                del self._stated[next(iter(self._stated))]
            news.append(fill)
        return news

    def forget(self) -> None:
        """Say everything again: after a doubt about what reached the tape."""
        self._stated.clear()

    def settled(self, row: TradeRow) -> bool:
        """Whether the trade's status can change no more."""
        return status_of(row.status) in FINAL

    def _fills(self, row: TradeRow, source: Source, recv_ns: int) -> list[OwnFill]:
        status = status_of(row.status)
        if status is None:
            raise BadValue(f"trade {row.id}: status {row.status!r} is not known")
        makers = [maker for maker in row.maker_orders or [] if self._ours(maker)]
        fills = [self._maker(row, maker, status, source, recv_ns) for maker in makers]
        if row.trader_side == "TAKER" or (not row.trader_side and not makers):
            if row.trader_side != "TAKER" and row.owner != self._api_key:
                raise BadValue(f"trade {row.id}: neither taker nor maker of it is ours")
            fills.insert(0, self._taker(row, status, source, recv_ns))
        elif not makers:
            raise BadValue(f"trade {row.id}: we are its {row.trader_side} and no leg is ours")
        return fills

    def _ours(self, maker: MakerOrder) -> bool:
        if maker.owner:
            return maker.owner == self._api_key
        return maker.maker_address.lower() == self._wallet

    def _taker(self, row: TradeRow, status: FillStatus, source: Source, recv_ns: int) -> OwnFill:
        return self._record(
            row, status, source, recv_ns,
            order=row.taker_order_id, role="TAKER", token=row.asset_id, side=row.side,
            shares_micro=size_micro(row.size), cash_micro=taker_cash(row),
        )  # fmt: skip

    def _maker(
        self, row: TradeRow, maker: MakerOrder, status: FillStatus, source: Source, recv_ns: int
    ) -> OwnFill:
        shares, price = size_micro(maker.matched_amount), price_micro(maker.price)
        return self._record(
            row, status, source, recv_ns,
            order=maker.order_id, role="MAKER", token=maker.asset_id, side=_maker_side(row, maker),
            shares_micro=shares, cash_micro=_half_even(shares * price),
        )  # fmt: skip

    def _record(
        self,
        row: TradeRow,
        status: FillStatus,
        source: Source,
        recv_ns: int,
        *,
        order: str,
        role: Literal["TAKER", "MAKER"],
        token: str,
        side: str,
        shares_micro: int,
        cash_micro: int,
    ) -> OwnFill:
        return OwnFill(
            account=self._account,
            source=source,
            trade=row.id,
            order=OrderHash(order.lower()),
            role=role,
            token=Token(token_id(token)),
            condition=_condition(row),
            side=_side(side),
            shares_micro=shares_micro,
            cash_micro=cash_micro,
            status=status,
            tx=(row.transaction_hash or "").lower(),
            venue_ms=venue_ms(row),
            recv_ns=recv_ns,
        )


def taker_cash(row: TradeRow) -> int:
    """Dollars of a taker's trade without the fee; raises BadValue."""
    size, legs = size_micro(row.size), row.maker_orders or []
    if legs and sum(size_micro(leg.matched_amount) for leg in legs) == size:
        total = 0
        for leg in legs:
            price = price_micro(leg.price)
            ours = price if leg.asset_id == row.asset_id else MICRO - price
            total += size_micro(leg.matched_amount) * ours
        return _half_even(total)
    return _half_even(size * price_micro(row.price))


def venue_ms(row: TradeRow) -> int:
    """When the venue matched it; raises BadValue if the trade carries no time at all."""
    for stamp in (row.match_time, row.matchtime, row.last_update, row.timestamp):
        if stamp != "":
            return epoch_ms(stamp)
    raise BadValue(f"trade {row.id} carries no time")


def _condition(row: TradeRow) -> Condition:
    return condition_id(row.market)


def _side(text: str) -> Side:
    if text == "BUY":
        return "BUY"
    if text == "SELL":
        return "SELL"
    raise BadValue(f"side {text!r} is neither BUY nor SELL")


def _maker_side(row: TradeRow, maker: MakerOrder) -> str:
    """Its own, where stated; else the opposite in the same token, the same in the other one."""
    if maker.side:
        return maker.side
    if maker.asset_id != row.asset_id:
        return row.side
    return "SELL" if row.side == "BUY" else "BUY"


def _half_even(square_micro: int) -> int:
    """A product of two micro quantities in micro, ties to even."""
    whole, rest = divmod(square_micro, MICRO)
    up = rest * 2 > MICRO or (rest * 2 == MICRO and whole % 2 == 1)
    return whole + up
