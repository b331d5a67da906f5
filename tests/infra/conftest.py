"""The world of tests/core, for tests of what is shown and run around it."""

from collections.abc import Callable

import pytest

from tests.core.conftest import World


@pytest.fixture
def started() -> Callable[..., World]:
    """A world with everything ready to trade; keyword arguments change the policy."""
    return lambda **changes: World().begin(**changes)
