"""Known bugs, planted one at a time into the running product: can the simulator fail?

Each mutant replaces a function or two while it is switched on and edits no file. They are bugs
that copiers of wallets are known to have, or that this design exists to prevent. What is seen of
the world goes wrong in mutants_seeing.py, what is done about it in mutants_acting.py.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

Patch = tuple[Any, str, Any]
"""Whose attribute, its name, and what stands there instead."""
MUTANTS: dict[str, "Mutant"] = {}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug. rule_test: the test that catches it where the simulator need not."""

    name: str
    what: str
    patches: Callable[[], list[Patch]]
    rule_test: str = ""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The product has this bug inside."""
        with ExitStack() as stack:
            for owner, name, changed in self.patches():
                stack.enter_context(patch.object(owner, name, changed))
            yield


def mutant(what: str, rule_test: str = "") -> Callable[[Callable[[], list[Patch]]], None]:
    """Register a function that makes a mutant's patches under its own name."""

    def register(patches: Callable[[], list[Patch]]) -> None:
        name = patches.__name__
        MUTANTS[name] = Mutant(name=name, what=what, patches=patches, rule_test=rule_test)

    return register
