"""The paper venue: fills orders against the recorded depth and reports as the account role would.

Live public data, no key, no network. All it knows it reads from the tape (paper_ledger), where it
also writes: OwnFill MATCHED, then CONFIRMED after settle_ms, what a resolution paid
(OwnRedemption), reports of positions, balance and open orders, and Ticks with the account's feeds.
Order and trade ids follow from the intent, so a kill at any point doubles nothing: what stands on
the tape has happened, what does not has not.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from connectors.execution.answers import DUPLICATED, Verdict
from connectors.execution.backend import NotThere, Refusal, Seen, Sighting, Signed, Unready
from connectors.execution.check import wrong_request
from connectors.execution.mirror import Mirror
from connectors.execution.paper_ledger import Killed, PaperLedger, Payout
from schemas.records.base import Account, OrderHash, Record, Token, Wallet
from schemas.records.journal import OrderRequested
from schemas.records.own import (
    BalanceReport,
    OpenOrdersReport,
    OrderSigned,
    OwnFill,
    OwnRedemption,
    PositionsReport,
    ReportAsked,
)
from schemas.records.system import ConnectorStarted, FeedState, Tick
from schemas.units import floor_div, floor_mul, floor_to_cent, floor_to_lot
from schemas.wiring import PaperWiring

PRODUCER: Final = "paper"
FEEDS: Final = (
    "user",
    "own_trades",
    "own_positions",
    "own_orders",
    "own_balance",
    "own_redemptions",
)
SETTLE_EVERY_S: Final = 0.05

Append = Callable[[Record], Awaitable[int]]
About = Literal["positions", "orders", "balance"]


class PaperVenue:
    """A Backend and its bookkeeping. Without run() nothing settles and no Tick comes."""

    def __init__(
        self,
        wiring: PaperWiring,
        wallets: Mapping[Account, Wallet],
        *,
        tick_ms: int,
        append: Append,
        clock_ns: Callable[[], int],
    ) -> None:
        self.ledger = PaperLedger(wiring.cash_usd_micro, wallets)
        self._wiring = wiring
        self._wallets = wallets
        self._tick_ms = tick_ms
        self._append = append
        self._clock_ns = clock_ns
        self._mirror: Mirror | None = None
        # Fills and reports take turns, so that a report shows every fill made before it was asked.
        self._turn = asyncio.Lock()
        self._reports = 0

    @property
    def name(self) -> Literal["live", "paper"]:
        """paper."""
        return "paper"

    @property
    def accounts(self) -> frozenset[Account]:
        """Every account of the policy: paper needs no key."""
        return frozenset(self._wallets)

    def attach(self, mirror: Mirror) -> None:
        """The mirror that reads the tape for it."""
        self._mirror = mirror

    async def sign(self, request: OrderRequested) -> Signed | Refusal | Unready:
        """Amounts as the venue rounds them; the hash is that of the intent's own content."""
        if wrong := wrong_request(request):
            return Refusal(wrong)
        if request.side == "BUY":
            maker = floor_to_cent(request.budget_micro)
            taker = floor_div(maker, request.limit_micro)
        else:
            maker = floor_to_lot(request.shares_micro)
            taker = floor_mul(maker, request.limit_micro)
        payload = {
            "intent": request.intent,
            "account": request.account,
            "tokenId": request.token,
            "side": request.side,
            "makerAmount": str(maker),
            "takerAmount": str(taker),
            "orderType": "FAK",
        }
        return Signed(
            order=_paper_hash(payload), maker_micro=maker, taker_micro=taker, payload=payload
        )

    async def post(self, signed: OrderSigned) -> Verdict:
        """Fill against the depth as it stands after the latency, and write the fill down."""
        await asyncio.sleep(self._wiring.latency_ms / 1000)
        async with self._turn:
            if signed.order in self.ledger.orders:
                return Verdict(outcome="unknown", status=DUPLICATED)
            found = self.ledger.match(signed)
            if isinstance(found, Killed):
                return Verdict(outcome="refused", status="paper", reason=found.reason)
            now_ns = self._clock_ns()
            await self._write(
                OwnFill(
                    account=signed.account,
                    source="paper",
                    trade=f"paper-{signed.order[2:34]}",
                    order=signed.order,
                    role="TAKER",
                    token=signed.token,
                    condition=self.ledger.condition(signed.token),
                    side=signed.side,
                    shares_micro=found.shares_micro,
                    cash_micro=found.cash_micro,
                    status="MATCHED",
                    tx="",
                    venue_ms=now_ns // 1_000_000,
                    recv_ns=now_ns,
                )
            )
        # The first fill of the order on the tape is the one that happened, whoever wrote it.
        return _accepted(self.ledger.orders[signed.order])

    async def look_up(self, signed: OrderSigned, _request: OrderRequested) -> Sighting:
        """What the tape has of it."""
        fill = self.ledger.orders.get(signed.order)
        if fill is None:
            return NotThere()
        return Seen(
            status="matched",
            shares_micro=fill.shares_micro,
            usd_micro=fill.cash_micro,
            trades=(fill.trade,),
        )

    async def cancel(self, _signed: OrderSigned) -> str:
        """Nothing rests here: a POST fills or kills at once."""
        return "nothing rests on paper"

    async def run(self) -> None:
        """Settle, report and tick, for ever; call once the tape has been read to its end."""
        started = await self._write(ConnectorStarted(producer=PRODUCER, role="paper"))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ticking())
            group.create_task(self._settling())
            group.create_task(self._reporting(f"{PRODUCER}-{started}"))

    async def _ticking(self) -> None:
        seq = 0
        while True:
            now_ms = self._now_ms()
            state = FeedState(state="up", last_data_ms=now_ms)
            feeds = dict.fromkeys(FEEDS, state)
            await self._append(Tick(producer=PRODUCER, seq=seq, now_ms=now_ms, feeds=feeds))
            seq += 1
            await asyncio.sleep(max(self._tick_ms - (self._now_ms() - now_ms), 1) / 1000)

    async def _settling(self) -> None:
        while True:
            ripe_ms = self._now_ms() - self._wiring.settle_ms
            for fill in [f for f in self.ledger.unsettled.values() if f.venue_ms <= ripe_ms]:
                tx = "0x" + hashlib.sha256(fill.trade.encode()).hexdigest()
                confirmed = msgspec.structs.replace(
                    fill, status="CONFIRMED", tx=tx, recv_ns=self._clock_ns()
                )
                await self._write(confirmed)
            for account, token, paid in self.ledger.untold():
                await self._write(self._redemption(account, token, paid))
            await asyncio.sleep(SETTLE_EVERY_S)

    def _redemption(self, account: Account, token: Token, paid: Payout) -> OwnRedemption:
        """One for a token and account, so that a total told again replaces."""
        now_ns = self._clock_ns()
        return OwnRedemption(
            account=account,
            source="paper",
            tx="0x" + hashlib.sha256(f"redeem:{account}:{token}".encode()).hexdigest(),
            condition=paid.condition,
            token=token,
            shares_micro=paid.shares_micro,
            cash_micro=paid.cash_micro,
            venue_ms=now_ns // 1_000_000,
            recv_ns=now_ns,
        )

    async def _reporting(self, instance: str) -> None:
        while True:
            for account in sorted(self._wallets):
                await self._report(instance, account)
            await asyncio.sleep(self._wiring.positions_every_ms / 1000)

    async def _report(self, instance: str, account: Account) -> None:
        async with self._turn:
            asked = await self._asked(instance, account, "positions")
            await self._write(
                PositionsReport(
                    report=asked,
                    subject=account,
                    wallet=self._wallets[account],
                    rows=self.ledger.holdings(account),
                    complete=True,
                    floor_micro=0,
                    answered_ms=self._now_ms(),
                )
            )
            asked = await self._asked(instance, account, "balance")
            cash = self.ledger.cash[account]
            answered = self._now_ms()
            await self._write(
                BalanceReport(report=asked, subject=account, usd_micro=cash, answered_ms=answered)
            )
            asked = await self._asked(instance, account, "orders")
            await self._write(
                OpenOrdersReport(
                    report=asked, subject=account, rows=(), complete=True, answered_ms=answered
                )
            )

    async def _asked(self, instance: str, account: Account, about: About) -> str:
        """Announce a read and see it on the tape before anything is read."""
        self._reports += 1
        report = f"{instance}.{self._reports}"
        await self._write(
            ReportAsked(report=report, subject=account, about=about, asked_ms=self._now_ms())
        )
        return report

    async def _write(self, record: Record) -> int:
        assert self._mirror is not None, "attach() comes first"
        offset = await self._append(record)
        await self._mirror.reach(offset)
        return offset

    def _now_ms(self) -> int:
        return self._clock_ns() // 1_000_000


def _paper_hash(payload: dict[str, Any]) -> OrderHash:
    canonical = msgspec.json.encode(payload, order="sorted")
    return OrderHash("0x" + hashlib.sha256(canonical).hexdigest())


def _accepted(fill: OwnFill) -> Verdict:
    return Verdict(
        outcome="accepted",
        status="matched",
        shares_micro=fill.shares_micro,
        usd_micro=fill.cash_micro,
        trades=(fill.trade,),
    )
