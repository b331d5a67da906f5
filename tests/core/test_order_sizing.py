"""A size is the least of named bounds, in orderable units, and is never raised to a minimum."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.sizing import Held, Sized, Terms, band, size_buy, size_sell
from flows.core.slippage import Fee, taker_fee, walk
from schemas.units import CENT_MICRO, LOT_MICRO, MICRO, floor_div, floor_to_lot
from tests.core.tape import micro

TERMS = Terms(
    tick_micro=10_000,
    min_shares_micro=micro("5"),
    min_order_usd_micro=micro("1"),
    slippage_micro=micro("0.02"),
    depth_share_micro=MICRO,
    fee=Fee(70_000, 1),
)


def terms(**changes: Any) -> Terms:
    return Terms(**{**{f: getattr(TERMS, f) for f in TERMS.__dataclass_fields__}, **changes})


def book(*levels: tuple[str, str]) -> list[tuple[int, int]]:
    return [(micro(price), micro(size)) for price, size in levels]


DEEP = book(("0.40", "1000"), ("0.41", "1000"))
ROOMY = [("cap_trade", micro("1000"))]


def bought(found: Sized | Held) -> Sized:
    assert isinstance(found, Sized), found
    return found


def test_a_gap_within_all_bounds_is_ordered_whole() -> None:
    sized = bought(size_buy(micro("50"), DEEP, TERMS, ROOMY))
    assert (sized.bound, sized.shares_micro, sized.budget_micro) == (
        "gap",
        micro("50"),
        micro("20"),
    )
    assert sized.limit_micro == micro("0.42")
    assert [bound.name for bound in sized.bounds] == ["gap", "depth", "depth_share", "cap_trade"]


@pytest.mark.parametrize(
    ("bound", "gap", "asks", "changes", "caps", "shares"),
    [
        ("gap", "50", DEEP, {}, ROOMY, "50"),
        ("depth", "9000", DEEP, {}, ROOMY, "2000"),
        ("depth_share", "9000", DEEP, {"depth_share_micro": 500_000}, ROOMY, "1000"),
        # 21.40 USD with at most 7 % fee is a budget of 20.
        ("cap_trade", "9000", DEEP, {}, [("cap_trade", micro("21.4"))], "50"),
        ("cash", "50", DEEP, {}, [*ROOMY, ("cash", micro("10.7"))], "25"),
    ],
)
def test_each_bound_bites_and_is_named(
    bound: str, gap: str, asks: Any, changes: Any, caps: Any, shares: str
) -> None:
    sized = bought(size_buy(micro(gap), asks, terms(**changes), caps))
    assert (sized.bound, sized.shares_micro) == (bound, micro(shares))
    least = min(sized.bounds, key=lambda b: b.shares_micro)
    assert (least.name, floor_to_lot(least.shares_micro)) == (bound, sized.shares_micro)


@pytest.mark.parametrize(
    ("why", "gap", "asks", "caps", "reason"),
    [
        ("4.99 shares are below 5", "4.99", DEEP, ROOMY, "below_minimum"),
        ("5 shares at 0.05 are 25 cents", "5", book(("0.05", "1000")), ROOMY, "below_minimum"),
        ("the cap leaves 50 cents", "50", DEEP, [("cap_market", 500_000)], "bound_cap_market"),
        ("the cap is overdrawn", "50", DEEP, [("cap_account", -1)], "bound_cap_account"),
        ("a thin book", "50", book(("0.40", "3")), ROOMY, "bound_depth"),
        ("a touch above the grid", "50", book(("0.995", "300")), ROOMY, "bound_depth"),
    ],
)
def test_a_size_below_the_minimum_is_a_named_hold_and_never_raised(
    why: str, gap: str, asks: Any, caps: Any, reason: str
) -> None:
    found = size_buy(micro(gap), asks, TERMS, caps)
    assert isinstance(found, Held), why
    assert found.reason == reason


def test_a_small_order_takes_the_limit_of_its_last_level() -> None:
    """Five shares sized at the touch are fewer than five at the limit (API reference 6.5)."""
    sized = bought(size_buy(micro("5"), DEEP, TERMS, ROOMY))
    assert (sized.limit_micro, sized.budget_micro) == (micro("0.40"), micro("2"))


def test_a_tightened_limit_is_on_the_grid_although_the_level_is_not() -> None:
    sized = bought(size_buy(micro("5.1"), book(("0.3975", "100")), TERMS, ROOMY))
    assert (sized.limit_micro, sized.budget_micro) == (micro("0.40"), micro("2.02"))


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_nothing_is_never_ordered_even_where_there_is_no_minimum(side: str) -> None:
    free = terms(min_shares_micro=0, min_order_usd_micro=0)
    if side == "BUY":
        assert isinstance(size_buy(micro("50"), DEEP, free, [("cash", 0)]), Held)
    else:
        assert isinstance(size_sell(micro("50"), 0, DEEP, free), Held)


@st.composite
def asks(draw: st.DrawFn) -> list[tuple[int, int]]:
    tick = 10_000
    levels = st.dictionaries(
        st.integers(1, 99).map(lambda n: n * tick), st.integers(1, 10**10), min_size=1, max_size=6
    )
    return sorted(draw(levels).items())


@given(
    gap=st.integers(1, 10**10),
    levels=asks(),
    caps=st.lists(st.integers(-(10**6), 10**10), min_size=1, max_size=4),
    share=st.integers(1, MICRO),
    rate=st.sampled_from([0, 40_000, 70_000, 250_000]),
    exponent=st.integers(1, 2),
    slippage=st.integers(0, 200_000),
)
def test_no_buy_costs_more_than_any_cap_or_is_smaller_than_the_venue_takes(
    gap: int,
    levels: list[tuple[int, int]],
    caps: list[int],
    share: int,
    rate: int,
    exponent: int,
    slippage: int,
) -> None:
    """However the venue fills the budget: at the walk's prices or at better ones."""
    fee = Fee(rate, exponent)
    given_terms = terms(depth_share_micro=share, fee=fee, slippage_micro=slippage)
    named = [(f"cap{n}", cap) for n, cap in enumerate(caps)]
    found = size_buy(gap, levels, given_terms, named)
    if isinstance(found, Held):
        return
    assert found.shares_micro <= gap
    assert found.shares_micro % LOT_MICRO == 0
    assert found.budget_micro % CENT_MICRO == 0
    assert found.budget_micro >= TERMS.min_order_usd_micro
    assert floor_to_lot(floor_div(found.budget_micro, found.limit_micro)) >= TERMS.min_shares_micro
    assert found.limit_micro % TERMS.tick_micro == 0
    assert 0 < found.limit_micro < MICRO
    spent = walk(levels, "BUY", limit_micro=found.limit_micro, fee=fee, usd_max=found.budget_micro)
    assert spent.shares_micro >= found.shares_micro * 9 // 10 or found.budget_micro < micro("2")
    assert found.budget_micro + max(spent.fee_micro, found.walk.fee_micro) <= min(caps)
    better = max(found.walk.touch_micro // 2, 1)
    improved = floor_div(found.budget_micro, better)
    assert found.budget_micro + taker_fee(improved, better, fee) <= min(caps)


@given(st.integers(1, 10**10), st.integers(0, 10**10), asks())
def test_no_sell_is_above_what_is_confirmed_or_off_the_lot(
    gap: int, sellable: int, levels: list[tuple[int, int]]
) -> None:
    bids = levels[::-1]
    found = size_sell(gap, sellable, bids, TERMS)
    if isinstance(found, Held):
        assert found.reason in ("dust", "bound_confirmed", "bound_depth")
        return
    assert found.shares_micro <= min(gap, sellable)
    assert found.shares_micro % LOT_MICRO == 0
    assert found.shares_micro >= TERMS.min_shares_micro
    assert found.walk.shares_micro == found.shares_micro
    assert found.limit_micro % TERMS.tick_micro == 0
    assert 0 < found.limit_micro < MICRO


@pytest.mark.parametrize(
    ("gap", "sellable", "bids", "bound", "shares"),
    [
        ("50.009", "100", DEEP, "gap", "50"),
        ("50", "20.017", DEEP, "confirmed", "20.01"),
        ("50", "100", book(("0.40", "30")), "depth", "30"),
    ],
)
def test_each_bound_of_a_sell_bites_and_is_named(
    gap: str, sellable: str, bids: Any, bound: str, shares: str
) -> None:
    sized = bought(size_sell(micro(gap), micro(sellable), bids, TERMS))
    assert (sized.bound, sized.shares_micro) == (bound, micro(shares))


@pytest.mark.parametrize(
    ("gap", "sellable", "bids", "reason"),
    [
        ("4.99", "100", DEEP, "dust"),
        ("50", "4.99", DEEP, "bound_confirmed"),
        ("50", "0", DEEP, "bound_confirmed"),
        ("50", "100", book(("0.40", "4.99")), "bound_depth"),
    ],
)
def test_what_cannot_be_sold_is_a_named_hold(
    gap: str, sellable: str, bids: Any, reason: str
) -> None:
    found = size_sell(micro(gap), micro(sellable), bids, TERMS)
    assert isinstance(found, Held)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("target", "least"), [("0", "5"), ("100", "5"), ("1000", "20"), ("-1000", "20")]
)
def test_the_band_is_the_minimum_or_a_share_of_the_target(target: str, least: str) -> None:
    assert band(micro(target), 20_000, micro("5")) == micro(least)


@pytest.mark.parametrize(("leader_bought", "ordered"), [("49", []), ("50", ["5"]), ("51", ["5.1"])])
def test_a_gap_of_exactly_the_minimum_is_not_below_it(
    started, leader_bought: str, ordered: list[str]
) -> None:
    world = started()
    world.fills(leader_bought)
    world.wait(2_000)
    assert [r.shares_micro for r in world.requests()] == [micro(size) for size in ordered]
