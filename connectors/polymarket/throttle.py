"""Token bucket: how many requests may leave, at what moment. The clock is a parameter.

The venue queues silently before it refuses (API reference 13.1), so budgets are kept on our side,
at half of what is documented. Never sleeps: it says how long to wait.
"""


class Throttle:
    """At most `rate_per_s` on average and `burst` at once."""

    def __init__(self, *, rate_per_s: int, burst: int) -> None:
        if rate_per_s <= 0 or burst <= 0:
            raise ValueError(f"rate_per_s={rate_per_s} and burst={burst} must be above 0")
        self._rate = rate_per_s
        self._full = burst * 1_000
        self._tokens = self._full  # thousandths of a request
        self._at_ms: int | None = None
        self._paused_until_ms = 0

    def take(self, now_ms: int) -> int:
        """Milliseconds to wait before the one request that is hereby taken may leave."""
        if self._at_ms is not None and now_ms > self._at_ms:
            self._tokens = min(self._full, self._tokens + (now_ms - self._at_ms) * self._rate)
        self._at_ms = max(now_ms, self._at_ms or now_ms)
        self._tokens -= 1_000
        owed_ms = -(-max(-self._tokens, 0) // self._rate)
        return max(owed_ms, self._paused_until_ms - now_ms)

    def pause(self, until_ms: int) -> None:
        """The venue asked for silence (Retry-After): nothing leaves before then."""
        self._paused_until_ms = max(self._paused_until_ms, until_ms)
