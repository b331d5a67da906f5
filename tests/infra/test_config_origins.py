"""`truecopy config`: what is in force, where it came from, and no secret."""

import json
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import click.testing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cli.main import cli
from infra.effective import DEFAULT, as_toml, dotted, entries, lines_of, masked
from infra.toml_text import quoted
from schemas.settings import Settings, load, parse

FULL = Path(__file__).parents[1] / "schemas" / "full_settings.toml"
WALLET = "0x" + "ab" * 20
HEX = st.text("0123456789abcdef", min_size=40, max_size=40).map("0x{}".format)
MONEY = st.decimals(min_value=0, max_value=10**9, places=6)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Settings as a user may write them: some keys of every kind."""
    wallets = draw(st.lists(HEX, min_size=1, max_size=4, unique=True))
    leaders = [
        {"wallet": wallet, "name": draw(st.text(max_size=8)), "cap_usd": draw(MONEY)}
        for wallet in wallets[1:]
    ]
    account = {"name": "main", "wallet": wallets[0], "ratio": draw(MONEY) + 1, "leaders": leaders}
    return {
        "kafka": {"prefix": draw(st.text(max_size=8)), "shard": draw(st.integers(0, 99))},
        "flow": {"epoch_s": draw(st.floats(min_value=0.001, max_value=1e6))},
        "execution": {"key_file": draw(st.text(max_size=8)), "paper": {"cash_usd": draw(MONEY)}},
        "policy": {"slippage": draw(st.decimals(0, Decimal("0.999999"), places=6))}
        | ({"accounts": [account]} if draw(st.booleans()) else {}),
    }


def shown(settings: Settings, **places: Any) -> str:
    """The settings as printed."""
    return as_toml(entries(settings, places.get("path"), places.get("environ", {})))


@given(documents())
def test_what_is_printed_loads_as_the_same_settings(document: dict[str, Any]) -> None:
    settings = parse(document)
    assert parse(tomllib.loads(shown(settings), parse_float=Decimal)) == settings


@given(st.text())
def test_any_text_is_one_line_of_toml_and_comes_back(text: str) -> None:
    line = f"key = {quoted(text)}"
    assert tomllib.loads(line) == {"key": text}
    assert "\n" not in line


def test_every_key_of_a_file_is_told_with_its_own_line() -> None:
    """The line that is named is one that sets this key."""
    found = [e for e in entries(load(FULL, {}), FULL, {}) if e.origin != DEFAULT]
    lines = FULL.read_text().splitlines()
    assert len(found) > 90
    for entry in found:
        path, _, line = entry.origin.rpartition(":")
        assert path == str(FULL), f"{entry.key} has origin {entry.origin}"
        key = lines[int(line) - 1].split("=")[0].strip()
        assert key == entry.steps[-1], f"{entry.key}: line {line} sets {key}"
        assert entry.changed, f"{entry.key} is said to be the default"


def test_statements_of_several_lines_count_from_their_first() -> None:
    text = "\n".join(
        [
            "# nothing",
            "[policy]",
            "",
            "[[policy.accounts]]",
            'name = "main"',
            "leaders = [",
            f'  {{ wallet = "{WALLET}", cap_usd = 5 }},',
            "]",
            '[kafka]  # prefix = "not here"',
            "bootstrap = '''",
            "prefix = 7",
            "'''",
            'prefix = "here"',
        ]
    )
    assert {dotted(steps): line for steps, line in lines_of(text).items()} == {
        "policy.accounts[0].name": 5,
        "policy.accounts[0].leaders[0].wallet": 6,
        "policy.accounts[0].leaders[0].cap_usd": 6,
        "kafka.bootstrap": 10,
        "kafka.prefix": 13,
    }


def test_the_variable_that_counts_is_named_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[kafka]\nbootstrap = "file:1"\nprefix = "eu."\n')
    environ = {
        "TRUECOPY_KAFKA": "short:1",
        "TRUECOPY__KAFKA__BOOTSTRAP": "long:1",
        "TRUECOPY__EXECUTION__PAPER__CASH_USD": "2.5",
        "OTHER": "x",
    }
    settings = load(file, environ)
    origins = {e.key: (e.value, e.origin) for e in entries(settings, file, environ)}
    assert origins["kafka.bootstrap"] == ("long:1", "TRUECOPY__KAFKA__BOOTSTRAP")
    assert origins["kafka.prefix"] == ("eu.", f"{file}:3")
    assert origins["kafka.shard"] == (0, DEFAULT)
    cash = ("2.5", "TRUECOPY__EXECUTION__PAPER__CASH_USD")
    assert origins["execution.paper.cash_usd"] == cash


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("https://clob.polymarket.com", "https://clob.polymarket.com"),
        ("wss://host.test/ws/market", "wss://host.test/ws/market"),
        ("http://127.0.0.1:8080/gamma", "http://127.0.0.1:8080/gamma"),
        ("https://user:pass@host.test:1/x", "https://***@host.test:1/x"),
        ("https://token@host.test", "https://***@host.test"),
        ("https://host.test/v2/0123456789abcdef01", "https://host.test/v2/***"),
        ("https://host.test/?dkey=secret&b=2", "https://host.test/?dkey=***&b=***"),
        ("https://host.test/?0123456789abcdef", "https://host.test/?***"),
        ("https://host.test/#secret", "https://host.test/#***"),
        ("http://[broken/secret", "***"),
        ("kafka-1:9092,kafka-2:9092", "kafka-1:9092,kafka-2:9092"),
    ],
)
def test_what_may_be_a_secret_in_an_address_is_masked(address: str, seen: str) -> None:
    assert masked(address) == seen


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=16, max_size=40))
def test_no_long_token_of_an_address_is_ever_printed(drawn: str) -> None:
    token = f"zq7{drawn}"  # what no key or comment holds by chance
    for address in (
        f"https://{token}@host.test/rpc",
        f"https://u:{token}@host.test",
        f"https://host.test/v2/{token}",
        f"https://host.test/?key={token}",
        f"wss://host.test/a#{token}",
    ):
        settings = parse({"venue": {"rpc_url": address}})
        assert token not in shown(settings)


def test_the_command_prints_only_changes_or_json_where_asked(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[kafka]\nprefix = "eu."\nshard = 0\n')
    run = click.testing.CliRunner(env={"TRUECOPY_KAFKA": None, "TRUECOPY_CONFIG": None})
    changed = run.invoke(cli, ["--config", str(file), "config", "--changed"])
    assert changed.output == f'[kafka]\nprefix = "eu."  # {file}:2\n'
    told = json.loads(run.invoke(cli, ["--config", str(file), "config", "--json"]).output)
    assert told["kafka.shard"] == {"value": 0, "origin": f"{file}:3"}
    assert told["policy.slippage"] == {"value": "0.02", "origin": DEFAULT}
    nothing = run.invoke(cli, ["config", "--changed"])
    assert nothing.output == "# every value is the default\n"


def test_settings_that_cannot_be_used_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[kafka]\nprefx = 'eu.'\n")
    answer = click.testing.CliRunner().invoke(cli, ["--config", str(file), "config"])
    assert answer.exit_code == 1
    assert "unknown key kafka.prefx" in answer.output
