"""What is due when. The venue's only notion of time: things happen at the moment they were due."""

import heapq
from collections.abc import Callable
from itertools import count


class Agenda:
    """A queue of actions by due time; ties run in the order they were entered."""

    def __init__(self, start_ms: int) -> None:
        self.now_ms = start_ms
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, due_ms: int, action: Callable[[], None]) -> None:
        """Run an action at a time; one that is past runs at the next advance, not earlier."""
        heapq.heappush(self._heap, (max(due_ms, self.now_ms), next(self._numbers), action))

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self.at(self.now_ms + delay_ms, action)

    def advance(self, now_ms: int) -> int:
        """Run all that is due, each at its own time, and return how many ran."""
        ran = 0
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, _, action = heapq.heappop(self._heap)
            self.now_ms = max(self.now_ms, due_ms)
            action()
            ran += 1
        self.now_ms = max(self.now_ms, now_ms)
        return ran

    @property
    def next_due_ms(self) -> int | None:
        return self._heap[0][0] if self._heap else None
