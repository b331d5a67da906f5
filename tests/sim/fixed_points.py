"""The few fixed points of the product that no parameter reaches, replaced while a world runs.

The socket library, the clocks that both connectors and the tape's reader look at, the dice of the
backoffs, and the interval at which a socket looks what is due: half as often, for half the cost.
"""

import itertools
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import connectors.account.main
import connectors.execution.feed
import connectors.polymarket.stream
import connectors.public.main

TIMER_S = 0.1


@contextmanager
def outside(
    seed: int, connect: Callable[..., Any], clock_ns: Callable[[str], Callable[[], int]]
) -> Iterator[None]:
    """clock_ns gives the clock of a process by its name."""
    # The tape's reader waits in a thread of its own for rows that matter. Here nothing waits, so
    # each look at the clock finds its time over.
    looks = itertools.count()
    changed = [
        (connectors.polymarket.stream, "connect", connect),
        (connectors.polymarket.stream, "TIMER_S", TIMER_S),
        (connectors.public.main, "time", SimpleNamespace(time_ns=clock_ns("public"))),
        (connectors.account.main, "time", SimpleNamespace(time_ns=clock_ns("account"))),
        (connectors.execution.feed, "time", SimpleNamespace(monotonic=lambda: next(looks))),
    ]
    random.seed(seed)
    logging.disable(logging.CRITICAL)
    try:
        with ExitStack() as stack:
            for owner, name, value in changed:
                stack.enter_context(patch.object(owner, name, value))
            yield
    finally:
        logging.disable(logging.NOTSET)
