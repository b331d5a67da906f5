"""Sets the demo up and takes it down: broker, sandbox, four processes of the pipeline, one folder.

Everything is a child process as in deployment; the settings file it writes is a complete example
of pointing truecopy at another venue. Only loopback addresses, no key of the user's.
"""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from eth_account import Account as EthAccount

from infra.children import Child, ChildDied
from infra.tape import apply_policy
from infra.topics import apply as apply_topics
from schemas.settings import Settings, load

READY_S = 120.0
ACCOUNT = "demo"
PIPELINE = ("public", "account", "flow", "execution")
RESTARTS_MAX = 20
REDEEM_MS = 3_000


@dataclass(frozen=True)
class Options:
    """What the user asked for. kafka: a running broker's address, None for the embedded one."""

    seconds: int = 60
    speed: float = 1.0
    seed: int = 7
    faults: str = "none"
    kafka: str | None = None
    markets: int = 6
    rest_s: int = 15


class Stage:
    """The running demo. `children` by name, in starting order."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.children: dict[str, Child] = {}
        self.bootstrap = ""
        self.venue: dict[str, Any] = {}
        self.config = folder / "truecopy.toml"
        self.settings: Settings = Settings()
        self.prefix = f"demo-{secrets.token_hex(3)}." if options.kafka else ""

    def set_up(self) -> None:
        """Start everything, in the order in which it depends on one another."""
        self._broker()
        sandbox = self._child("sandbox", [*_module("infra.sandbox"), *self._sandbox_arguments()])
        self.venue = sandbox.ready(READY_S)
        self._write_settings()
        self.settings = load(self.config, {})
        apply_topics(self.bootstrap, prefix=self.prefix)
        self._credentials()
        apply_policy(self.settings.wiring.kafka, self.settings.policy)
        self.start_pipeline()

    def start_pipeline(self) -> None:
        """Start the four processes; a second time they go on where they stopped."""
        self._child("public", self._truecopy("connectors", "public"))
        self._child("account", self._truecopy("connectors", "account"))
        self._child("flow", self._truecopy("flow"))
        self._child("execution", self._truecopy("execution", "--live"))

    def look(self) -> None:
        """Raise ChildDied for any child that has ended and was not ended by us."""
        for child in self.children.values():
            if not child.stopped:
                child.check()

    def kill_and_restart(self, name: str) -> None:
        """SIGKILL a process of the pipeline and start it again, as a supervisor would."""
        child = self.children[name]
        child.kill()
        child.restarts += 1
        if child.restarts > RESTARTS_MAX:
            raise ChildDied(f"{name} was started {RESTARTS_MAX} times")
        child.start()

    def stop_pipeline(self) -> None:
        """End the four processes cleanly, the last link of the chain last."""
        for name in PIPELINE:
            child = self.children[name]
            code = child.stop()
            if code != 0:
                raise ChildDied(f"{name} did not end cleanly (code {code}):\n{child.tail()}")

    def tear_down(self) -> None:
        """End every child that is left, newest first."""
        for child in reversed(self.children.values()):
            child.stop()

    def ask(self, path: str) -> Any:
        """One of the sandbox's own endpoints."""
        answer = httpx.get(f"{self.venue['url']}/_sandbox/{path}", timeout=READY_S)
        answer.raise_for_status()
        return answer.json()

    def books(self) -> dict[str, Any]:
        """The venue's own order books of every market it lists, by token."""
        tokens = [t["token_id"] for m in self.ask("truth")["markets"] for t in m["tokens"]]
        asked = [{"token_id": token} for token in tokens]
        answer = httpx.post(f"{self.venue['clob_url']}/books", json=asked, timeout=READY_S)
        answer.raise_for_status()
        return {book["asset_id"]: book for book in answer.json()}

    def _broker(self) -> None:
        if self.options.kafka is not None:
            self.bootstrap = self.options.kafka
            return
        broker = self._child("broker", _module("infra.embedded"))
        self.bootstrap = str(broker.ready(READY_S)["bootstrap"])

    def _child(self, name: str, argv: list[str]) -> Child:
        env = {"TRUECOPY_CONFIG": str(self.config), "PYTHONHASHSEED": "0"}
        child = Child(name=name, argv=argv, folder=self.folder, env=env)
        self.children[name] = child
        child.start()
        return child

    def _truecopy(self, *words: str) -> list[str]:
        return [*_module("infra.cli.main"), "--config", str(self.config), *words]

    def _sandbox_arguments(self) -> list[str]:
        options = self.options
        return [
            *("--port", "0", "--seed", str(options.seed), "--speed", str(options.speed)),
            *("--markets", str(options.markets), "--duration-s", str(options.seconds)),
            *("--rest-after-s", str(options.seconds - options.rest_s)),
            *("--auto-redeem-ms", str(REDEEM_MS)),
            *("--faults", options.faults),
        ]

    def _write_settings(self) -> None:
        key = self.folder / "key"
        signer = EthAccount.create()
        _write_private(key, signer.key.hex())
        address = signer.address.lower()
        embedded = self.options.kafka is None
        leaders = "".join(LEADER.format(wallet=w.lower()) for w in self.venue["leaders"][:2])
        self.config.write_text(
            SETTINGS.format(
                bootstrap=self.bootstrap,
                prefix=self.prefix,
                linger_ms=5 if embedded else 0,
                fetch_wait_ms=5 if embedded else 100,
                url=self.venue["clob_url"],
                gamma_url=self.venue["gamma_url"],
                data_url=self.venue["data_url"],
                market_ws=self.venue["ws_market"],
                user_ws=self.venue["ws_user"],
                activity_ws=self.venue["ws_activity"],
                folder=self.folder,
                account=ACCOUNT,
                address=address,
                leaders=leaders,
            )
        )

    def _credentials(self) -> None:
        file = self.settings.wiring.account.credentials_file
        made = Child(
            name="credentials",
            argv=self._truecopy("credentials", "--out", file),
            folder=self.folder,
            env={"TRUECOPY_CONFIG": str(self.config)},
        )
        made.start()
        assert made.process is not None
        if made.process.wait(READY_S) != 0:
            raise ChildDied(f"credentials could not be derived:\n{made.tail()}")


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


def _write_private(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text + "\n")


@contextmanager
def staged(options: Options, folder: Path) -> Iterator[Stage]:
    """A stage that is set up, and torn down whatever happens."""
    stage = Stage(options, folder)
    try:
        stage.set_up()
        yield stage
    finally:
        stage.tear_down()


def wait_until(deadline: float, stage: Stage, step_s: float = 0.1) -> Iterator[float]:
    """Yield the seconds left, again and again, while every child is alive."""
    while (left := deadline - time.monotonic()) > 0:
        stage.look()
        yield left
        time.sleep(step_s)


SETTINGS = """# Written by `truecopy demo`: a whole pipeline against a venue on loopback.
[kafka]
bootstrap = "{bootstrap}"
prefix = "{prefix}"
linger_ms = {linger_ms}
fetch_wait_ms = {fetch_wait_ms}

[venue]
clob_url = "{url}"
gamma_url = "{gamma_url}"
data_url = "{data_url}"
relayer_url = "{url}"
rpc_url = "{url}"
market_ws_url = "{market_ws}"
user_ws_url = "{user_ws}"
activity_ws_url = "{activity_ws}"

[public]
trades_poll_ms = 1000
activity_poll_ms = 1500
positions_poll_ms = 5000
index_lag_ms = 3000
books_check_ms = 2000
markets_poll_ms = 3000
market_silence_ms = 4000
activity_silence_ms = 4000
activity_rotate_ms = 20000

[account]
account = "{account}"
wallet = "{address}"
signer = "{address}"
credentials_file = "{folder}/credentials.json"
trades_poll_ms = 1000
orders_poll_ms = 3000
positions_poll_ms = 4000
balance_poll_ms = 2000
redemptions_poll_ms = 2000
silence_ms = 6000

[execution]
backend = "live"
key_file = "{folder}/key"
credentials_file = "{folder}/credentials.json"
lookup_every_ms = 500
absent_after_ms = 10000
post_timeout_ms = 3000
stop_file = "{folder}/STOP"

[flow]
recovery_dir = "{folder}/recovery"
epoch_s = 2.0

[policy]
net_window_ms = 1500
quiet_ms = 400
order_ttl_ms = 3000
fills_lag_ms = 5000
leader_report_lag_ms = 6000
account_report_lag_ms = 6000
retry_after_ms = 500
producer_silence_ms = 1000
# Leaders rest at the end: a gap that a failed trade opens then must still find its signal fresh.
max_signal_age_ms = 120000
summary_every_ms = 10000

[[policy.accounts]]
name = "{account}"
wallet = "{address}"
ratio = "0.1"
cap_trade_usd = 150
cap_market_usd = 1000
cap_account_usd = 5000
leaders = [
{leaders}]
"""
LEADER = '  {{ wallet = "{wallet}", cap_usd = 4000 }},\n'
