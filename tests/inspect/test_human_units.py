"""Numbers, times and foreign bytes as people read them: exact, in UTC, and safe for a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.inspect.human import (
    amount,
    clock,
    masked,
    moment,
    numbered,
    price_of,
    printable,
    raw_shown,
    raw_text,
    short,
    size,
    span,
    usd,
)
from schemas.units import parse_micro


@pytest.mark.parametrize(
    ("micro", "as_amount", "as_usd"),
    [
        (0, "0", "$0.00"),
        (1, "0.000001", "$0.000001"),
        (500_000, "0.5", "$0.50"),
        (12_300_000, "12.3", "$12.30"),
        (1_234_567_890_000, "1,234,567.89", "$1,234,567.89"),
        (-1_500_000, "-1.5", "-$1.50"),
    ],
)
def test_micro_units_are_shown_whole(micro: int, as_amount: str, as_usd: str) -> None:
    assert (amount(micro), usd(micro)) == (as_amount, as_usd)


@given(st.integers(-(10**18), 10**18))
def test_no_digit_of_an_amount_is_lost(micro: int) -> None:
    assert parse_micro(amount(micro).replace(",", "")) == micro
    assert parse_micro(usd(micro).replace(",", "").replace("$", "")) == micro


def test_what_is_not_known_is_a_dash() -> None:
    assert (usd(None), clock(None), span(None), size(None)) == ("-", "-", "-", "-")
    assert price_of(5_000_000, 0) == "-"


@pytest.mark.parametrize(
    ("cash", "shares", "price"),
    [(5_000_000, 10_000_000, "0.5"), (1_000_000, 3_000_000, "0.333333"), (0, 1, "0")],
)
def test_a_price_is_cash_by_shares(cash: int, shares: int, price: str) -> None:
    assert price_of(cash, shares) == price


@pytest.mark.parametrize(
    ("ms", "wanted"),
    [
        (0, "1970-01-01 00:00:00.000"),
        (1_795_046_400_123, "2026-11-19 00:00:00.123"),
        (-1, "-1 ms"),
        (253_402_300_800_000, "253402300800000 ms"),
    ],
)
def test_a_moment_is_utc_to_the_millisecond_and_never_an_error(ms: int, wanted: str) -> None:
    assert moment(ms) == wanted


@given(st.integers(-(10**30), 10**30))
def test_any_number_of_a_record_can_be_shown_as_a_time(ms: int) -> None:
    assert moment(ms)
    assert clock(ms)
    assert span(ms)


@pytest.mark.parametrize(
    ("ms", "wanted"),
    [
        *((0, "0 ms"), (999, "999 ms"), (1_500, "1.5 s"), (-1_500, "-1.5 s")),
        *((180_000, "3 min"), (7_200_000, "2 h"), (604_800_000, "7 d")),
    ],
)
def test_a_span_is_told_in_the_unit_that_suits_it(ms: int, wanted: str) -> None:
    assert span(ms) == wanted


@pytest.mark.parametrize(
    ("count", "wanted"), [(0, "0 B"), (999, "999 B"), (53_800, "53.8 kB"), (2 * 10**9, "2 GB")]
)
def test_bytes_are_told_in_the_unit_that_suits_them(count: int, wanted: str) -> None:
    assert size(count) == wanted


def test_a_number_is_told_in_the_unit_of_its_name() -> None:
    named = [("bid_micro", 480_000), ("age_ms", 1_500), ("failures", 3)]
    assert [numbered(*each) for each in named] == ["bid 0.48", "age 1.5 s", "failures 3"]


def test_identifiers_are_shortened_to_what_a_filter_takes() -> None:
    assert short("71321045679252212594") == "71321045"
    assert short("0x1eade71eade71eade7") == "0x1eade71e"
    assert short("1001") == "1001"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_printed(text: str) -> None:
    assert printable(text).isprintable()


@given(st.binary(max_size=400), st.integers(0, 50))
def test_any_bytes_are_one_printable_line_of_bounded_length(data: bytes, limit: int) -> None:
    line = raw_shown(data, limit)
    assert line.isprintable()
    assert not limit or len(line) <= limit + len(f"… ({len(data):,} bytes)")


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b'{"a": 1}', ('{"a": 1}', True)),
        ("née\n".encode(), ("née\n", True)),
        (b"\xff\x00", ("ff00", False)),
        (b"\x1b[2Jgone", ("1b5b324a676f6e65", False)),
    ],
)
def test_bytes_are_text_where_printable_and_hex_elsewhere(
    data: bytes, wanted: tuple[str, bool]
) -> None:
    assert raw_text(data) == wanted


SECRET = "s3cr3t-and-l0ng=="
PLACES = [
    *('{"apiKey":"%s"}', '{"owner": "%s"}', '{"secret" : "%s"}', "{'passphrase': '%s'}"),
    *('{"maker_owner":"%s"}', '{"POLY_API_KEY":"%s"}', '{"api_key":"%s","x":1}'),
    *('"{\\"secret\\":\\"%s\\"}"', '{"privateKey":"%s"}', '{"trade_owner":"%s"}'),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_credential_that_should_not_be_there_is_masked_all_the_same(place: str) -> None:
    shown = masked(place % SECRET)
    assert SECRET not in shown
    assert "[masked]" in shown
    assert SECRET not in raw_shown((place % SECRET).encode(), 0)


@pytest.mark.parametrize("value", ["0123abcd", "[redacted]", "0x" + "a1" * 20])
def test_hashes_and_public_addresses_stay(value: str) -> None:
    text = f'{{"owner":"{value}","price":"0.5"}}'
    assert masked(text) == text
