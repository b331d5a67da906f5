"""Where a reading begins: an offset, or a moment in UTC written in one of the usual ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.inspect.places import DAY_MS, At, PlaceError, Since, parse_place

NOW_MS = 1_795_046_400_000 + 14 * 3_600_000
"""2026-11-19 14:00 UTC."""
MIDNIGHT_MS = 1_795_046_400_000


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0", At(0)),
        ("12345", At(12_345)),
        ("-5m", Since(NOW_MS - 300_000)),
        ("-90s", Since(NOW_MS - 90_000)),
        ("-250ms", Since(NOW_MS - 250)),
        ("-2h", Since(NOW_MS - 7_200_000)),
        ("-1d", Since(NOW_MS - DAY_MS)),
        ("13:59:58", Since(NOW_MS - 2_000)),
        ("9:30", Since(MIDNIGHT_MS + 9 * 3_600_000 + 1_800_000)),
        ("13:59:58.250", Since(NOW_MS - 1_750)),
        ("14:00:01", Since(NOW_MS + 1_000 - DAY_MS)),
        ("2026-11-19", Since(MIDNIGHT_MS)),
        ("2026-11-19T13:00", Since(NOW_MS - 3_600_000)),
        ("2026-11-19 13:00:00.5", Since(NOW_MS - 3_599_500)),
        ("2026-11-19T15:00+02:00", Since(NOW_MS - 3_600_000)),
        ("2026-11-19T13:00Z", Since(NOW_MS - 3_600_000)),
    ],
)
def test_a_place_is_an_offset_or_a_moment(text: str, wanted: At | Since) -> None:
    assert parse_place(text, NOW_MS) == wanted


@pytest.mark.parametrize("text", ["", "yesterday", "-5", "5m", "-5y", "25:00", "1.5", "2026-13-01"])
def test_anything_else_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(PlaceError, match="is no place to begin; give an offset"):
        parse_place(text, NOW_MS)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 2 * DAY_MS))
def test_a_time_of_day_is_the_last_one_that_was(h: int, m: int, s: int, later_ms: int) -> None:
    now_ms = MIDNIGHT_MS + later_ms
    found = parse_place(f"{h:02}:{m:02}:{s:02}", now_ms)
    assert isinstance(found, Since)
    assert now_ms - DAY_MS < found.ms <= now_ms
    assert (found.ms - MIDNIGHT_MS) % DAY_MS == ((h * 60 + m) * 60 + s) * 1_000
