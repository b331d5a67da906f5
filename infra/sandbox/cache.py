"""The CDN in front of the Data API: answers are cached by exact URL, so readers see stale data.

The venue's max-age is 300 s for trades and 15 s for activity, and request headers do not bypass it;
only another URL does (API reference 10.5). The sandbox announces those figures and keeps an answer
for the same time divided by a scale, so that a short run meets staleness too.
"""

import msgspec

MAX_AGE_S = {"/v2/trades": 300, "/v2/activity": 15, "/v2/positions": 15, "/v2/value": 15}
DEFAULT_MAX_AGE_S = 5
MAX_ENTRIES = 512


class Cached(msgspec.Struct, frozen=True):
    """An answer and when it was made."""

    body: bytes
    made_ms: int


class Cache:
    """Answers by URL; the oldest go when there are too many."""

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self._entries: dict[str, Cached] = {}

    def get(self, path: str, url: str, now_ms: int) -> Cached | None:
        """The answer still cached for a URL."""
        entry = self._entries.get(url)
        if entry is None or self._scale == 0:
            return None
        if now_ms - entry.made_ms >= max_age_s(path) * 1000 // self._scale:
            del self._entries[url]
            return None
        return entry

    def put(self, url: str, body: bytes, now_ms: int) -> None:
        if len(self._entries) >= MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[url] = Cached(body, now_ms)


def max_age_s(path: str) -> int:
    return MAX_AGE_S.get(path, DEFAULT_MAX_AGE_S)


def cache_headers(path: str, age_ms: int | None) -> dict[str, str]:
    """Headers of an answer: age_ms None for one just made."""
    headers = {"Cache-Control": f"public, max-age={max_age_s(path)}"}
    if age_ms is None:
        return headers | {"x-cache": "Miss from cloudfront"}
    return headers | {"x-cache": "Hit from cloudfront", "Age": str(age_ms // 1000)}
