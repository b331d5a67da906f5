"""Settings: one TOML file and the environment over it, checked against the types of wiring, policy.

Keys of the file: [kafka] [venue] [public] [account] [execution] [flow] [health] are wiring,
[policy] is policy. An environment variable TRUECOPY__SECTION__KEY replaces one scalar key;
TRUECOPY_KAFKA is short for TRUECOPY__KAFKA__BOOTSTRAP. Fields named `..._micro` are written without
that ending, in human units, and converted exactly. An unknown key is an error that names it and the
nearest known.
"""

import difflib
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from schemas.policy import PolicyDocument, check_policy
from schemas.units import UnitError, parse_micro
from schemas.wiring import Wiring, check_wiring

T = TypeVar("T", bound=msgspec.Struct)
PREFIX = "TRUECOPY__"
SHORT = {"TRUECOPY_KAFKA": ("kafka", "bootstrap")}


class SettingsError(ValueError):
    """A settings file or variable that cannot be used; names the key and what would be right."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Wiring for this process and the policy it would append to the tape."""

    wiring: Wiring = Wiring()
    policy: PolicyDocument = PolicyDocument()


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from a file (None: defaults) under the environment; raises SettingsError."""
    document: dict[str, Any] = {}
    if path is not None:
        try:
            document = tomllib.loads(path.read_text(), parse_float=Decimal)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"settings file {path}: {error}") from error
    return parse(_overlaid(document, environ))


def parse(document: Mapping[str, Any]) -> Settings:
    """Settings from a parsed document; raises SettingsError naming the key."""
    policy = document.get("policy", {})
    wiring = {key: value for key, value in document.items() if key != "policy"}
    try:
        return Settings(
            wiring=check_wiring(_build(Wiring, wiring, "", beside=("policy",))),
            policy=check_policy(_build(PolicyDocument, policy, "policy")),
        )
    except ValueError as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(str(error)) from error


def overrides(environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Which variable replaces which key of the file; of two for one key the later counts."""
    found: dict[tuple[str, ...], str] = {}
    for name in environ:
        if name in SHORT:
            found[SHORT[name]] = name
        elif name.startswith(PREFIX):
            found[tuple(name[len(PREFIX) :].lower().split("__"))] = name
    return found


def _overlaid(document: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    for path, name in overrides(environ).items():
        place = document
        for step in path[:-1]:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise SettingsError(f"{name}: {step} is no section")
        place[path[-1]] = environ[name]
    return document


def _build(cls: type[T], given: Any, where: str, beside: tuple[str, ...] = ()) -> T:
    """One struct from a table, converting human units and refusing unknown keys."""
    if not isinstance(given, Mapping):
        raise SettingsError(f"{where}: a table is expected, not {given!r}")
    hints = get_type_hints(cls)
    human = {name.removesuffix("_micro"): name for name in cls.__struct_fields__}
    values: dict[str, Any] = {}
    for key, value in given.items():
        dotted = f"{where}.{key}" if where else str(key)
        field = human.get(key)
        if field is None:
            near = difflib.get_close_matches(key, [*human, *beside], n=1, cutoff=0.0)
            raise SettingsError(f"unknown key {dotted}; did you mean {near[0]}?")
        values[field] = _value(hints[field], field, value, dotted)
    try:
        return msgspec.convert(values, cls, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where or 'settings'}: {error}") from error


def _value(hint: Any, field: str, value: Any, dotted: str) -> Any:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _build(hint, value, dotted)
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if not isinstance(value, list):
            raise SettingsError(f"{dotted}: a list is expected, not {value!r}")
        return tuple(_value(item, field, v, f"{dotted}[{i}]") for i, v in enumerate(value))
    if field.endswith("_micro"):
        try:
            return parse_micro(value)
        except UnitError as error:
            raise SettingsError(f"{dotted}: {error}") from error
    return float(value) if isinstance(value, Decimal) else value
