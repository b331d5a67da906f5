"""What the venue says we hold, have resting and can spend: three reports, each asked on the tape.

Sources: API reference 10.4 (positions, public, cached by URL), 11.3 (open orders), 6.10 (balance,
a cache of the venue's own). A report states what was answered and never concludes: an order or a
token that is missing is no proof of anything here.
"""

from connectors.account.private import PrivateReads
from connectors.polymarket.wire import BadValue, Unreadable, price_micro, size_micro, token_id
from connectors.polymarket.wire_user import OrderRow, decode_balance, decode_order_row
from schemas.records.base import OrderHash, Side, Token, Wallet
from schemas.records.own import BalanceReport, OpenOrder, OpenOrdersReport

POSITIONS, ORDERS, BALANCE = "own_positions", "own_orders", "own_balance"
NS = 1_000_000
SIDES: dict[str, Side] = {"BUY": "BUY", "SELL": "SELL"}


class Reports:
    """The three reads of one account; each says whether the venue answered."""

    def __init__(
        self, private: PrivateReads, *, wallet: Wallet, data_url: str, signature_type: int
    ) -> None:
        self._private = private
        self._reads = private.reads
        self._account = private.account
        self._wallet = wallet
        self._data_url = data_url
        self._signature_type = signature_type

    async def positions(self) -> bool:
        """Holdings as the Data API has them."""
        rows = await self._reads.positions(POSITIONS, self._account, self._wallet, self._data_url)
        return rows is not None

    async def orders(self) -> bool:
        """Orders that rest."""
        report = await self._reads.asked("orders", self._account)
        pages = await self._private.listing(ORDERS, "/data/orders", {})
        if pages is None:
            return False
        rows: list[OpenOrder] = []
        for raw in pages.rows:
            row = open_order(raw)
            if isinstance(row, OpenOrder):
                rows.append(row)
            else:
                self._private.unreadable(ORDERS, raw, row.reason, pages.recv_ns)
        complete = len(rows) == len(pages.rows)
        record = OpenOrdersReport(
            report=report,
            subject=self._account,
            rows=tuple(rows),
            complete=complete,
            answered_ms=pages.recv_ns // NS,
        )
        self._reads.outbox.tape(record, self._account)
        if complete:
            self._private.fresh(ORDERS, pages)
        return True

    async def balance(self) -> bool:
        """Collateral."""
        report = await self._reads.asked("balance", self._account)
        params = {"asset_type": "COLLATERAL", "signature_type": str(self._signature_type)}
        page = await self._private.single(BALANCE, "/balance-allowance", params)
        if page is None:
            return False
        usd_micro = decode_balance(page.rows[0])
        if isinstance(usd_micro, Unreadable):
            self._private.unreadable(BALANCE, usd_micro.raw, usd_micro.reason, page.recv_ns)
            return True
        record = BalanceReport(
            report=report,
            subject=self._account,
            usd_micro=usd_micro,
            answered_ms=page.recv_ns // NS,
        )
        self._reads.outbox.tape(record, self._account)
        self._private.fresh(BALANCE, page)
        return True


def open_order(raw: bytes) -> OpenOrder | Unreadable:
    """One row of /data/orders."""
    row = decode_order_row(raw)
    if isinstance(row, Unreadable):
        return row
    try:
        return _open_order(row)
    except BadValue as error:
        return Unreadable(f"order {row.id}: {error}", raw)


def _open_order(row: OrderRow) -> OpenOrder:
    if row.side not in SIDES:
        raise BadValue(f"side {row.side!r} is neither BUY nor SELL")
    return OpenOrder(
        order=OrderHash(row.id.lower()),
        token=Token(token_id(row.asset_id)),
        side=SIDES[row.side],
        price_micro=price_micro(row.price),
        shares_micro=size_micro(row.original_size),
        matched_micro=size_micro(row.size_matched),
    )
