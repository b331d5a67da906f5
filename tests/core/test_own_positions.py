"""A position is the sum of its fills that did not fail; a failed one leaves nothing behind."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.positions import Fill, Position
from schemas.records import journal
from schemas.records.own import OwnFill
from tests.core.tape import MARKET, UP, micro
from tests.core.world import World


def fill(side: str, shares: int, price: int, fee: int = 0, venue_ms: int = 0) -> Fill:
    """Whole shares at a price in cents."""
    return Fill("0xo", side, shares * 1_000_000, shares * price * 10_000, fee, venue_ms, "MATCHED")


def numbers(position: Position) -> tuple[int, ...]:
    sums = position.sums
    return (
        position.shares_micro,
        position.sellable_micro,
        sums.cost_micro,
        sums.realised_micro,
        sums.fees_micro,
    )


def test_cost_is_average_cost_and_a_sell_realises_the_difference() -> None:
    position = Position(MARKET)
    position.book("a", fill("BUY", 100, 40))
    position.book("b", fill("BUY", 100, 60))
    position.book("c", fill("SELL", 50, 70))
    assert position.shares_micro == micro("150")
    assert position.sums.cost_micro == micro("75")
    assert position.sums.realised_micro == micro("10")


def test_only_confirmed_shares_are_sellable_and_a_sell_uses_them_at_once() -> None:
    position = Position(MARKET)
    position.book("a", fill("BUY", 100, 40))
    position.book("b", fill("BUY", 50, 40))
    assert position.sellable_micro == 0
    position.settle("a", "CONFIRMED")
    assert position.sellable_micro == micro("100")
    position.book("c", fill("SELL", 30, 40))
    assert position.sellable_micro == micro("70")
    position.settle("c", "FAILED")
    assert position.sellable_micro == micro("100")


steps = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 200),
        st.integers(1, 99),
        st.integers(0, 500),
        st.sampled_from(["MATCHED", "CONFIRMED", "FAILED"]),
    ),
    max_size=12,
)


@given(steps, st.randoms(use_true_random=False), st.integers(0, 12))
def test_failures_leave_what_the_sequence_without_them_leaves(
    fills: list[tuple[str, int, int, int, str]], chance: Any, forget_upto: int
) -> None:
    """Settlements come in any order and late, history is forgotten meanwhile: the same numbers."""
    with_failures, without = Position(MARKET), Position(MARKET)
    for n, (side, shares, price, fee, status) in enumerate(fills):
        with_failures.book(str(n), fill(side, shares, price, fee, venue_ms=n))
        if status != "FAILED":
            without.book(str(n), fill(side, shares, price, fee, venue_ms=n))
    ends = [(n, f[4]) for n, f in enumerate(fills) if f[4] != "MATCHED"]
    chance.shuffle(ends)
    for n, status in ends:
        with_failures.forget(min(forget_upto, n))
        with_failures.settle(str(n), status)
        if status != "FAILED":
            without.settle(str(n), status)
    assert numbers(with_failures) == numbers(without)
    with_failures.forget(99)
    for key, left in list(with_failures.fills.items())[:1]:
        with_failures.settle(key, left.status)  # recomputes from what is still there
    assert numbers(with_failures) == numbers(without)


def test_a_failed_fill_is_reversed_to_the_last_number(started) -> None:
    """Also after a later buy and a later sell: as if it had never been."""
    worlds = []
    for fail in (True, False):
        world = started()
        world.fills("500")
        world.wait(2_000)
        order = world.requests()[0]
        world.signed(order)
        if fail:
            world.own_fill(order, "13", "0.37", trade="bad")
        world.own_fill(order, "20", "0.41", trade="good")
        world.own_fill(order, "20", "0.41", trade="good", status="CONFIRMED")
        world.own_fill(order, "7", "0.44", trade="sold", side="SELL")
        if fail:
            world.own_fill(order, "13", "0.37", trade="bad", status="FAILED")
        worlds.append(world)
    failed, clean = (world.account() for world in worlds)
    assert numbers(failed.positions[UP]) == numbers(clean.positions[UP])
    assert failed.cash == clean.cash
    assert failed.audit.rebuilt[UP].total_micro == clean.audit.rebuilt[UP].total_micro


def test_a_failed_fill_opens_the_gap_again(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    trade = world.trade(order, confirm=False)
    assert world.held() == micro("50")
    world.own_fill(order, "50", trade=trade, order=f"0xo{order.intent}", status="FAILED")
    (settled,) = world.of(journal.FillSettled)
    assert (settled.status, settled.shares_micro) == ("FAILED", micro("50"))
    assert world.held() == 0
    assert [r.shares_micro for r in world.requests()] == [micro("50")] * 2


@pytest.mark.parametrize("status", ["MATCHED", "MINED", "RETRYING", "CONFIRMED"])
def test_a_fill_is_booked_once_however_often_it_is_told(started, status: str) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    for told in ("MATCHED", status, status, "MATCHED"):
        world.own_fill(order, "50", status=told)
        world.own_fill(order, "50", status=told, source="rest")
    assert len(world.of(journal.FillBooked)) == 1
    assert world.held() == micro("50")
    assert len(world.of(journal.FillSettled)) == (status == "CONFIRMED")


def test_a_fill_that_is_failed_when_it_is_first_seen_leaves_nothing(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    world.own_fill(order, "50", status="FAILED")
    assert world.held() == 0
    assert world.account().cash.left_micro == micro("1000")
    assert len(world.of(journal.FillBooked)) == len(world.of(journal.FillSettled)) == 1


def test_one_trade_has_one_maker_fill_for_each_of_our_orders(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    for resting in ("0xr1", "0xr2", "0xr1"):
        world.own_fill(order, "10", role="MAKER", order=resting)
    assert world.held() == micro("20")
    assert [e.trade for e in world.of(journal.FillBooked)] == ["T1:0xr1", "T1:0xr2"]
    assert [e.fee_micro for e in world.of(journal.FillBooked)] == [0, 0]


def test_a_fill_told_again_with_another_size_is_raised_and_not_obeyed(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    world.own_fill(order, "50")
    world.own_fill(order, "40")
    assert [alarm.name for alarm in world.of(journal.Alarm)] == ["fill_changed"]
    assert world.held() == micro("50")


def test_a_fill_of_no_order_of_ours_is_booked_and_raised(started) -> None:
    """Somebody traded by hand: the position is what it is, and the gap does the rest."""
    world = started()
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    order = world.requests()[0]
    world.own_fill(order, "20", order="0xhand", trade="T9", side="SELL")
    (booked,) = [e for e in world.of(journal.FillBooked) if e.late]
    assert booked.intent is None
    assert [alarm.name for alarm in world.of(journal.Alarm)] == ["foreign_fill"]
    assert world.held() == micro("30")
    assert world.requests()[-1].shares_micro == micro("20")


def test_a_fill_of_a_working_order_is_booked_however_late_it_comes(started) -> None:
    """Every feed was away for twenty minutes: the order can end by nothing else."""
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    world.answered(order, shares="50", usd="20")
    at_ms = world.now_ms
    world.wait(1_200_000, step=20_000)
    world.own_fill(order, "50", venue_ms=at_ms)
    assert world.held() == micro("50")
    assert not world.account().working
    assert not world.of(journal.Alarm)


def test_what_the_opening_report_counted_is_not_counted_again(started) -> None:
    """A fill of before the tape that becomes known after the account was opened."""
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.own_fill(order, "70", order="0xold", trade="T0", venue_ms=world.now_ms - 60_000)
    assert world.held() == 0
    assert [alarm.name for alarm in world.of(journal.Alarm)] == ["old_fill"]


def test_history_that_was_settled_long_ago_is_forgotten_but_its_sum_stays() -> None:
    world = World().begin()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    for status in ("MATCHED", "CONFIRMED"):
        world.own_fill(order, "7", trade="other", order="0xhand", token="2001", status=status)
    for n in range(40):
        fill: dict[str, Any] = {"trade": f"T{n}", "order": "0xhand"}
        world.own_fill(order, "1", **fill)
        world.own_fill(order, "1", status="CONFIRMED", **fill)
        world.wait(300_000, step=100_000)
    account = world.account()
    assert account.held_micro(UP) == account.positions[UP].sellable_micro == micro("40")
    assert len(account.positions[UP].fills) == len(account.token_of_fill) < 20
    assert (account.held_micro("2001"), account.positions["2001"].fills) == (micro("7"), {})
    first = next(r for r in world.tape if isinstance(r, OwnFill) and r.token == UP)
    world.append(first)
    assert account.held_micro(UP) == micro("40")
    assert world.of(journal.Alarm)[-1].name == "old_fill"


def test_a_fill_that_is_not_settled_is_never_forgotten() -> None:
    world = World().begin()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.own_fill(order, "10", trade="stuck", order="0xhand")
    for n in range(30):
        fill: dict[str, Any] = {"trade": f"T{n}", "order": "0xhand"}
        world.wait(300_000, step=100_000)
        world.own_fill(order, "1", **fill)
        world.own_fill(order, "1", status="CONFIRMED", **fill)
    world.own_fill(order, "10", trade="stuck", order="0xhand", status="FAILED")
    assert world.held() == micro("30")
