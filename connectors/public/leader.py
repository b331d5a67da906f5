"""One leader's REST reads: trades, moves, positions; each answer complete or none.

Rows go to the tape, then `ReadDone`, then the cursor, in this order and only after acknowledgement.
A bad row is quarantined and makes the leader incomplete, once; the good ones count, the totals of
its transaction do not, and no `ReadDone` claims that the answer said everything. What a total is
stands in fills.py and moves.py.
"""

import asyncio
from collections.abc import Callable, Iterable

from connectors.polymarket.cursors import ReadCursor, Span
from connectors.polymarket.fills import StatedTotals, answer_totals
from connectors.polymarket.moves import Tokens, conditions_of, leader_moves, sort_rows
from connectors.polymarket.paging import Pages
from connectors.polymarket.reads import Reads, window
from connectors.polymarket.rest import Failed
from connectors.polymarket.wire import Unreadable
from connectors.polymarket.wire_activity import Fill
from connectors.polymarket.wire_data import (
    ActivityRow,
    decode_activity_row,
    decode_trade,
    transaction_of,
)
from connectors.public.catalogue import Catalogue
from schemas.records.base import Condition, Group, Token, Wallet
from schemas.records.journal import Cursor
from schemas.records.leader import LeaderIncomplete, LeaderMove, ReadDone

TRADES, MOVES, POSITIONS = "trades", "moves", "positions"
BAD_ROWS_KEPT = 1_000


class Leader:
    """One followed wallet and how far it has been read. lag_ms: how late a row may appear.

    pokes: for each read, who waits for its time to come is to read now. on_news: told when an
    answer said something new.
    """

    def __init__(
        self,
        *,
        wallet: Wallet,
        reads: Reads,
        catalogue: Catalogue,
        data_url: str,
        lag_ms: int,
        trades: ReadCursor,
        moves: ReadCursor,
        on_news: Callable[[], None],
    ) -> None:
        self.wallet = wallet
        self._reads = reads
        self._catalogue = catalogue
        self._data_url = data_url
        self._lag_ms = lag_ms
        self._trades = trades
        self._moves = moves
        self._stated = StatedTotals()
        self._stated_moves: dict[Group, LeaderMove] = {}
        self._bad_rows: dict[bytes, None] = {}
        self._on_news = on_news
        self.pokes = {name: asyncio.Event() for name in (TRADES, MOVES, POSITIONS)}

    async def read_trades(self) -> None:
        """One complete answer about the leader's fills."""
        span = self._trades.next_span(self._reads.rest.now_ms())
        params = {"user": self.wallet, "taker_only": "false", **window(span)}
        url = self._data_url + "/v2/trades"
        pages = await self._reads.data_pages(TRADES, self.wallet, url, params)
        if pages is None:
            return
        instance = self._reads.ids()
        fills, bad = self._fills(pages)
        for raw, why in bad:
            self._incomplete(TRADES, instance, raw, why, pages.recv_ns)
        totals = answer_totals(fills, [tx for raw, _ in bad if (tx := transaction_of(raw))])
        news = self._stated.changed(instance, totals, pages.recv_ns)
        for record in news:
            self._reads.outbox.tape(record, self.wallet)
        if news:
            self._on_news()
        upto_ms = span.covered_ms(pages.asked_ms, self._lag_ms)
        if not bad:
            done = self._read_done("trades", instance, span, pages, upto_ms, totals)
            await self._reads.outbox.tape_acknowledged(done, self.wallet)
            self._reads.fresh(TRADES, self.wallet, pages)
        await self._advance(TRADES, self._trades, upto_ms, acknowledged=not bad)
        self._stated.note(totals, self._trades.forget_before_ms)

    def _fills(self, pages: Pages) -> tuple[list[Fill], list[tuple[bytes, str]]]:
        fills: list[Fill] = []
        bad: list[tuple[bytes, str]] = []
        for raw in pages.rows:
            row = decode_trade(raw)
            if isinstance(row, Unreadable):
                bad.append((raw, row.reason))
            elif row.wallet != self.wallet:
                bad.append((raw, f"a row of {row.wallet} in the answer about {self.wallet}"))
            else:
                fills.append(row)
        return fills, bad

    async def read_moves(self) -> None:
        """One complete answer about the leader's splits, merges and redemptions."""
        span = self._moves.next_span(self._reads.rest.now_ms())
        url = self._data_url + "/v2/activity"
        params = {"user": self.wallet, **window(span)}
        pages = await self._reads.data_pages(MOVES, self.wallet, url, params)
        if pages is None:
            return
        rows: list[tuple[bytes, ActivityRow]] = []
        bad: list[tuple[bytes, str]] = []
        for raw in pages.rows:
            row = decode_activity_row(raw)
            if isinstance(row, Unreadable):
                bad.append((raw, row.reason))
            else:
                rows.append((raw, row))
        found = sort_rows([row for _, row in rows])
        tokens = await self._tokens(conditions_of(found.moves))
        if isinstance(tokens, Failed):
            return  # not a word about this answer; the next one looks them up again
        instance = self._reads.ids()
        moves, failed = leader_moves(found.moves, tokens, instance=instance, recv_ns=pages.recv_ns)
        raw_of = {id(row): raw for raw, row in rows}
        bad += [(raw_of[id(row)], why) for row, why in failed]
        unfollowed = [(raw_of[id(row)], why) for row, why in found.reasons]
        for raw, why in [*bad, *unfollowed]:
            self._incomplete(MOVES, instance, raw, why, pages.recv_ns)
        self._state(moves)
        upto_ms = span.covered_ms(pages.asked_ms, self._lag_ms)
        if not bad:
            done = self._read_done("activity", instance, span, pages, upto_ms, moves)
            await self._reads.outbox.tape_acknowledged(done, self.wallet)
            self._reads.fresh(MOVES, self.wallet, pages)
        await self._advance(MOVES, self._moves, upto_ms, acknowledged=not bad)

    async def _tokens(self, conditions: list[Condition]) -> Tokens | Failed:
        found: dict[Condition, tuple[Token, ...]] = {}
        for condition in conditions:
            tokens = await self._catalogue.tokens(condition)
            if isinstance(tokens, Failed):
                return tokens
            found[condition] = tokens
        return found

    def _state(self, moves: dict[Group, LeaderMove]) -> None:
        """Put on the tape what is new or different, oldest first."""
        for group, move in sorted(moves.items(), key=lambda pair: pair[1].venue_ms):
            said = self._stated_moves.get(group)
            if said is None or said.delta_micro != move.delta_micro:
                self._reads.outbox.tape(move, self.wallet)
                self._stated_moves[group] = move
                self._on_news()
        old_ms = self._moves.forget_before_ms
        for group in [g for g, m in self._stated_moves.items() if m.venue_ms < old_ms]:
            del self._stated_moves[group]

    async def read_positions(self) -> None:
        """What the venue says the leader holds."""
        await self._reads.positions(POSITIONS, self.wallet, self.wallet, self._data_url)

    def _read_done(
        self,
        source: str,
        instance: str,
        span: Span,
        pages: Pages,
        upto_ms: int,
        present: Iterable[Group],
    ) -> ReadDone:
        return ReadDone(
            source="trades" if source == "trades" else "activity",
            instance=instance,
            leader=self.wallet,
            asked_ms=pages.asked_ms,
            from_ms=span.from_ms // 1_000 * 1_000,
            upto_ms=upto_ms,
            present=tuple(present),
        )

    async def _advance(
        self, feed: str, cursor: ReadCursor, upto_ms: int, *, acknowledged: bool
    ) -> None:
        """Move the cursor, once all that was read up to it stands on the tape."""
        if not acknowledged:
            await self._reads.outbox.settled()
        if cursor.covered(upto_ms):
            record = Cursor(feed=feed, subject=self.wallet, upto_ms=cursor.upto_ms)
            self._reads.outbox.cursor(record)

    def _incomplete(self, feed: str, instance: str, raw: bytes, why: str, recv_ns: int) -> None:
        """Say it once a row: it stands in every answer until the overlap has passed it."""
        if raw in self._bad_rows:
            return
        self._bad_rows[raw] = None
        if len(self._bad_rows) > BAD_ROWS_KEPT:
            del self._bad_rows[next(iter(self._bad_rows))]
        self._reads.quarantine(feed, Unreadable(why, raw), recv_ns)
        record = LeaderIncomplete(leader=self.wallet, instance=instance, reason=why[:200])
        self._reads.outbox.tape(record, self.wallet)
