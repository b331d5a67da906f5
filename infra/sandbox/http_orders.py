"""CLOB REST: orders posted and cancelled (API reference 5.4, 6.6, 6.8).

The signature of an order is verified for plain wallets (type 0); its id is its EIP-712 hash. With
the fault `lost_answer` an accepted order's answer never arrives: the connection is reset at once,
or held open for a while first.
"""

import asyncio
from typing import Any, Literal

import msgspec
from aiohttp import web

from infra.sandbox.admission import NO_BOOK
from infra.sandbox.auth import Credentials
from infra.sandbox.faults import HANG_MS, POST_ONLY_MS, RESTART_MS
from infra.sandbox.hashing import SignedOrder, order_digest, recover_address
from infra.sandbox.matching import Refusal, order_terms
from infra.sandbox.postlog import Post
from infra.sandbox.records import Answer, Order
from infra.sandbox.rim import Rim, answer, refuse
from infra.sandbox.signed import private
from schemas.units import format_micro

BATCH_MAX = 15
CANCEL_MAX = 1_000
BAD_PAYLOAD = Refusal(400, "Invalid order payload")
BAD_SIGNER = Refusal(400, "the order signer address has to be the address of the API KEY")
BAD_SIGNATURE = Refusal(400, "Invalid order payload: invalid signature")
GONE = "order not found or already canceled"
MATCHING = "order is being matched and can't be canceled"


class WireOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The signed order as it is posted."""

    builder: str
    expiration: str
    maker: str
    maker_amount: str
    metadata: str
    salt: int
    side: Literal["BUY", "SELL"]
    signature: str
    signature_type: int
    signer: str
    taker_amount: str
    timestamp: str
    token_id: str


class WirePost(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of POST /order, an element of POST /orders."""

    order: WireOrder
    order_type: Literal["GTC", "GTD", "FOK", "FAK"]
    owner: str
    defer_exec: bool = False
    post_only: bool = False


class OrderDesk:
    """Handlers of posts and cancels."""

    def __init__(self, rim: Rim) -> None:
        self._rim = rim
        self._restart_ms = -RESTART_MS - POST_ONLY_MS

    def routes(self) -> list[web.RouteDef]:
        rim = self._rim
        return [
            web.post("/order", private(rim, self.post_order)),
            web.post("/orders", private(rim, self.post_orders)),
            web.delete("/order", private(rim, self.cancel_order)),
            web.delete("/orders", private(rim, self.cancel_orders)),
            web.delete("/cancel-all", private(rim, self.cancel_all)),
            web.delete("/cancel-market-orders", private(rim, self.cancel_market)),
        ]

    async def post_order(self, request: web.Request, owner: Credentials) -> web.StreamResponse:
        wire = _decode(await request.read(), WirePost)
        restarting = self._restarting(wire)
        if restarting is not None:
            return restarting
        result = wire if isinstance(wire, Refusal) else await self._post(wire, owner)
        if isinstance(result, Refusal):
            return refuse(result)
        if self._rim.venue.faults.draw("lost_answer"):
            return await self._lose_answer(request, result)
        return answer(_accepted(result))

    def _restarting(self, wire: WirePost | Refusal) -> web.Response | None:
        """The matching engine is away (425), or back and takes post-only orders only (503)."""
        now_ms = self._rim.now()
        if now_ms >= self._restart_ms + RESTART_MS + POST_ONLY_MS and (
            self._rim.venue.faults.draw("engine_restart")
        ):
            self._restart_ms = now_ms
        gone_ms = now_ms - self._restart_ms
        if gone_ms < RESTART_MS:
            body = {"error": "the matching engine is restarting"}
            return answer(body, 425, {"Retry-After": "1"})
        rests = isinstance(wire, WirePost) and wire.post_only
        if gone_ms < RESTART_MS + POST_ONLY_MS and not rests:
            body = {"error": "post-only mode", "code": "post_only_mode"}
            return answer(body | {"retry_after_seconds": 1}, 503, {"Retry-After": "1"})
        return None

    async def post_orders(self, request: web.Request, owner: Credentials) -> web.StreamResponse:
        wires = _decode(await request.read(), list[WirePost])
        if isinstance(wires, Refusal) or not 1 <= len(wires) <= BATCH_MAX:
            return refuse(BAD_PAYLOAD)
        results = await asyncio.gather(*(self._post(wire, owner) for wire in wires))
        return answer([_batch_leg(result) for result in results])

    async def _lose_answer(self, request: web.Request, result: Answer) -> web.StreamResponse:
        """The order stands; the client never learns it from this request."""
        self._rim.posts.by_hash[result.order_id].lost_answers += 1
        if self._rim.venue.faults.coin("lost_answer"):
            await asyncio.sleep(HANG_MS / 1000)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=504)

    async def _post(self, wire: WirePost, owner: Credentials) -> Answer | Refusal:
        """Check an order as far as its bytes go, then let the exchange have it."""
        now_ms = self._rim.now()
        signed = _signed(wire.order)
        if isinstance(signed, Refusal):
            return signed
        if wire.owner != owner.key or signed.signer.lower() != owner.address:
            return BAD_SIGNER
        found = self._rim.venue.floor.by_token.get(signed.token_id)
        if found is None:
            return Refusal(404, NO_BOOK)
        market, token = found
        digest = order_digest(signed, neg_risk=market.neg_risk)
        plain = signed.signature_type == 0 and signed.maker.lower() == owner.address
        if not plain or recover_address(digest, signed.signature) != owner.address:
            return BAD_SIGNATURE
        order_id = "0x" + digest.hex()
        post = self._note(order_id, wire, signed, owner)
        terms = order_terms(
            order_id,
            signed.side,
            wire.order_type,
            signed.maker_amount_micro,
            signed.taker_amount_micro,
            market.tick_micro,
        )
        if isinstance(terms, Refusal):
            post.refusals.append(terms.text)
            return terms
        order = Order(
            order_id=order_id,
            wallet=owner.address,
            owner=owner.key,
            market=market,
            token=token,
            terms=terms,
            placed_ms=now_ms,
            expiration_s=int(wire.order.expiration),
            post_only=wire.post_only,
        )
        return await self._matched(order, post)

    def _note(self, order_id: str, wire: WirePost, signed: SignedOrder, owner: Credentials) -> Post:
        buys = signed.side == "BUY"
        amounts = signed.maker_amount_micro, signed.taker_amount_micro
        usd_micro, shares_micro = amounts if buys else amounts[::-1]
        return self._rim.posts.arrived(
            Post(
                order_id=order_id,
                wallet=owner.address,
                token=signed.token_id,
                side=signed.side,
                order_type=wire.order_type,
                usd_micro=usd_micro,
                shares_micro=shares_micro,
                first_ms=self._rim.venue.agenda.now_ms,
            )
        )

    async def _matched(self, order: Order, post: Post) -> Answer | Refusal:
        """Wait for the exchange's answer; the server's pump brings it."""
        done: asyncio.Future[Answer | Refusal] = asyncio.get_running_loop().create_future()

        def settle(result: Answer | Refusal) -> None:
            if isinstance(result, Answer):
                post.accepted += 1
            else:
                post.refusals.append(result.text)
            if not done.done():
                done.set_result(result)

        self._rim.venue.exchange.submit(order, settle)
        if not done.done() and self._rim.venue.faults.draw("delayed"):
            return Answer(
                order_id=order.order_id,
                status="delayed",
                making_micro=0,
                taking_micro=0,
                trade_ids=(),
            )
        return await done

    async def cancel_order(self, request: web.Request, owner: Credentials) -> web.StreamResponse:
        body = _decode(await request.read(), dict[str, str])
        if isinstance(body, Refusal) or "orderID" not in body:
            return refuse(BAD_PAYLOAD)
        return self._cancel([body["orderID"]], owner)

    async def cancel_orders(self, request: web.Request, owner: Credentials) -> web.StreamResponse:
        ids = _decode(await request.read(), list[str])
        if isinstance(ids, Refusal) or not 1 <= len(ids) <= CANCEL_MAX:
            return refuse(BAD_PAYLOAD)
        return self._cancel(ids, owner)

    async def cancel_all(self, request: web.Request, owner: Credentials) -> web.StreamResponse:
        return self._cancel([order.order_id for order in self._live(owner)], owner)

    async def cancel_market(self, request: web.Request, owner: Credentials) -> web.StreamResponse:
        body = _decode(await request.read(), dict[str, str])
        if isinstance(body, Refusal):
            return refuse(body)
        market, asset = body.get("market"), body.get("asset_id")
        chosen = [
            order.order_id
            for order in self._live(owner)
            if market in (None, "", order.market.condition_id)
            and asset in (None, "", order.market.tokens[order.token])
        ]
        return self._cancel(chosen, owner)

    def _live(self, owner: Credentials) -> list[Order]:
        self._rim.now()
        orders = self._rim.venue.exchange.orders.values()
        return [order for order in orders if order.owner == owner.key and order.status == "LIVE"]

    def _cancel(self, order_ids: list[str], owner: Credentials) -> web.Response:
        self._rim.now()
        exchange = self._rim.venue.exchange
        cancelled: list[str] = []
        kept: dict[str, str] = {}
        for order_id in dict.fromkeys(order_ids):
            order = exchange.orders.get(order_id)
            if order is None or order.owner != owner.key:
                kept[order_id] = GONE
            elif exchange.end(order, "CANCELED"):
                cancelled.append(order_id)
            else:
                kept[order_id] = MATCHING if order.status == "DELAYED" else GONE
        return answer({"canceled": cancelled, "not_canceled": kept})


def _decode(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return BAD_PAYLOAD


def _signed(wire: WireOrder) -> SignedOrder | Refusal:
    """The typed order, or a refusal where a number or an address is none."""
    try:
        int(wire.expiration)
        signed = SignedOrder(
            salt=wire.salt,
            maker=wire.maker,
            signer=wire.signer,
            token_id=wire.token_id,
            maker_amount_micro=int(wire.maker_amount),
            taker_amount_micro=int(wire.taker_amount),
            side=wire.side,
            signature_type=wire.signature_type,
            timestamp_ms=int(wire.timestamp),
            metadata=wire.metadata,
            builder=wire.builder,
            signature=wire.signature,
        )
        order_digest(signed, neg_risk=False)
    except (ValueError, OverflowError):
        return BAD_PAYLOAD
    return signed


def _accepted(result: Answer) -> dict[str, Any]:
    """Amounts in human units, empty when nothing matched; hashes come with the settlement."""
    matched = result.status == "matched"
    return {
        "success": True,
        "errorMsg": "",
        "orderID": result.order_id,
        "status": result.status,
        "makingAmount": format_micro(result.making_micro) if matched else "",
        "takingAmount": format_micro(result.taking_micro) if matched else "",
        "tradeIDs": list(result.trade_ids),
        "transactionsHashes": [],
    }


def _batch_leg(result: Answer | Refusal) -> dict[str, Any]:
    """A failed leg of a batch says success and has no order id (5.5)."""
    if isinstance(result, Answer):
        return _accepted(result)
    return {
        "success": True,
        "errorMsg": result.text,
        "orderID": "",
        "status": "",
        "makingAmount": "",
        "takingAmount": "",
        "tradeIDs": [],
        "transactionsHashes": [],
    }
