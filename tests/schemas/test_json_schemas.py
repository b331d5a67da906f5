"""The exported JSON Schemas are those of the code, valid, and tell records from what is none."""

import json

import jsonschema
import msgspec
import pytest

from schemas.codec import KINDS, json_schema
from schemas.export import FOLDER, rendered


def test_each_kind_has_its_file_and_no_file_is_left_over() -> None:
    stored = {path.stem: path.read_text() for path in FOLDER.glob("*.json")}
    assert stored == {kind: rendered(kind) for kind in KINDS}, "run `python -m schemas.export`"


@pytest.mark.parametrize("kind", KINDS)
def test_each_schema_is_valid_and_describes_itself(kind: str) -> None:
    schema = json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$defs"][kind]["description"]


def test_a_golden_record_is_valid_and_without_a_required_field_it_is_not(golden: bytes) -> None:
    told = json.loads(golden)
    validator = jsonschema.Draft202012Validator(json_schema(told["kind"]))
    validator.validate(told)
    for field in msgspec.structs.fields(KINDS[told["kind"]]):
        lacking = {key: value for key, value in told.items() if key != field.name}
        assert validator.is_valid(lacking) is not field.required, field.name
    assert not validator.is_valid({**told, "kind": "Another"})
    assert not validator.is_valid({**told, "v": "1"})


@pytest.mark.parametrize("levels", ["[]", "5", '[["0.5", 1]]', "[[1.5, 1]]"])
def test_the_levels_of_a_depth_are_pairs_of_integers(
    levels: str, golden_lines: list[bytes]
) -> None:
    told = json.loads(next(line for line in golden_lines if b'"Depth"' in line))
    told["bids"] = json.loads(levels)
    assert jsonschema.Draft202012Validator(json_schema("Depth")).is_valid(told) is (levels == "[]")
