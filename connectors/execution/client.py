"""Signs, posts and looks up with the official client, `polymarket-client` (API reference 5).

With client_open.py and signed_form.py the only place that imports it. Signs with
create_market_order and sends with post_order; never place_* (they approve on chain and send twice).
The client's market cache outlives a tick change and decides the amounts' decimals (6.4), so
`sign(anew=True)` signs with a new client.
Nothing of the client's types leaves this module, and no text of the venue that holds a credential.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from polymarket import AsyncSecureClient
from polymarket import errors as sdk
from polymarket.models.clob import ClobTrade, MakerOrder, OpenOrder
from polymarket.models.clob.order_response import AcceptedOrder, OrderResponse
from polymarket.models.clob.orders import SignedOrder

from connectors.execution.answers import Reply
from connectors.execution.client_open import ask_market
from connectors.execution.opening import ClientRefused
from connectors.execution.sightings import OrderView, TradeView
from connectors.execution.signed_form import order_of, payload_of
from connectors.polymarket.credentials import Credentials
from connectors.polymarket.redact import redact
from schemas.records.base import OrderHash, Side, Token
from schemas.records.journal import OrderRequested
from schemas.units import MICRO, UnitError, format_micro, parse_micro

log = logging.getLogger("truecopy.execution")

PAGES_MAX: Final = 20
_NO_MESSAGE: Final = "Unknown order failure"
"""What the client puts in place of an empty errorMsg: then the order's status was unknown to it."""


class NotBuilt(Exception):
    """The client refused to build this order; trying again would not help."""


class NotAnswered(Exception):
    """The venue did not answer something that was asked; nothing was sent by it."""


class VenueClient:
    """Signs, posts and looks up orders of one wallet."""

    def __init__(
        self,
        open_one: Callable[[], Awaitable[AsyncSecureClient]],
        asking: AsyncSecureClient,
        *,
        post_timeout_s: float,
    ) -> None:
        """asking posts and looks up, and signs until open_one has to make another for that."""
        self._open_one = open_one
        self._asking = asking
        self._post_timeout_s = post_timeout_s
        self._signing = _Lease(asking)
        ours = asking.credentials
        self._credentials = Credentials(
            api_key=ours.key, secret=ours.secret, passphrase=ours.passphrase
        )

    async def sign(self, request: OrderRequested, *, anew: bool) -> dict[str, Any]:
        """Payload of a signed FAK order. anew: forget what the client has cached (0.3 s).

        Raises NotBuilt or NotAnswered.
        """
        if anew:
            await self._reopen()
        lease = self._signing
        lease.users += 1
        try:
            return payload_of(await _create(lease.client, request))
        except (sdk.UserInputError, sdk.SigningError) as error:
            raise NotBuilt(self._clean(str(error))) from error
        except (sdk.PolymarketError, TimeoutError) as error:
            raise NotAnswered(self._clean(f"{type(error).__name__}: {error}")) from error
        finally:
            lease.users -= 1
            await self._release(lease)

    async def know(self, token: Token) -> None:
        """Ask for a token's market now, so that signing need not. Total."""
        lease = self._signing
        lease.users += 1
        try:
            await ask_market(lease.client, token)
        except (sdk.PolymarketError, TimeoutError) as error:
            # Signing asks again.
            log.info("token=%s market=unknown error=%s", token, type(error).__name__)
        finally:
            lease.users -= 1
            await self._release(lease)

    async def post(self, payload: dict[str, Any], side: Side) -> Reply:
        """Send exactly this payload, once, and say what came back. Total."""
        reply = await self._sent(payload, side)
        status, text, code = map(self._clean, (reply.status, reply.text, reply.code))
        return replace(reply, status=status, text=text, code=code)

    def _clean(self, text: str) -> str:
        """The venue may quote the envelope of an order, which names our API key, in any answer."""
        return redact(text, self._credentials)

    async def _sent(self, payload: dict[str, Any], side: Side) -> Reply:
        try:
            async with asyncio.timeout(self._post_timeout_s):
                return _reply(await self._asking.post_order(order_of(payload)), side)
        except TimeoutError:
            return Reply(http_status=None, text=f"no answer in {self._post_timeout_s} s")
        except sdk.RateLimitError as error:
            limited = error.rate_limit is not None
            return Reply(http_status=429, text=str(error), limited=limited)
        except sdk.RequestRejectedError as error:
            return Reply(http_status=error.status, text=str(error), code=error.code or "")
        except sdk.UnexpectedResponseError as error:
            return Reply(http_status=200, text=str(error), readable=False)
        except sdk.PolymarketError as error:
            return Reply(http_status=None, text=f"{type(error).__name__}: {error}")

    async def cancel(self, order: OrderHash) -> str:
        """Ask for an order's cancellation; what was said: 'canceled', or why not. Total."""
        try:
            async with asyncio.timeout(self._post_timeout_s):
                found = await self._asking.cancel_order(order_id=order)
        except (sdk.PolymarketError, TimeoutError) as error:
            return self._clean(f"{type(error).__name__}: {error}")
        # HTTP 200 does not mean cancelled (6.8).
        said = "canceled" if found.canceled else "; ".join(found.not_canceled.values())
        return self._clean(said)

    async def order(self, order: OrderHash) -> OrderView | None:
        """The order by its hash in any state; None: the venue says there is none."""
        try:
            found: OpenOrder | None = await self._asking.get_order(order_id=order)
        except sdk.RequestRejectedError as error:
            if error.status != 404:
                raise NotAnswered(f"order: http {error.status}") from error
            return None
        except sdk.UnexpectedResponseError:
            # An empty body is how some paths say "none" (complaint 9); the list says it clearly.
            found = await self._listed(order)
        except sdk.PolymarketError as error:
            raise NotAnswered(f"order: {type(error).__name__}") from error
        return None if found is None else _order_view(found)

    async def trades(self, order: OrderHash, market: str, after_s: int) -> list[TradeView]:
        """Every trade since after_s that names the order as taker or as one of its makers."""
        named: list[TradeView] = []
        try:
            pages = 0
            async for page in self._asking.list_account_trades(market=market, after=str(after_s)):
                named += [view for trade in page.items if (view := _trade_view(trade, order))]
                pages += 1
                if pages >= PAGES_MAX:
                    raise NotAnswered(f"trades: more than {PAGES_MAX} pages")
        except (sdk.PolymarketError, UnitError) as error:
            raise NotAnswered(self._clean(f"trades: {type(error).__name__}: {error}")) from error
        return named

    async def close(self) -> None:
        """Close every connection."""
        await self._release(self._signing, close=True)
        await self._asking.close()

    async def _reopen(self) -> None:
        try:
            fresh = await self._open_one()
        except ClientRefused as error:
            raise NotAnswered(str(error)) from error
        retired, self._signing = self._signing, _Lease(fresh)
        await self._release(retired)

    async def _release(self, lease: "_Lease", *, close: bool = False) -> None:
        """Close a signing client that was replaced, once nobody signs with it any more."""
        replaced = close or lease is not self._signing
        if replaced and not lease.users and lease.client is not self._asking:
            await lease.client.close()

    async def _listed(self, order: OrderHash) -> OpenOrder | None:
        try:
            async for page in self._asking.list_open_orders(id=order):
                for row in page.items:
                    if row.id == order:
                        return row
        except sdk.PolymarketError as error:
            raise NotAnswered(f"orders: {type(error).__name__}") from error
        return None


@dataclass(slots=True)
class _Lease:
    """A signing client and how many are signing with it."""

    client: AsyncSecureClient
    users: int = 0


async def _create(client: AsyncSecureClient, request: OrderRequested) -> SignedOrder:
    limit = format_micro(request.limit_micro)
    if request.side == "BUY":
        return await client.create_market_order(
            side="BUY",
            asset_id=request.token,
            amount=format_micro(request.budget_micro),
            max_price=limit,
            order_type="FAK",
        )
    return await client.create_market_order(
        side="SELL",
        asset_id=request.token,
        shares=format_micro(request.shares_micro),
        min_price=limit,
        order_type="FAK",
    )


def _reply(response: OrderResponse, side: Side) -> Reply:
    if isinstance(response, AcceptedOrder):
        making, taking = _exact(response.making_amount), _exact(response.taking_amount)
        return Reply(
            http_status=200,
            status=response.status,
            order=response.order_id,
            shares_micro=taking if side == "BUY" else making,
            usd_micro=making if side == "BUY" else taking,
            trades=response.trade_ids,
        )
    if response.code == "unmatched":
        return Reply(http_status=200, status="unmatched", text=response.message)
    text = "" if response.message == _NO_MESSAGE else response.message
    return Reply(http_status=200, text=text, code=response.code)


def _exact(amount: Decimal) -> int | None:
    """Micro amount; None if it has more digits than it can have: then it is looked up."""
    try:
        return parse_micro(amount)
    except UnitError:
        return None


def _order_view(order: OpenOrder) -> OrderView:
    matched = _exact(order.size_matched)
    if matched is None:
        # Taken for nothing, it would prove that a cancelled order brought nothing.
        raise NotAnswered(f"order: size_matched {order.size_matched} is no count of millionths")
    return OrderView(
        status=order.status,
        matched_micro=matched,
        trades=order.associate_trades,
    )


def _trade_view(trade: ClobTrade, order: OrderHash) -> TradeView | None:
    """Our side of a trade: as taker its makers' legs, as maker only the legs of this order.

    Rounded once for the whole trade, against us: what a BUY cost up, what a SELL fetched down.
    """
    own = [leg for leg in trade.maker_orders if leg.order_id == order]
    if trade.taker_order_id == order:
        shares, side = parse_micro(trade.size), trade.side
        legs = [_leg(leg, trade.asset_id) for leg in trade.maker_orders]
        if sum(size for size, _ in legs) != shares:
            legs = [(shares, parse_micro(trade.price))]
    elif own:
        legs, side = [_leg(leg, own[0].asset_id) for leg in own], own[0].side
        shares = sum(size for size, _ in legs)
    else:
        return None
    product = sum(size * price for size, price in legs)
    return TradeView(
        trade=trade.id,
        shares_micro=shares,
        usd_micro=-(-product // MICRO) if side == "BUY" else product // MICRO,
        matched_ms=int(trade.matched_at.timestamp() * 1000),
    )


def _leg(leg: MakerOrder, our_token: str) -> tuple[int, int]:
    """(shares, our price) of a maker's leg; one on the complement costs us 1 - its price (8.2)."""
    price = parse_micro(leg.price)
    return parse_micro(leg.matched_amount), price if leg.asset_id == our_token else MICRO - price
