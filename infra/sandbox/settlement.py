"""From a match to the chain: ledger entries, MATCHED -> MINED -> CONFIRMED, who is told when.

At the match both owners hear of the trade. When it is mined the Data API indexes its rows; the
activity feed tells them `activity_delay_ms` after the match. A trade drawn to fail goes MATCHED ->
FAILED, is reversed exactly and never reaches the chain, the feed or the index. Trades with a leader
on either side never fail: what leaders do is the truth others are measured by.
"""

import random
from collections.abc import Sequence
from functools import partial

from infra.sandbox import wire_activity, wire_user
from infra.sandbox.agenda import Agenda
from infra.sandbox.faults import Faults
from infra.sandbox.floor import Emit
from infra.sandbox.hashing import hex_id, uuid_id
from infra.sandbox.index import Index
from infra.sandbox.ledger import Ledger, Leg
from infra.sandbox.market import Market
from infra.sandbox.matching import Fill, fee_micro
from infra.sandbox.records import Emission, Order, Trade
from infra.sandbox.settings import SandboxSettings

_CONNECTION = "sandbox="


class Settlement:
    """All trades ever made, and their way to finality."""

    def __init__(
        self,
        *,
        settings: SandboxSettings,
        rng: random.Random,
        agenda: Agenda,
        ledger: Ledger,
        index: Index,
        faults: Faults,
        emit: Emit,
    ) -> None:
        self._settings, self._rng, self._agenda = settings, rng, agenda
        self._ledger, self._index, self._faults, self._emit = ledger, index, faults, emit
        self._transactions = 0
        self.trades: dict[str, Trade] = {}
        self.leaders: set[str] = set()
        self.accounts: set[str] = set()

    def next_tx(self) -> str:
        self._transactions += 1
        return hex_id(self._settings.seed, "transaction", self._transactions)

    def match(self, order: Order, groups: Sequence[Sequence[Fill]]) -> list[Trade]:
        """Book a taker order's fills as one trade per group.

        A leader's share one transaction; another's later trades get their own one time in five.
        """
        tx_hash = self.next_tx()
        trades = []
        for bucket, fills in enumerate(groups):
            if bucket and order.wallet not in self.leaders and self._rng.random() < 0.2:
                tx_hash = self.next_tx()
            trades.append(self._trade(order, tuple(fills), tx_hash, bucket))
        for trade in trades:
            self._book(trade)
        self._publish_later(trades)
        return trades

    def _trade(self, order: Order, fills: tuple[Fill, ...], tx_hash: str, bucket: int) -> Trade:
        market = order.market
        fee = fee_micro(fills, rate_micro=market.fee_rate_micro, exponent=market.fee_exponent)
        wallets = {order.wallet, *(fill.maker.wallet for fill in fills)}
        owners = {order.owner, *(fill.maker.owner for fill in fills)}
        may_fail = bool(owners & self.accounts) and not wallets & self.leaders
        return Trade(
            trade_id=uuid_id(self._settings.seed, "trade", len(self.trades) + bucket),
            order_id=order.order_id,
            wallet=order.wallet,
            owner=order.owner,
            market=market,
            token=order.token,
            side=order.terms.side,
            fills=fills,
            legs=trade_legs(order, fills, fee),
            fee_micro=fee,
            tx_hash=tx_hash,
            bucket=bucket,
            match_ms=self._agenda.now_ms,
            update_ms=self._agenda.now_ms,
            will_fail=may_fail and self._faults.draw("failed_trade"),
        )

    def _book(self, trade: Trade) -> None:
        self.trades[trade.trade_id] = trade
        self._ledger.book(trade.legs)
        trade.market.volume_usd_micro += trade.usd_micro
        self._tell(trade)
        self._agenda.after(self._settings.mined_ms, lambda: self._mine(trade))

    def _mine(self, trade: Trade) -> None:
        if trade.will_fail:
            self._ledger.reverse(trade.legs)
            self._move(trade, "FAILED")
            return
        self._index_trade(trade)
        self._move(trade, "MINED")
        self._agenda.after(self._settings.confirmed_ms, lambda: self._confirm(trade))

    def _confirm(self, trade: Trade) -> None:
        self._ledger.confirm(trade.legs)
        self._move(trade, "CONFIRMED")

    def _move(self, trade: Trade, status: str) -> None:
        trade.status, trade.update_ms = status, self._agenda.now_ms
        self._tell(trade)

    def _tell(self, trade: Trade) -> None:
        """Send the trade to the accounts in it; leaders and strangers have no sockets."""
        for owner in sorted({trade.owner, *(f.maker.owner for f in trade.fills)} & self.accounts):
            frame = wire_user.trade_frame(trade, owner, self._agenda.now_ms)
            self._emit(Emission(channel="user", key=owner, payload=frame))

    def _index_trade(self, trade: Trade) -> None:
        for place, leg in enumerate(trade.legs):
            self._index.add(
                block_ms=self._agenda.now_ms,
                wallet=leg.wallet,
                kind="TRADE",
                market=trade.market,
                token=leg.token,
                side=leg.side,
                shares_micro=leg.shares_micro,
                usd_micro=leg.usd_micro,
                tx_hash=trade.tx_hash,
                is_taker=place == 0,
                fee_micro=leg.fee_micro,
            )

    def _publish_later(self, trades: list[Trade]) -> None:
        told = [trade for trade in trades if not trade.will_fail]
        delay_ms = self._settings.activity_delay_ms
        for tx_hash in dict.fromkeys(trade.tx_hash for trade in told):
            together = [trade for trade in told if trade.tx_hash == tx_hash]
            self._agenda.after(delay_ms, partial(self._publish, together))

    def _publish(self, trades: list[Trade]) -> None:
        """One aggregated row for the taker, then a row for each leg of each trade."""
        taker = trades[0].legs[0]
        whole = Leg(
            wallet=taker.wallet,
            condition_id=taker.condition_id,
            token=taker.token,
            side=taker.side,
            shares_micro=sum(trade.shares_micro for trade in trades),
            usd_micro=sum(trade.usd_micro for trade in trades),
        )
        self._activity("orders_matched", trades[0], whole)
        for trade in trades:
            for leg in trade.legs:
                self._activity("trades", trade, leg)

    def _activity(self, kind: str, trade: Trade, leg: Leg) -> None:
        row = wire_activity.payload(
            trade.market,
            leg.token,
            wallet=leg.wallet,
            side=leg.side,
            shares_micro=leg.shares_micro,
            usd_micro=leg.usd_micro,
            block_ms=trade.match_ms + self._settings.mined_ms,
            tx_hash=trade.tx_hash,
        )
        now_ms = self._agenda.now_ms
        message = wire_activity.message(kind, row, now_ms=now_ms, connection=_CONNECTION)
        self._emit(Emission(channel="activity", key=kind, payload=message))

    def split(self, wallet: str, market: Market, shares_micro: int) -> None:
        """SPLIT, or MERGE for a negative size; on chain at once."""
        self._ledger.split(wallet, market.condition_id, shares_micro)
        self._index_move(
            "SPLIT" if shares_micro > 0 else "MERGE",
            wallet,
            market,
            None,
            abs(shares_micro),
            abs(shares_micro),
            self.next_tx(),
        )

    def redeem(self, wallet: str, market: Market) -> int:
        """REDEEM all of a wallet's settled shares of a resolved market: one row per outcome."""
        rows = self._ledger.redeem(wallet, market.condition_id)
        tx_hash = self.next_tx()
        for token, shares_micro, usd_micro in rows:
            self._index_move("REDEEM", wallet, market, token, shares_micro, usd_micro, tx_hash)
        return len(rows)

    def _index_move(
        self,
        kind: str,
        wallet: str,
        market: Market,
        token: int | None,
        shares_micro: int,
        usd_micro: int,
        tx_hash: str,
    ) -> None:
        self._index.add(
            block_ms=self._agenda.now_ms,
            wallet=wallet,
            kind=kind,
            market=market,
            token=token,
            side="",
            shares_micro=shares_micro,
            usd_micro=usd_micro,
            tx_hash=tx_hash,
        )


def trade_legs(order: Order, fills: Sequence[Fill], fee: int) -> tuple[Leg, ...]:
    """The taker's leg first, then each maker's, as the ledger books them."""
    condition_id = order.market.condition_id
    taker = Leg(
        wallet=order.wallet,
        condition_id=condition_id,
        token=order.token,
        side=order.terms.side,
        shares_micro=sum(fill.shares_micro for fill in fills),
        usd_micro=sum(fill.usd_micro for fill in fills),
        fee_micro=fee,
    )
    makers = [
        Leg(
            wallet=fill.maker.wallet,
            condition_id=condition_id,
            token=fill.maker.token,
            side=fill.maker.side,
            shares_micro=fill.shares_micro,
            usd_micro=fill.maker_usd_micro(order.token),
        )
        for fill in fills
    ]
    return (taker, *makers)
