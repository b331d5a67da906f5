"""Three accounts in one shard or in three: each the same orders, the same holds, the same end."""

import pytest

from schemas.records import journal
from tests.core.shards import ACCOUNTS, Trio, alone, end_state, told_of

SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_account_does_alike_in_a_shard_of_its_own(seed: int) -> None:
    """Offsets, numbers and the chain are of the shard; what is decided is of the account."""
    shared = Trio(seed).begin().run(150).world
    for name in ACCOUNTS:
        own = alone(shared, name)
        assert told_of(own, name) == told_of(shared, name)
        assert end_state(own, name) == end_state(shared, name)


def test_these_shards_ask_for_orders_and_hold_for_many_reasons() -> None:
    worlds = [Trio(seed).begin().run(150).world for seed in SEEDS]
    assert sum(len(world.requests()) for world in worlds) > 30
    reasons = {held.reason for world in worlds for held in world.of(journal.OrderHeld)}
    assert reasons >= {"account_feed_down", "market_feed_down", "halted"}


def test_another_accounts_feed_is_not_ours() -> None:
    """One account's connector is gone, its neighbour's is there: only the neighbour trades."""
    trio = Trio(0).begin()
    world = trio.world
    world.silent = ("account-second",)
    world.wait(1_000)
    world.fills("500", tx="0xfresh")
    world.wait(2_000)
    assert {request.account for request in world.requests()} == {"main", "third"}
    assert world.hold(account="second") == "account_feed_down"


def test_another_accounts_balance_is_not_ours() -> None:
    """One account's balance is no longer read, its neighbour's is: only the neighbour buys."""
    trio = Trio(0).begin()
    world = trio.world
    feeds = world.producers["account-second"]
    world.producers["account-second"] = tuple(feed for feed in feeds if feed != "own_balance")
    world.wait(1_000)
    world.fills("500", tx="0xfresh")
    world.wait(2_000)
    assert {request.account for request in world.requests()} == {"main", "third"}
    assert world.hold(account="second") == "balance_feed_down"
