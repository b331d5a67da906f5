"""The Dockerfile without Docker: its install lines run in a clean environment, its promises read.

The install runs once, with the Python of this run (the image has 3.12; the lock is for both) and
with pip's own cache, so it needs the index only for what was never installed here.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deploy.compose import ROOT, image

STAGES = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1:]
VENV = "/opt/truecopy"
INSTALL_TIMEOUT_S = 480


def instructions(stage: str) -> list[tuple[str, str]]:
    """Instruction and argument of each line that is no comment, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", stage, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines()[1:] if line.strip()]
    return [(line[0], line[1]) for line in lines]


BUILD, FINAL = (instructions(stage) for stage in STAGES)


def copied(stage: list[tuple[str, str]]) -> list[str]:
    """What a stage takes from the project."""
    found = [words.split() for kind, words in stage if kind == "COPY"]
    return [name for words in found if not words[0].startswith("--") for name in words[:-1]]


def test_both_stages_begin_from_the_same_exact_tag() -> None:
    bases = [stage.split()[0] for stage in STAGES]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.12\.\d+-slim-bookworm", bases[0])


def test_the_image_holds_the_environment_and_nothing_of_the_build() -> None:
    copies = [words for kind, words in FINAL if kind == "COPY"]
    assert copies == [f"--from=build {VENV} {VENV}"]


def test_the_image_runs_as_a_user_without_rights_and_ends_on_sigterm() -> None:
    last = dict(FINAL)
    assert last["USER"] == "10001:10001"
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert last["ENTRYPOINT"] == '["truecopy"]'
    assert image()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_volumes_are_mounted_on_folders_that_belong_to_that_user() -> None:
    """A named volume takes its owner from the folder; the flow refuses a recovery of another's."""
    made = next(words for kind, words in FINAL if kind == "RUN")
    assert made.startswith("install -d -o 10001 -g 10001 -m 700 ")
    compose = (ROOT / "docker-compose.yml").read_text()
    for target in re.findall(r"- (?:recovery|archive):(\S+)", compose):
        assert target in made.split()


def test_every_dependency_comes_from_the_lock_by_its_hash() -> None:
    installs = [words for kind, words in BUILD if kind == "RUN" and "pip install" in words]
    assert len(installs) == 3
    for lock, line in zip(("requirements-pip.lock", "requirements.lock"), installs, strict=False):
        assert f"--no-deps --require-hashes --only-binary :all: -r {lock}" in line
    assert "--no-deps --no-build-isolation ." in installs[2]


def test_all_packages_are_copied_and_nothing_else_reaches_the_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = [
        name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]
    ]
    names = copied(BUILD)
    assert set(packages) <= set(names)
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(names)
    assert any(fnmatch("a/__pycache__", rule.replace("**/", "*")) for rule in rules[1:])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The environment that the build stage's lines make, before pip leaves it."""
    source, venv = tmp_path_factory.mktemp("src"), tmp_path_factory.mktemp("opt") / "truecopy"
    for kind, words in BUILD:
        if kind == "COPY":
            for name in words.split()[:-1]:
                _copy(name, source)
        elif kind == "RUN":
            line = words.replace(VENV, str(venv)).replace(
                "python -m venv", f"{sys.executable} -m venv"
            )
            _run(line, source)
    shutil.rmtree(source)
    yield venv
    shutil.rmtree(venv)


def _copy(name: str, to: Path) -> None:
    if (ROOT / name).is_dir():
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(ROOT / name, to / name)


def _run(line: str, folder: Path) -> None:
    # Compiling every module is a third of the time, and nothing is shown by it. pip takes this one
    # by its opposite: a false value asks for no compiling.
    quick = {"PIP_NO_COMPILE": "no", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env={**os.environ, **quick},
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def test_the_install_lines_make_an_environment_that_needs_no_source_tree(
    installed: Path, tmp_path: Path
) -> None:
    """Every process's modules, topics.toml and the schemas come from the environment itself."""
    modules = (
        "connectors.public.main, connectors.account.main, connectors.execution.__main__, "
        "flows.copytrade, flows.export, infra.cli.main, infra.deploy.hold"
    )
    look = (
        f"import {modules}, pathlib, schemas, infra.topics; print(infra.topics.__file__); "
        "print(len(infra.topics.declared(shards=1))); "
        "print(len(list(pathlib.Path(schemas.__file__).parent.glob('json/*.json'))))"
    )
    env = {"PATH": f"{installed}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    python = [str(installed / "bin" / "python"), "-c", look]
    done = subprocess.run(
        python, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    where, topics, schemas = done.stdout.split()
    assert Path(where).is_relative_to(installed)
    assert int(topics) >= 10
    assert int(schemas) == len(list((ROOT / "schemas" / "json").glob("*.json")))
    said = subprocess.run(
        ["truecopy", "--version"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert re.search(r"\d+\.\d+\.\d+", said.stdout)
    assert not (installed / "bin" / "pip").exists()
