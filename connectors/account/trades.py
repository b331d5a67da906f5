"""Our own trades by REST: every page of what lies behind the cursor, each transition stated once.

REST proves our fills; the user channel only tells them sooner. A read goes back `overlap` behind
its cursor, the cursor is written only once all that it covers stands on the tape, and trades whose
settlement outlasts the window are asked for by id (unsettled.py). Source: API reference 8.2, 11.3.
"""

import logging
from collections.abc import Callable

from connectors.account.private import PrivateReads
from connectors.account.unsettled import Unsettled
from connectors.polymarket.cursors import ReadCursor, Span
from connectors.polymarket.own_fills import OwnFills, venue_ms
from connectors.polymarket.paging import Pages
from connectors.polymarket.wire import BadValue, Unreadable, epoch_ms
from connectors.polymarket.wire_user import TradeRow, decode_trade_row, status_of
from schemas.records.journal import Cursor
from schemas.records.own import FillStatus

LOG = logging.getLogger(__name__)
TRADES = "own_trades"
PATH = "/data/trades"

OnNews = Callable[[str, FillStatus, int], None]
"""Told of a transition that REST stated first: trade, status, when it happened (0: not said)."""


class Trades:
    """The own-trades feed. fills is shared with the user channel."""

    def __init__(
        self, private: PrivateReads, *, fills: OwnFills, cursor: ReadCursor, on_news: OnNews
    ) -> None:
        self._private = private
        self._outbox = private.reads.outbox
        self._fills = fills
        self._cursor = cursor
        self._written_ms = cursor.upto_ms
        self._unsettled = Unsettled()
        self._on_news = on_news

    async def read(self) -> bool:
        """Ask once, slices of a long gap one after the other; whether the venue answered."""
        complete = True
        while True:
            span = self._cursor.next_span(self._private.reads.rest.now_ms())
            pages = await self._private.listing(TRADES, PATH, window(span))
            if pages is None:
                return False
            complete = self._state(pages) and complete
            self._cursor.covered(span.covered_ms(pages.asked_ms, 0))
            if span.upto_ms is None:
                break
        if not await self._look_up(span.from_ms):
            return False
        await self._keep_cursor()
        if complete:
            self._private.fresh(TRADES, pages)
        return True

    def _state(self, pages: Pages) -> bool:
        """Append what the rows say that is new, oldest first; whether all could be read."""
        rows, complete = self._rows(pages)
        for at_ms, row, raw in rows:
            try:
                news = self._fills.stated(row, "rest", pages.recv_ns)
            except BadValue as error:
                self._private.unreadable(TRADES, raw, str(error), pages.recv_ns)
                complete = False
                continue
            for fill in news:
                self._outbox.tape(fill, fill.token)
            self._unsettled.saw(
                row.id, at_ms, settled=self._fills.settled(row), now_ms=pages.asked_ms
            )
            status = status_of(row.status)
            if news and status is not None:
                self._on_news(row.id, status, _updated_ms(row))
        return complete

    def _rows(self, pages: Pages) -> tuple[list[tuple[int, TradeRow, bytes]], bool]:
        """Rows by venue time; the venue lists the newest first, within a second too."""
        rows: list[tuple[int, TradeRow, bytes]] = []
        for raw in reversed(pages.rows):
            row = decode_trade_row(raw)
            try:
                if isinstance(row, Unreadable):
                    raise BadValue(row.reason)
                rows.append((venue_ms(row), row, raw))
            except BadValue as error:
                self._private.unreadable(TRADES, raw, str(error), pages.recv_ns)
        rows.sort(key=lambda each: each[0])
        return rows, len(rows) == len(pages.rows)

    async def _look_up(self, window_from_ms: int) -> bool:
        """Ask for each open trade that the window has left behind."""
        now_ms = self._private.reads.rest.now_ms()
        for trade in self._unsettled.given_up(now_ms):
            LOG.warning("trade=%s state=never_settled", trade)
        for trade in self._unsettled.due(window_from_ms, now_ms):
            pages = await self._private.listing(TRADES, PATH, {"id": trade})
            if pages is None:
                return False
            self._state(pages)
        return True

    async def _keep_cursor(self) -> None:
        """Write how far a restart need not read, once everything before it is on the tape."""
        safe_ms = self._unsettled.safe_ms(self._cursor.upto_ms)
        if safe_ms <= self._written_ms:
            return
        await self._outbox.settled()
        self._written_ms = safe_ms
        account = self._private.account
        self._outbox.cursor(Cursor(feed=TRADES, subject=account, upto_ms=safe_ms))


def window(span: Span) -> dict[str, str]:
    """Time bounds in whole seconds; one more each way, whether or not they are inclusive."""
    bounds = {"after": str(max(span.from_ms // 1_000 - 1, 0))}
    if span.upto_ms is not None:
        bounds["before"] = str(span.upto_ms // 1_000 + 1)
    return bounds


def _updated_ms(row: TradeRow) -> int:
    try:
        return epoch_ms(row.last_update) if row.last_update != "" else 0
    except BadValue:
        return 0  # a fill does not rest on this stamp; without it the channel is not judged
