"""Gamma, the catalogue (API reference 12): JSON-encoded arrays in strings, closed ones left out.

A market that is resolved is `closed` and appears only where `closed=true` is asked. Every market is
an event of its own. Served under /gamma, and at the root where CLOB has no such path.
"""

import base64
import binascii
import json
from typing import Any

from aiohttp import web

from infra.sandbox.market import Market
from infra.sandbox.matching import Refusal
from infra.sandbox.rim import Rim, answer, refuse
from infra.sandbox.wire_market import iso
from schemas.units import MICRO, format_micro

LISTING_MAX = 500
KEYSET_MAX = 100
NOT_FOUND = Refusal(404, "not found")
BAD_CURSOR = Refusal(422, "invalid after_cursor")


def gamma_market(market: Market) -> dict[str, Any]:
    """A market as Gamma lists it."""
    bid, ask = market.book.best_bid(0), market.book.best_ask(0)
    prices = [format_micro(market.price_micro(token)) for token in (0, 1)]
    end = iso(market.wall_ms(market.stretch.market.end_ms))
    row = {
        "id": str(market.number),
        "question": market.question,
        "conditionId": market.condition_id,
        "questionID": market.question_id,
        "slug": market.slug,
        "version": "v1",
        "startDate": iso(market.wall_ms(market.stretch.market.start_ms)),
        "endDate": end,
        "outcomes": json.dumps(list(market.outcomes)),
        "outcomePrices": json.dumps(prices),
        "clobTokenIds": json.dumps(list(market.tokens)),
        "active": True,
        "closed": market.is_resolved,
        "archived": False,
        "acceptingOrders": market.is_open,
        "enableOrderBook": True,
        "negRisk": market.neg_risk,
        "orderMinSize": market.min_shares_micro // MICRO,
        "orderPriceMinTickSize": market.tick_micro / MICRO,
        "secondsDelay": 0,
        "feesEnabled": market.fee_rate_micro > 0,
        "feeType": "crypto_fees_v2",
        "feeSchedule": {
            "exponent": market.fee_exponent,
            "rate": market.fee_rate_micro / MICRO,
            "takerOnly": True,
            "rebateRate": 0.2,
        },
        "volume": format_micro(market.volume_usd_micro),
        "volumeNum": market.volume_usd_micro / MICRO,
        "bestBid": (0 if bid is None else bid) / MICRO,
        "bestAsk": (MICRO if ask is None else ask) / MICRO,
        "automaticallyResolved": market.is_resolved,
        "events": [_event(market)],
    }
    if market.last_trade_price_micro is not None:
        row["lastTradePrice"] = market.last_trade_price_micro / MICRO
    if not market.is_open:
        row["umaResolutionStatus"] = "resolved" if market.is_resolved else "proposed"
    if market.is_resolved:
        row["closedTime"] = iso(market.resolved_ms)
    return row


def _event(market: Market) -> dict[str, Any]:
    return {
        "id": str(market.number),
        "ticker": market.slug,
        "slug": market.slug,
        "title": market.question,
        "active": True,
        "closed": market.is_resolved,
        "archived": False,
        "negRisk": market.neg_risk,
        "endDate": iso(market.wall_ms(market.stretch.market.end_ms)),
    }


def gamma_event(market: Market) -> dict[str, Any]:
    inner = gamma_market(market)
    del inner["events"]
    return {**_event(market), "markets": [inner]}


class Gamma:
    """Handlers of the catalogue."""

    def __init__(self, rim: Rim) -> None:
        self._rim = rim

    def routes(self, prefix: str) -> list[web.RouteDef]:
        handlers = {
            "/markets/keyset": self.markets_keyset,
            "/markets/slug/{slug}": self.market_by_slug,
            r"/markets/{number:\d+}": self.market_by_id,
            "/events": self.events,
            "/events/keyset": self.events_keyset,
            "/events/slug/{slug}": self.event_by_slug,
            r"/events/{number:\d+}": self.event_by_id,
        }
        return [web.get(prefix + path, handler) for path, handler in handlers.items()]

    def _chosen(self, request: web.Request) -> list[Market]:
        """Markets that pass the filters; without closed=true only those that are not closed."""
        self._rim.now()
        query = request.query
        closed = query.get("closed", "false").lower() == "true"
        wanted = {
            name: frozenset(query.getall(name))
            for name in ("id", "slug", "condition_ids", "clob_token_ids", "question_ids")
            if name in query
        }
        return [
            market
            for market in self._rim.venue.floor.markets
            if market.is_resolved == closed and _passes(market, wanted)
        ]

    async def markets(self, request: web.Request) -> web.Response:
        return self._listing(request, gamma_market)

    async def events(self, request: web.Request) -> web.Response:
        return self._listing(request, gamma_event)

    def _listing(self, request: web.Request, shape: Any) -> web.Response:
        offset, limit = request.query.get("offset", "0"), request.query.get("limit", "100")
        if not (offset.isdecimal() and limit.isdecimal()) or int(offset) > 2000:
            return refuse(Refusal(422, "offset and limit must be integers, offset at most 2000"))
        start = int(offset)
        chosen = self._chosen(request)[start : start + min(int(limit), LISTING_MAX)]
        return answer([shape(market) for market in chosen])

    async def markets_keyset(self, request: web.Request) -> web.Response:
        return self._keyset(request, "markets", gamma_market)

    async def events_keyset(self, request: web.Request) -> web.Response:
        return self._keyset(request, "events", gamma_event)

    def _keyset(self, request: web.Request, name: str, shape: Any) -> web.Response:
        limit = request.query.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= KEYSET_MAX:
            return refuse(Refusal(422, f"limit must be between 1 and {KEYSET_MAX}"))
        after = 0
        if "after_cursor" in request.query:
            try:
                after = int(base64.b64decode(request.query["after_cursor"], validate=True))
            except (binascii.Error, ValueError):
                return refuse(BAD_CURSOR)
        rest = [market for market in self._chosen(request) if market.number > after]
        shown = rest[: int(limit)]
        body: dict[str, Any] = {name: [shape(market) for market in shown]}
        if len(rest) > len(shown):
            last = str(shown[-1].number).encode()
            body["next_cursor"] = base64.b64encode(last).decode()
        return answer(body)

    async def market_by_slug(self, request: web.Request) -> web.Response:
        return self._one(request, gamma_market)

    async def market_by_id(self, request: web.Request) -> web.Response:
        return self._one(request, gamma_market)

    async def event_by_slug(self, request: web.Request) -> web.Response:
        return self._one(request, gamma_event)

    async def event_by_id(self, request: web.Request) -> web.Response:
        return self._one(request, gamma_event)

    def _one(self, request: web.Request, shape: Any) -> web.Response:
        self._rim.now()
        slug, number = request.match_info.get("slug"), request.match_info.get("number")
        for market in self._rim.venue.floor.markets:
            if market.slug == slug or str(market.number) == number:
                return answer(shape(market))
        return refuse(NOT_FOUND)


def _passes(market: Market, wanted: dict[str, frozenset[str]]) -> bool:
    have = {
        "id": {str(market.number)},
        "slug": {market.slug},
        "condition_ids": {market.condition_id},
        "clob_token_ids": set(market.tokens),
        "question_ids": {market.question_id},
    }
    return all(have[name] & values for name, values in wanted.items())
