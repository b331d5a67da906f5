"""`truecopy run` refuses before anything starts, and says what is missing."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import msgspec
import pytest

from infra.cli.main import cli
from infra.run.broker import loopback_port
from infra.run.parts import pipeline
from infra.run.preflight import (
    RunRefused,
    check_accounts,
    check_kafka,
    check_mode,
    check_ports,
    check_tape,
    held,
    put_in_order,
)
from infra.tape import TapeWriter
from schemas.records.system import ConnectorStarted
from schemas.settings import Settings, parse
from schemas.wiring import HealthWiring, KafkaWiring

WALLET = "0x" + "ab" * 20
LOOPBACK = {
    "clob_url": "http://127.0.0.1:1",
    "gamma_url": "http://127.0.0.1:1",
    "data_url": "http://127.0.0.1:1",
    "relayer_url": "http://127.0.0.1:1",
    "rpc_url": "http://127.0.0.1:1",
    "market_ws_url": "ws://127.0.0.1:1",
    "user_ws_url": "ws://127.0.0.1:1",
    "activity_ws_url": "ws://127.0.0.1:1",
}
NOWHERE = "127.0.0.1:1"
"""An address at which nothing listens."""


def private(file: Path, mode: int = 0o600) -> str:
    """A file with something in it."""
    file.write_text("secret")
    file.chmod(mode)
    return str(file)


@pytest.fixture
def live(tmp_path: Path) -> Callable[..., Settings]:
    """Settings with every yes to live trading on loopback; sections given replace keys."""

    def made(**changes: dict[str, Any]) -> Settings:
        key = private(tmp_path / "key")
        credentials = private(tmp_path / "credentials")
        document: dict[str, dict[str, Any]] = {
            "venue": LOOPBACK,
            "account": {"wallet": WALLET, "signer": WALLET, "credentials_file": credentials},
            "execution": {"backend": "live", "key_file": key, "credentials_file": credentials},
            "policy": {"accounts": [{"name": "main", "wallet": WALLET}]},
        }
        for section, keys in changes.items():
            document[section] = {**document[section], **keys}
        return parse(document)

    return made


def test_with_every_yes_live_may_start(live: Callable[..., Settings]) -> None:
    check_mode(live().wiring, live=True)
    check_accounts(live(), live=True)


def test_paper_needs_no_key_no_wallet_and_no_address_of_this_machine() -> None:
    check_mode(Settings().wiring, live=False)


@pytest.mark.parametrize(
    ("section", "changes", "reason"),
    [
        ("execution", {"backend": "paper"}, '--live was given, but execution.backend is "paper"'),
        ("execution", {"key_file": ""}, "execution.key_file, which is not set"),
        ("execution", {"key_file": "/nowhere/key"}, "key file /nowhere/key cannot be read"),
        ("execution", {"credentials_file": ""}, "execution.credentials_file, which is not set"),
        ("account", {"credentials_file": ""}, "account.credentials_file, which is not set"),
        ("account", {"credentials_file": "/nowhere/c"}, "`truecopy credentials` makes it"),
        ("account", {"wallet": ""}, "account.wallet"),
        ("venue", {"clob_url": "https://clob.polymarket.com"}, "venue.clob_url is clob.poly"),
        ("venue", {"user_ws_url": "wss://10.0.0.1/ws"}, "venue.user_ws_url is 10.0.0.1"),
    ],
)
def test_each_missing_yes_is_named(
    live: Callable[..., Settings], section: str, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RunRefused, match=reason) as refused:
        check_mode(live(**{section: changes}).wiring, live=True)
    assert "RUNBOOK.md#live-refused" in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_can_read_is_refused_unread(
    live: Callable[..., Settings], tmp_path: Path, mode: int
) -> None:
    loose = private(tmp_path / "loose", mode)
    with pytest.raises(RunRefused, match=f"chmod 600 {loose}"):
        check_mode(live(execution={"key_file": loose}).wiring, live=True)


def test_live_settings_are_not_run_on_paper(live: Callable[..., Settings]) -> None:
    """Paper fills on a live account's tape would count as real."""
    with pytest.raises(RunRefused, match="--live was not given"):
        check_mode(live().wiring, live=False)


def test_without_an_account_to_trade_for_init_is_named(live: Callable[..., Settings]) -> None:
    with pytest.raises(RunRefused, match="truecopy init"):
        check_accounts(Settings(), live=False)
    with pytest.raises(RunRefused, match=r"policy\.accounts has main"):
        check_accounts(live(account={"account": "other"}), live=True)


def test_two_accounts_in_one_shard_are_refused_with_the_way_out(
    live: Callable[..., Settings],
) -> None:
    made = live()
    (first,) = made.policy.accounts
    other = msgspec.structs.replace(first, name="second", wallet="0x" + "cd" * 20)
    both = msgspec.structs.replace(made.policy, accounts=(first, other))
    with pytest.raises(RunRefused, match=r"main, second stand in one shard.*a shard of its own"):
        check_accounts(Settings(wiring=made.wiring, policy=both), live=True)


def test_a_taken_health_port_of_a_process_that_would_run_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RunRefused, match=f"health.flow_port: 127.0.0.1:{port} is taken"):
            check_ports(HealthWiring(flow_port=port), ["public_port", "flow_port"])
        check_ports(HealthWiring(flow_port=port), ["public_port"])
    check_ports(HealthWiring(flow_port=port), ["flow_port"])


def test_two_pipelines_cannot_share_a_folder_of_logs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with held(folder), pytest.raises(RunRefused, match="already"), held(folder):
        pytest.fail("held twice")
    with held(folder):
        assert folder.is_dir()


def test_a_broker_that_does_not_answer_is_named_with_three_ways_to_start_one() -> None:
    with pytest.raises(RunRefused) as refused:
        check_kafka(KafkaWiring(bootstrap=NOWHERE), timeout_s=0.5)
    said = str(refused.value)
    assert NOWHERE in said
    for way in ("docker compose up -d kafka", "python -m infra.kafka up", "--broker local"):
        assert way in said
    assert "RUNBOOK.md#kafka-unreachable" in said


@pytest.mark.parametrize(
    ("bootstrap", "port"),
    [("127.0.0.1:9092", 9092), ("localhost:19092", 19092), ("[::1]:9092", 9092)],
)
def test_a_local_broker_listens_where_the_settings_say(bootstrap: str, port: int) -> None:
    assert loopback_port(bootstrap) == port


@pytest.mark.parametrize("bootstrap", ["kafka:9092", "127.0.0.1", "127.0.0.1:a", "a:1,b:2", ""])
def test_a_local_broker_is_refused_for_any_other_address(bootstrap: str) -> None:
    with pytest.raises(RunRefused, match="--broker local"):
        loopback_port(bootstrap)


def test_the_command_says_the_refusal_and_starts_nothing(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(
        f'[kafka]\nbootstrap = "{NOWHERE}"\n'
        f'[[policy.accounts]]\nname = "main"\nwallet = "{WALLET}"\n'
    )
    words = ["--config", str(config), "run", "--logs", str(tmp_path / "run")]
    answer = click.testing.CliRunner().invoke(cli, words)
    assert answer.exit_code == 1
    assert f"no Kafka answers at {NOWHERE}" in answer.output
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.lock"]


def test_the_embedded_broker_is_never_for_live(
    live: Callable[..., Settings], tmp_path: Path
) -> None:
    config = tmp_path / "settings.json"
    made = live()
    config.write_text(
        "\n".join(
            [
                "[venue]",
                *(f'{key} = "{value}"' for key, value in LOOPBACK.items()),
                "[account]",
                f'wallet = "{WALLET}"\nsigner = "{WALLET}"',
                f'credentials_file = "{made.wiring.account.credentials_file}"',
                "[execution]",
                f'backend = "live"\nkey_file = "{made.wiring.execution.key_file}"',
                f'credentials_file = "{made.wiring.execution.credentials_file}"',
                f'[[policy.accounts]]\nname = "main"\nwallet = "{WALLET}"',
            ]
        )
    )
    words = ["--config", str(config), "run", "--live", "--broker", "embedded"]
    words += ["--logs", str(tmp_path / "run")]
    answer = click.testing.CliRunner().invoke(cli, words)
    assert answer.exit_code == 1
    assert "never for --live" in answer.output


@pytest.mark.parametrize(("role", "live_too"), [("paper", False), ("account", True)])
def test_paper_and_real_fills_never_share_a_tape(
    topics: Any, role: str, live_too: bool, live: Callable[..., Settings]
) -> None:
    """The second kind of trading is refused by whose account began first; the first goes on."""
    kafka = KafkaWiring(bootstrap=topics.broker.bootstrap, prefix=topics.declare())
    made = live()
    settings = msgspec.structs.replace(
        made, wiring=msgspec.structs.replace(made.wiring, kafka=kafka)
    )
    policy, appended = put_in_order(settings, live=live_too, tape_partitions=1)
    assert (policy.version, appended) == (1, True)
    writer = TapeWriter(kafka, "test")
    for each in ("public", role):
        writer.append(ConnectorStarted(producer=each, role=each), each)  # type: ignore[arg-type]
    check_tape(kafka, live=live_too)
    with pytest.raises(RunRefused, match="would count as"):
        check_tape(kafka, live=not live_too)
    assert put_in_order(settings, live=live_too, tape_partitions=1) == (policy, False)


def test_no_process_but_execution_is_told_that_it_is_live() -> None:
    told = [part.name for part in pipeline(live=True, archive=None) if "--live" in part.words]
    assert told == ["execution"]
