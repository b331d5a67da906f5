"""What every REST read shares: pages that may be believed, quarantine, and positions reports.

A report is asked on the tape before it is asked at the venue, and complete only if every page came
and every row could be read (design 3.9). An answer from a cache is none.
"""

import logging
from collections.abc import Callable
from typing import Literal

from connectors.polymarket.cursors import Span
from connectors.polymarket.health import ReadFeed
from connectors.polymarket.outbox import Ids, Outbox
from connectors.polymarket.paging import Pages, read_pages
from connectors.polymarket.process import StateLog
from connectors.polymarket.rest import Answer, Failed, Rest
from connectors.polymarket.wire import Unreadable
from connectors.polymarket.wire_data import decode_position
from schemas.records.base import Wallet
from schemas.records.journal import Undecodable
from schemas.records.own import Holding, PositionsReport, ReportAsked

LOG = logging.getLogger(__name__)
NS = 1_000_000
PAGE = "1000"
DUST_FLOOR_MICRO = 100_000
"""Holdings below 0.1 share may be left out; whether a floor of 0 is honoured is unknown (10.4)."""

About = Literal["positions", "orders", "balance"]
Clean = Callable[[bytes], bytes]
"""Takes secrets out of bytes before they are kept."""


def _as_is(body: bytes) -> bytes:
    return body


def window(span: Span) -> dict[str, str]:
    """Time bounds of a question to the Data API: whole seconds, both inclusive."""
    bounds = {"start": str(max(span.from_ms // 1_000, 1))}
    if span.upto_ms is not None:
        bounds["end"] = str(span.upto_ms // 1_000)
    return bounds


class Reads:
    """Reads of one process, by feed. raw_topic: where bodies are kept, without the `raw.`."""

    def __init__(
        self,
        *,
        rest: Rest,
        outbox: Outbox,
        ids: Ids,
        feeds: dict[str, ReadFeed],
        raw_topic: str,
        clean: Clean = _as_is,
    ) -> None:
        self.rest = rest
        self.outbox = outbox
        self.ids = ids
        self.feeds = feeds
        self._raw_topic = raw_topic
        self._clean = clean
        self._states = StateLog(LOG)

    def keep(self, feed: str, answer: Answer) -> None:
        """Keep a body as received."""
        body = self._clean(answer.body)
        self.outbox.raw(feed, body, answer.recv_ns, self.ids.instance, self._raw_topic)

    def quarantine(self, feed: str, found: Unreadable, recv_ns: int) -> None:
        """Put what could not be decoded aside."""
        reason = self._clean(found.reason.encode()).decode()
        record = Undecodable(feed=feed, reason=reason, raw=self._clean(found.raw), recv_ns=recv_ns)
        self.outbox.dead(record)

    async def data_pages(
        self, feed: str, subject: str, url: str, params: dict[str, str]
    ) -> Pages | None:
        """All pages of a Data API listing, or None: then the reason is in the log."""
        pages = await read_pages(
            self.rest, url, {**params, "limit": PAGE}, lambda answer: self.keep(feed, answer)
        )
        return self.believed(feed, subject, pages)

    def believed(self, feed: str, subject: str, pages: Pages | Failed | Unreadable) -> Pages | None:
        """The answer if it may be believed; what else it may be makes the feed doubtful."""
        name = f"feed={feed} subject={subject}"
        match pages:
            case Failed():
                self._states.say(name, "failed", f"reason={pages.reason!r}")
            case Unreadable():
                self._states.say(name, "unreadable", f"reason={pages.reason!r}")
                self.quarantine(feed, pages, self.rest.now_ns())
                self.feeds[feed].doubt(self.rest.now_ms())
            case Pages() if pages.stale:
                self._states.say(name, "stale", f"age_s={pages.age_s}")
                self.feeds[feed].doubt(pages.asked_ms)
            case Pages():
                self._states.say(name, "read")
                return pages
        return None

    def fresh(self, feed: str, subject: str, pages: Pages) -> None:
        """The answer stands on the tape, complete."""
        self.feeds[feed].read(subject, asked_ms=pages.asked_ms, answered_ms=pages.recv_ns // NS)

    async def asked(self, about: About, subject: str) -> str:
        """Put the question on the tape and wait until it stands there; its report id."""
        report = self.ids()
        record = ReportAsked(
            report=report,
            subject=subject,
            about=about,
            asked_ms=self.rest.now_ms(),
        )
        await self.outbox.tape_acknowledged(record, subject)
        return report

    async def positions(
        self, feed: str, subject: str, wallet: Wallet, data_url: str
    ) -> list[Holding] | None:
        """Ask what a wallet holds and report it; the rows, None if there was no answer."""
        report = await self.asked("positions", subject)
        params = {
            "user": wallet,
            "filter_type": "TOKENS",
            "filter_amount": "0",
            "include_archived": "true",
        }
        pages = await self.data_pages(feed, subject, data_url + "/v2/positions", params)
        if pages is None:
            return None
        rows: list[Holding] = []
        for raw in pages.rows:
            row = decode_position(raw)
            if isinstance(row, Unreadable):
                self.quarantine(feed, row, pages.recv_ns)
            else:
                rows.append(row)
        # A token twice: a page shifted while it was read, so another row may have been missed.
        tokens = dict.fromkeys(row.token for row in rows)
        complete = len(tokens) == len(pages.rows)
        record = PositionsReport(
            report=report,
            subject=subject,
            wallet=wallet,
            rows=tuple(rows),
            complete=complete,
            floor_micro=DUST_FLOOR_MICRO,
            answered_ms=pages.recv_ns // NS,
        )
        self.outbox.tape(record, subject)
        if complete:
            self.fresh(feed, subject, pages)
        return rows
