"""The second half of this commit's worlds, in a file of its own for the second test process."""

from collections.abc import Callable

import pytest

from tests.sim.campaign import Outcome

Part = Callable[[int], list[Outcome]]


@pytest.mark.parametrize("part", range(10, 20))
def test_nothing_breaks_in_these_worlds_either(run_part: Part, part: int) -> None:
    """Safety after every record and liveness in the end."""
    assert len(run_part(part)) == 15
