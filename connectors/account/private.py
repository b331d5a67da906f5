"""Signed reads of one account, and what they share: belief, secrets taken out, bad rows set aside.

Each request is signed anew (API reference 6.1). Bodies are kept on raw.user with every API key
hashed. A row that cannot be read is quarantined once, however often the venue repeats it, and it
keeps its answer from counting as complete each time.
"""

import httpx

from connectors.polymarket.credentials import Credentials
from connectors.polymarket.l2 import l2_headers
from connectors.polymarket.paging import Pages, read_listing
from connectors.polymarket.reads import Reads
from connectors.polymarket.rest import Failed
from connectors.polymarket.wire import Unreadable
from schemas.records.base import Account

BAD_ROWS_KEPT = 1_000


class PrivateReads:
    """Reads under the credentials of one account. Never shows them."""

    def __init__(
        self,
        *,
        reads: Reads,
        clob_url: str,
        account: Account,
        signer: str,
        credentials: Credentials,
    ) -> None:
        self.reads = reads
        self.account = account
        self._clob_url = clob_url
        self._signer = signer
        self._credentials = credentials
        self._bad_rows: dict[bytes, None] = {}

    async def listing(self, feed: str, path: str, params: dict[str, str]) -> Pages | None:
        """Every page of a listing, None if there is no answer to believe."""
        url = self._clob_url + path
        pages = await read_listing(
            self.reads.rest,
            url,
            params,
            lambda: self._headers(url),
            lambda answer: self.reads.keep(feed, answer),
        )
        return self.reads.believed(feed, self.account, pages)

    async def single(self, feed: str, path: str, params: dict[str, str]) -> Pages | None:
        """An answer that is no listing, as the one row of one page."""
        url = self._clob_url + path
        answer = await self.reads.rest.get(url, params, self._headers(url))
        if isinstance(answer, Failed):
            return self.reads.believed(feed, self.account, answer)
        self.reads.keep(feed, answer)
        page = Pages(
            asked_ms=answer.asked_ms,
            recv_ns=answer.recv_ns,
            age_s=answer.age_s,
            rows=[answer.body],
        )
        return self.reads.believed(feed, self.account, page)

    def unreadable(self, feed: str, raw: bytes, reason: str, recv_ns: int) -> None:
        """Set a row aside, and doubt its feed until an answer without it."""
        self.reads.feeds[feed].doubt(recv_ns // 1_000_000)
        if raw in self._bad_rows:
            return
        self._bad_rows[raw] = None
        if len(self._bad_rows) > BAD_ROWS_KEPT:
            del self._bad_rows[next(iter(self._bad_rows))]
        self.reads.quarantine(feed, Unreadable(reason, raw), recv_ns)

    def fresh(self, feed: str, pages: Pages) -> None:
        """A complete answer stands on the tape."""
        self.reads.fresh(feed, self.account, pages)

    def _headers(self, url: str) -> dict[str, str]:
        return l2_headers(
            self._credentials,
            signer=self._signer,
            method="GET",
            path=httpx.URL(url).path,
            now_s=self.reads.rest.now_ms() // 1_000,
        )
