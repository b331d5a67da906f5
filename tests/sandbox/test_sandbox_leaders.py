"""The leaders' script holds what a demo needs, for several seeds, in accelerated time."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from infra.sandbox.ledger import Ledger

World = Any
Make = Callable[..., World]
SEEDS = (1, 7, 23)


@pytest.fixture(scope="module", params=SEEDS)
def minute(request: pytest.FixtureRequest, minute_of_seed: Callable[[int], World]) -> World:
    """A minute of the demo, run at once."""
    world = minute_of_seed(request.param)
    world.run(62_000)
    return world


def rows(world: World, kind: str) -> list[Any]:
    wallets = {leader.wallet for leader in world.venue.leaders}
    since_s = world.venue.start_ms // 1000
    return [
        row
        for row in world.venue.index.rows
        if row.wallet in wallets and row.kind == kind and row.ts_s >= since_s
    ]


def net_holdings(world: World) -> list[int]:
    """What each leader holds of one outcome more than of the other, in unresolved markets."""
    ledger: Ledger = world.venue.ledger
    return [
        abs(
            ledger.holding((leader.wallet, market.condition_id, 0))
            - ledger.holding((leader.wallet, market.condition_id, 1))
        )
        for leader in world.venue.leaders
        for market in world.venue.floor.open_markets()
    ]


def test_a_minute_holds_a_hundred_leader_fills_in_every_pattern(minute: World) -> None:
    fills = rows(minute, "TRADE")
    assert len(fills) >= 100
    assert sum(n for n in Counter(row.identity for row in fills).values() if n > 1) >= 2
    assert sum(leader.done.flips for leader in minute.venue.leaders) >= 1
    assert rows(minute, "SPLIT")
    assert rows(minute, "MERGE")
    assert rows(minute, "REDEEM")
    assert any(not row.is_taker for row in fills)


def test_one_order_is_split_in_many_fills_of_one_transaction(minute: World) -> None:
    taken = [row for row in rows(minute, "TRADE") if row.is_taker]
    assert max(Counter((row.tx_hash, row.token) for row in taken).values()) >= 3


def test_leaders_rest_with_hundreds_of_shares_in_several_tokens(minute: World) -> None:
    held = net_holdings(minute)
    assert sum(net >= 100_000_000 for net in held) >= 4
    assert sum(net >= 300_000_000 for net in held) >= 3


def test_leaders_trade_nothing_once_they_rest(minute: World) -> None:
    rest_s = (minute.venue.start_ms + minute.settings.rest_ms) // 1000
    assert all(row.ts_s <= rest_s + 1 for row in rows(minute, "TRADE"))
    assert all(leader.resting for leader in minute.venue.leaders)


def test_strangers_go_on_so_the_feed_is_not_silent_while_leaders_rest(minute: World) -> None:
    since_ms = minute.venue.start_ms + minute.settings.rest_ms + 1_000
    late = [f for f in minute.frames("activity") if f["timestamp"] > since_ms]
    assert len(late) > 10


def test_money_and_shares_are_conserved_over_the_minute(minute: World) -> None:
    minute.venue.ledger.check()


def test_the_index_agrees_with_the_ledger_for_every_wallet(busy_world: Make) -> None:
    """All settled, all visible: what the Data API rebuilds is what the ledger holds."""
    world = busy_world(seed=5, stranger_rate_per_s=0.0, duration_s=40)
    world.run(32_000)
    ledger, markets = world.venue.ledger, world.venue.floor.markets
    assert len(world.venue.index.positions) > 10
    for wallet, positions in world.venue.index.positions.items():
        for market in markets:
            for token in (0, 1):
                held = positions.get(market.tokens[token])
                indexed = 0 if held is None else held.shares_micro
                assert indexed == ledger.holding((wallet, market.condition_id, token))


def test_sizes_and_prices_lie_off_the_grid(minute: World) -> None:
    fills = rows(minute, "TRADE")
    assert any(row.shares_micro % 10_000 for row in fills)
    assert any(row.usd_micro * 1_000_000 // row.shares_micro % 1_000 for row in fills)


def test_a_leader_holds_something_before_the_run(busy_world: Make) -> None:
    world = busy_world()
    for leader in world.venue.leaders:
        held = [
            world.venue.ledger.holding((leader.wallet, market.condition_id, token))
            for market in world.venue.floor.markets
            for token in (0, 1)
        ]
        assert max(held) >= 300_000_000


def test_a_resolved_market_is_redeemed_one_row_an_outcome(busy_world: Make) -> None:
    world = busy_world(seed=2)
    world.run(62_000)
    market = world.venue.floor.markets[0]
    assert market.is_resolved
    for row in rows(world, "REDEEM"):
        assert row.market is market
        assert row.usd_micro == row.shares_micro * market.payouts_micro[row.token] // 1_000_000


def test_the_same_seed_does_the_same_whatever_the_steps(busy_world: Make) -> None:
    """Determinism: the pump's rhythm must not show in what happens."""
    coarse, fine = busy_world(seed=9), busy_world(seed=9)
    coarse.run(12_000)
    for _ in range(400):
        fine.run(30)
    assert [e.payload for e in coarse.emitted] == [e.payload for e in fine.emitted]


def test_another_seed_does_something_else(busy_world: Make) -> None:
    one, other = busy_world(seed=1), busy_world(seed=2)
    assert [leader.wallet for leader in one.venue.leaders] != [
        leader.wallet for leader in other.venue.leaders
    ]
