"""Execution's way to the venue: signs, posts and looks up at the exchange of this world.

Where the live backend asks the official client, this one asks the exchange itself, through answers
that get lost, lie or come late. Every reply is judged by execution's own `classify`, every look-up
by its own `sighting`. Keeps what arrived at the venue, by intent.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import sha256
from typing import Any, Literal

from connectors.execution.answers import Reply, Verdict, classify
from connectors.execution.backend import Refusal, Sighting, Signed, Unclear, Unready
from connectors.execution.check import wrong_request
from connectors.execution.sightings import OrderView, TradeView, sighting
from infra.sandbox.matching import Refusal as VenueRefusal
from infra.sandbox.matching import order_terms
from infra.sandbox.records import Answer, Order, Trade
from schemas.records.base import Account, Intent, OrderHash
from schemas.records.journal import OrderRequested
from schemas.records.own import OrderSigned
from schemas.units import CENT_MICRO, LOT_MICRO, MICRO
from tests.sim.mischief import Mischief
from tests.sim.network import Network
from tests.sim.town import OWN_WALLET, Town

STEPS = {10_000: 100, 2_000: 10, 1_000: 10}
"""Tick -> step of an order's other amount; what the client rounds to (API reference 6.4)."""
POST_TIMEOUT_S = 0.7


Pending = asyncio.Future[Answer | VenueRefusal]


class Arrivals:
    """What reached the venue, ever: hashes by intent, and how often each was accepted."""

    def __init__(self) -> None:
        self.hashes: dict[Intent, dict[OrderHash, int]] = defaultdict(dict)
        self.requests: dict[OrderHash, OrderSigned] = {}
        self.pending: dict[OrderHash, list[Pending]] = defaultdict(list)
        self.on_sent: Callable[[OrderSigned], None] = lambda signed: None
        self.on_arrival: Callable[[OrderSigned], None] = lambda signed: None

    def note(self, signed: OrderSigned) -> None:
        known = self.hashes[signed.intent]
        known[signed.order] = known.get(signed.order, 0) + 1
        self.requests.setdefault(signed.order, signed)
        self.on_arrival(signed)


class SimBackend:
    """One executor's backend. chance: its salts, as unpredictable as a real one's."""

    def __init__(
        self,
        town: Town,
        network: Network,
        mischief: Mischief,
        arrivals: Arrivals,
        chance: random.Random,
        account: Account,
        old_ms: int,
        under_way: Callable[[Coroutine[Any, Any, None]], None],
        forgetful: bool,
    ) -> None:
        self._town, self._network, self._mischief = town, network, mischief
        self._arrivals, self._chance, self._account = arrivals, chance, account
        self._old_ms = old_ms
        self._under_way = under_way
        self._forgetful = forgetful

    @property
    def name(self) -> Literal["live", "paper"]:
        return "live"

    @property
    def accounts(self) -> frozenset[Account]:
        return frozenset((self._account,))

    async def sign(self, request: OrderRequested) -> Signed | Refusal | Unready:
        """Amounts as the client rounds them: shares down, so that the limit is never missed."""
        if wrong := wrong_request(request):
            return Refusal(wrong)
        await asyncio.sleep(0.001)
        step = STEPS[request.tick_micro]
        if request.side == "BUY":
            maker = request.budget_micro // CENT_MICRO * CENT_MICRO
            taker = maker * MICRO // request.limit_micro // step * step
        else:
            maker = request.shares_micro // LOT_MICRO * LOT_MICRO
            taker = maker * request.limit_micro // MICRO // step * step
        salt = self._chance.getrandbits(52)
        text = f"{salt}:{request.token}:{request.side}:{maker}:{taker}"
        return Signed(
            order=OrderHash("0x" + sha256(text.encode()).hexdigest()),
            maker_micro=maker,
            taker_micro=taker,
            payload={"salt": str(salt)},
        )

    async def post(self, signed: OrderSigned) -> Verdict:
        """Send it once; whatever happens on the way is in the verdict."""
        return classify(await self._reply(signed))

    async def _reply(self, signed: OrderSigned) -> Reply:
        self._arrivals.on_sent(signed)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        # What has left this process arrives whatever becomes of the process.
        self._under_way(self._at_the_venue(signed, reply))
        try:
            async with asyncio.timeout(POST_TIMEOUT_S):
                return await reply
        except TimeoutError:
            return Reply(http_status=None, text="no answer in time")

    async def _at_the_venue(self, signed: OrderSigned, reply: "asyncio.Future[Reply]") -> None:
        take = self._mischief.take
        await asyncio.sleep(self._network.delay_s())
        if take("lost_request", "venue"):
            return
        if late := take("late_request", "venue"):
            await asyncio.sleep(late.strength / 1_000)
        answer = await self._answer(signed)
        if take("lost_answer", "venue"):
            return
        await asyncio.sleep(self._network.delay_s())
        if not reply.done():
            reply.set_result(answer)

    async def _answer(self, signed: OrderSigned) -> Reply:
        take = self._mischief.take
        if take("too_early_425", "venue"):
            return Reply(http_status=425, text="matching engine restarting")
        if take("post_only_503", "venue"):
            return Reply(http_status=503, text="post-only mode", code="post_only_mode")
        self._arrivals.note(signed)
        if take("forgotten", "venue"):
            # Called pending, and never heard of again: neither an order nor a trade.
            return Reply(http_status=200, status="delayed", order=signed.order)
        delayed = take("delayed", "venue")
        pending = self._submit(signed)
        self._arrivals.pending[signed.order].append(pending)
        if delayed and not pending.done():
            self._shown(signed.order)
            return Reply(http_status=200, status="delayed", order=signed.order)
        found = await pending
        if isinstance(found, VenueRefusal):
            return Reply(http_status=found.status, text=found.text)
        if take("answer_500", "venue"):
            return Reply(http_status=500, text="could not insert order")
        return _accepted(signed, found)

    def _shown(self, order: OrderHash) -> None:
        """Whoever was told that an order is pending is told later how it ended.

        Not by a forgetful venue, which knows nothing of an order once it is killed.
        """
        if not self._forgetful:
            for pending in self._arrivals.pending[order]:
                if not pending.done():
                    pending.add_done_callback(partial(self._remember, order))

    def _remember(self, order: OrderHash, found: Pending) -> None:
        if isinstance(found.result(), VenueRefusal):
            killed = self._town.own_orders[order]
            killed.status = "CANCELED"
            self._town.venue.exchange.orders[order] = killed

    def _submit(self, signed: OrderSigned) -> Pending:
        answered: Pending = asyncio.get_running_loop().create_future()
        self._town.rim.now()
        market, token = self._town.venue.floor.by_token[signed.token]
        amounts = signed.maker_micro, signed.taker_micro
        terms = order_terms(signed.order, signed.side, "FAK", *amounts, market.tick_micro)
        if isinstance(terms, VenueRefusal):
            answered.set_result(terms)
            return answered
        order = Order(
            order_id=signed.order,
            wallet=OWN_WALLET,
            owner=self._town.credentials.key,
            market=market,
            token=token,
            terms=terms,
            placed_ms=self._town.venue.agenda.now_ms,
        )
        self._town.own_orders.setdefault(signed.order, order)
        self._town.venue.exchange.submit(
            order, lambda found: None if answered.done() else answered.set_result(found)
        )
        return answered

    async def look_up(self, signed: OrderSigned, request: OrderRequested) -> Sighting:
        """The order by its hash and the trades that name it, as the venue has them now."""
        await asyncio.sleep(self._network.delay_s())
        if self._mischief.take("unclear_lookup", "venue"):
            return Unclear("status 500")
        now_ms = self._town.rim.now()
        order = self._town.venue.exchange.orders.get(signed.order)
        if order is not None and order.status == "DELAYED":
            self._shown(signed.order)
        trades = self._town.venue.settlement.trades.values()
        views = [_trade_view(trade) for trade in trades if trade.order_id == signed.order]
        return sighting(
            None if order is None else _order_view(order), views, now_ms=now_ms, old_ms=self._old_ms
        )

    async def cancel(self, signed: OrderSigned) -> str:
        """As the venue does it: what does not rest cannot be taken back."""
        await asyncio.sleep(self._network.delay_s())
        self._town.rim.now()
        exchange = self._town.venue.exchange
        order = exchange.orders.get(signed.order)
        ended = order is not None and exchange.end(order, "CANCELED")
        return "canceled" if ended else "order not found or already canceled"


def _accepted(signed: OrderSigned, answer: Answer) -> Reply:
    amounts = answer.taking_micro, answer.making_micro
    shares, usd = amounts if signed.side == "BUY" else amounts[::-1]
    return Reply(
        http_status=200,
        status=answer.status,
        order=answer.order_id,
        shares_micro=shares,
        usd_micro=usd,
        trades=answer.trade_ids,
    )


def _order_view(order: Order) -> OrderView:
    return OrderView(
        status=order.status,
        matched_micro=order.matched_shares_micro,
        trades=tuple(order.trade_ids),
    )


def _trade_view(trade: Trade) -> TradeView:
    return TradeView(
        trade=trade.trade_id,
        shares_micro=trade.shares_micro,
        usd_micro=trade.usd_micro,
        matched_ms=trade.match_ms // 1_000 * 1_000,
    )
