"""Conflation: at most one Depth per token and interval, the first change after a silence at once.

What is skipped is never lost: the token is named by `due` when its interval is over, and the
caller then publishes the book as it stands. Sans-I/O; all tokens share one interval.
"""

from collections import deque


class Conflator:
    """Says when a token's changed book is to be published."""

    def __init__(self, interval_ms: int) -> None:
        self._interval_ms = interval_ms
        self._published_ms: dict[str, int] = {}
        self.waiting: dict[str, None] = {}
        """Tokens that changed and whose turn is not yet; for reading only."""
        self._queue: deque[tuple[int, str]] = deque()

    def changed(self, token: str, now_ms: int) -> bool:
        """Whether to publish now; if not, `due` will name the token in time."""
        if token in self.waiting:
            return False
        last_ms = self._published_ms.get(token)
        if last_ms is None or now_ms - last_ms >= self._interval_ms:
            self._published_ms[token] = now_ms
            return True
        self.waiting[token] = None
        self._queue.append((last_ms + self._interval_ms, token))
        return False

    def due(self, now_ms: int) -> list[str]:
        """Tokens whose interval is over and that changed in it."""
        tokens = []
        while self._queue and self._queue[0][0] <= now_ms:
            token = self._queue.popleft()[1]
            if token in self.waiting:
                del self.waiting[token]
                self._published_ms[token] = now_ms
                tokens.append(token)
        return tokens

    def forget(self, token: str) -> None:
        """The token's book is gone; whatever comes next is a first change again."""
        self.waiting.pop(token, None)
        self._published_ms.pop(token, None)
