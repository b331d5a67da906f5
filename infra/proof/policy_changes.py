"""`policy.X=Y`: one key of a policy given another value, in the words of the settings file.

Accounts and leaders are chosen by name, a leader also by his wallet: `policy.slippage=0.03`,
`policy.accounts.main.ratio=0.2`, `policy.accounts.main.leaders.ann.cap_usd=50`. The result is
checked as a whole like any policy.
"""

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec

from schemas.policy import LeaderPolicy, PolicyDocument, PolicyError, check_policy
from schemas.units import UnitError, parse_micro

T = TypeVar("T", bound=msgspec.Struct)


class NoSuchPart(PolicyError):
    """The document has no account or leader of that name; an older or newer one may."""


class Change(NamedTuple):
    """One key and its new value, as text. path: without the leading `policy`."""

    path: tuple[str, ...]
    value: str

    @property
    def key(self) -> str:
        """As it was given."""
        return ".".join(("policy", *self.path))


def parse_change(text: str) -> Change:
    """`policy.a.b=c`; raises PolicyError."""
    key, equals, value = text.partition("=")
    first, *path = key.strip().split(".")
    if not equals or first != "policy" or not path or not all(path):
        raise PolicyError(f"{text!r}: policy.KEY=VALUE is expected, such as policy.slippage=0.03")
    return Change(tuple(path), value.strip())


def changed(document: PolicyDocument, changes: Sequence[Change]) -> PolicyDocument:
    """The document with all changes; raises PolicyError naming the key."""
    for change in changes:
        document = _set(document, change.path, change)
    return check_policy(document)


def _set(part: T, path: tuple[str, ...], change: Change) -> T:
    field = _field(part, path[0], change)
    value, rest = getattr(part, field), path[1:]
    if isinstance(value, tuple):
        if len(rest) < 2:
            raise PolicyError(f"{change.key}: name one of them and a key of it")
        new: Any = tuple(_set(v, rest[1:], change) if _is(v, rest[0]) else v for v in value)
        if not any(_is(each, rest[0]) for each in value):
            names = ", ".join(str(each.name or each.wallet) for each in value) or "none"
            raise NoSuchPart(f"{change.key}: there is no {rest[0]!r}, only {names}")
    elif rest:
        raise PolicyError(f"{change.key}: {path[0]} has no keys of its own")
    else:
        new = _value(part, field, change)
    return msgspec.structs.replace(part, **{field: new})


def _is(part: Any, name: str) -> bool:
    return name == part.name or (isinstance(part, LeaderPolicy) and name == part.wallet)


def _field(part: msgspec.Struct, name: str, change: Change) -> str:
    human = {field.removesuffix("_micro"): field for field in part.__struct_fields__}
    if name not in human:
        near = difflib.get_close_matches(name, human, n=1, cutoff=0.0)
        raise PolicyError(f"{change.key}: unknown key {name!r}; did you mean {near[0]}?")
    return human[name]


def _value(part: msgspec.Struct, field: str, change: Change) -> Any:
    try:
        if field.endswith("_micro"):
            return parse_micro(change.value)
        return msgspec.convert(change.value, get_type_hints(type(part))[field], strict=False)
    except (UnitError, msgspec.ValidationError) as error:
        raise PolicyError(f"{change.key}: {error}") from error
