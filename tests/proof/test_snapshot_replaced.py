"""Another snapshot in the place of the old one: whole, or the old one stays."""

import msgspec
import pytest

from flows.core import RULES
from flows.core.fold import FoldState
from flows.engine.errors import StartRefused
from flows.engine.recovery import IDENTITY_FILE, Identity, prepare, replace
from flows.seeding import Seed, seed

OURS = Identity(tape_id="t", schema_version=1, partition=0, rules=RULES)
SEED = Seed(
    state=FoldState(),
    next_offset=7,
    shard=0,
    places={"journal": (3, 3), "orders": (1, 1), "watch": (0, 0)},
)


def filled(config) -> None:
    seed(config, SEED)


def killed(config) -> None:
    seed(config, SEED)
    raise KeyboardInterrupt


def test_a_snapshot_is_made_where_there_was_none_and_is_taken_as_ours(tmp_path) -> None:
    replace(tmp_path, OURS, filled)
    recovery = prepare(tmp_path, OURS)
    recovery.close()
    assert not (tmp_path / "rebuilt").exists()
    assert recovery.purged_rows == 0, "nothing of it lies past the epoch it resumes from"


def test_killed_while_it_is_made_the_old_one_stays(tmp_path) -> None:
    replace(tmp_path, OURS, filled)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    newer = msgspec.structs.replace(OURS, rules=RULES + 1)
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path, newer, killed)
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert after == before
    replace(tmp_path, newer, filled)
    prepare(tmp_path, newer).close()


def test_killed_between_the_old_and_the_new_one_it_is_refused_not_believed(tmp_path) -> None:
    replace(tmp_path, OURS, filled)
    (tmp_path / IDENTITY_FILE).unlink()
    with pytest.raises(StartRefused, match="truecopy rebuild"):
        prepare(tmp_path, OURS)


def test_other_rules_are_refused_and_a_fresh_directory_asks_first(tmp_path) -> None:
    replace(tmp_path / "a", OURS, filled)
    newer = msgspec.structs.replace(OURS, rules=RULES + 1)
    with pytest.raises(StartRefused, match=f"rules {RULES}, this release has rules {RULES + 1}"):
        prepare(tmp_path / "a", newer)

    def no() -> None:
        raise StartRefused("decided by others")

    with pytest.raises(StartRefused, match="decided by others"):
        prepare(tmp_path / "b", newer, on_fresh=no)
    assert not (tmp_path / "b" / IDENTITY_FILE).exists()


def test_a_directory_that_is_held_is_not_replaced(tmp_path) -> None:
    held = prepare(tmp_path, OURS)
    try:
        with pytest.raises(StartRefused, match="is held by process"):
            replace(tmp_path, OURS, filled)
    finally:
        held.close()
