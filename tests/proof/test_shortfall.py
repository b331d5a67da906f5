"""What an order cost against its leader's price adds up exactly, whatever the numbers are."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.proof.explain import explain
from infra.proof.explained import lines_of
from infra.proof.shortfall import Trade, shortfall
from schemas import codec
from schemas.records import journal
from tests.core.world import World

PRICES = st.integers(0, 1_000_000)
AMOUNTS = st.integers(0, 10**13)
TRADES = st.builds(
    Trade,
    side=st.sampled_from(["BUY", "SELL"]),
    wanted_micro=AMOUNTS,
    filled_micro=AMOUNTS,
    cash_micro=AMOUNTS,
    fees_micro=AMOUNTS,
    leader_micro=PRICES,
    bid_micro=PRICES,
    ask_micro=PRICES,
    horizon_micro=st.none() | PRICES,
)


def parts(trade: Trade) -> list[int]:
    found = shortfall(trade)
    return [
        found.delay_micro,
        found.half_spread_micro,
        found.impact_micro,
        found.fees_micro,
        found.opportunity_micro or 0,
    ]


def exact(trade: Trade) -> list[Fraction]:
    """The definition, in fractions of dollars."""
    sign = 1 if trade.side == "BUY" else -1
    source, filled = Fraction(trade.leader_micro), Fraction(trade.filled_micro, 10**6)
    mid = Fraction(trade.bid_micro + trade.ask_micro, 2)
    touch = trade.ask_micro if trade.side == "BUY" else trade.bid_micro
    missed = Fraction(trade.wanted_micro, 10**6) - filled
    later = source if trade.horizon_micro is None else trade.horizon_micro
    return [
        sign * filled * (mid - source),
        sign * filled * (touch - mid),
        sign * (trade.cash_micro - filled * touch),
        Fraction(trade.fees_micro),
        sign * missed * (later - source),
    ]


@given(TRADES)
def test_the_parts_add_up_to_the_whole_exactly(trade: Trade) -> None:
    """The whole is counted without the parts: what was paid against what the leader paid."""
    assert sum(parts(trade)) == shortfall(trade).total_micro


@given(TRADES)
def test_each_part_is_its_definition_to_the_micro_dollar(trade: Trade) -> None:
    for found, meant in zip(parts(trade), exact(trade), strict=True):
        assert abs(found - meant) < 1


@given(TRADES)
def test_only_shares_that_were_not_filled_wait_for_the_horizon(trade: Trade) -> None:
    unknown = trade.horizon_micro is None and trade.wanted_micro != trade.filled_micro
    assert (shortfall(trade).opportunity_micro is None) is unknown


@pytest.mark.parametrize(
    ("side", "cash", "expected"),
    [
        # 80 of 100 filled; leader 0.40, touch 0.42 to 0.44, later 0.50; fees of half a dollar
        ("BUY", 36_000_000, [2_400_000, 800_000, 800_000, 500_000, 2_000_000]),
        ("SELL", 32_000_000, [-2_400_000, 800_000, 1_600_000, 500_000, -2_000_000]),
    ],
)
def test_the_parts_of_a_small_trade(side: str, cash: int, expected: list[int]) -> None:
    trade = Trade(
        side=side,
        wanted_micro=100_000_000,
        filled_micro=80_000_000,
        cash_micro=cash,
        fees_micro=500_000,
        leader_micro=400_000,
        bid_micro=420_000,
        ask_micro=440_000,
        horizon_micro=500_000,
    )
    assert parts(trade) == expected


def half_filled(*, wait_ms: int) -> World:
    """A leader buys at 0.40, the book stands at 0.41 to 0.43, half of our order is filled."""
    world = World().begin(slippage_micro=50_000)
    world.depth([("0.41", "1000")], [("0.43", "1000")])
    world.fills("500")
    world.wait(2_000)
    order = world.requests()[0]
    world.signed(order)
    world.answered(order, shares="25", usd="10.75")
    world.own_fill(order, "25", "0.43")
    world.own_fill(order, "25", "0.43", status="CONFIRMED")
    world.depth([("0.49", "1000")], [("0.51", "1000")])
    world.wait(wait_ms, step=10_000)
    return world


def test_explain_shows_the_parts_of_an_order(made) -> None:
    """25 of 50 shares at 0.43 against the leader's 0.40; five minutes later a share is at 0.50."""
    world = half_filled(wait_ms=310_000)
    recording = made([codec.encode(record) for record in world.tape])
    order = world.requests()[0]
    found = explain(recording, order.intent)
    cost = found.explanation.cost
    fee = sum(e.fee_micro for e in world.of(journal.FillBooked))
    assert cost.ended
    assert cost.shortfall.delay_micro == 500_000
    assert cost.shortfall.half_spread_micro == 250_000
    assert cost.shortfall.impact_micro == 0
    assert cost.shortfall.fees_micro == fee > 0
    assert cost.shortfall.opportunity_micro == 2_500_000
    assert cost.shortfall.total_micro == 3_250_000 + fee
    text = "\n".join(lines_of(found))
    assert "cost against the leader's price of 0.4: 25 of 50 shares filled" in text
    assert "half the spread" in text


def test_what_is_not_five_minutes_old_has_no_horizon_yet(made) -> None:
    world = half_filled(wait_ms=100_000)
    recording = made([codec.encode(record) for record in world.tape])
    found = explain(recording, world.requests()[0].intent)
    assert found.explanation.cost.shortfall.opportunity_micro is None
    assert "not known yet" in "\n".join(lines_of(found))


def test_the_touch_is_the_book_that_the_order_was_priced_on(recording) -> None:
    """For every order of a chaotic tape: its own forecast began at the same touch."""
    seen = 0
    for row in recording.topics["journal"]:
        event = codec.unseal(row.value)[1]
        if isinstance(event, journal.OrderRequested):
            cost = explain(recording, event.intent).explanation.cost
            if cost is not None:
                touch = cost.trade.ask_micro if event.side == "BUY" else cost.trade.bid_micro
                assert touch == event.touch_micro
                assert sum(parts(cost.trade)) == cost.shortfall.total_micro
                seen += 1
    assert seen > 3
