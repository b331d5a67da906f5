"""The world of tests/core, for traps that have a fold in them."""

from collections.abc import Callable

import pytest

from tests.core.world import World


@pytest.fixture
def started() -> Callable[..., World]:
    """A world with everything ready to trade; keyword arguments change the policy."""
    return lambda **changes: World().begin(**changes)
