"""Values as TOML text: only what settings need, and what tomllib reads back as the same value."""

import re

_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(text: str) -> str:
    """A basic string on one line."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def literal(value: str | int | float | list[str], *, bare: bool = False) -> str:
    """One value. bare: a text that is a decimal number, written as one."""
    if isinstance(value, list):
        return f"[{', '.join(quoted(item) for item in value)}]"
    if isinstance(value, str):
        return value if bare else quoted(value)
    return repr(value)
