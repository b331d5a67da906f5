"""Reading every page of a listing, so that an answer is complete or none at all.

Data API v2: cursor only, all filters repeated on each page, an empty page may have a successor
(API reference 10.1). CLOB: `next_cursor` until LTE=. An answer of which one page came from a cache
older than two seconds is stale as a whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connectors.polymarket.rest import Answer, Failed, Rest
from connectors.polymarket.wire import Unreadable
from connectors.polymarket.wire_data import decode_page
from connectors.polymarket.wire_user import END_CURSOR, decode_listing

PAGES_MAX = 500
AGE_MAX_S = 2

Keep = Callable[[Answer], None]
"""Takes every body as received (to the raw topic)."""


@dataclass(slots=True)
class Pages:
    """All rows of one answer; asked_ms is before its first request, recv_ns after its last."""

    asked_ms: int
    recv_ns: int = 0
    age_s: int = 0
    rows: list[bytes] = field(default_factory=list)

    @property
    def stale(self) -> bool:
        """Whether a cache answered for the venue."""
        return self.age_s > AGE_MAX_S


async def read_pages(
    rest: Rest, url: str, params: Mapping[str, str], keep: Keep
) -> Pages | Failed | Unreadable:
    """Every page of a Data API listing."""
    pages, cursor = Pages(asked_ms=rest.now_ms()), ""
    for _ in range(PAGES_MAX):
        query = {**params, "_": rest.cache_buster()}
        if cursor:
            query["cursor"] = cursor
        answer = await rest.get(url, query)
        if isinstance(answer, Failed):
            return answer
        keep(answer)
        page = decode_page(answer.body)
        if isinstance(page, Unreadable):
            return page
        _add(pages, answer, page.rows)
        if page.cursor is None:
            return pages
        cursor = page.cursor
    return Failed(f"more than {PAGES_MAX} pages")


async def read_listing(
    rest: Rest,
    url: str,
    params: Mapping[str, str],
    headers: Callable[[], Mapping[str, str]],
    keep: Keep,
) -> Pages | Failed | Unreadable:
    """Every page of a private CLOB listing; headers are signed anew for each."""
    pages, cursor = Pages(asked_ms=rest.now_ms()), ""
    seen: dict[str, None] = {}
    for _ in range(PAGES_MAX):
        query = {**params, "next_cursor": cursor} if cursor else dict(params)
        answer = await rest.get(url, query, headers())
        if isinstance(answer, Failed):
            return answer
        keep(answer)
        page = decode_listing(answer.body)
        if isinstance(page, Unreadable):
            return page
        _add(pages, answer, [bytes(row) for row in page.data])
        if page.next_cursor in (END_CURSOR, ""):
            return pages
        if page.next_cursor in seen:
            # It would go round for ever; what the missing pages hold is not known.
            return Failed(f"cursor {page.next_cursor!r} repeats at {url}")
        cursor = page.next_cursor
        seen[cursor] = None
    return Failed(f"more than {PAGES_MAX} pages")


def _add(pages: Pages, answer: Answer, rows: list[bytes]) -> None:
    pages.rows += rows
    pages.recv_ns = answer.recv_ns
    pages.age_s = max(pages.age_s, answer.age_s)
