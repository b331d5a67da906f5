"""Other Pythons on this machine, and msgspec for them: the fold needs nothing else.

An interpreter is looked for by name on every folder of PATH and among pyenv's versions; one that
does not answer (a shim without a version) is passed over. msgspec is the wheel of the lock file,
by its hash, fetched once for each version and kept beside the virtual environment.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.golden.stand import ROOT

MINORS = ("3.11", "3.12", "3.13", "3.14")
ASK = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
FETCH_S = 90


class Python(NamedTuple):
    """An interpreter that answers."""

    path: str
    version: str


def found(minor: str) -> Python | None:
    """The first interpreter of a minor version that answers, None if there is none."""
    for path in _candidates(minor):
        try:
            asked = subprocess.run(
                [path, "-I", "-c", ASK], capture_output=True, text=True, timeout=60, check=False
            )
        except OSError:
            continue
        version = asked.stdout.strip()
        if asked.returncode == 0 and version.startswith(f"{minor}."):
            return Python(path, version)
    return None


def _candidates(minor: str) -> Iterator[str]:
    if minor == f"{sys.version_info[0]}.{sys.version_info[1]}":
        yield sys.executable
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if path := shutil.which(f"python{minor}", path=folder):
            yield path
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from (str(path) for path in sorted(versions.glob(f"{minor}.*/bin/python{minor}")))


def msgspec_for(minor: str) -> Path | str:
    """The folder from which this version may import msgspec, or why there is none."""
    pinned = _pinned("msgspec")
    version = pinned.split("==")[1].split()[0]
    folder = Path(sys.prefix) / "golden" / f"msgspec-{version}-for-{minor}"
    if folder.exists():
        return folder
    begun = folder.with_name(f"{folder.name}.{os.getpid()}")
    begun.mkdir(parents=True)
    wanted = begun / "requirements.txt"
    wanted.write_text(pinned)
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--quiet"]
    here = ["--target", str(begun), "--python-version", minor, "--timeout", "15", "--retries", "1"]
    try:
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, *here, "-r", str(wanted)],
            capture_output=True,
            text=True,
            timeout=FETCH_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        shutil.rmtree(begun)
        return f"pip did not get msgspec {version} within {FETCH_S} s"
    except subprocess.CalledProcessError as error:
        shutil.rmtree(begun)
        said = str(error.stderr).strip().splitlines()
        return f"pip has no msgspec {version} for it ({said[-1] if said else 'it said nothing'})"
    shutil.rmtree(begun) if folder.exists() else begun.rename(folder)
    return folder


def _pinned(name: str) -> str:
    """The lock file's lines of one package, hashes included."""
    text = (ROOT / "requirements.lock").read_text()
    block = re.search(rf"^{name}==.*(?:\n    --hash=.*)+", text, re.MULTILINE)
    assert block is not None, f"{name} is not pinned in requirements.lock"
    return block[0]
