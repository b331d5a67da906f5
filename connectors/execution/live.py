"""The live venue as the sink sees it: the client, its answers judged, its signatures checked."""

import time
from collections.abc import Callable
from typing import Final, Literal

from connectors.execution.answers import Verdict, classify
from connectors.execution.backend import Refusal, Sighting, Signed, Unclear, Unready
from connectors.execution.check import wrong_order, wrong_precision, wrong_request
from connectors.execution.client import NotAnswered, NotBuilt, VenueClient
from connectors.execution.order_hash import order_hash
from connectors.execution.sightings import sighting
from connectors.execution.signature import wrong_signature
from schemas.records.base import Account, Token
from schemas.records.journal import OrderRequested
from schemas.records.own import OrderSigned

TRADES_MARGIN_S: Final = 60
"""Trades are asked for from so long before the signing: venue and own clock may differ."""


class LiveBackend:
    """Signs for one account at the venue. old_ms: see sightings."""

    def __init__(
        self,
        client: VenueClient,
        *,
        account: Account,
        wallet: str,
        signer: str,
        old_ms: int,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._client = client
        self._account = account
        self._wallet = wallet
        self._signer = signer
        self._old_ms = old_ms
        self._clock_ms = clock_ms

    @property
    def name(self) -> Literal["live", "paper"]:
        """live."""
        return "live"

    @property
    def accounts(self) -> frozenset[Account]:
        """The one account whose key this process holds."""
        return frozenset((self._account,))

    async def sign(self, request: OrderRequested) -> Signed | Refusal | Unready:
        """Sign and check; after a tick change the client is made anew, once."""
        if wrong := wrong_request(request):
            return Refusal(wrong)
        try:
            payload = await self._client.sign(request, anew=False)
            if wrong_precision(request, payload):
                payload = await self._client.sign(request, anew=True)
        except NotBuilt as error:
            return Refusal(str(error))
        except NotAnswered as error:
            return Unready(str(error))
        wrong = (
            wrong_order(request, payload, self._wallet)
            or wrong_precision(request, payload)
            or wrong_signature(payload, neg_risk=request.neg_risk, signer=self._signer)
        )
        if wrong:
            return Refusal(wrong)
        return Signed(
            order=order_hash(payload, neg_risk=request.neg_risk),
            maker_micro=int(payload["makerAmount"]),
            taker_micro=int(payload["takerAmount"]),
            payload=payload,
        )

    async def know(self, token: Token) -> None:
        """Learn what signing needs to know of a token, as far as the venue tells."""
        await self._client.know(token)

    async def post(self, signed: OrderSigned) -> Verdict:
        """Send what stands on the tape."""
        return classify(await self._client.post(signed.payload, signed.side))

    async def cancel(self, signed: OrderSigned) -> str:
        """By the order's hash."""
        return await self._client.cancel(signed.order)

    async def look_up(self, signed: OrderSigned, request: OrderRequested) -> Sighting:
        """The order by its hash, then the trades that name it; absence needs both answers."""
        after_s = signed.signed_ns // 1_000_000_000 - TRADES_MARGIN_S
        try:
            order = await self._client.order(signed.order)
            trades = await self._client.trades(signed.order, request.condition, after_s)
        except NotAnswered as error:
            return Unclear(str(error))
        return sighting(order, trades, now_ms=self._clock_ms(), old_ms=self._old_ms)
