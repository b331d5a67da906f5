"""Where the golden tape and its digest stand, and how they are read."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAPE = Path(__file__).with_name("tape.jsonl")
DIGEST = Path(__file__).with_name("digest.json")


def lines() -> list[bytes]:
    """The golden tape, record by record."""
    return TAPE.read_bytes().splitlines()


def standing() -> dict[str, object]:
    """What stands in the repository: rules, number of tape records, digest of each topic."""
    found: dict[str, object] = json.loads(DIGEST.read_text())
    return found
