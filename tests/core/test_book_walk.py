"""Walking a book: exact costs, limits on the grid, the venue's fee against a decimal reference."""

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.slippage import Fee, slippage_limit, taker_fee, walk, within
from schemas.units import MICRO
from tests.core.tape import micro

FREE = Fee(0, 1)
CRYPTO = Fee(70_000, 1)
ASKS = [(micro(p), micro(s)) for p, s in (("0.40", "100"), ("0.42", "50"), ("0.50", "1000"))]
BIDS = [(micro(p), micro(s)) for p, s in (("0.39", "100"), ("0.37", "50"), ("0.30", "1000"))]

prices = st.integers(1, 999).map(lambda n: n * 1_000)
sizes = st.integers(1, 10**10)


@st.composite
def books(draw: st.DrawFn, side: str) -> list[tuple[int, int]]:
    """Levels as a BUY (asks, rising) or a SELL (bids, falling) meets them."""
    levels = draw(st.dictionaries(prices, sizes, min_size=1, max_size=8))
    return sorted(levels.items(), reverse=side == "SELL")


@pytest.mark.parametrize(
    ("shares", "filled", "cash", "last"),
    [
        ("60", "60", "24", "0.40"),
        ("100", "100", "40", "0.40"),
        ("120", "120", "48.4", "0.42"),
        ("500", "150", "61", "0.42"),
        ("0", "0", "0", "0"),
    ],
)
def test_a_buy_climbs_the_asks_up_to_its_limit(
    shares: str, filled: str, cash: str, last: str
) -> None:
    found = walk(ASKS, "BUY", limit_micro=micro("0.45"), fee=FREE, shares_max=micro(shares))
    assert (found.shares_micro, found.cash_micro, found.last_micro) == (
        micro(filled),
        micro(cash),
        micro(last),
    )
    assert found.touch_micro == micro("0.40")


def test_a_sell_descends_the_bids_down_to_its_limit() -> None:
    found = walk(BIDS, "SELL", limit_micro=micro("0.35"), fee=FREE, shares_max=micro("120"))
    assert (found.shares_micro, found.cash_micro) == (micro("120"), micro("46.4"))
    assert found.avg_micro == 386_666


def test_a_budget_ends_inside_a_level() -> None:
    found = walk(ASKS, "BUY", limit_micro=micro("0.45"), fee=FREE, usd_max=micro("50.5"))
    assert (found.shares_micro, found.cash_micro) == (micro("125"), micro("50.5"))


def test_nothing_within_the_limit_fills_nothing() -> None:
    found = walk(ASKS, "BUY", limit_micro=micro("0.39"), fee=CRYPTO)
    assert (found.shares_micro, found.cash_micro, found.fee_micro, found.avg_micro) == (0, 0, 0, 0)


def test_an_empty_book_fills_nothing() -> None:
    assert walk([], "BUY", limit_micro=micro("0.99"), fee=CRYPTO).shares_micro == 0


@given(st.data())
def test_a_walk_is_the_sum_of_its_levels(data: st.DataObject) -> None:
    """Against a walk in decimals: same shares, cost rounded up per level, proceeds down."""
    side = data.draw(st.sampled_from(["BUY", "SELL"]))
    levels = data.draw(books(side))
    limit, most = data.draw(prices), data.draw(st.one_of(st.none(), sizes))
    found = walk(levels, side, limit_micro=limit, fee=FREE, shares_max=most)
    left = Decimal(most) if most is not None else Decimal("Infinity")
    shares, cash, touched = Decimal(0), Decimal(0), 0
    for price, size in levels:
        if within(side, price, limit):
            take = min(Decimal(size), left)
            shares, cash, left = shares + take, cash + take * price / MICRO, left - take
            touched += take > 0
    assert found.shares_micro == shares
    off = found.cash_micro - cash if side == "BUY" else cash - found.cash_micro
    assert 0 <= off < max(touched, 1)


@given(books("BUY"), prices, st.integers(0, 10**10))
def test_a_walk_never_spends_more_than_its_budget(
    levels: list[tuple[int, int]], limit: int, budget: int
) -> None:
    found = walk(levels, "BUY", limit_micro=limit, fee=FREE, usd_max=budget)
    assert found.cash_micro <= budget
    whole = walk(levels, "BUY", limit_micro=limit, fee=FREE)
    if found.shares_micro < whole.shares_micro:
        # What is left buys not one more millionth of a share at the price it stopped at.
        dearest = max(price for price, _ in levels if price <= limit)
        assert budget - found.cash_micro < dearest


@pytest.mark.parametrize(
    ("shares", "price", "fee", "usd"),
    [
        ("25", "0.64", CRYPTO, "0.4032"),  # checked on chain (API reference 14)
        ("100", "0.5", CRYPTO, "1.75"),
        ("100", "0.5", Fee(50_000, 1), "1.25"),
        ("100", "0.9", CRYPTO, "0.63"),
        ("0.01", "0.001", CRYPTO, "0.00001"),
        ("100", "0.5", Fee(0, 1), "0"),
        ("0", "0.5", CRYPTO, "0"),
        ("100", "0.5", Fee(250_000, 2), "1.5625"),
    ],
)
def test_the_venues_fee(shares: str, price: str, fee: Fee, usd: str) -> None:
    assert taker_fee(micro(shares), micro(price), fee) == micro(usd)


@given(sizes, prices, st.integers(0, 300_000), st.integers(1, 3))
def test_the_fee_is_the_formula_rounded_up_to_five_decimals(
    shares: int, price: int, rate: int, exponent: int
) -> None:
    p = Decimal(price) / MICRO
    exact = Decimal(shares) / MICRO * Decimal(rate) / MICRO * (p * (1 - p)) ** exponent
    expected = exact.quantize(Decimal("0.00001"), rounding=ROUND_CEILING)
    assert taker_fee(shares, price, Fee(rate, exponent)) == expected * MICRO


@given(books("BUY"), prices)
def test_a_walks_fee_is_the_sum_of_its_fills_fees(
    levels: list[tuple[int, int]], limit: int
) -> None:
    found = walk(levels, "BUY", limit_micro=limit, fee=CRYPTO)
    assert found.fee_micro == sum(
        taker_fee(size, price, CRYPTO) for price, size in levels if price <= limit
    )


@given(
    st.sampled_from(["BUY", "SELL"]),
    st.sampled_from([100_000, 10_000, 5_000, 2_500, 1_000, 100]),
    st.integers(1, 9_999),
    st.integers(0, 999_999),
)
def test_a_limit_is_on_the_grid_inside_zero_and_one_and_within_the_budget(
    side: str, tick: int, at: int, slippage: int
) -> None:
    touch = max(min(at * 100 - at * 100 % tick, MICRO - tick), tick)
    limit = slippage_limit(side, touch, slippage, tick)
    assert limit % tick == 0
    assert tick <= limit <= MICRO - tick
    assert within(side, touch, limit)
    assert abs(limit - touch) <= slippage


@pytest.mark.parametrize(
    ("side", "touch", "slippage", "limit"),
    [
        ("BUY", "0.40", "0.02", "0.42"),
        ("BUY", "0.40", "0.025", "0.42"),
        ("BUY", "0.98", "0.05", "0.99"),
        ("SELL", "0.40", "0.02", "0.38"),
        ("SELL", "0.40", "0.025", "0.38"),
        ("SELL", "0.03", "0.05", "0.01"),
        ("BUY", "0.40", "0", "0.40"),
    ],
)
def test_the_limit_by_examples(side: str, touch: str, slippage: str, limit: str) -> None:
    assert slippage_limit(side, micro(touch), micro(slippage), 10_000) == micro(limit)
