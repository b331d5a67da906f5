"""Where the golden tape and its digest stand, and how they are read."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAPE = Path(__file__).with_name("tape.jsonl")
DIGEST = Path(__file__).with_name("digest.json")


def lines() -> list[bytes]:
    """The golden tape, record by record."""
    return TAPE.read_bytes().splitlines()


def refusal(before: dict[str, object], found: dict[str, object], same_rules: bool) -> str | None:
    """Why another digest may not be written down, None if it may."""
    if not before or same_rules or int(str(found["rules"])) > int(str(before["rules"])):
        return None
    return (
        f"the digest differs and RULES is still {before['rules']}: raise it in "
        "flows/core/__init__.py and say in CHANGELOG.md what is decided otherwise, or give "
        "--same-rules if nothing is"
    )


def standing() -> dict[str, object]:
    """What stands in the repository: rules, number of tape records, digest of each topic."""
    found: dict[str, object] = json.loads(DIGEST.read_text())
    return found
