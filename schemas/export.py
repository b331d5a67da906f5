"""Writes the JSON Schema of every kind to schemas/json/; a test compares them with the code.

`python -m schemas.export` rewrites them.
"""

import json
from pathlib import Path

from schemas.codec import KINDS, json_schema

FOLDER = Path(__file__).parent / "json"


def rendered(kind: str) -> str:
    """Text of the schema file of one kind."""
    return json.dumps(json_schema(kind), indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Rewrite the folder: one file a kind, none that has no kind."""
    FOLDER.mkdir(exist_ok=True)
    for stale in FOLDER.glob("*.json"):
        if stale.stem not in KINDS:
            stale.unlink()
    for kind in KINDS:
        (FOLDER / f"{kind}.json").write_text(rendered(kind))


if __name__ == "__main__":
    main()
