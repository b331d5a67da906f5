"""REST driver: one HTTP client per process, one budget, every answer dated. Decides nothing.

An answer is a value, and so is a failure: callers retry at their own pace. Data API reads carry a
changing parameter, because its cache goes by the exact URL (up to 300 s) and ignores headers; the
`Age` that comes back is kept (API reference 10.5). Latency is measured, since the venue throttles
by queueing silently (13.1). Never logs a header or a query: they may hold credentials.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from connectors.polymarket.throttle import Throttle

LOG = logging.getLogger(__name__)

NS = 1_000_000
CONCURRENT_MAX = 8
TIMEOUT = httpx.Timeout(10.0, connect=5.0, pool=30.0)
SLOW_MS = 2_000
WAIT_MS = 2_000
"""A request that awaits the budget for longer says that more is asked for than may leave."""
LATENCIES_KEPT = 256
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200 and when it was asked and received. age_s: how long a cache had kept it."""

    body: bytes
    asked_ms: int
    recv_ns: int
    age_s: int


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer to use: why, the status if there was one, and how long the venue wants to rest."""

    reason: str
    status: int | None = None
    retry_after_ms: int = 0


class Rest:
    """clock_ns is the wall clock; the client is a parameter for tests' transports."""

    def __init__(
        self,
        *,
        per_second: int,
        clock_ns: Callable[[], int] = time.time_ns,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._clock_ns = clock_ns
        self._throttle = Throttle(rate_per_s=per_second, burst=per_second)
        self._gate = asyncio.Semaphore(CONCURRENT_MAX)
        # Addresses are settings and nothing else: no proxies from the environment.
        self._client = client or httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)
        self._buster = 0
        self.latencies_ms: deque[int] = deque(maxlen=LATENCIES_KEPT)
        self.counts: Counter[str] = Counter()
        self._slow = self._late = False
        self.wait_ms = 0

    async def __aenter__(self) -> "Rest":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    def now_ms(self) -> int:
        """Wall clock."""
        return self._clock_ns() // NS

    def now_ns(self) -> int:
        """The same, as receipts are stamped."""
        return self._clock_ns()

    def cache_buster(self) -> str:
        """A value that no earlier request of this process had."""
        self._buster = max(self._buster + 1, self._clock_ns())
        return str(self._buster)

    async def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer | Failed:
        """One GET."""
        return await self._request("GET", url, params=params, headers=headers)

    async def post(self, url: str, body: object) -> Answer | Failed:
        """One POST of a JSON body that only reads (/books)."""
        return await self._request("POST", url, json=body)

    async def _request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
    ) -> Answer | Failed:
        self._waits(self._throttle.take(self.now_ms()))
        if wait_ms := self.wait_ms:
            await asyncio.sleep(wait_ms / 1_000)
        async with self._gate:
            asked_ms = self.now_ms()
            try:
                answer = await self._client.request(
                    method, url, params=params, headers=headers, json=json
                )
            except httpx.HTTPError as error:
                self.counts["transport"] += 1
                return Failed(f"{type(error).__name__} at {_path(url)}")
        recv_ns = self._clock_ns()
        self._measured(recv_ns // NS - asked_ms)
        if answer.status_code == httpx.codes.OK:
            age_s = _whole(answer.headers.get("age"))
            hit = "hit" in answer.headers.get("x-cache", "").lower()
            self.counts["cached" if age_s or hit else "ok"] += 1
            return Answer(answer.content, asked_ms, recv_ns, age_s)
        return self._refused(answer, url)

    def _refused(self, answer: httpx.Response, url: str) -> Failed:
        self.counts[f"status_{answer.status_code}"] += 1
        wait_ms = _whole(answer.headers.get("retry-after")) * 1_000
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            self._throttle.pause(self.now_ms() + max(wait_ms, 1_000))
        reason = f"status {answer.status_code} at {_path(url)}"
        return Failed(reason, answer.status_code, wait_ms)

    def _waits(self, wait_ms: int) -> None:
        self.wait_ms, late = wait_ms, wait_ms > WAIT_MS
        if late != self._late:
            self._late = late
            level, state = (logging.WARNING, "overloaded") if late else (logging.INFO, "in_budget")
            LOG.log(level, "rest=%s wait_ms=%d", state, wait_ms)

    def _measured(self, took_ms: int) -> None:
        self.latencies_ms.append(took_ms)
        slow = took_ms > SLOW_MS
        if slow != self._slow:
            self._slow = slow
            level, state = (logging.WARNING, "slow") if slow else (logging.INFO, "normal")
            LOG.log(level, "rest=%s latency_ms=%d", state, took_ms)


def _path(url: str) -> str:
    return httpx.URL(url).path


def _whole(text: str | None) -> int:
    """Seconds of a header, a day at most; 0 for what is no number."""
    if text is None or not text.isdecimal():
        return 0
    return min(int(text), DAY_S) if len(text) <= len(str(DAY_S)) else DAY_S
