"""Where a reading begins, from what the user wrote: an offset or a moment. Pure.

All times are UTC. A time of day means the last one that was: after midnight, 23:50 is yesterday's.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

DAY_MS = 86_400_000
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}
HELP = (
    "an offset (12345), a time ago (-5m, -2h), a time of day (14:03:22) or a date (2026-11-23T14)"
)

_AGO = re.compile(r"-(\d+)(ms|s|m|h|d)")
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?")


class PlaceError(ValueError):
    """A beginning that is neither an offset nor a time; the message says what would be."""


class At(NamedTuple):
    """The record with this offset."""

    offset: int


class Since(NamedTuple):
    """The first record that is not older than this."""

    ms: int


def parse_place(text: str, now_ms: int) -> At | Since:
    """The beginning that the text names; raises PlaceError."""
    if text.isdecimal():
        return At(int(text))
    if found := _AGO.fullmatch(text):
        return Since(now_ms - int(found[1]) * UNITS_MS[found[2]])
    try:
        return Since(_time_of_day(text, now_ms) if _TIME.fullmatch(text) else _ms(_date(text)))
    except ValueError as error:
        raise PlaceError(f"{text!r} is no place to begin; give {HELP}") from error


def _time_of_day(text: str, now_ms: int) -> int:
    today = datetime.fromtimestamp(now_ms / 1000, tz=UTC).date()
    time = datetime.fromisoformat(f"{today}T{text.zfill(len(text) + (text[1] == ':'))}")
    ms = _ms(time.replace(tzinfo=UTC))
    return ms if ms <= now_ms else ms - DAY_MS


def _date(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _ms(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
