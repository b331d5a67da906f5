"""The project's own shape: what an installer and a reader rely on."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_dependency_is_pinned_with_hashes_in_both_locks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lock, extras in (
        ("requirements.lock", ["build"]),
        ("requirements-dev.lock", ["build", "dev"]),
    ):
        text = (ROOT / lock).read_text()
        wanted = list(project["dependencies"])
        for extra in extras:
            wanted += project["optional-dependencies"][extra]
        for line in wanted:
            name = line.split("=")[0].split(">")[0].strip()
            assert f"\n{name}==" in "\n" + text, f"{name} is not in {lock}: run `make lock`"
        for block in text.split("\n\n"):
            assert "://" not in block, f"{lock} names a host"
        pins = [b for b in text.splitlines() if "==" in b and not b.startswith(" ")]
        assert text.count("--hash=sha256:") >= len(pins)


def test_flows_package_is_empty_so_that_the_decisions_never_load_the_engine() -> None:
    assert (ROOT / "flows" / "__init__.py").read_text() == ""
