"""The settings as they are in force: each value in human units, with where it came from.

An origin is `default`, `file:line`, or the name of the environment variable. Settings hold no
secret, but an address may carry one (a user, a query, a long token in its path): those are masked.
Printed as TOML without a mask, what is shown loads as the same settings.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import NODEFAULT

from infra.toml_text import literal
from schemas.settings import Settings, overrides
from schemas.units import format_micro

Steps = tuple[str | int, ...]
Value = str | int | float | list[str]
MASK = "***"
DEFAULT = "default"
TOKEN_MIN = 16
"""A step of a path as long as this is taken for a key; names of endpoints are shorter."""
_QUERY_VALUE = re.compile(r"=[^&]*")


class Leaf(NamedTuple):
    """One value in human units. micro: a decimal number as text. changed: not the default."""

    steps: Steps
    value: Value
    micro: bool
    changed: bool


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One value. steps: sections, keys and list places down to it, as written in the file."""

    steps: Steps
    value: Value
    literal: str
    origin: str
    changed: bool

    @property
    def key(self) -> str:
        """Its name with dots: policy.accounts[0].ratio."""
        return dotted(self.steps)


def entries(settings: Settings, path: Path | None, environ: Mapping[str, str]) -> list[Entry]:
    """Every value in force, sections in the order of their types."""
    lines = {} if path is None else lines_of(path.read_text())
    files = {steps: f"{path}:{line}" for steps, line in lines.items()}
    variables = overrides(environ)
    return [
        Entry(
            steps=leaf.steps,
            value=(shown := masked(leaf.value) if isinstance(leaf.value, str) else leaf.value),
            literal=literal(shown, bare=leaf.micro),
            origin=variables.get(tuple(str(step) for step in leaf.steps))
            or files.get(leaf.steps)
            or DEFAULT,
            changed=leaf.changed,
        )
        for leaf in leaves(settings)
    ]


def leaves(settings: Settings) -> Iterator[Leaf]:
    """Every value, nothing masked; the keys of a table stand together."""
    yield from _walk(settings.wiring, ())
    yield from _walk(settings.policy, ("policy",))


def _walk(part: msgspec.Struct, steps: Steps) -> Iterator[Leaf]:
    nested: list[tuple[msgspec.Struct, Steps]] = []
    for field in msgspec.structs.fields(type(part)):
        value = getattr(part, field.name)
        micro = field.name.endswith("_micro")
        here = (*steps, field.name.removesuffix("_micro"))
        if isinstance(value, msgspec.Struct):
            nested.append((value, here))
        elif isinstance(value, tuple) and value:
            nested += [(item, (*here, i)) for i, item in enumerate(value)]
        else:
            changed = field.default is NODEFAULT or value != field.default
            yield Leaf(here, _human(value, micro=micro), micro, changed)
    for item, here in nested:
        yield from _walk(item, here)


def _human(value: Any, *, micro: bool) -> Value:
    if micro:
        return format_micro(value)
    plain: Value = [] if value == () else value
    return plain


def lines_of(text: str) -> dict[Steps, int]:
    """The line on which each value of a TOML document is set.

    The beginning of a document is a document exactly where no statement is cut: so a value belongs
    to the statement with which it first appears.
    """
    lines = text.split("\n")
    found: dict[Steps, int] = {}
    begin = 0
    for end in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:  # inside a statement of several lines
            continue
        while begin < end - 1 and lines[begin].lstrip()[:1] in ("", "#"):
            begin += 1
        for steps in _places(document, ()):
            found.setdefault(steps, begin + 1)
        begin = end
    return found


def _places(value: Any, steps: Steps) -> Iterator[Steps]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, (*steps, key))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from _places(item, (*steps, place))
    else:
        yield steps


def masked(text: str) -> str:
    """The text; in an address the user, values of the query, the fragment, and tokens masked."""
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:  # no address anybody could connect to, and no part of it can be told apart
        return MASK
    user, at, host = parts.netloc.rpartition("@")
    steps = [MASK if len(step) >= TOKEN_MIN else step for step in parts.path.split("/")]
    query = _QUERY_VALUE.sub(f"={MASK}", parts.query) if "=" in parts.query else parts.query
    if len(query) >= TOKEN_MIN and "=" not in query:
        query = MASK
    fragment = MASK if parts.fragment else ""
    netloc = f"{MASK}@{host}" if at and user else parts.netloc
    return urlunsplit((parts.scheme, netloc, "/".join(steps), query, fragment))


def dotted(steps: Steps) -> str:
    """Steps as one name."""
    names = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return "".join(names).removeprefix(".")


def as_toml(found: list[Entry]) -> str:
    """The entries as a settings file, each with its origin as a comment."""
    text: list[str] = []
    for header, group in _sections(found):
        text.append(("\n" if text else "") + header)
        pairs = [(f"{entry.steps[-1]} = {entry.literal}", entry.origin) for entry in group]
        width = max(len(pair) for pair, _ in pairs)
        text += [f"{pair:<{width}}  # {origin}" for pair, origin in pairs]
    return "\n".join(text) + "\n"


def _sections(found: list[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Header line and entries of each table, in order."""
    groups: dict[Steps, list[Entry]] = {}
    for entry in found:
        groups.setdefault(entry.steps[:-1], []).append(entry)
    for steps, group in groups.items():
        name = ".".join(str(step) for step in steps if isinstance(step, str))
        yield (f"[[{name}]]" if isinstance(steps[-1], int) else f"[{name}]"), group


def as_json(found: list[Entry]) -> bytes:
    """The entries by dotted name: value in human units, and origin."""
    values = {entry.key: {"value": entry.value, "origin": entry.origin} for entry in found}
    return msgspec.json.format(msgspec.json.encode(values))
