"""A few of this commit's worlds in each run of the tests; `.ci/run` has 300 others (`make sim`)."""

import pytest

from tests.sim import campaign

WORLDS = 15
BY_MAKE_SIM = 300
"""The first so many seeds of a commit are those of `make sim`."""


@pytest.mark.parametrize("part", range(2))
def test_nothing_breaks_in_this_commits_worlds(part: int) -> None:
    """Safety after every record and liveness in the end; each part has trouble worth the name."""
    first = campaign.seed_base() + BY_MAKE_SIM + part * WORLDS
    outcomes = [campaign.run_seed(seed) for seed in range(first, first + WORLDS)]
    for outcome in outcomes:
        assert not outcome.broken, campaign.failure_text(outcome)
    struck, events = campaign.totals(outcomes)
    assert events["OrderRequested"] > 15
    assert events["FillSettled"] > 10
    assert sum(struck.values()) > 20
