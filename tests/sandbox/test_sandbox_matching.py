"""The matching rules as values in, values out: terms, refusals, the walk, the fee."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.sandbox.matching import (
    Fill,
    Maker,
    Offer,
    Refusal,
    Terms,
    fee_micro,
    limit_terms,
    order_terms,
    size_refusal,
    walk,
)
from schemas.units import MICRO

CENT, MILL = 10_000, 1_000
MAKER = Maker(wallet="0xm", owner="", order_id="0x1", token=0, side="SELL", price_micro=500_000)


def offers(*levels: tuple[int, int]) -> list[Offer]:
    return [Offer(price, shares, MAKER) for price, shares in levels]


def budget(price_micro: int, usd_micro: int) -> Terms:
    return Terms(
        side="BUY",
        order_type="FAK",
        usd_micro=usd_micro,
        shares_micro=usd_micro * MICRO // price_micro,
        price_micro=price_micro,
    )


@pytest.mark.parametrize(
    ("side", "kind", "maker", "taker", "tick", "expected"),
    [
        ("BUY", "FAK", 5_000_000, 10_000_000, CENT, 500_000),
        ("BUY", "FAK", 10_000_000, 15_151_500, CENT, 660_000),
        ("SELL", "FAK", 7_120_000, 3_559_999, CENT, "invalid amounts"),
        ("SELL", "FAK", 7_120_000, 3_560_000, CENT, 500_000),
        ("BUY", "GTC", 5_000_000, 10_000_000, CENT, 500_000),
        ("BUY", "GTC", 5_010_000, 10_000_000, CENT, "Price (0.501) breaks minimum tick size"),
        ("BUY", "GTC", 5_010_000, 10_000_000, MILL, 501_000),
        ("BUY", "FAK", 5_005_000, 10_010_000, CENT, "invalid amounts"),
        ("BUY", "FAK", 0, 0, CENT, "Size (0) lower than the minimum"),
        ("BUY", "GTC", 9_990_000, 10_000_000, CENT, "Price (0.999), min: 0.01 - max: 0.99"),
        ("BUY", "GTC", 9_990_000, 10_000_000, MILL, 999_000),
    ],
)
def test_signed_amounts_imply_a_price_on_the_grid_or_a_refusal_with_the_venues_text(
    side: str, kind: str, maker: int, taker: int, tick: int, expected: int | str
) -> None:
    terms = order_terms("0xid", side, kind, maker, taker, tick)
    if isinstance(expected, int):
        assert isinstance(terms, Terms)
        assert terms.price_micro == expected
    else:
        assert isinstance(terms, Refusal)
        assert terms.status == 400
        assert expected in terms.text


@pytest.mark.parametrize(
    ("usd", "shares", "marketable", "text"),
    [
        (5_000_000, 4_990_000, True, "Size (4.99) lower than the minimum: 5"),
        (980_000, 9_800_000, True, "invalid amount for a marketable BUY order ($0.98), min size"),
        (980_000, 9_800_000, False, None),
        (1_000_000, 10_000_000, True, None),
    ],
)
def test_both_minimums_are_enforced(
    usd: int, shares: int, marketable: bool, text: str | None
) -> None:
    terms = Terms(
        side="BUY", order_type="FAK", usd_micro=usd, shares_micro=shares, price_micro=100_000
    )
    refusal = size_refusal("0xid", terms, min_shares_micro=5_000_000, marketable=marketable)
    assert (refusal is None) == (text is None)
    assert text is None or (refusal is not None and text in refusal.text)


def test_a_budget_that_meets_a_better_price_returns_more_shares_than_planned() -> None:
    fills = walk(budget(990_000, 4_950_000), offers((980_000, 100_000_000)))
    assert sum(fill.shares_micro for fill in fills) == 5_051_020
    assert sum(fill.usd_micro for fill in fills) <= 4_950_000


def test_shares_rounded_up_imply_a_price_below_the_limit_and_miss_the_ask_there() -> None:
    down, up = 15_151_500, 15_151_600
    ask = offers((660_000, 100_000_000))
    for shares, filled in ((down, True), (up, False)):
        terms = order_terms("0xid", "BUY", "FAK", 10_000_000, shares, CENT)
        assert isinstance(terms, Terms)
        assert terms.price_micro == 660_000
        assert bool(walk(terms, ask)) is filled


levels = st.lists(
    st.tuples(st.integers(1, 99).map(lambda c: c * CENT), st.integers(1, 10**9)), max_size=8
)


@given(levels=levels, price=st.integers(1, 99), usd=st.integers(1, 10**9))
def test_a_buy_never_spends_more_than_its_budget_nor_pays_more_than_its_limit(
    levels: list[tuple[int, int]], price: int, usd: int
) -> None:
    terms = budget(price * CENT, usd)
    fills = walk(terms, offers(*sorted(levels)))
    assert sum(fill.usd_micro for fill in fills) <= usd
    assert all(fill.price_micro * terms.shares_micro <= usd * MICRO for fill in fills)


@given(levels=levels, price=st.integers(1, 99), shares=st.integers(1, 10**9))
def test_a_sell_gives_at_most_its_shares_and_takes_no_bid_below_its_limit(
    levels: list[tuple[int, int]], price: int, shares: int
) -> None:
    bids = offers(*sorted(levels, reverse=True))
    fills = walk(limit_terms("SELL", price * CENT, shares), bids)
    assert sum(fill.shares_micro for fill in fills) <= shares
    assert all(fill.price_micro * shares >= price * CENT * shares - MICRO for fill in fills)


def fill(price_micro: int, shares_micro: int) -> Fill:
    return Fill(price_micro=price_micro, shares_micro=shares_micro, usd_micro=0, maker=MAKER)


@pytest.mark.parametrize(
    ("price", "shares", "rate", "fee"),
    [
        (640_000, 25_000_000, 70_000, 403_200),
        (500_000, 1_000_000, 70_000, 17_500),
        (10_000, 10_000, 70_000, 10),
        (500_000, 1_000_000, 0, 0),
    ],
)
def test_the_fee_is_the_documented_formula_to_five_decimals(
    price: int, shares: int, rate: int, fee: int
) -> None:
    """25 shares at .64 pay .4032, checked on chain (API reference 14)."""
    assert fee_micro([fill(price, shares)], rate_micro=rate, exponent=1) == fee


def test_the_fee_of_a_trade_is_the_sum_over_its_levels() -> None:
    both = fee_micro(
        [fill(640_000, 25_000_000), fill(500_000, 10**6)], rate_micro=70_000, exponent=1
    )
    assert both == 403_200 + 17_500
