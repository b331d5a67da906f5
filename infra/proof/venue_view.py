"""What the venue says of one account, read only: trades, open orders, positions, balance.

Every request is a GET. The same decoders as the account connector's, whose rules they state; a row
that cannot be read or a page that came from a cache ends the reading, since half an answer would
show differences that are none. Credentials never leave `l2_headers`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import httpx

from connectors.account.main import identity
from connectors.account.reports import open_order
from connectors.polymarket.credentials import Credentials, read_credentials
from connectors.polymarket.l2 import l2_headers
from connectors.polymarket.own_fills import OwnFills
from connectors.polymarket.paging import Pages, read_listing, read_pages
from connectors.polymarket.reads import DUST_FLOOR_MICRO, PAGE
from connectors.polymarket.rest import Answer, Failed, Rest
from connectors.polymarket.wire import BadValue, Unreadable
from connectors.polymarket.wire_data import decode_position
from connectors.polymarket.wire_user import decode_balance, decode_trade_row
from schemas.records.base import Account, Wallet
from schemas.records.own import Holding, OpenOrder, OwnFill
from schemas.wiring import Wiring

T = TypeVar("T")
DUST_MICRO = DUST_FLOOR_MICRO


class VenueUnreadable(RuntimeError):
    """The venue's answer cannot be compared with; the message says which and why."""


class VenueView(NamedTuple):
    """Everything as answered. cash_micro: collateral."""

    fills: tuple[OwnFill, ...]
    orders: tuple[OpenOrder, ...]
    holdings: tuple[Holding, ...]
    cash_micro: int


class VenueReader:
    """Reads one account. since_ms: the tape's beginning; older trades are none of ours."""

    def __init__(self, wiring: Wiring, rest: Rest, *, since_ms: int) -> None:
        self.account: Account
        self._wallet: Wallet
        self.account, self._wallet, self._signer = identity(wiring.account)
        self._wiring = wiring
        self._rest = rest
        self._since_ms = since_ms
        path = Path(wiring.account.credentials_file)
        self._credentials: Credentials = read_credentials(path)

    async def read(self) -> VenueView:
        """One look at all four; raises VenueUnreadable."""
        return VenueView(
            fills=await self._fills(),
            orders=await self._orders(),
            holdings=await self._holdings(),
            cash_micro=await self._cash(),
        )

    async def _fills(self) -> tuple[OwnFill, ...]:
        after = str(max(self._since_ms // 1_000 - 1, 0))
        pages = await self._listing("/data/trades", {"after": after})
        ours = OwnFills(
            account=self.account, wallet=self._wallet, api_key=self._credentials.api_key
        )
        found: list[OwnFill] = []
        for raw in reversed(pages.rows):
            row = _read("trade", decode_trade_row(raw))
            try:
                found += ours.stated(row, "rest", pages.recv_ns)
            except BadValue as error:
                raise VenueUnreadable(f"trade: {error}") from error
        return tuple(found)

    async def _orders(self) -> tuple[OpenOrder, ...]:
        pages = await self._listing("/data/orders", {})
        return tuple(_read("order", open_order(raw)) for raw in pages.rows)

    async def _holdings(self) -> tuple[Holding, ...]:
        url = self._wiring.venue.data_url + "/v2/positions"
        params = {
            "user": self._wallet,
            "filter_type": "TOKENS",
            "filter_amount": "0",
            "include_archived": "true",
            "limit": PAGE,
        }
        pages = _believed("positions", await read_pages(self._rest, url, params, _unkept))
        rows = tuple(_read("position", decode_position(raw)) for raw in pages.rows)
        if len({row.token for row in rows}) != len(rows):
            raise VenueUnreadable(
                "positions: a token came twice, pages shifted while they were read"
            )
        return rows

    async def _cash(self) -> int:
        params = {
            "asset_type": "COLLATERAL",
            "signature_type": str(self._wiring.account.signature_type),
        }
        url = self._wiring.venue.clob_url + "/balance-allowance"
        answer = await self._rest.get(url, params, self._headers(url))
        if isinstance(answer, Failed):
            raise VenueUnreadable(f"balance: {answer.reason}")
        return _read("balance", decode_balance(answer.body))

    async def _listing(self, path: str, params: dict[str, str]) -> Pages:
        url = self._wiring.venue.clob_url + path
        return _believed(
            path,
            await read_listing(self._rest, url, params, lambda: self._headers(url), _unkept),
        )

    def _headers(self, url: str) -> Mapping[str, str]:
        return l2_headers(
            self._credentials,
            signer=self._signer,
            method="GET",
            path=httpx.URL(url).path,
            now_s=self._rest.now_ms() // 1_000,
        )


def _unkept(_answer: Answer) -> None:
    """Bodies are looked at, not kept."""


def _believed(what: str, pages: Pages | Failed | Unreadable) -> Pages:
    if isinstance(pages, Failed | Unreadable):
        raise VenueUnreadable(f"{what}: {pages.reason}")
    if pages.stale:
        raise VenueUnreadable(f"{what}: the answer is from a cache, {pages.age_s} s old")
    return pages


def _read(what: str, row: T | Unreadable) -> T:
    if isinstance(row, Unreadable):
        raise VenueUnreadable(f"{what}: {row.reason}")
    return row
