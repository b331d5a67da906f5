"""Credentials: which are refused, and that no trace of them gets out; the process as such."""

import asyncio
import hashlib
import logging
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from connectors.account.main import run_account
from connectors.polymarket.credentials import CredentialsError
from schemas.records.own import OwnFill
from schemas.settings import SettingsError, parse
from tests.waiting import WAIT_S

ROOT = Path(__file__).resolve().parents[3]
WALLET = "0x" + "cd" * 20


async def test_no_credential_reaches_a_topic_or_a_log_even_at_debug(stages, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    stage = await stages()
    connector, market = stage.start(), stage.venue.market()
    await stage.ready()
    stage.venue.rest(market, market.book.best_bid(0), 30_000_000)
    stage.venue.buy(market, token=1)
    stage.venue.cut()
    await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "CONFIRMED")
    await stage.ready()
    await connector.stopped()
    written = await stage.topics.everything()
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert len(written) > 10_000
    assert "connector=account" in logged
    for secret in stage.venue.secrets:
        assert secret.encode() not in written
        for part in (secret[:8], secret[-8:]):  # a log line may cut what it quotes
            assert part not in logged
    mark = hashlib.sha256(stage.venue.credentials.key.encode()).hexdigest()[:8]
    assert written.count(mark.encode()) > 3, "our rows can still be told apart"


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        ('{"apiKey":"k-1","secret":"czI=","passphrase":"p-3"}', 0o644, "chmod 600"),
        ('{"apiKey":"k-1","secret":"czI=","passphrase":"p-3"}', 0o640, "chmod 600"),
        ('{"apiKey":"k-1","secret":"czI="}', 0o600, "truecopy credentials"),
        ('{"apiKey":"k-1","secret":"czI=","passphrase":""}', 0o600, "empty value"),
        ("k-1 czI= p-3", 0o600, "truecopy credentials"),
        (None, 0o600, "No such file"),
    ],
)
async def test_a_credentials_file_that_will_not_do_is_refused_without_a_word_of_it(
    tmp_path: Path, text: str | None, mode: int, complaint: str
) -> None:
    file = tmp_path / "credentials.json"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    settings = parse({"account": {"wallet": WALLET, "credentials_file": str(file)}})
    with pytest.raises(CredentialsError, match=complaint) as caught:
        await run_account(settings, asyncio.Event())
    assert str(file) in str(caught.value)
    assert not [word for word in ("k-1", "czI=", "p-3") if word in str(caught.value)]


@pytest.mark.parametrize("wiring", [{}, {"wallet": "0x12"}, {"wallet": WALLET, "signer": "me"}])
async def test_an_account_without_addresses_is_refused_by_the_names_of_its_keys(wiring) -> None:
    with pytest.raises(SettingsError, match=r"account\.wallet and account\.signer"):
        await run_account(parse({"account": wiring}), asyncio.Event())


async def test_as_a_process_it_runs_until_sigterm_and_ends_with_zero(stages, tmp_path) -> None:
    stage = await stages()
    process = await _started(stage, tmp_path)
    try:
        await stage.ready()
        market = stage.venue.market()
        stage.venue.buy(market)
        await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "CONFIRMED")
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(process.communicate(), WAIT_S)
    finally:
        await _gone(process)
    assert process.returncode == 0, said.decode()
    assert b"state=stopped" in said
    assert not [secret for secret in stage.venue.secrets if secret.encode() in said]


async def test_as_a_process_it_ends_with_an_error_that_names_the_undelivered_record(
    stages, new_tape, tmp_path
) -> None:
    stage = await stages(kafka=new_tape(raw_user=1))
    process = await _started(stage, tmp_path)
    try:
        _, said = await asyncio.wait_for(process.communicate(), WAIT_S)
    finally:
        await _gone(process)
    assert process.returncode == 1
    assert b"raw.user/1 was not delivered" in said
    assert not [secret for secret in stage.venue.secrets if secret.encode() in said]


async def _started(stage, tmp_path: Path) -> asyncio.subprocess.Process:
    file = tmp_path / "settings.toml"
    wiring = msgspec.to_builtins(stage.settings.wiring)
    sections = {name: wiring[name] for name in ("kafka", "venue", "account")}
    lines = []
    for name, keys in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in keys.items()]
    file.write_text("\n".join(lines))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "connectors.account",
        "--config",
        str(file),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _gone(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
