"""The thin thread: a leader's fill becomes one order, one position, and no second order."""

from schemas.records import journal


def test_a_leaders_fill_becomes_one_order_that_closes_the_gap(started) -> None:
    world = started()
    world.fills("500")
    assert not world.of(journal.OrderRequested)
    world.wait(2_000)
    (order,) = world.of(journal.OrderRequested)
    assert (order.side, order.shares_micro, order.budget_micro) == ("BUY", 50_000_000, 20_000_000)
    assert order.limit_micro == 420_000
    assert order.bound == "gap"
    world.signed(order)
    world.answered(order, shares="50", usd="20")
    world.own_fill(order, "50")
    world.own_fill(order, "50", status="CONFIRMED")
    world.wait(20_000)
    assert len(world.of(journal.OrderRequested)) == 1
    assert not world.of(journal.Alarm)
    account = world.state.plan.accounts["main"]
    assert account.held_micro("1001") == 50_000_000
    assert account.positions["1001"].sellable_micro == 50_000_000
    assert not account.working


def test_a_flip_inside_the_window_makes_no_order(started) -> None:
    world = started()
    world.fills("500", tx="0xt1")
    world.fills("500", tx="0xt2", side="SELL")
    world.wait(5_000)
    assert not world.of(journal.OrderRequested)
    (delta,) = world.of(journal.NetDelta)
    assert (delta.shares_micro, delta.fills) == (0, 2)
