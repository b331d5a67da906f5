"""Seeded worlds in which everything happens at once: safety after each record, then liveness."""

from collections.abc import Iterator

import pytest

from schemas.records import journal
from tests.core.chaos import ACCOUNTS, LEADERS, TOKENS, Chaos
from tests.core.ledger import Ledger, check_chain

SEEDS = 10
STEPS = 120
POLICY_HOLDS = (
    "bound_",
    "below_minimum",
    "dust",
    "signal_old",
    "signal_unpriced",
    "market_closed",
)
"""Holds that are a wish of the policy or a fact of the market, not trouble that will pass."""


@pytest.fixture(scope="module", params=range(SEEDS), ids="seed{}".format)
def chaos(request: pytest.FixtureRequest) -> Iterator[Chaos]:
    """A world after its trouble; the ledger has checked it after every record and goes on."""
    chaos, ledger = Chaos(request.param), Ledger()
    chaos.world.on_append = ledger
    chaos.begin().run(STEPS)
    assert ledger.checked == len(chaos.world.tape) > STEPS
    yield chaos
    assert ledger.checked == len(chaos.world.tape)


def test_what_must_hold_after_every_record_holds(chaos: Chaos) -> None:
    """Positions, holds, caps, one order a token, a gap never without an answer: see ledger.py."""
    check_chain(chaos.world)


def test_when_the_trouble_ends_every_gap_closes_or_is_a_wish_of_the_policy(chaos: Chaos) -> None:
    """Exposure is what the leaders hold, positions are what the venue says, gaps are answered."""
    chaos.settle_down()
    world = chaos.world
    over = [token for market in chaos.over for token in (market, str(int(market) + 1))]
    for token in TOKENS:
        for wallet in LEADERS:
            expected = chaos.truth.get((wallet, token), 0) * 1_000_000
            assert token in over or world.exposure(token, wallet) == expected, (wallet, token)
        for account in ACCOUNTS:
            expected = chaos.ours.get((account, token), 0)
            assert token in over or world.held(token, account) == expected, (account, token)
            hold = world.hold(token, account)
            assert hold is None or hold.startswith(POLICY_HOLDS), (account, token, hold)
    assert not any(world.account(account).working for account in ACCOUNTS)
    check_chain(world)


def test_these_worlds_are_rich_enough_to_prove_something() -> None:
    seen: dict[str, int] = {}
    for seed in range(3):
        for event in Chaos(seed).begin().run(2 * STEPS).world.events:
            name = event.reason if isinstance(event, journal.OrderHeld) else type(event).__name__
            seen[name] = seen.get(name, 0) + 1
    assert seen["OrderRequested"] > 30
    assert seen["FillSettled"] > 30
    assert {
        "PositionCorrected",
        "LeaderMarked",
        "ExposureRebased",
        "WordAdopted",
        "WordRefused",
        "halted",
        "retry_wait",
        "book_echo_mismatch",
        "market_feed_down",
        "account_feed_down",
    } <= set(seen)
