"""CLOB REST: credentials, private reads and the dead man's switch (API reference 6.1, 6.9, 11.3).

A wallet that creates or derives credentials finds an account with cash. Order look-ups know every
accepted order in any state; a refused one is not found. From the first heartbeat on, an API key
without one for ten seconds loses all its open orders; it is looked at every five.
"""

from typing import Any

import msgspec
from aiohttp import web

from infra.sandbox import wire_user
from infra.sandbox.auth import Credentials
from infra.sandbox.hashing import CTF_EXCHANGE, NEG_RISK_EXCHANGE, uuid_id
from infra.sandbox.http_clob import BAD_TOKEN, page
from infra.sandbox.matching import Refusal
from infra.sandbox.records import Trade
from infra.sandbox.rim import Rim, answer, refuse
from infra.sandbox.signed import private

ROWS_A_PAGE = 100
HEARTBEAT_LIMIT_MS = 10_000
HEARTBEAT_CHECK_MS = 5_000
_UNLIMITED = str(2**256 - 1)


class AccountDesk:
    """Handlers of one owner's data."""

    def __init__(self, rim: Rim) -> None:
        self._rim = rim
        self._heartbeats: dict[str, tuple[str, int]] = {}

    def routes(self) -> list[web.RouteDef]:
        reads = {
            "/auth/api-keys": self.api_keys,
            "/auth/ban-status/closed-only": self.closed_only,
            "/data/orders": self.orders,
            "/data/order/{order_id}": self.order,
            "/data/trades": self.trades,
            "/balance-allowance": self.balance,
            "/balance-allowance/update": self.balance,
            "/notifications": self.notifications,
        }
        return [
            web.post("/auth/api-key", self.create_key),
            web.get("/auth/derive-api-key", self.derive_key),
            web.delete("/auth/api-key", private(self._rim, self.delete_key)),
            web.post("/v1/heartbeats", private(self._rim, self.heartbeat)),
            *(web.get(path, private(self._rim, handler)) for path, handler in reads.items()),
        ]

    async def create_key(self, request: web.Request) -> web.Response:
        return self._open(request, must_be_new=True)

    async def derive_key(self, request: web.Request) -> web.Response:
        return self._open(request, must_be_new=False)

    def _open(self, request: web.Request, *, must_be_new: bool) -> web.Response:
        now_s = self._rim.now() // 1000
        found = self._rim.auth.level_1(request.headers, now_s)
        if isinstance(found, Refusal):
            return refuse(found)
        if must_be_new and found.key in self._rim.auth.by_key:
            return refuse(Refusal(400, "Could not create api key"))
        self._rim.auth.admit(found)
        self._rim.venue.open_account(found.address, found.key)
        return answer({"apiKey": found.key, "secret": found.secret, "passphrase": found.passphrase})

    async def delete_key(self, request: web.Request, owner: Credentials) -> web.Response:
        self._rim.auth.revoke(owner.key)
        return answer("OK")

    async def api_keys(self, request: web.Request, owner: Credentials) -> web.Response:
        keys = [c.key for c in self._rim.auth.by_key.values() if c.address == owner.address]
        return answer({"apiKeys": keys})

    async def closed_only(self, request: web.Request, owner: Credentials) -> web.Response:
        return answer({"closed_only": False})

    async def notifications(self, request: web.Request, owner: Credentials) -> web.Response:
        return answer([])

    async def orders(self, request: web.Request, owner: Credentials) -> web.Response:
        """Open orders; with `id` that order in any state."""
        self._rim.now()
        query = request.query
        wanted = query.get("id")
        rows = [
            wire_user.rest_order(order)
            for order in self._rim.venue.exchange.orders.values()
            if order.owner == owner.key
            and (order.order_id == wanted if wanted else order.is_open)
            and query.get("market") in (None, order.market.condition_id)
            and query.get("asset_id") in (None, order.market.tokens[order.token])
        ]
        return _page(rows, request)

    async def order(self, request: web.Request, owner: Credentials) -> web.Response:
        self._rim.now()
        order = self._rim.venue.exchange.orders.get(request.match_info["order_id"])
        if order is None or order.owner != owner.key:
            return refuse(Refusal(404, "order not found"))
        return answer(wire_user.rest_order(order))

    async def trades(self, request: web.Request, owner: Credentials) -> web.Response:
        """Trades the owner is in, newest first; before and after are epoch seconds."""
        self._rim.now()
        try:
            rows = [
                wire_user.rest_trade(trade, owner.key)
                for trade in reversed(self._rim.venue.settlement.trades.values())
                if _concerns(trade, owner.key) and _matches(trade, request)
            ]
        except ValueError:
            return refuse(Refusal(400, "before and after must be epoch seconds"))
        return _page(rows, request)

    async def balance(self, request: web.Request, owner: Credentials) -> web.Response:
        """Settled balances in base units; allowances are without limit."""
        self._rim.now()
        ledger = self._rim.venue.ledger
        if request.query.get("asset_type") == "COLLATERAL":
            balance = ledger.cash_micro[owner.address]
        else:
            found = self._rim.venue.floor.by_token.get(request.query.get("token_id", ""))
            if found is None:
                return refuse(BAD_TOKEN)
            market, token = found
            balance = ledger.shares_micro[owner.address, market.condition_id, token]
        allowances = {CTF_EXCHANGE: _UNLIMITED, NEG_RISK_EXCHANGE: _UNLIMITED}
        return answer({"balance": str(balance), "allowances": allowances})

    async def heartbeat(self, request: web.Request, owner: Credentials) -> web.Response:
        now_ms = self._rim.now()
        try:
            body = msgspec.json.decode(await request.read() or b"{}", type=dict[str, str])
        except msgspec.DecodeError:
            return refuse(Refusal(400, "Invalid heartbeat payload"))
        expected, _ = self._heartbeats.get(owner.key, ("", 0))
        if body.get("heartbeat_id", "") != expected:
            return answer({"error_msg": "Invalid Heartbeat ID", "heartbeat_id": expected}, 400)
        if not expected:
            self._rim.venue.agenda.after(HEARTBEAT_CHECK_MS, lambda: self._listen(owner.key))
        following = uuid_id(owner.key, "heartbeat", now_ms, expected)
        self._heartbeats[owner.key] = following, now_ms
        return answer({"heartbeat_id": following})

    def _listen(self, key: str) -> None:
        """Cancel the orders of a key whose heart has stopped; look again later."""
        venue = self._rim.venue
        if venue.agenda.now_ms - self._heartbeats[key][1] >= HEARTBEAT_LIMIT_MS:
            for order in list(venue.exchange.orders.values()):
                if order.owner == key:
                    venue.exchange.end(order, "CANCELED")
        venue.agenda.after(HEARTBEAT_CHECK_MS, lambda: self._listen(key))


def _page(rows: list[Any], request: web.Request) -> web.Response:
    found = page(rows, request.query.get("next_cursor"), ROWS_A_PAGE)
    return refuse(found) if isinstance(found, Refusal) else answer(found)


def _concerns(trade: Trade, key: str) -> bool:
    return trade.owner == key or any(fill.maker.owner == key for fill in trade.fills)


def _matches(trade: Trade, request: web.Request) -> bool:
    query, match_s = request.query, trade.match_ms // 1000
    wallets = {trade.wallet, *(fill.maker.wallet for fill in trade.fills)}
    assets = {
        trade.market.tokens[trade.token],
        *(trade.market.tokens[fill.maker.token] for fill in trade.fills),
    }
    return (
        query.get("id") in (None, trade.trade_id)
        and query.get("market") in (None, trade.market.condition_id)
        and ("asset_id" not in query or query["asset_id"] in assets)
        and ("maker_address" not in query or query["maker_address"].lower() in wallets)
        and ("after" not in query or match_s >= int(query["after"]))
        and ("before" not in query or match_s <= int(query["before"]))
    )
