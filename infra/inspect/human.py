"""Numbers, times and foreign bytes as people read them. Pure.

Amounts are exact: every digit that the record has is shown. Times are UTC. Text from outside never
reaches a terminal as control characters (a market's title could redraw the screen), and whatever
looks like a credential is masked although none should ever have been written.
"""

import re
from datetime import UTC, datetime, timedelta

from schemas.units import MICRO, format_micro

ID_SHOWN = 8
RAW_SHOWN = 160
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999; what lies outside is no time of ours."""

_CREDENTIAL = re.compile(
    r"(?i)(\\?[\"'](?:secret|passphrase|[a-z_]*api_?key|[a-z_]*owner|poly_(?:api_key|passphrase|"
    r"signature)|private_?key)\\?[\"']\s*:\s*\\?[\"'])([^\"'\\]+)"
)
_HASHED = re.compile(r"[0-9a-f]{8}|\[redacted\]|0x[0-9a-fA-F]{40}")
"""What may stand in such a place: a hash, a redaction's mark, a public address."""


def amount(micro: int) -> str:
    """Exact decimal with thousands separated: 1234500000 -> '1,234.5'."""
    whole, dot, part = format_micro(abs(micro)).partition(".")
    return f"{'-' if micro < 0 else ''}{int(whole):,}{dot}{part}"


def usd(micro: int | None) -> str:
    """Dollars, to the cent at least: '$12.30'; '-' for what is not known."""
    if micro is None:
        return "-"
    whole, _, part = format_micro(abs(micro)).partition(".")
    return f"{'-' if micro < 0 else ''}${int(whole):,}.{part:0<2}"


def shares(micro: int | None) -> str:
    """Shares; '-' for what is not known."""
    return "-" if micro is None else amount(micro)


def price_of(cash_micro: int, shares_micro: int) -> str:
    """Dollars per share of a trade, to the sixth decimal rounded down; '-' for no shares."""
    return amount(cash_micro * MICRO // shares_micro) if shares_micro else "-"


def moment(ms: int) -> str:
    """Date and time to the millisecond: '2026-11-23 14:03:22.123'."""
    if not 0 <= ms <= LAST_MS:
        return f"{ms} ms"
    return (EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def clock(ms: int | None) -> str:
    """Time of day: '14:03:22.123'; '-' for what is not known."""
    if ms is None:
        return "-"
    return moment(ms).partition(" ")[2] if 0 <= ms <= LAST_MS else moment(ms)


def clock_ns(ns: int) -> str:
    """Time of day of nanoseconds since the epoch."""
    return clock(ns // 1_000_000)


def span(ms: int | None) -> str:
    """A length of time in the unit that suits it: '40 ms', '1.5 s', '3 min', '7 d'."""
    if ms is None:
        return "-"
    size = abs(ms)
    for unit_ms, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if size >= unit_ms:
            return f"{ms / unit_ms:.3g} {unit}"
    return f"{ms} ms"


def numbered(name: str, value: int) -> str:
    """A number of a record in the unit that its name ends with: 'age 1.5 s', 'bid 0.48'."""
    if name.endswith("_micro"):
        return f"{name.removesuffix('_micro').replace('_', ' ')} {amount(value)}"
    if name.endswith("_ms"):
        return f"{name.removesuffix('_ms').replace('_', ' ')} {span(value)}"
    return f"{name.replace('_', ' ')} {value}"


def size(count: int | None) -> str:
    """Bytes: '12 B', '3.4 MB'; '-' for what the broker does not tell."""
    if count is None:
        return "-"
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} B"


def short(text: str) -> str:
    """The beginning of an identifier, long enough to be handed to a filter."""
    shown = ID_SHOWN + 2 if text.startswith("0x") else ID_SHOWN
    return text if len(text) <= shown else text[:shown]


def printable(text: str) -> str:
    """The text without anything that a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def masked(text: str) -> str:
    """The text without credentials: what stands beside their names, unless it is a hash already."""
    return _CREDENTIAL.sub(
        lambda m: m[0] if _HASHED.fullmatch(m[2]) else f"{m[1]}[masked]",
        text,
    )


def raw_text(data: bytes) -> tuple[str, bool]:
    """Bytes as text where they are printable UTF-8, else as hex; True if they are text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data.hex(), False
    if all(c.isprintable() or c in "\n\r\t" for c in text):
        return masked(text), True
    return data.hex(), False


def raw_shown(data: bytes, limit: int = RAW_SHOWN) -> str:
    """The same on one line, cut after so many characters (0: not cut) with what is missing."""
    text, readable = raw_text(data)
    line = printable(text) if readable else f"hex {text}"
    if not limit or len(line) <= limit:
        return line
    return f"{line[:limit]}… ({len(data):,} bytes)"
