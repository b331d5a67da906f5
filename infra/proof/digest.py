"""The digest of a folded state: one name for all that the decisions know, the same on any machine.

SHA-256 over the state written out as JSON: a dataclass is its class and its fields in their order,
a mapping is its pairs in the order they were entered (the decisions walk them in that order, so it
is part of what comes next), a record is its own encoding. What one record leaves to be cleared by
the next (`touched`) is no state and left out.
"""

import hashlib
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from flows.core.fold import FoldState

SCRATCH = frozenset({"touched"})
_encoder = msgspec.json.Encoder()


def state_digest(state: FoldState) -> str:
    """64 hex digits that two states share only if the same tape would go on alike from both."""
    return hashlib.sha256(_encoder.encode(_plain(state))).hexdigest()


def _plain(value: Any) -> Any:
    """The value in types that JSON writes down in one way only."""
    if isinstance(value, dict):
        return [[_plain(key), _plain(item)] for key, item in value.items()]
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.name not in SCRATCH]
        return [type(value).__name__, *(_plain(getattr(value, name)) for name in names)]
    assert value is None or isinstance(value, bool | int | str | msgspec.Struct), repr(value)
    return value
