"""CLOB REST, the public half: books, prices, markets (API reference 11.1, 11.2).

`/price` answers the book's side, not the price one pays: side BUY is the best bid. A resolved
market has no book any more. Listings page with a base64 offset from MA== to LTE=. `/markets` is a
path of Gamma too: server.py tells the two apart.
"""

import base64
import binascii
from typing import Any

import msgspec
from aiohttp import web

from infra.sandbox import wire_market
from infra.sandbox.admission import NO_BOOK
from infra.sandbox.market import Market
from infra.sandbox.matching import Refusal
from infra.sandbox.rim import JSON, Rim, answer, refuse
from schemas.units import MICRO, format_micro

END_CURSOR = "LTE="
NO_MARKET = Refusal(404, "market not found")
BAD_TOKEN = Refusal(404, NO_BOOK)


def page(rows: list[Any], cursor: str | None, limit: int) -> dict[str, Any] | Refusal:
    """A page of a listing by base64 offset."""
    try:
        start = int(base64.b64decode(cursor or "MA==", validate=True))
    except (binascii.Error, ValueError):
        return Refusal(400, "invalid next_cursor")
    data = rows[start : start + limit]
    end = start + len(data)
    following = base64.b64encode(str(end).encode()).decode() if end < len(rows) else END_CURSOR
    return {"limit": limit, "count": len(data), "next_cursor": following, "data": data}


class PublicClob:
    """Handlers that need no credentials."""

    def __init__(self, rim: Rim) -> None:
        self._rim = rim

    def routes(self) -> list[web.RouteDef]:
        reads = {
            "/book": self.book,
            "/midpoint": self.midpoint,
            "/price": self.price,
            "/spread": self.spread,
            "/last-trade-price": self.last_trade,
            "/tick-size": self.tick_size,
            "/neg-risk": self.neg_risk,
            "/fee-rate": self.fee_rate,
            "/sampling-markets": self.markets,
            "/markets/{condition:0x[0-9a-fA-F]+}": self.market,
            "/markets-by-token/{token}": self.market_by_token,
            "/clob-markets/{condition}": self.clob_market,
            "/time": self.time,
            "/version": self.version,
            "/ok": self.ok,
        }
        batches = {
            "/books": self.books,
            "/midpoints": self.midpoints,
            "/prices": self.prices,
            "/spreads": self.spreads,
            "/last-trades-prices": self.last_trades,
        }
        gets = [web.get(path, handler) for path, handler in reads.items()]
        return gets + [web.post(path, handler) for path, handler in batches.items()]

    def _token(self, request: web.Request) -> tuple[Market, int] | None:
        self._rim.now()
        return self._book(request.query.get("token_id", ""))

    def _book(self, token_id: str) -> tuple[Market, int] | None:
        found = self._rim.venue.floor.by_token.get(token_id)
        return None if found is None or found[0].is_resolved else found

    async def book(self, request: web.Request) -> web.Response:
        found = self._token(request)
        if found is None:
            return refuse(BAD_TOKEN)
        return answer(self._shown([wire_market.book(*found, self._rim.now())])[0])

    async def _batch(self, request: web.Request) -> list[tuple[Market, int]]:
        """The known tokens of a batch request; unknown ones are left out."""
        try:
            wanted = msgspec.json.decode(await request.read(), type=list[dict[str, str]])
        except msgspec.DecodeError as error:
            body = msgspec.json.encode({"error": "Invalid payload"})
            raise web.HTTPBadRequest(body=body, content_type=JSON) from error
        self._rim.now()
        found = (self._book(row.get("token_id", "")) for row in wanted)
        return [pair for pair in dict.fromkeys(found) if pair is not None]

    async def books(self, request: web.Request) -> web.Response:
        now_ms = self._rim.now()
        shown = [wire_market.book(*pair, now_ms) for pair in await self._batch(request)]
        return answer(self._shown(shown))

    def _shown(self, books: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The books, or ghosts of them: an empty book's quotes under its name, time and hash."""
        if not books or not self._rim.venue.faults.draw("ghost_book"):
            return books
        ghost = {
            "bids": [{"price": "0.01", "size": "5000"}],
            "asks": [{"price": "0.99", "size": "5000"}],
        }
        return [book | ghost for book in books]

    async def midpoint(self, request: web.Request) -> web.Response:
        found = self._token(request)
        return refuse(BAD_TOKEN) if found is None else answer({"mid": _mid(*found)})

    async def midpoints(self, request: web.Request) -> web.Response:
        found = await self._batch(request)
        return answer({market.tokens[token]: _mid(market, token) for market, token in found})

    async def price(self, request: web.Request) -> web.Response:
        found = self._token(request)
        side = request.query.get("side", "").upper()
        if found is None:
            return refuse(BAD_TOKEN)
        if side not in ("BUY", "SELL"):
            return refuse(Refusal(400, "Invalid side"))
        return answer({"price": wire_market.quotes(*found)[side == "SELL"]})

    async def prices(self, request: web.Request) -> web.Response:
        found = await self._batch(request)
        return answer(
            {
                market.tokens[token]: dict(
                    zip(("BUY", "SELL"), wire_market.quotes(market, token), strict=True)
                )
                for market, token in found
            }
        )

    async def spread(self, request: web.Request) -> web.Response:
        found = self._token(request)
        return refuse(BAD_TOKEN) if found is None else answer({"spread": _spread(*found)})

    async def spreads(self, request: web.Request) -> web.Response:
        found = await self._batch(request)
        return answer({market.tokens[token]: _spread(market, token) for market, token in found})

    async def last_trade(self, request: web.Request) -> web.Response:
        found = self._token(request)
        return refuse(BAD_TOKEN) if found is None else answer(_last_trade(found[0]))

    async def last_trades(self, request: web.Request) -> web.Response:
        found = await self._batch(request)
        return answer(
            [{"token_id": market.tokens[token], **_last_trade(market)} for market, token in found]
        )

    async def tick_size(self, request: web.Request) -> web.Response:
        found = self._token(request)
        if found is None:
            return refuse(BAD_TOKEN)
        return answer({"minimum_tick_size": found[0].tick_micro / MICRO})

    async def neg_risk(self, request: web.Request) -> web.Response:
        found = self._token(request)
        return refuse(BAD_TOKEN) if found is None else answer({"neg_risk": found[0].neg_risk})

    async def fee_rate(self, request: web.Request) -> web.Response:
        found = self._token(request)
        if found is None:
            return refuse(Refusal(404, "Invalid token id"))
        return answer({"base_fee": 1000 if found[0].fee_rate_micro else 0})

    async def markets(self, request: web.Request) -> web.Response:
        self._rim.now()
        rows = [clob_market(market) for market in self._rim.venue.floor.markets]
        found = page(rows, request.query.get("next_cursor"), limit=1000)
        return refuse(found) if isinstance(found, Refusal) else answer(found)

    async def market(self, request: web.Request) -> web.Response:
        self._rim.now()
        market = self._rim.venue.floor.by_condition.get(request.match_info["condition"])
        return refuse(NO_MARKET) if market is None else answer(clob_market(market))

    async def market_by_token(self, request: web.Request) -> web.Response:
        found = self._rim.venue.floor.by_token.get(request.match_info["token"])
        if found is None:
            return refuse(NO_MARKET)
        first, second = found[0].tokens
        return answer(
            {
                "condition_id": found[0].condition_id,
                "primary_token_id": first,
                "secondary_token_id": second,
            }
        )

    async def clob_market(self, request: web.Request) -> web.Response:
        self._rim.now()
        market = self._rim.venue.floor.by_condition.get(request.match_info["condition"])
        return refuse(NO_MARKET) if market is None else answer(compact_market(market))

    async def time(self, request: web.Request) -> web.Response:
        return answer(self._rim.now() // 1000)

    async def version(self, request: web.Request) -> web.Response:
        return answer({"version": 2})

    async def ok(self, request: web.Request) -> web.Response:
        return answer("OK")


def _mid(market: Market, token: int) -> str:
    return format_micro(market.price_micro(token))


def _spread(market: Market, token: int) -> str:
    bid, ask = market.book.best_bid(token), market.book.best_ask(token)
    return format_micro((MICRO if ask is None else ask) - (bid or 0))


def _last_trade(market: Market) -> dict[str, str]:
    price = market.last_trade_price_micro
    shown = format_micro(500_000 if price is None else price)
    return {"price": shown, "side": market.last_trade_side or "BUY"}


def clob_market(market: Market) -> dict[str, Any]:
    """A row of /markets and the answer of /markets/{condition}."""
    return {
        "condition_id": market.condition_id,
        "question_id": market.question_id,
        "question": market.question,
        "market_slug": market.slug,
        "enable_order_book": not market.is_resolved,
        "active": True,
        "closed": market.is_resolved,
        "archived": False,
        "accepting_orders": market.is_open,
        "minimum_order_size": market.min_shares_micro / MICRO,
        "minimum_tick_size": market.tick_micro / MICRO,
        "neg_risk": market.neg_risk,
        "seconds_delay": 0,
        "end_date_iso": wire_market.iso(market.wall_ms(market.stretch.market.end_ms)),
        "tokens": [
            {
                "token_id": market.tokens[token],
                "outcome": market.outcomes[token],
                "price": market.price_micro(token) / MICRO,
                "winner": market.is_resolved and market.payouts_micro[token] == MICRO,
            }
            for token in (0, 1)
        ],
    }


def compact_market(market: Market) -> dict[str, Any]:
    """/clob-markets/{condition}: t tokens, mos minimum, mts tick, fd fee, ao accepting orders."""
    return {
        "t": [{"t": market.tokens[k], "o": market.outcomes[k]} for k in (0, 1)],
        "c": market.condition_id,
        "mos": market.min_shares_micro // MICRO,
        "mts": market.tick_micro / MICRO,
        "mbf": 0,
        "tbf": 0,
        "itode": True,
        "nr": market.neg_risk,
        "fd": {"r": market.fee_rate_micro / MICRO, "e": market.fee_exponent, "to": True},
        "ao": market.is_open,
    }
