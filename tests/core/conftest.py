"""`world` and `started`: a tape in a few lines, folded record by record."""

from collections.abc import Callable

import pytest

from tests.core.tape import (
    DOWN,
    FEEDS,
    LEADER,
    MARKET,
    OTHER,
    OWN,
    START_MS,
    UP,
    condition_of,
    micro,
)
from tests.core.world import World

__all__ = [
    "DOWN",
    "FEEDS",
    "LEADER",
    "MARKET",
    "OTHER",
    "OWN",
    "START_MS",
    "UP",
    "World",
    "condition_of",
    "micro",
]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def started() -> Callable[..., World]:
    """A world with everything ready to trade; keyword arguments change the policy."""
    return lambda **changes: World().begin(**changes)
