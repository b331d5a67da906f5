"""Metadata driver: what each watched token's market is, whether it takes orders, how it ended.

Looked up lazily by token, read again at an interval and whenever somebody says it is out of date.
Sources: API reference 11.1, 11.2, 12. Payouts come from the Data API alone; a resolved frame is a
hint. The order book's slot of an outcome may differ from its place in payouts, so both are matched
through /v2/tokens, never by position.
"""

import asyncio
import logging
from typing import TypeVar

from connectors.polymarket.outbox import Ids, Outbox
from connectors.polymarket.paging import read_pages
from connectors.polymarket.process import StateLog
from connectors.polymarket.resolution import NotResolved, ordered_tokens, payouts_of
from connectors.polymarket.rest import Answer, Failed, Rest
from connectors.polymarket.wire import BadValue, Unreadable, condition_id
from connectors.polymarket.wire_catalogue import (
    GammaMarket,
    decode_by_token,
    decode_clob_market,
    decode_gamma,
    market_meta,
    same_condition,
)
from connectors.polymarket.wire_data import Resolution, TokenRow, decode_row
from schemas.records.base import Condition, Token
from schemas.records.journal import Undecodable
from schemas.records.market import MarketClosed, MarketMeta, MarketResolved
from schemas.wiring import VenueWiring

LOG = logging.getLogger(__name__)
T = TypeVar("T", TokenRow, Resolution)
LOOK_S = 0.2
HINT_MS = 200
"""A hint is acted on this much later: the REST side may be a moment behind the socket."""
RETRY_FIRST_MS = 1_000
NEVER_MS = 1 << 62


class _Place:
    """When a token or market is to be read next, and how often it failed in a row."""

    def __init__(self, now_ms: int) -> None:
        self.due_ms = now_ms
        self.failures = 0

    def failed(self, now_ms: int, cap_ms: int) -> None:
        self.due_ms = now_ms + min(RETRY_FIRST_MS << min(self.failures, 16), cap_ms)
        self.failures += 1

    def done(self, now_ms: int, interval_ms: int) -> None:
        self.due_ms, self.failures = now_ms + interval_ms, 0


class Catalogue:
    """Markets of the watched tokens."""

    def __init__(
        self, *, venue: VenueWiring, poll_ms: int, outbox: Outbox, rest: Rest, ids: Ids
    ) -> None:
        self._venue = venue
        self._poll_ms = poll_ms
        self._outbox = outbox
        self._rest = rest
        self._ids = ids
        self._tokens: dict[str, _Place] = {}
        self._condition_of: dict[str, Condition] = {}
        self._markets: dict[Condition, _Place] = {}
        self._metas: dict[Condition, MarketMeta] = {}
        self._closed: dict[Condition, None] = {}
        self._resolved: dict[Condition, None] = {}
        self._data_tokens: dict[Condition, tuple[Token, ...]] = {}
        self._states = StateLog(LOG)

    def follow(self, token: str, *, on: bool) -> None:
        """Keep a token's market up to date, or no longer."""
        if on:
            self._tokens.setdefault(token, _Place(self._rest.now_ms()))
            return
        self._tokens.pop(token, None)
        condition = self._condition_of.get(token)
        if condition is not None and not self._watched(condition):
            self._markets.pop(condition, None)

    def _watched(self, condition: Condition) -> bool:
        return any(self._condition_of.get(token) == condition for token in self._tokens)

    def reread(self, subject: str, why: str) -> None:
        """A token's or a condition's market is out of date; read it soon, if it is watched."""
        condition = self._condition_of.get(subject)
        if condition is None and subject.startswith("0x"):
            try:
                condition = condition_id(subject)
            except BadValue:
                LOG.warning("reread=ignored subject=%r why=%s", subject[:80], why)
                return
        if condition is not None and condition in self._markets:
            place = self._markets[condition]
            place.due_ms = min(place.due_ms, self._rest.now_ms() + HINT_MS)

    async def tokens(self, condition: Condition) -> tuple[Token, ...] | Failed:
        """Outcome tokens of a condition by outcome slot; empty if the Data API knows none."""
        if condition not in self._data_tokens:
            rows = await self._rows("/v2/tokens", {"condition": condition}, TokenRow)
            if isinstance(rows, Failed):
                return rows
            found = ordered_tokens(rows, condition)
            if not found:
                return ()
            self._data_tokens[condition] = found
        return self._data_tokens[condition]

    async def run(self) -> None:
        """Read what is due until cancelled."""
        while True:
            now_ms = self._rest.now_ms()
            for token in [t for t, place in self._tokens.items() if place.due_ms <= now_ms]:
                await self._look_up(token)
            for condition in [c for c, place in self._markets.items() if place.due_ms <= now_ms]:
                await self._read(condition)
            await asyncio.sleep(LOOK_S)

    async def _look_up(self, token: str) -> None:
        """Find a token's market, once."""
        place = self._tokens.get(token)
        if place is None:
            return
        found = await self._condition(token)
        now_ms = self._rest.now_ms()
        if isinstance(found, Failed):
            self._states.say(f"token={token}", "unknown", f"reason={found.reason}")
            place.failed(now_ms, self._poll_ms)
            return
        place.due_ms = NEVER_MS
        self._condition_of[token] = found
        if found not in self._resolved:
            self._markets.setdefault(found, _Place(now_ms))

    async def _condition(self, token: str) -> Condition | Failed:
        answer = await self._rest.get(f"{self._venue.clob_url}/markets-by-token/{token}")
        if isinstance(answer, Answer):
            self._keep(answer)
            found = decode_by_token(answer.body)
            if isinstance(found, Unreadable):
                return self._bad(found, answer.recv_ns)
            return self._named(found.condition_id, answer.recv_ns)
        rows = await self._rows("/v2/tokens", {"token_id": token}, TokenRow)
        if isinstance(rows, Failed):
            return answer
        mine = [row for row in rows if row.token_id == token]
        return self._named(mine[0].condition_id, self._rest.now_ns()) if mine else answer

    def _named(self, text: str, recv_ns: int) -> Condition | Failed:
        try:
            return condition_id(text)
        except BadValue as error:
            return self._bad(Unreadable(str(error), text.encode()), recv_ns)

    async def _read(self, condition: Condition) -> None:
        place = self._markets.get(condition)
        if place is None:
            return
        problem = await self._refresh(condition)
        now_ms = self._rest.now_ms()
        if problem is None:
            self._states.say(f"market={condition}", "known")
            place.done(now_ms, self._poll_ms)
        else:
            self._states.say(f"market={condition}", "unreadable", f"reason={problem.reason}")
            place.failed(now_ms, self._poll_ms)
        if condition in self._resolved:
            self._markets.pop(condition, None)

    async def _refresh(self, condition: Condition) -> Failed | None:
        """Metadata, closing and payouts of one market; the first failure ends it."""
        gamma = await self._gamma(condition)
        if isinstance(gamma, Failed):
            return gamma
        failure = await self._meta(condition, gamma)
        over = gamma.closed or gamma.archived
        if over and condition not in self._closed:
            reason = "closed" if gamma.closed else "archived"
            self._outbox.tape(MarketClosed(condition=condition, reason=reason), condition)
            self._closed[condition] = None
        if over or gamma.accepting_orders is False:
            return await self._resolution(condition) or (None if over else failure)
        return failure

    async def _gamma(self, condition: Condition) -> GammaMarket | Failed:
        """Gamma leaves closed markets out unless it is asked for them."""
        for closed in ("false", "true"):
            query = {"condition_ids": condition, "closed": closed}
            answer = await self._rest.get(f"{self._venue.gamma_url}/markets/keyset", query)
            if isinstance(answer, Failed):
                return answer
            self._keep(answer)
            rows = decode_gamma(answer.body)
            if isinstance(rows, Unreadable):
                return self._bad(rows, answer.recv_ns)
            for row in rows:
                if same_condition(row, condition):
                    return row
        return Failed("gamma does not list it")

    async def _meta(self, condition: Condition, gamma: GammaMarket) -> Failed | None:
        answer = await self._rest.get(f"{self._venue.clob_url}/clob-markets/{condition}")
        if isinstance(answer, Failed):
            return answer
        self._keep(answer)
        clob = decode_clob_market(answer.body)
        if isinstance(clob, Unreadable):
            return self._bad(clob, answer.recv_ns)
        try:
            meta = market_meta(condition, clob, gamma)
        except BadValue as error:
            return self._bad(Unreadable(str(error), answer.body), answer.recv_ns)
        if self._metas.get(condition) != meta:
            self._metas[condition] = meta
            self._outbox.tape(meta, condition)
        for outcome in meta.outcomes:
            self._condition_of[outcome.token] = condition
        return None

    async def _resolution(self, condition: Condition) -> Failed | None:
        """Payouts, if the venue has them; not yet is a failure, so that it is asked again."""
        rows = await self._rows("/v2/resolutions", {"condition": condition}, Resolution)
        if isinstance(rows, Failed):
            return rows
        tokens = await self._rows("/v2/tokens", {"condition": condition}, TokenRow)
        if isinstance(tokens, Failed):
            return tokens
        found = payouts_of(condition, rows, tokens)
        if isinstance(found, NotResolved):
            return Failed(found.why)
        record = MarketResolved(condition=condition, payouts=found, source="data_api")
        self._outbox.tape(record, condition)
        self._resolved[condition] = None
        return None

    async def _rows(self, path: str, params: dict[str, str], kind: type[T]) -> list[T] | Failed:
        """All rows of a Data API listing; one bad row makes the whole of it unusable here."""
        pages = await read_pages(self._rest, self._venue.data_url + path, params, self._keep)
        if isinstance(pages, Failed):
            return pages
        if isinstance(pages, Unreadable):
            return self._bad(pages, self._rest.now_ns())
        if pages.stale:
            return Failed(f"cached answer, {pages.age_s} s old, at {path}")
        rows: list[T] = []
        for raw in pages.rows:
            row = decode_row(raw, kind)
            if isinstance(row, Unreadable):
                return self._bad(row, pages.recv_ns)
            rows.append(row)
        return rows

    def _keep(self, answer: Answer) -> None:
        self._outbox.raw("catalogue", answer.body, answer.recv_ns, self._ids.instance, "data")

    def _bad(self, found: Unreadable, recv_ns: int) -> Failed:
        record = Undecodable(feed="catalogue", reason=found.reason, raw=found.raw, recv_ns=recv_ns)
        self._outbox.dead(record)
        return Failed(found.reason)
