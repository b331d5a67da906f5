"""Services of docker-compose.yml as local processes, against the session's broker and a sandbox."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from infra.kafka import tether
from tests.conftest import Topics
from tests.deploy.compose import Container, container, read

READY_S = 150.0
ACCOUNT = "main"


@dataclass(frozen=True)
class Venue:
    """A sandbox that runs: what its ready line says."""

    said: dict[str, Any]


@dataclass(frozen=True)
class Deployed:
    """A folder as an operator leaves it before `up`, and the compose file read with it.

    secrets: what must not be found in any log.
    """

    folder: Path
    document: dict[str, Any]
    bootstrap: str
    secrets: tuple[str, ...]

    def container(self, name: str) -> Container:
        """A service, not yet started."""
        return container(self.document, name, bootstrap=self.bootstrap, folder=self.folder)

    @contextmanager
    def running(self, *names: str, log: str = "") -> Iterator[dict[str, Container]]:
        """These services, started at once, and ended whatever happens. log: names one's log."""
        with ExitStack() as stack:
            begun = {name: self.container(name) for name in names}
            for each in begun.values():
                each.name = log or each.name
                each.start()
                stack.callback(each.stop)
            yield begun


@pytest.fixture(scope="session")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """One sandbox for all tests of this folder."""
    log = (tmp_path_factory.mktemp("venue") / "log").open("wb")
    argv = [sys.executable, "-m", "infra.sandbox", "--port", "0", "--markets", "2", "--seed", "7"]
    process = subprocess.Popen(tether.command(argv), stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        yield Venue(json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()
        log.close()


@pytest.fixture
def deployed(topics: Topics, venue: Venue, tmp_path: Path) -> Callable[..., Deployed]:
    """Writes settings, stop folder and, for live with a key, key and credentials."""

    def deploy(*, live: bool, key: bool = True) -> Deployed:
        signer = Account.create()
        (tmp_path / "stop").mkdir()
        config = tmp_path / "truecopy.toml"
        address = signer.address.lower()
        config.write_text(_settings(venue, topics.prefix, address, live=live))
        given = {"TRUECOPY_CONFIG_FILE": str(config), "TRUECOPY_STOP_DIR": str(tmp_path / "stop")}
        secrets: tuple[str, ...] = ()
        if live:
            given["TRUECOPY_LIVE"] = "--live"
        if live and key:
            given |= {
                "TRUECOPY_KEY_FILE": str(tmp_path / "signing_key"),
                "TRUECOPY_CREDENTIALS_FILE": str(tmp_path / "api_credentials.json"),
            }
            secrets = _secrets(config, given, signer.key.hex().removeprefix("0x"))
        bootstrap = topics.broker.bootstrap
        topics.made.extend(topics.prefix + name for name in _topic_names())
        return Deployed(tmp_path, read(given), bootstrap, secrets)

    return deploy


def _topic_names() -> list[str]:
    """So that the fixture deletes what the compose file's own command makes."""
    from infra.topics import declared

    return list(declared())


def _secrets(config: Path, given: dict[str, str], key: str) -> tuple[str, ...]:
    """A private key file and the credentials that `truecopy credentials` derives with it."""
    file = Path(given["TRUECOPY_KEY_FILE"])
    file.touch(mode=0o600)
    file.write_text(key + "\n")
    credentials = Path(given["TRUECOPY_CREDENTIALS_FILE"])
    command = [sys.executable, "-m", "infra.cli.main", "--config", str(config), "credentials"]
    subprocess.run(
        [*command, "--out", str(credentials)],
        env={"TRUECOPY__EXECUTION__KEY_FILE": str(file)},
        check=True,
        capture_output=True,
        timeout=READY_S,
    )
    return (key, *json.loads(credentials.read_text()).values())


def _settings(venue: Venue, prefix: str, wallet: str, *, live: bool) -> str:
    said = venue.said
    return f"""
[kafka]
prefix = "{prefix}"

[venue]
clob_url = "{said["clob_url"]}"
gamma_url = "{said["gamma_url"]}"
data_url = "{said["data_url"]}"
relayer_url = "{said["clob_url"]}"
rpc_url = "{said["clob_url"]}"
market_ws_url = "{said["ws_market"]}"
user_ws_url = "{said["ws_user"]}"
activity_ws_url = "{said["ws_activity"]}"

[account]
account = "{ACCOUNT}"
wallet = "{wallet}"
signer = "{wallet}"

[execution]
backend = "{"live" if live else "paper"}"

[flow]
epoch_s = 1.0

[[policy.accounts]]
name = "{ACCOUNT}"
wallet = "{wallet}"
leaders = [{{ wallet = "{said["leaders"][0].lower()}" }}]
"""


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """Waits for a condition, READY_S at most."""

    def wait(condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + READY_S
        while not condition():
            assert time.monotonic() < until, f"not within {READY_S:.0f} s: {what}"
            time.sleep(0.2)

    return wait
