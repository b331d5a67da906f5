"""The recovery directory: whose snapshot it is, who holds it, and what must be purged before use.

Bytewax keeps its snapshots in SQLite files. Before it opens them this module
- takes an flock on the directory for the life of the process (the tape guards the topics against
  a second writer, nothing else guards the directory: two writers once left it unusable for good),
- keeps it private, since state is unpickled: whoever can write there can run code here,
- refuses a snapshot of another tape, partition, schema or rules, by the identity beside it,
- deletes what a killed execution left at or past the epoch from which the next one resumes.
  Bytewax never does, and reuses the epoch number: state comes back ahead of its source
  (10 items summed to 15 after two crashes in a row).

Every SQLite connection is closed before Bytewax opens the files: Python's SQLite and Bytewax's are
two libraries in one process that do not see each other's locks, and a late close would delete the
write-ahead log under Bytewax's feet.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
from bytewax.recovery import RecoveryConfig, init_db_dir

from flows.engine.errors import StartRefused

LOCK_FILE = "lock"
IDENTITY_FILE = "identity.json"
STATE_FILES = "*.sqlite3"
FIX = "`truecopy rebuild` folds the tape anew; a fresh directory needs a tape that begins at 0"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whose snapshot this is: the Genesis record at offset 0 of the partition says."""

    tape_id: str
    schema_version: int
    partition: int
    rules: int = 0
    """Version of the decisions in the state; 0 where nothing is decided."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """A directory that this process holds, ready for Bytewax. `close` lets go of it."""

    directory: Path
    config: RecoveryConfig
    purged_rows: int
    lock_fd: int

    def close(self) -> None:
        """Give the directory free for another process. The end of the process does the same."""
        os.close(self.lock_fd)


def prepare(
    directory: Path, identity: Identity, *, on_fresh: Callable[[], None] = lambda: None
) -> Recovery:
    """Lock, check, initialise and purge the directory; raises StartRefused with the reason.

    on_fresh is called where there is no snapshot yet, and may refuse to begin without one.
    """
    _make_private(directory)
    lock_fd = _lock(directory)
    try:
        if not any(directory.glob(STATE_FILES)):
            on_fresh()
        _check_identity(directory, identity)
        if not any(directory.glob(STATE_FILES)):
            _initialise(directory, directory)
        purged = purge(directory)
    except BaseException:
        os.close(lock_fd)
        raise
    return Recovery(
        directory=directory, config=_config(directory), purged_rows=purged, lock_fd=lock_fd
    )


def replace(directory: Path, identity: Identity, fill: Callable[[RecoveryConfig], None]) -> None:
    """Put another snapshot in the place of what is there: `fill` makes it, aside.

    Killed in between, the directory is the old one, or one that `prepare` refuses, or empty.
    """
    _make_private(directory)
    lock_fd = _lock(directory)
    try:
        aside = directory / "rebuilt"
        aside.mkdir(mode=0o700, exist_ok=True)
        for left in aside.glob(STATE_FILES + "*"):
            left.unlink()
        _initialise(directory, aside)
        fill(_config(aside))
        (directory / IDENTITY_FILE).unlink(missing_ok=True)
        for old in directory.glob(STATE_FILES + "*"):
            old.unlink()
        for made in aside.glob(STATE_FILES + "*"):
            made.replace(directory / made.name)
        aside.rmdir()
        _write_durably(directory / IDENTITY_FILE, msgspec.json.encode(identity))
    finally:
        os.close(lock_fd)


def _config(directory: Path) -> RecoveryConfig:
    # Backups are copies of the whole directory, never older epochs inside it: nothing is kept.
    return RecoveryConfig(directory, timedelta(0))  # type: ignore[no-untyped-call]


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid():
        raise StartRefused(
            f"recovery directory {directory} belongs to user {found.st_uid}, not to ours "
            f"({os.geteuid()}): its content is unpickled, so it must be our own"
        )
    if found.st_mode & 0o022 and any(directory.iterdir()):
        raise StartRefused(
            f"recovery directory {directory} is writable by others, so its content cannot be "
            f"trusted (it is unpickled): check it, then `chmod 700 {directory}`"
        )
    directory.chmod(0o700)


def _lock(directory: Path) -> int:
    lock_fd = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock_fd, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock_fd)
        raise StartRefused(
            f"recovery directory {directory} is held by process {holder}: one flow at a time; "
            "end that one first, even if it is stopped or hangs"
        ) from error
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
    return lock_fd


def identity_in(directory: Path) -> Identity | None:
    """Whose snapshot lies there, None if nothing says so; raises StartRefused if it is garbled."""
    file = directory / IDENTITY_FILE
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Identity)
    except msgspec.MsgspecError as error:
        raise StartRefused(f"{file} cannot be read ({error}). Remove {directory}; {FIX}") from error


def _check_identity(directory: Path, identity: Identity) -> None:
    file = directory / IDENTITY_FILE
    if not file.exists():
        if any(directory.glob(STATE_FILES)):
            raise StartRefused(
                f"recovery directory {directory} holds state but no {IDENTITY_FILE}: nothing says "
                f"which tape it belongs to. Remove it; {FIX}"
            )
        _write_durably(file, msgspec.json.encode(identity))
        return
    found = identity_in(directory)
    assert found is not None, "it exists"
    if found != identity and found == msgspec.structs.replace(identity, rules=found.rules):
        raise StartRefused(
            f"recovery directory {directory} is a snapshot of rules {found.rules}, this release "
            f"has rules {identity.rules}: {FIX}"
        )
    if found != identity:
        raise StartRefused(
            f"recovery directory {directory} is a snapshot of {found}, but this flow reads "
            f"{identity}: {FIX}"
        )


def _write_durably(file: Path, data: bytes) -> None:
    part = file.with_suffix(".part")
    with part.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)


def _initialise(directory: Path, target: Path) -> None:
    """One state file, whole or not at all: made aside, moved in when Bytewax has closed it."""
    aside = directory / "new"
    aside.mkdir(mode=0o700, exist_ok=True)
    for old in aside.iterdir():
        old.unlink()
    init_db_dir(aside, 1)  # type: ignore[no-untyped-call]
    for made in aside.glob(STATE_FILES):
        made.replace(target / made.name)
    aside.rmdir()


def purge(directory: Path) -> int:
    """Delete state rows at or past the epoch that Bytewax will resume from; how many there were.

    That epoch is the least frontier over the workers of the newest execution: `fronts`, else the
    epoch the execution itself resumed from (the query of Bytewax's own `resume_from`).
    """
    with contextlib.ExitStack() as stack:
        files = sorted(directory.glob(STATE_FILES))
        parts = [stack.enter_context(contextlib.closing(sqlite3.connect(file))) for file in files]
        epoch = _resume_epoch(parts)
        if epoch is None:
            return 0
        deleted = 0
        for part in parts:
            with part:
                rows = part.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,))
                deleted += rows.rowcount
        return deleted


def _resume_epoch(parts: list[sqlite3.Connection]) -> int | None:
    query = "SELECT ex_num, worker_count, resume_epoch FROM exs"
    executions: list[tuple[int, int, int]] = [row for part in parts for row in part.execute(query)]
    if not executions:
        return None
    newest, workers, first_epoch = max(executions)
    frontier = dict.fromkeys(range(workers), first_epoch)
    query = "SELECT worker_index, worker_frontier FROM fronts WHERE ex_num = ?"
    for part in parts:
        for worker, epoch in part.execute(query, (newest,)):
            frontier[worker] = max(frontier[worker], epoch)
    return min(frontier.values())
