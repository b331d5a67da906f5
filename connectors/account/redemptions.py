"""Our own redemptions, by hand or by the venue: what a resolution owed us and has been paid.

From the wallet's activity (API reference 10.3): one row an outcome, summed by (condition,
transaction, token). Stated again only when a total changes. What else stands there is no business
of this read: fills come from our trades, and a split or a merge by hand is found as drift.
"""

from decimal import Decimal

import msgspec

from connectors.account.private import PrivateReads
from connectors.polymarket.cursors import ReadCursor
from connectors.polymarket.moves import MOVES
from connectors.polymarket.paging import Pages
from connectors.polymarket.reads import window
from connectors.polymarket.wire import (
    BadValue,
    Unreadable,
    condition_id,
    epoch_ms,
    token_id,
    wallet,
)
from connectors.polymarket.wire_data import ActivityRow, decode_activity_row, transaction_of
from schemas.records.base import Account, Token, Wallet
from schemas.records.journal import Cursor
from schemas.records.own import OwnRedemption
from schemas.units import UnitError, parse_micro_half_even

REDEMPTIONS = "own_redemptions"
REREAD_MS = 3_600_000
"""Each read goes back so far: rows are few, and the index may be slow for a whole resolution."""

Key = tuple[str, Token]
"""Transaction and token, which names its condition."""


class Redemptions:
    """The own-redemptions feed."""

    def __init__(
        self, private: PrivateReads, *, wallet: Wallet, data_url: str, cursor: ReadCursor
    ) -> None:
        self._private = private
        self._wallet = wallet
        self._url = data_url + "/v2/activity"
        self._cursor = cursor
        self._written_ms = cursor.upto_ms
        self._stated: dict[Key, OwnRedemption] = {}

    async def read(self) -> bool:
        """Ask once, slices of a long gap one after the other; whether the venue answered."""
        complete = True
        while True:
            span = self._cursor.next_span(self._private.reads.rest.now_ms())
            params = {"user": self._wallet, "type": MOVES["REDEEM"], **window(span)}
            pages = await self._private.reads.data_pages(
                REDEMPTIONS, self._private.account, self._url, params
            )
            if pages is None:
                return False
            complete = self._state(pages) and complete
            self._cursor.covered(span.covered_ms(pages.asked_ms, 0))
            if span.upto_ms is None:
                break
        await self._keep_cursor()
        if complete:
            self._private.fresh(REDEMPTIONS, pages)
        return True

    def _state(self, pages: Pages) -> bool:
        """Append what is new or different, oldest first; whether every row could be read."""
        found: dict[Key, OwnRedemption] = {}
        torn: set[str] = set()
        for raw in pages.rows:
            try:
                row = self._row(raw, pages.recv_ns)
            except (BadValue, UnitError) as error:
                self._private.unreadable(REDEMPTIONS, raw, str(error), pages.recv_ns)
                torn.add(transaction_of(raw) or "")
                continue
            if row is not None:
                key = row.tx, row.token
                found[key] = _sum(found[key], row) if key in found else row
        for key, total in sorted(found.items(), key=lambda pair: pair[1].venue_ms):
            # A total that lacks a row would be wrong: its whole transaction waits.
            if total.tx not in torn and _differs(self._stated.get(key), total):
                self._private.reads.outbox.tape(total, total.token)
                self._stated[key] = total
        old_ms = self._cursor.forget_before_ms
        self._stated = {k: t for k, t in self._stated.items() if t.venue_ms >= old_ms}
        return not torn

    def _row(self, raw: bytes, recv_ns: int) -> OwnRedemption | None:
        """One row's redemption, None if it is about something else; raises BadValue, UnitError."""
        row = decode_activity_row(raw)
        if isinstance(row, Unreadable):
            raise BadValue(row.reason)
        if row.type != MOVES["REDEEM"] or row.is_combo:
            return None
        return redemption(row, self._private.account, self._wallet, recv_ns)

    async def _keep_cursor(self) -> None:
        """Write how far a restart need not read, once everything before it is on the tape."""
        upto_ms = self._cursor.upto_ms
        if upto_ms <= self._written_ms:
            return
        await self._private.reads.outbox.settled()
        self._written_ms = upto_ms
        account = self._private.account
        self._private.reads.outbox.cursor(
            Cursor(feed=REDEMPTIONS, subject=account, upto_ms=upto_ms)
        )


def redemption(row: ActivityRow, account: Account, ours: Wallet, recv_ns: int) -> OwnRedemption:
    """One row; raises BadValue or UnitError naming what is wrong with it."""
    if wallet(row.proxy_wallet) != ours:
        raise BadValue(f"a row of {row.proxy_wallet} in the answer about {ours}")
    if not row.token_id:
        raise BadValue("a redemption names no token")
    if not row.transaction_hash:
        raise BadValue("a redemption names no transaction")
    return OwnRedemption(
        account=account,
        source="rest",
        tx=row.transaction_hash.lower(),
        condition=condition_id(row.condition_id),
        token=Token(token_id(row.token_id)),
        shares_micro=_not_negative("size", row.size),
        cash_micro=_not_negative("usdc_size", row.usdc_size),
        venue_ms=epoch_ms(row.timestamp),
        recv_ns=recv_ns,
    )


def _not_negative(name: str, value: Decimal) -> int:
    found = parse_micro_half_even(value)
    if found < 0:
        raise BadValue(f"{name} {value} is negative")
    return found


def _sum(a: OwnRedemption, b: OwnRedemption) -> OwnRedemption:
    return msgspec.structs.replace(
        a, shares_micro=a.shares_micro + b.shares_micro, cash_micro=a.cash_micro + b.cash_micro
    )


def _differs(said: OwnRedemption | None, total: OwnRedemption) -> bool:
    if said is None:
        return True
    return (said.shares_micro, said.cash_micro) != (total.shares_micro, total.cash_micro)
