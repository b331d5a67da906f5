"""Generations on the tape: the fence against a second writer, without a lease or a transaction.

A starting flow appends FlowStarted; that record's offset is its generation. Whoever meets a later
one, or rules newer than its own, stops there. So a process that was paused, cut off or forgotten
can only repeat what its successor decides too (the fold is deterministic), never go beyond its
successor's start. Kafka's transactional.id fences as well, but makes readers wait an epoch, and
the embedded broker has none.

Never reads the tape itself: the flow calls `check` when it meets a FlowStarted.
"""

from collections.abc import Callable

from flows.engine.errors import Superseded


class Fence:
    """This process's place among the generations. Make one with `writing` or `read_only`."""

    def __init__(self, *, append: Callable[[], int] | None, rules: int) -> None:
        self._append = append
        self._rules = rules
        self._generation: int | None = None

    @classmethod
    def writing(cls, append: Callable[[], int], *, rules: int) -> "Fence":
        """A flow that decides. `append` puts FlowStarted on the tape (acks=all): its offset."""
        return cls(append=append, rules=rules)

    @classmethod
    def read_only(cls, *, rules: int) -> "Fence":
        """A replay of a recorded tape into other topics: appends nothing, passes generations.

        Rules newer than its own stop it all the same: it could not decide as they did.
        """
        return cls(append=None, rules=rules)

    @property
    def generation(self) -> int | None:
        """Offset of our own FlowStarted; None before `begin`, and always when read-only."""
        return self._generation

    def begin(self) -> int | None:
        """Become the newest generation. Called once, after all refusals, before the first read."""
        assert self._generation is None, "a fence begins once"
        if self._append is not None:
            self._generation = self._append()
        return self._generation

    def check(self, offset: int, rules: int) -> None:
        """A FlowStarted with these rules was met at this tape offset; raises Superseded."""
        if rules > self._rules:
            raise Superseded(
                f"rules {rules} are in force since tape offset {offset}, this flow knows "
                f"{self._rules}: start the release that knows them"
            )
        if self._append is None:
            return
        assert self._generation is not None, "the tape is read only after begin"
        if offset > self._generation:
            raise Superseded(
                f"generation {offset} began after ours ({self._generation}): another flow has "
                "taken over, do not start this one again"
            )
