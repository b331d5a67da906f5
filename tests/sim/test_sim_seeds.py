"""The first half of this commit's worlds, and what makes them worth anything."""

from collections.abc import Callable

import pytest

from tests.sim.campaign import Outcome, totals

Part = Callable[[int], list[Outcome]]


@pytest.mark.parametrize("part", range(10))
def test_nothing_breaks_in_this_commits_worlds(run_part: Part, part: int) -> None:
    """Safety after every record and liveness in the end; each part has trouble worth the name."""
    struck, events = totals(run_part(part))
    assert events["OrderRequested"] > 15
    assert events["FillSettled"] > 10
    assert sum(struck.values()) > 20
