"""Worlds in parts, so that both files of seeds take their share of one range."""

from collections.abc import Callable

import pytest

from tests.sim import campaign

SEEDS = 300
PARTS = 20


@pytest.fixture(scope="session")
def seed_base() -> int:
    """The first of the seeds that belong to this commit."""
    return campaign.seed_base()


@pytest.fixture
def run_part(seed_base: int) -> Callable[[int], list[campaign.Outcome]]:
    """Run one of PARTS parts of the range; fails with what reproduces the first that broke."""

    def run(part: int) -> list[campaign.Outcome]:
        size = SEEDS // PARTS
        first = seed_base + part * size
        outcomes = [campaign.run_seed(seed) for seed in range(first, first + size)]
        for outcome in outcomes:
            assert not outcome.broken, campaign.failure_text(outcome)
        return outcomes

    return run
