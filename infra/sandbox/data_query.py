"""Parameters of Data API v2 and its cursors (API reference 10.1-10.4). Pure.

Errors are values: `BadQuery` names the parameter. Paging is by cursor only; the limit of the first
page holds for all, and every page must repeat the filters of the first. A cursor holds the last
row's (timestamp, sequence) and a digest of the filters.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from infra.sandbox.index import Row

LIMIT_DEFAULT, LIMIT_MAX, CONDITIONS_MAX = 100, 1000, 20
_UNFILTERED = ("cursor", "limit", "offset", "_")
_WALLET, _CONDITION = re.compile(r"0x[0-9a-fA-F]{40}"), re.compile(r"0x[0-9a-fA-F]{64}")


class BadQueryError(Exception):
    """A request the API refuses; `parameter` is the one at fault."""

    def __init__(self, parameter: str, text: str) -> None:
        super().__init__(text)
        self.parameter = parameter


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended, what its filters were, and how long pages are."""

    after: tuple[int, int]
    filters: str
    limit: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What to serve next."""

    limit: int
    after: tuple[int, int] | None
    filters: str


def page_of(query: Mapping[str, str]) -> Page:
    """The page asked for."""
    if integer(query, "offset", 0):
        raise BadQueryError("offset", "offset is not supported, use cursor")
    known = sorted((key, value) for key, value in query.items() if key not in _UNFILTERED)
    filters = hashlib.sha256(repr(known).encode()).hexdigest()[:16]
    limit = integer(query, "limit", LIMIT_DEFAULT)
    if not 1 <= limit <= LIMIT_MAX:
        raise BadQueryError("limit", f"limit must be between 1 and {LIMIT_MAX}")
    if "cursor" not in query:
        return Page(limit=limit, after=None, filters=filters)
    try:
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(query["cursor"]), type=Cursor)
    except (binascii.Error, ValueError) as error:
        raise BadQueryError("cursor", "cursor is malformed") from error
    if cursor.filters != filters:
        raise BadQueryError("cursor", "cursor does not match the filters, repeat them all")
    return Page(limit=cursor.limit, after=cursor.after, filters=filters)


def envelope(
    page: Page, rows: list[Any], key: Callable[[Any], tuple[int, int]], shape: Callable[[Any], Any]
) -> dict[str, Any]:
    """A page of rows that are already filtered, sorted by descending key, and past the cursor."""
    data = rows[: page.limit]
    more = len(rows) > page.limit
    following = None
    if more:
        cursor = Cursor(key(data[-1]), page.filters, page.limit)
        following = base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode()
    return {
        "data": [shape(row) for row in data],
        "pagination": {
            "limit": page.limit,
            "offset": 0,
            "has_more": more,
            "next_cursor": following,
        },
    }


def integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"-?\d{1,15}", text):
        raise BadQueryError(name, f"{name} must be an integer")
    return int(text)


def number(query: Mapping[str, str], name: str, default: float) -> float:
    text = query.get(name, str(default))
    if not re.fullmatch(r"\d{1,15}(\.\d{1,12})?", text):
        raise BadQueryError(name, f"{name} must be a number that is not negative")
    return float(text)


def flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = query.get(name, "true" if default else "false").lower()
    if text not in ("true", "false"):
        raise BadQueryError(name, f"{name} must be true or false")
    return text == "true"


def choice(query: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    text = query.get(name, default).upper()
    if text not in allowed and text != default:
        raise BadQueryError(name, f"{name} must be one of {', '.join(allowed)}")
    return text


def wallet(query: Mapping[str, str]) -> str | None:
    """One lower-case address; a list of them is no error, but matches nothing."""
    text = query.get("user")
    if text is None:
        return None
    if "," not in text and not _WALLET.fullmatch(text):
        raise BadQueryError("user", "user must be 0x and 40 hex digits")
    return text.lower()


def conditions(query: Mapping[str, str]) -> frozenset[str] | None:
    """The condition ids asked for under any of their three names."""
    names = [name for name in ("condition", "condition_id", "market") if name in query]
    if not names:
        return None
    ids = [text for text in query[names[0]].split(",") if text]
    if not ids or len(ids) > CONDITIONS_MAX or not all(map(_CONDITION.fullmatch, ids)):
        raise BadQueryError(names[0], f"1 to {CONDITIONS_MAX} ids of 0x and 64 hex digits")
    return frozenset(text.lower() for text in ids)


def row_key(row: Row) -> tuple[int, int]:
    return row.ts_s, row.seq


def feed(rows: list[Row], page: Page, keep: Callable[[Row], bool], *, newest: bool) -> list[Row]:
    """Rows to serve, ordered by (timestamp, sequence), one more than the page if there are more."""
    after = page.after
    ordered = sorted((row for row in rows if keep(row)), key=row_key, reverse=newest)
    if after is not None:
        ordered = [r for r in ordered if (row_key(r) < after if newest else row_key(r) > after)]
    return ordered[: page.limit + 1]
