"""Units are exact: no digit is lost, no rounding is unannounced, each direction is as named."""

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.units import (
    CENT_MICRO,
    LOT_MICRO,
    MICRO,
    UnitError,
    ceil_div,
    ceil_mul,
    ceil_to_tick,
    floor_div,
    floor_mul,
    floor_to_cent,
    floor_to_lot,
    floor_to_tick,
    format_micro,
    parse_micro,
    parse_micro_half_even,
)

AMOUNTS = st.integers(-(10**30), 10**30)
TICKS = st.sampled_from([100, 1_000, 10_000, 100_000])

EXACT = [
    ("0", 0, "0"),
    ("0.5", 500_000, "0.5"),
    (".5", 500_000, "0.5"),
    ("-0.5", -500_000, "-0.5"),
    ("-0", 0, "0"),
    ("1.000000", 1_000_000, "1"),
    ("0.000001", 1, "0.000001"),
    ("-0.000001", -1, "-0.000001"),
    ("1.0000000000000000000000000000000000", 1_000_000, "1"),
    ("123456789.123456", 123_456_789_123_456, "123456789.123456"),
    ("1e3", 1_000_000_000, "1000"),
    ("1E-6", 1, "0.000001"),
    ("25e-1", 2_500_000, "2.5"),
    (7, 7_000_000, "7"),
    (Decimal("0.010"), 10_000, "0.01"),
]


@pytest.mark.parametrize(("number", "micro", "text"), EXACT)
def test_a_decimal_text_becomes_its_exact_count_and_its_shortest_text(
    number: Any, micro: int, text: str
) -> None:
    assert (parse_micro(number), format_micro(micro)) == (micro, text)


REFUSED: list[Any] = [
    *("0.0000001", "1e-7", "0.1234567", "1e-9999999", "1.0000000000000000000000000001"),
    *("nan", "NaN", "-nan", "sNaN", "inf", "-Infinity", "1e999999", "1" * 81),
    *("", " ", "abc", "1,5", "0x10", "1.2.3", "1e", "--1", "5 USD"),
    *(None, True, False, 0.5, float("nan"), [1], (0, (1,), 0), {}),
]


@pytest.mark.parametrize("number", REFUSED)
def test_what_is_no_exact_count_is_refused_and_named(number: Any) -> None:
    with pytest.raises(UnitError) as refusal:
        parse_micro(number)
    assert repr(number) in str(refusal.value)


@given(AMOUNTS)
def test_formatting_and_parsing_give_back_the_amount(micro: int) -> None:
    text = format_micro(micro)
    assert parse_micro(text) == parse_micro(Decimal(text)) == parse_micro_half_even(text) == micro
    assert "." not in text or text[-1] not in "0."


@given(AMOUNTS, st.integers(0, 33), st.integers(1, 9))
def test_a_digit_past_the_sixth_is_never_dropped(micro: int, zeros: int, digit: int) -> None:
    whole, part = divmod(abs(micro), MICRO)
    text = f"{'-' if micro < 0 else ''}{whole}.{part:06d}{'0' * zeros}"
    assert parse_micro(text) == micro
    with pytest.raises(UnitError):
        parse_micro(f"{text}{digit}")


def test_a_small_decimal_context_of_the_thread_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 3
        assert parse_micro("123456.654321") == 123_456_654_321
        assert parse_micro_half_even(123456.654321) == 123_456_654_321


HALF_EVEN = [
    ("0.0000005", 0),
    ("0.0000015", 2),
    ("0.0000025", 2),
    ("-0.0000015", -2),
    ("-0.0000025", -2),
    ("0.00000250000000000000000000000000000001", 3),
    ("1234567890123456789012.00000050000001", 1_234_567_890_123_456_789_012_000_001),
    (0.1 + 0.2, 300_000),
    (7.142856999999999, 7_142_857),
    (1e-05, 10),
    (5e-324, 0),
    (1e16, 10**22),
    (3, 3_000_000),
    (Decimal("-0.0000004"), 0),
]


@pytest.mark.parametrize(("number", "micro"), HALF_EVEN)
def test_a_json_double_goes_to_the_nearest_count_and_ties_to_even(number: Any, micro: int) -> None:
    assert parse_micro_half_even(number) == micro


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), -float("inf"), 1e300, "nan", "x", "", None, True, []]
)
def test_what_is_no_number_is_not_rounded_either(number: Any) -> None:
    with pytest.raises(UnitError):
        parse_micro_half_even(number)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e60, max_value=1e60))
def test_the_nearest_count_is_at_most_half_a_millionth_away(number: float) -> None:
    written = Fraction(repr(number)) * MICRO
    nearest = parse_micro_half_even(number)
    assert abs(nearest - written) <= Fraction(1, 2)
    assert nearest == round(written)  # Fraction rounds ties to even


@given(AMOUNTS, AMOUNTS)
def test_products_bracket_the_exact_one_and_meet_only_where_it_is_whole(a: int, b: int) -> None:
    exact = Fraction(a * b, MICRO)
    low, high = floor_mul(a, b), ceil_mul(a, b)
    assert low <= exact <= high
    assert high - low == (0 if exact.denominator == 1 else 1)


@given(AMOUNTS, AMOUNTS.filter(bool))
def test_quotients_bracket_the_exact_one_and_meet_only_where_it_is_whole(a: int, b: int) -> None:
    exact = Fraction(a * MICRO, b)
    low, high = floor_div(a, b), ceil_div(a, b)
    assert low <= exact <= high
    assert high - low == (0 if exact.denominator == 1 else 1)


@given(st.integers(0, 10**15), st.integers(1, 999_999))
def test_what_a_budget_buys_for_sure_costs_no_more_than_the_budget(budget: int, price: int) -> None:
    assert ceil_mul(floor_div(budget, price), price) <= budget


@given(AMOUNTS, TICKS)
def test_grids_give_the_nearest_point_on_the_named_side(amount: int, tick: int) -> None:
    for low, grid in (
        (floor_to_tick(amount, tick), tick),
        (floor_to_lot(amount), LOT_MICRO),
        (floor_to_cent(amount), CENT_MICRO),
    ):
        assert low % grid == 0
        assert low <= amount < low + grid
    high = ceil_to_tick(amount, tick)
    assert high % tick == 0
    assert high - tick < amount <= high


def test_a_division_by_a_price_of_zero_is_an_error_and_no_amount() -> None:
    for quotient in (floor_div, ceil_div):
        with pytest.raises(ZeroDivisionError):
            quotient(1_000_000, 0)
