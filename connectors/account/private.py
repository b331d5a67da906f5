"""Private REST reads of one account: trades, open orders, balance, positions.

Signed with API credentials, whose every trace is taken out before a body is kept. Trades are read
from the cursor back over the overlap, and the cursor never passes a trade that can still change.
A trade that cannot be read stops the cursor and leaves the feed suspect, so that nothing is sent on
half a record; the report of positions is what proves the rest (design 3.9).
"""

import asyncio

from connectors.polymarket.credentials import Credentials
from connectors.polymarket.cursors import ReadCursor
from connectors.polymarket.l2 import l2_headers
from connectors.polymarket.own_fills import OwnFills, venue_ms
from connectors.polymarket.paging import Pages, read_listing
from connectors.polymarket.reads import NS, Reads
from connectors.polymarket.rest import Failed
from connectors.polymarket.wire import (
    BadValue,
    Unreadable,
    price_micro,
    size_micro,
    token_id,
)
from connectors.polymarket.wire_user import (
    OrderRow,
    TradeRow,
    decode_balance,
    decode_order_row,
    decode_trade_row,
)
from schemas.records.base import Account, OrderHash, Token, Wallet
from schemas.records.journal import Cursor
from schemas.records.own import BalanceReport, OpenOrder, OpenOrdersReport
from schemas.wiring import AccountWiring, VenueWiring

OWN_TRADES, OWN_ORDERS = "own_trades", "own_orders"
OWN_POSITIONS, OWN_BALANCE = "own_positions", "own_balance"


class Private:
    """The reads of one account; poke_* makes the next one happen at once."""

    def __init__(
        self,
        *,
        wiring: AccountWiring,
        venue: VenueWiring,
        reads: Reads,
        credentials: Credentials,
        fills: OwnFills,
        cursor: ReadCursor,
    ) -> None:
        self._wiring = wiring
        self._venue = venue
        self._reads = reads
        self._credentials = credentials
        self._fills = fills
        self._cursor = cursor
        self._account = Account(wiring.account)
        self._wallet = Wallet(wiring.wallet.lower())
        self._bad_rows: dict[bytes, None] = {}
        self.trades_poke = asyncio.Event()
        self.orders_poke = asyncio.Event()
        self.rest_poke = (asyncio.Event(), asyncio.Event())

    def resync(self) -> None:
        """Read everything now."""
        for poke in (self.trades_poke, self.orders_poke, *self.rest_poke):
            poke.set()

    def _headers(self, path: str) -> dict[str, str]:
        return l2_headers(
            self._credentials,
            signer=self._wiring.signer or self._wiring.wallet,
            method="GET",
            path=path,
            now_s=self._reads.rest.now_ms() // 1_000,
        )

    async def _listing(self, feed: str, path: str, params: dict[str, str]) -> Pages | None:
        pages = await read_listing(
            self._reads.rest,
            self._venue.clob_url + path,
            params,
            lambda: self._headers(path),
            lambda answer: self._reads.keep(feed, answer),
        )
        return self._reads.believed(feed, self._account, pages)

    async def read_trades(self) -> None:
        """Every trade of ours since the cursor, and its status."""
        span = self._cursor.next_span(self._reads.rest.now_ms())
        params = {"after": str(span.from_ms // 1_000)}
        if span.upto_ms is not None:
            params["before"] = str(span.upto_ms // 1_000 + 1)
        pages = await self._listing(OWN_TRADES, "/data/trades", params)
        if pages is None:
            return
        upto_ms = span.covered_ms(pages.asked_ms, 0)
        clean = True
        for raw in pages.rows:
            open_ms = self._trade(raw, pages.recv_ns)
            clean = clean and open_ms is not None
            upto_ms = min(upto_ms, open_ms or upto_ms)
        if not clean:
            self._reads.feeds[OWN_TRADES].doubt(pages.asked_ms)
            return
        self._reads.fresh(OWN_TRADES, self._account, pages)
        await self._reads.outbox.settled()
        if self._cursor.covered(upto_ms):
            self._reads.outbox.cursor(
                Cursor(feed=OWN_TRADES, subject=self._account, upto_ms=upto_ms)
            )

    def _trade(self, raw: bytes, recv_ns: int) -> int | None:
        """State one trade; when it was matched if it is still open, 0 if settled, None if bad."""
        row = decode_trade_row(raw)
        if isinstance(row, TradeRow):
            try:
                for fill in self._fills.stated(row, "rest", recv_ns):
                    self._reads.outbox.tape(fill, fill.token)
                return 0 if self._fills.settled(row) else venue_ms(row)
            except BadValue as error:
                row = Unreadable(str(error), raw)
        if raw not in self._bad_rows:
            self._bad_rows[raw] = None
            self._reads.quarantine(OWN_TRADES, row, recv_ns)
        return None

    async def read_orders(self) -> None:
        """Orders of ours that rest at the venue."""
        report = await self._reads.asked("orders", self._account)
        pages = await self._listing(OWN_ORDERS, "/data/orders", {})
        if pages is None:
            return
        rows = [self._order(raw, pages.recv_ns) for raw in pages.rows]
        record = OpenOrdersReport(
            report=report,
            subject=self._account,
            rows=tuple(row for row in rows if row is not None),
            complete=None not in rows,
            answered_ms=pages.recv_ns // NS,
        )
        self._reads.outbox.tape(record, self._account)
        if record.complete:
            self._reads.fresh(OWN_ORDERS, self._account, pages)

    def _order(self, raw: bytes, recv_ns: int) -> OpenOrder | None:
        row = decode_order_row(raw)
        if isinstance(row, OrderRow):
            try:
                return open_order(row)
            except BadValue as error:
                row = Unreadable(str(error), raw)
        self._reads.quarantine(OWN_ORDERS, row, recv_ns)
        return None

    async def read_balance(self) -> None:
        """Collateral, as the venue's cache states it (API reference 6.10)."""
        report = await self._reads.asked("balance", self._account)
        path = "/balance-allowance"
        params = {
            "asset_type": "COLLATERAL",
            "signature_type": str(self._wiring.signature_type),
        }
        answer = await self._reads.rest.get(
            self._venue.clob_url + path, params, self._headers(path)
        )
        if isinstance(answer, Failed):
            self._reads.believed(OWN_BALANCE, self._account, answer)
            return
        self._reads.keep(OWN_BALANCE, answer)
        balance = decode_balance(answer.body)
        if isinstance(balance, Unreadable):
            self._reads.believed(OWN_BALANCE, self._account, balance)
            return
        record = BalanceReport(
            report=report,
            subject=self._account,
            usd_micro=balance,
            answered_ms=answer.recv_ns // NS,
        )
        self._reads.outbox.tape(record, self._account)
        pages = Pages(asked_ms=answer.asked_ms, recv_ns=answer.recv_ns)
        self._reads.believed(OWN_BALANCE, self._account, pages)
        self._reads.fresh(OWN_BALANCE, self._account, pages)

    async def read_positions(self) -> None:
        """What the Data API says our wallet holds."""
        await self._reads.positions(
            OWN_POSITIONS, self._account, self._wallet, self._venue.data_url
        )


def open_order(row: OrderRow) -> OpenOrder:
    """One resting order in our units; raises BadValue."""
    if row.side not in ("BUY", "SELL"):
        raise BadValue(f"order {row.id}: side {row.side!r} is neither BUY nor SELL")
    return OpenOrder(
        order=OrderHash(row.id.lower()),
        token=Token(token_id(row.asset_id)),
        side="BUY" if row.side == "BUY" else "SELL",
        price_micro=price_micro(row.price),
        shares_micro=size_micro(row.original_size),
        matched_micro=size_micro(row.size_matched),
    )
