"""Data API v2 over the lagging index, behind a cache (API reference 10).

`taker_only` defaults to true on /v2/trades, so maker fills are hidden. Positions below a tenth of a
share are hidden unless a filter amount says otherwise. An answer may come from the cache: only a
URL not asked before is sure to be fresh.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from infra.sandbox import wire_data
from infra.sandbox.cache import Cached, cache_headers
from infra.sandbox.data_query import (
    BadQueryError,
    choice,
    conditions,
    envelope,
    feed,
    flag,
    integer,
    number,
    page_of,
    row_key,
    wallet,
)
from infra.sandbox.hashing import hex_id
from infra.sandbox.index import Position, Row, value_micro
from infra.sandbox.market import Market
from infra.sandbox.rim import JSON, Rim
from schemas.units import MICRO

Query = Mapping[str, str]
DUST_SHARES = 0.1
STALE_MS = 17_000
"""Age up to which the fault `stale_rest` serves an answer."""
STATUSES = ("OPEN", "REDEEMABLE", "REDEEMABLE_LOST", "MERGEABLE", "CLOSED")
SORTS: dict[str, Callable[[Position], int]] = {
    "CURRENT_VALUE": value_micro,
    "TOKENS": lambda held: held.shares_micro,
    "PRICE": lambda held: held.market.price_micro(held.token),
    "TIMESTAMP": lambda held: held.last_s,
    "REALIZED_PNL": lambda held: held.realized_micro,
    "UNREALIZED_PNL": lambda held: value_micro(held) - held.cost_micro,
    "TOTAL_PNL": lambda held: value_micro(held) - held.cost_micro + held.realized_micro,
}


class DataApi:
    """Handlers of /v2/..."""

    def __init__(self, rim: Rim) -> None:
        self._rim = rim
        self._newest: dict[str, Cached] = {}

    def routes(self) -> list[web.RouteDef]:
        answers = {
            "/v2/trades": self.trades,
            "/v2/activity": self.activity,
            "/v2/positions": self.positions,
            "/v2/value": self.value,
            "/v2/resolutions": self.resolutions,
            "/v2/tokens": self.tokens,
        }
        cached = [web.get(path, self._cached(make)) for path, make in answers.items()]
        return [*cached, web.get("/v2/status", self.status)]

    def _cached(self, make: Callable[[Query], Any]) -> Callable[[web.Request], Any]:
        """Serve from the cache by exact URL; refusals are not cached."""

        async def handler(request: web.Request) -> web.Response:
            now_ms, url = self._rim.now(), request.path_qs
            entry = self._rim.cache.get(request.path, url, now_ms) or self._stale(request, now_ms)
            if entry is not None:
                headers = cache_headers(request.path, now_ms - entry.made_ms)
                return web.Response(body=entry.body, content_type=JSON, headers=headers)
            try:
                body = msgspec.json.encode(make(request.query))
            except BadQueryError as error:
                return _refused(error, url)
            self._rim.cache.put(url, body, now_ms)
            self._newest.setdefault(_asked(request), Cached(body, now_ms))
            headers = cache_headers(request.path, None)
            return web.Response(body=body, content_type=JSON, headers=headers)

        return handler

    def _stale(self, request: web.Request, now_ms: int) -> Cached | None:
        """An older answer to the same question, while the fault serves it; then it is renewed."""
        kept = self._newest.get(_asked(request))
        if kept is not None and now_ms - kept.made_ms > STALE_MS:
            del self._newest[_asked(request)]
        stale = kept is not None and now_ms - kept.made_ms >= 1_000
        return kept if stale and self._rim.venue.faults.draw("stale_rest") else None

    def _rows(self, user: str | None) -> list[Row]:
        index = self._rim.venue.index
        return index.visible if user is None else index.visible_by_wallet.get(user, [])

    def trades(self, query: Query) -> Any:
        page, user, wanted = page_of(query), wallet(query), conditions(query)
        taker_only = flag(query, "taker_only", default=True)
        side = choice(query, "side", ("BUY", "SELL"), "")
        least = _least(query)
        start, end = _window(query)
        if user is None and ("start" in query or "end" in query):
            raise BadQueryError("start", "start and end need user")

        def keep(row: Row) -> bool:
            return (
                row.kind == "TRADE"
                and (row.is_taker or not taker_only)
                and (wanted is None or row.market.condition_id in wanted)
                and side in ("", row.side)
                and start <= row.ts_s <= end
                and least(row)
            )

        rows = feed(self._rows(user), page, keep, newest=True)
        return envelope(page, rows, row_key, wire_data.trade)

    def activity(self, query: Query) -> Any:
        page, user, wanted = page_of(query), wallet(query), conditions(query)
        if user is None:
            raise BadQueryError("user", "user is required")
        kinds = frozenset(filter(None, query.get("type", "").upper().split(",")))
        side = choice(query, "side", ("BUY", "SELL"), "")
        newest = choice(query, "sort_direction", ("ASC", "DESC"), "DESC") == "DESC"
        start, end = _window(query)

        def keep(row: Row) -> bool:
            return (
                (not kinds or row.kind in kinds)
                and (wanted is None or row.market.condition_id in wanted)
                and side in ("", row.side)
                and start <= row.ts_s <= end
            )

        rows = feed(self._rows(user), page, keep, newest=newest)
        return envelope(page, rows, row_key, wire_data.activity)

    def positions(self, query: Query) -> Any:
        page, user, wanted = page_of(query), wallet(query), conditions(query)
        status = choice(query, "status", STATUSES, "OPEN")
        if user is None and (wanted is None or len(wanted) != 1):
            raise BadQueryError("user", "user or exactly one condition is required")
        sort = SORTS[choice(query, "sort_by", tuple(SORTS), "CURRENT_VALUE")]
        sign = 1 if choice(query, "sort_direction", ("ASC", "DESC"), "DESC") == "ASC" else -1
        held = [
            (who, position)
            for who, position in self._positions(user)
            if (wanted is None or position.market.condition_id in wanted)
            and self._is_listed(who, position, status, query)
        ]
        held.sort(key=lambda pair: (sign * sort(pair[1]), pair[0], pair[1].token))
        start = 0 if page.after is None else page.after[1]
        numbered = [(place, *pair) for place, pair in enumerate(held, start=1)][start:]
        return envelope(
            page,
            numbered[: page.limit + 1],
            lambda row: (0, row[0]),
            lambda row: self._position(row[1], row[2]),
        )

    def _positions(self, user: str | None) -> list[tuple[str, Position]]:
        everyone = self._rim.venue.index.positions
        users = list(everyone) if user is None else [user]
        return [(who, held) for who in users for held in everyone.get(who, {}).values()]

    def _position(self, user: str, held: Position) -> dict[str, Any]:
        row = wire_data.position(user, held)
        return row | {"mergeable": self._is_pair(user, held)}

    def _is_pair(self, user: str, held: Position) -> bool:
        opposite = self._rim.venue.index.positions[user].get(held.market.tokens[1 - held.token])
        sizes = held.shares_micro, opposite.shares_micro if opposite else 0
        return min(sizes) > 0 and not held.market.is_resolved

    def _is_listed(self, user: str, held: Position, status: str, query: Query) -> bool:
        amount = number(query, "filter_amount", DUST_SHARES)
        cash = choice(query, "filter_type", ("TOKENS", "CASH"), "TOKENS") == "CASH"
        size = value_micro(held) if cash else held.shares_micro
        is_dust = size < amount * MICRO or held.shares_micro == 0
        pays = held.market.payouts_micro[held.token] > 0
        by_status = {
            "OPEN": not is_dust,
            "REDEEMABLE": not is_dust and held.market.is_resolved and pays,
            "REDEEMABLE_LOST": not is_dust and held.market.is_resolved and not pays,
            "MERGEABLE": not is_dust and self._is_pair(user, held),
            "CLOSED": held.shares_micro == 0,
        }
        return by_status[status]

    def value(self, query: Query) -> Any:
        user, wanted = wallet(query), conditions(query)
        if user is None:
            raise BadQueryError("user", "user is required")
        total = sum(
            value_micro(held)
            for _, held in self._positions(user)
            if wanted is None or held.market.condition_id in wanted
        )
        return {"data": {"proxy_wallet": user, "value": total / MICRO}}

    def resolutions(self, query: Query) -> Any:
        wanted, question = conditions(query), query.get("question_id")
        if wanted is None and question is None:
            raise BadQueryError("condition", "condition or question_id is required")

        def is_asked(market: Market) -> bool:
            return question == market.question_id or market.condition_id in (wanted or ())

        markets = self._rim.venue.floor.markets
        return {"data": [wire_data.resolution(market) for market in markets if is_asked(market)]}

    def tokens(self, query: Query) -> Any:
        wanted = conditions(query) or frozenset()
        ids = frozenset(filter(None, query.get("token_id", "").split(",")))
        if not wanted and not ids:
            raise BadQueryError("token_id", "token_id or condition is required")
        return {
            "data": [
                wire_data.token_reference(market, token)
                for market in self._rim.venue.floor.markets
                for token in (0, 1)
                if market.condition_id in wanted or market.tokens[token] in ids
            ]
        }

    async def status(self, request: web.Request) -> web.Response:
        """Freshness of the index."""
        now_ms, index = self._rim.now(), self._rim.venue.index
        body = {
            "data": {
                "serving": {"lag_seconds": index.lag_ms / 1000},
                "projections": [{"name": "activity", "lag_seconds": index.lag_ms / 1000}],
                "ingestion": {"rows": len(index.rows), "visible": len(index.visible)},
                "computed_at": now_ms // 1000,
                "age_seconds": 0,
            }
        }
        return web.Response(body=msgspec.json.encode(body), content_type=JSON)


def _asked(request: web.Request) -> str:
    """A question by its page and whom it is about, whatever else its URL says."""
    return f"{request.path}?{request.query.get('user', '')}&{request.query.get('cursor', '')}"


def _window(query: Query) -> tuple[int, int]:
    return integer(query, "start", 0), integer(query, "end", 10**12)


def _least(query: Query) -> Callable[[Row], bool]:
    """The minimum of filter_type and filter_amount."""
    cash = choice(query, "filter_type", ("TOKENS", "CASH"), "TOKENS") == "CASH"
    amount = number(query, "filter_amount", 0.0) * MICRO
    return lambda row: (row.usd_micro if cash else row.shares_micro) >= amount


def _refused(error: BadQueryError, url: str) -> web.Response:
    body = {
        "error": str(error),
        "code": "invalid_request",
        "retryable": False,
        "trace_id": hex_id(url, size=8)[2:],
        "parameter": error.parameter,
    }
    return web.Response(body=msgspec.json.encode(body), status=400, content_type=JSON)
