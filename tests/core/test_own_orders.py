"""An order's life in the fold: what it keeps reserved, what ends it, what its end leads to."""

from typing import Any

import pytest

from schemas.records import journal
from tests.core.steps import alarms, ordered, progress, reserved
from tests.core.tape import UP, micro


def test_an_order_names_everything_it_rests_on(started) -> None:
    world = started()
    order = ordered(world)
    account, cause, number = order.intent.split(":")
    assert (account, number) == ("main", "0")
    assert world.tape[int(cause)].now_ms == order.now_ms
    assert order.valid_until_ms == order.now_ms + 3_000
    assert (order.target_micro, order.position_micro, order.in_flight_micro) == (micro("50"), 0, 0)
    assert order.gap_micro == micro("50")
    assert (order.touch_micro, order.avg_micro) == (micro("0.40"), micro("0.40"))
    assert order.fee_micro == micro("0.84")
    assert order.epoch == "public-0.1"
    assert 0 <= order.signal_age_ms < 3_000
    depth = world.tape[order.depth_offset]
    assert (depth.token, depth.epoch) == (UP, order.epoch)


def test_in_flight_is_the_plan_until_the_answer_and_then_what_was_accepted(started) -> None:
    world = started()
    order = ordered(world)
    assert reserved(world) == ("requested", micro("50"), micro("21.4"))
    world.signed(order)
    assert reserved(world) == ("signed", micro("50"), micro("21.4"))
    world.answered(order, shares="30", usd="12")
    assert reserved(world) == ("accepted", micro("30"), micro("12.84"))
    world.own_fill(order, "10")
    assert reserved(world) == ("accepted", micro("20"), micro("8.56"))
    world.own_fill(order, "20", trade="T2")
    assert world.account().orders[order.intent].state == "filled"
    assert progress(world) == [
        ("signed", "OrderSigned"),
        ("accepted", "matched"),
        ("filled", "fills_complete"),
    ]


def test_an_unknown_order_keeps_all_that_it_may_still_do(started) -> None:
    world = started()
    order = ordered(world)
    world.signed(order)
    world.answered(order, "unknown", status="", http_status=None, reason="timeout")
    world.wait(600_000, step=10_000)
    assert reserved(world) == ("unknown", micro("50"), micro("21.4"))
    assert len(world.requests()) == 1


def test_an_unknown_sell_keeps_its_shares_and_its_token(started) -> None:
    world = started()
    world.trade(ordered(world))
    world.fills("500", side="SELL", tx="0xt2")
    world.wait(2_000)
    sell = world.requests()[1]
    assert (sell.side, sell.shares_micro) == ("SELL", micro("50"))
    world.signed(sell, "0xo2")
    world.answered(sell, "unknown", order="0xo2", http_status=None, reason="timeout")
    world.wait(60_000, step=1_000)
    assert reserved(world) == ("unknown", -micro("50"), 0)
    assert len(world.requests()) == 2


@pytest.mark.parametrize(
    ("why", "end"),
    [
        ("expired", lambda w, o: w.expired(o)),
        ("refused", lambda w, o: w.answered(o, "refused", reason="killed", http_status=400)),
        ("absent", lambda w, o: w.absent(o)),
        ("filled", lambda w, o: w.answered(o, shares="0", usd="0")),
    ],
)
def test_an_order_that_brought_nothing_frees_its_token_after_a_pause(
    started, why: str, end: Any
) -> None:
    """A killed FAK is no error: the gap stays and is planned again after a pause."""
    world = started()
    order = ordered(world)
    if why != "expired":
        world.signed(order)
    end(world, order)
    assert world.account().orders[order.intent].state == why
    assert reserved(world) == (None, 0, 0)
    assert world.hold() == "retry_wait"
    world.wait(1_500)
    assert len(world.requests()) == 1
    world.wait(1_000)
    assert len(world.requests()) == 2
    (ended,) = [e for e in world.of(journal.HoldEnded) if e.reason == "retry_wait"]
    assert ended.for_ms >= 2_000


def test_the_pause_doubles_up_to_a_minute_and_is_forgotten_by_a_fill(started) -> None:
    world = started(retry_after_ms=2_000)
    ordered(world)
    pauses = []
    for _ in range(8):
        world.expired(world.working()[0])
        at_ms, before = world.now_ms, len(world.requests())
        while len(world.requests()) == before:
            world.tick(100)
        pauses.append((world.now_ms - at_ms) // 1_000)
    assert pauses == [2, 4, 8, 16, 32, 64, 64, 64]
    world.trade(world.working()[0], "20")
    assert world.hold() is None
    assert len(world.working()) == 1


def test_what_a_partial_fill_left_is_planned_again_at_once(started) -> None:
    world = started()
    world.trade(ordered(world), "20")
    assert [r.shares_micro for r in world.requests()] == [micro("50"), micro("30")]
    assert world.requests()[1].position_micro == micro("20")


def test_a_price_improvement_brings_more_shares_and_they_are_a_position_like_any_other(
    started,
) -> None:
    """The budget of 20 USD bought 52 shares: the excess is below the band and stays."""
    world = started()
    order = ordered(world)
    world.signed(order)
    world.own_fill(order, "52", "0.38")
    assert reserved(world)[1] == 0
    world.answered(order, shares="52", usd="19.76")
    assert not world.account().working
    world.wait(3_000)
    assert world.held() == micro("52")
    assert len(world.requests()) == 1
    assert not alarms(world)


def test_an_overfill_beyond_the_band_is_sold_back(started) -> None:
    world = started()
    order = ordered(world)
    world.trade(order, "58")
    assert [(r.side, r.shares_micro) for r in world.requests()[1:]] == [("SELL", micro("8"))]


@pytest.mark.parametrize("answer_first", [True, False])
def test_fills_and_answer_end_an_order_in_either_order(started, answer_first: bool) -> None:
    world = started()
    order = ordered(world)
    world.signed(order)
    if answer_first:
        world.answered(order, shares="50", usd="20")
    world.own_fill(order, "30")
    assert world.account().working
    world.own_fill(order, "20", trade="T2")
    assert bool(world.account().working) != answer_first
    if not answer_first:
        world.answered(order, shares="50", usd="20")
    assert not world.account().working
    assert world.held() == micro("50")


def test_an_answer_that_was_lost_is_looked_up_before_anything_else_is_ordered(started) -> None:
    world = started()
    order = ordered(world)
    world.signed(order)
    world.answered(order, "unknown", http_status=None, reason="timeout")
    world.wait(30_000, step=1_000)
    world.answered(order, shares="50", usd="20", proof="lookup")
    world.own_fill(order, "50")
    assert [state for state, _ in progress(world)] == ["signed", "unknown", "accepted", "filled"]
    assert len(world.requests()) == 1


def test_live_without_amounts_stays_in_flight_until_a_look_up_has_them(started) -> None:
    """FAK, zero shares, status live, and filled ten seconds later (complaint 2)."""
    world = started()
    order = ordered(world)
    world.signed(order)
    world.answered(order, status="live")
    world.wait(10_000)
    assert reserved(world) == ("accepted", micro("50"), micro("21.4"))
    world.own_fill(order, "50")
    assert world.account().working
    world.answered(order, shares="50", usd="20", proof="lookup")
    assert not world.account().working
    assert len(world.requests()) == 1


@pytest.mark.parametrize(
    ("parts", "state"),
    [
        (("25", "24.999999"), "filled"),
        (("24.999999", "24.999999"), "filled"),
        (("49.999998",), None),
        (("25", "24.9"), None),
    ],
)
def test_fills_told_in_whole_micro_shares_complete_an_order_all_the_same(
    started, parts: tuple[str, ...], state: str | None
) -> None:
    """Each may be told as a micro-share less than it was; a real remainder keeps the order open."""
    world = started()
    order = ordered(world)
    world.signed(order)
    world.answered(order, shares="50", usd="20")
    for n, part in enumerate(parts):
        world.own_fill(order, part, trade=f"T{n}")
    ends = [told for told, _ in progress(world) if told == "filled"]
    assert ends == ([state] if state else [])
    assert (UP in world.account().working) is (state is None)


def test_a_pending_order_proven_absent_frees_its_token_and_the_gap_is_ordered_again(
    started,
) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    world.answered(order, status="delayed")
    world.wait(40_000)
    assert len(world.requests()) == 1
    world.absent(order)
    assert not world.account().working
    world.wait(3_000)
    assert [r.shares_micro for r in world.requests()] == [micro("50")] * 2
    assert not world.of(journal.Alarm)


@pytest.mark.parametrize("how", ["amounts", "fill"])
def test_what_brought_something_or_has_final_amounts_is_never_absent(started, how: str) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    if how == "amounts":
        world.answered(order, shares="50", usd="20")
    else:
        world.answered(order, status="delayed")
        world.own_fill(order, "20")
    world.absent(order)
    assert [alarm.name for alarm in world.of(journal.Alarm)] == ["illegal_step:accepted:absent"]
    assert world.account().working
    assert len(world.requests()) == 1


@pytest.mark.parametrize("exponent", [0, -1])
def test_nothing_is_bought_where_no_reservation_bounds_the_fee(started, exponent: int) -> None:
    """At exponent 0 a cheap share costs as much fee as a dear one: more than rate times cash."""
    world = started()
    world.meta(fee_exponent=exponent)
    world.fills("500")
    world.wait(2_000)
    assert world.hold() == "fee_unbounded"
    world.meta(fee_exponent=exponent, fee_rate_micro=0)
    world.wait(1_000)
    assert len(world.requests()) == 1


def test_what_is_held_may_be_sold_whatever_the_fee(started) -> None:
    world = started()
    order = ordered(world)
    world.trade(order)
    world.meta(fee_exponent=-1)
    world.fills("500", side="SELL", tx="0xs")
    world.wait(3_000)
    assert world.requests()[-1].side == "SELL"
    assert isinstance(world.requests()[-1].fee_micro, int)
