"""What once stood on a topic reads the same for ever: one golden line of every kind and version."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import CURRENT, OLDER, chain_hash, decode, encode, seal, unseal

ROOT = Path(__file__).resolve().parents[2]
CONSTRUCTIONS = ("construct_tape.py", "construct_journal.py")


def within(old: Any, new: Any) -> bool:
    """Whether all that old says, new says too; optional fields may have been added."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and within(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(within, old, new))
    return bool(old == new)


def test_every_kind_and_version_has_a_golden_line(golden_lines: list[bytes]) -> None:
    heads = [json.loads(line) for line in golden_lines]
    golden = {(head["kind"], head["v"]) for head in heads}
    known = {*CURRENT.items(), *OLDER}
    assert golden >= known, (
        f"no golden line of {sorted(known - golden)}: see tests/schemas/golden/construct_tape.py"
    )
    assert golden <= known, (
        f"no decoder for {sorted(golden - known)}: decoders of all versions stay"
    )


def test_a_golden_line_is_read_and_written_back_byte_for_byte(golden: bytes) -> None:
    """But for an older version or a line from before an optional field was added."""
    record = decode(golden)
    was, now = json.loads(golden), json.loads(encode(record))
    assert (now["kind"], now["v"]) == (was["kind"], CURRENT[was["kind"]])
    if was["v"] == now["v"]:
        assert within(was, now)
        assert was != now or encode(record) == golden


def test_every_kind_has_a_line_in_its_present_shape(golden_lines: list[bytes]) -> None:
    present = {type(r).__name__ for line in golden_lines if encode(r := decode(line)) == line}
    assert present == set(CURRENT)


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_what_the_constructions_print_stands_among_the_golden_lines(
    name: str, golden_lines: list[bytes], sealed_line: bytes
) -> None:
    script = Path(__file__).parent / "golden" / name
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    printed = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, check=True, timeout=120
    ).stdout.splitlines()
    assert printed
    assert set(printed) <= {*golden_lines, sealed_line}


def test_the_sealed_line_opens_and_closes_byte_for_byte(sealed_line: bytes) -> None:
    envelope, event = unseal(sealed_line)
    assert (envelope.n, envelope.cause, envelope.rules) == (4_711, 10_412, 2)
    assert seal(event, envelope) == sealed_line
    assert chain_hash(sealed_line) == (
        "d3e2859521141300850c8f92821b66cd0b51d84ccf0b50c99beeb82dcd4fae5a"
    )
