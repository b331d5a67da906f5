"""The recovery directory: two crashes in a row, whose it is, and who may hold it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.engine.errors import StartRefused
from flows.engine.launch import Exit
from flows.engine.recovery import IDENTITY_FILE, Identity, Recovery, prepare

FLOW = Path(__file__).with_name("stale_rows_flow.py")
IDENTITY = Identity(tape_id="t", schema_version=1, partition=0)


def execute(directory: Path, execution: int, purge: str, step: str, until: str) -> int | None:
    """Run one execution and kill it when it says `until`; its exit code if it ended by itself."""
    command = [sys.executable, str(FLOW), str(directory), str(execution), purge, step]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.strip() == until:
                    return None
            return process.wait(30)
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("purge", "step", "said", "code"),
    [
        # What Bytewax does by itself: if this one fails, Bytewax has mended it.
        ("unpurged", "bare", "sum 15", None),
        ("purged", "bare", "sum 10", None),
        ("purged", "checked", "sum 10", None),
        ("unpurged", "checked", "-", Exit.TAPE_BROKEN),
    ],
)
def test_two_crashes_in_a_row_count_nothing_twice(
    tmp_path: Path, purge: str, step: str, said: str, code: int | None
) -> None:
    """The purge drops the dead execution's rows; without it the contiguity check stops the flow."""
    assert execute(tmp_path / "state", 1, purge, step, until="snapshot hangs") is None
    assert execute(tmp_path / "state", 2, purge, step, until="epochs passed") is None
    assert execute(tmp_path / "state", 3, purge, step, until=said) == code


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Recovery]:
    recovery = prepare(tmp_path / "state", IDENTITY)
    yield recovery
    recovery.close()


def test_a_new_directory_is_private_and_ready(held: Recovery) -> None:
    assert held.directory.stat().st_mode & 0o777 == 0o700
    assert {f.name for f in held.directory.iterdir()} == {"lock", IDENTITY_FILE, "part-0.sqlite3"}
    assert held.purged_rows == 0


def test_a_directory_in_use_is_refused_by_the_name_of_its_holder(held: Recovery) -> None:
    with pytest.raises(StartRefused, match=f"held by process {os.getpid()}"):
        prepare(held.directory, IDENTITY)


def test_a_directory_is_free_again_when_its_holder_ends(tmp_path: Path) -> None:
    for _ in range(2):
        prepare(tmp_path / "state", IDENTITY).close()


def test_a_copy_of_a_held_directory_can_be_used(held: Recovery, tmp_path: Path) -> None:
    shutil.copytree(held.directory, tmp_path / "copy")
    prepare(tmp_path / "copy", IDENTITY).close()


@pytest.mark.parametrize(
    "other",
    [
        Identity(tape_id="other", schema_version=1, partition=0),
        Identity(tape_id="t", schema_version=2, partition=0),
        Identity(tape_id="t", schema_version=1, partition=1),
    ],
)
def test_a_snapshot_of_another_tape_schema_or_partition_is_refused(
    tmp_path: Path, other: Identity
) -> None:
    prepare(tmp_path / "state", IDENTITY).close()
    with pytest.raises(StartRefused, match=r"tape_id='t'.*truecopy rebuild"):
        prepare(tmp_path / "state", other)
    prepare(tmp_path / "state", IDENTITY).close()


@pytest.mark.parametrize(
    ("content", "said"), [(None, "nothing says which tape"), (b"{}", "cannot be read")]
)
def test_state_without_a_readable_identity_is_refused(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    prepare(tmp_path / "state", IDENTITY).close()
    identity = tmp_path / "state" / IDENTITY_FILE
    identity.unlink() if content is None else identity.write_bytes(content)
    with pytest.raises(StartRefused, match=rf"{said}.*truecopy rebuild"):
        prepare(tmp_path / "state", IDENTITY)


def test_a_directory_that_others_could_have_written_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path / "state", IDENTITY).close()
    (tmp_path / "state").chmod(0o770)
    with pytest.raises(StartRefused, match="writable by others"):
        prepare(tmp_path / "state", IDENTITY)


def test_an_initialisation_that_was_killed_halfway_is_done_again(tmp_path: Path) -> None:
    prepare(tmp_path / "state", IDENTITY).close()
    (tmp_path / "state" / "part-0.sqlite3").unlink()
    aside = tmp_path / "state" / "new"
    aside.mkdir()
    (aside / "part-0.sqlite3").write_bytes(b"half")
    prepare(tmp_path / "state", IDENTITY).close()
    assert (tmp_path / "state" / "part-0.sqlite3").stat().st_size > 4
