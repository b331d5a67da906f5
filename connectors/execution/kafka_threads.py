"""A thread of its own for each blocking Kafka client, so that it is used and closed by one thread.

Cancelling an asyncio task does not stop the thread it waits for; closing therefore first lets the
thread finish its call.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, Self, TypeVar

T = TypeVar("T")


class Closable(Protocol):
    """A client that must be closed."""

    def close(self) -> None:
        """Leave the broker."""


C = TypeVar("C", bound=Closable)


class Threaded(Generic[C]):
    """One blocking client in one thread: `await threaded.call(lambda client: ...)`."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._client: C | None = None

    async def call(self, ask: Callable[[C], T]) -> T:
        """What the client answers; calls take turns."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, ask)

    def _ask(self, ask: Callable[[C], T]) -> T:
        if self._client is None:
            self._client = self._make()
        return ask(self._client)

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        closing = asyncio.get_running_loop().run_in_executor(self._pool, self._close)
        await asyncio.shield(closing)
        self._pool.shutdown()
