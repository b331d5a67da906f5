"""The live backend against the sandbox venue: derived credentials, real matching, real look-ups."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from connectors.execution.backend import NotThere, Seen
from connectors.execution.client_open import derive_credentials
from connectors.execution.live import LiveBackend
from infra.cli.main import cli
from infra.sandbox.market import Market
from infra.sandbox.server import Sandbox
from infra.sandbox.settings import SandboxSettings
from tests.waiting import until, until_answered

QUIET: dict[str, Any] = {"leaders": 0, "stranger_rate_per_s": 0.0, "rival_every": 0}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A quiet venue whose books stand nearly still."""
    settings = SandboxSettings(seed=7, speed=0.05, mined_ms=20, confirmed_ms=20, **QUIET)
    async with Sandbox(settings) as running:
        yield running


@pytest.fixture
async def live(
    sandbox: Sandbox, backend: Any, secrets: Any, venue_at: Any
) -> AsyncIterator[LiveBackend]:
    """The live backend with credentials that the venue has just made."""
    venue = venue_at(sandbox.url)
    found = await derive_credentials(venue, secrets.key, secrets.wallet)
    made = replace(secrets, api_key=found.api_key, secret=found.secret, passphrase=found.passphrase)
    async with backend(venue, made) as opened:
        yield opened


def liquid(sandbox: Sandbox) -> tuple[Market, int]:
    """A market whose first outcome has both sides, and its best ask."""
    for market in sandbox.venue.floor.markets[2:]:
        bid, ask = market.book.best_bid(0), market.book.best_ask(0)
        if bid is not None and ask is not None and 100_000 < ask < 900_000:
            return market, ask
    raise AssertionError("no liquid market in this seed")


def asked(make: Any, market: Market, limit: int, **given: Any) -> Any:
    return make.request(
        token=market.tokens[0], condition=market.condition_id, tick_micro=market.tick_micro,
        limit_micro=limit, **given,
    )  # fmt: skip


async def test_what_the_post_answers_is_what_the_look_up_finds_but_for_a_rounding_each_trade(
    sandbox: Sandbox, live: LiveBackend, make: Any, sign: Any, on_tape: Any
) -> None:
    market, ask = liquid(sandbox)
    request = asked(make, market, ask + 2 * market.tick_micro, budget_micro=25_000_000)
    signed = on_tape(await sign(live, request))
    assert await live.look_up(signed, request) == NotThere()
    verdict = await live.post(signed)
    assert (verdict.outcome, verdict.status) == ("accepted", "matched")
    seen = await live.look_up(signed, request)
    assert isinstance(seen, Seen)
    assert seen.shares_micro == verdict.shares_micro
    assert seen.usd_micro is not None
    assert verdict.usd_micro is not None
    assert abs(seen.usd_micro - verdict.usd_micro) <= len(seen.trades)
    assert set(seen.trades) == set(verdict.trades)
    assert 0 < verdict.usd_micro <= 25_000_000


async def test_the_same_bytes_twice_are_one_order(
    sandbox: Sandbox, live: LiveBackend, make: Any, sign: Any, on_tape: Any
) -> None:
    market, ask = liquid(sandbox)
    signed = on_tape(await sign(live, asked(make, market, ask + market.tick_micro)))
    assert (await live.post(signed)).outcome == "accepted"
    assert (await live.post(signed)).status == "duplicated"


async def test_a_lost_answer_is_unknown_and_the_look_up_finds_the_fill(
    sandbox: Sandbox, live: LiveBackend, make: Any, sign: Any, on_tape: Any
) -> None:
    sandbox.venue.faults.switch(["lost_answer"], {"lost_answer": 1.0})
    market, ask = liquid(sandbox)
    request = asked(make, market, ask + market.tick_micro)
    signed = on_tape(await sign(live, request))
    assert (await live.post(signed)).outcome == "unknown"

    async def found() -> bool:
        seen = await live.look_up(signed, request)
        return isinstance(seen, Seen) and bool(seen.shares_micro)

    await until_answered(found)


async def test_nothing_at_the_limit_is_killed(
    sandbox: Sandbox, live: LiveBackend, make: Any, sign: Any, on_tape: Any
) -> None:
    market, _ = liquid(sandbox)
    request = asked(make, market, market.tick_micro)
    verdict = await live.post(on_tape(await sign(live, request)))
    assert (verdict.outcome, verdict.reason) == ("refused", "killed")


async def test_confirmed_shares_can_be_sold_again(
    sandbox: Sandbox, live: LiveBackend, make: Any, sign: Any, on_tape: Any
) -> None:
    market, ask = liquid(sandbox)
    bought = await live.post(on_tape(await sign(live, asked(make, market, ask + 20_000))))
    trades = sandbox.venue.settlement.trades
    await until(lambda: {trade.status for trade in trades.values()} == {"CONFIRMED"})
    bid = market.book.best_bid(0)
    assert bid is not None
    request = asked(
        make, market, bid - 2 * market.tick_micro, side="SELL",
        shares_micro=bought.shares_micro or 0,
    )  # fmt: skip
    signed = on_tape(await sign(live, request))
    sold = await live.post(signed)
    assert sold.outcome == "accepted"
    assert await live.cancel(signed) == "order not found or already canceled"
    seen = await live.look_up(signed, request)
    assert isinstance(seen, Seen)
    assert seen.shares_micro == sold.shares_micro


async def test_the_credentials_command_writes_a_private_file_that_opens_the_account(
    sandbox: Sandbox, secrets: Any, venue_at: Any, tmp_path: Path
) -> None:
    key, _ = secrets.write(tmp_path)
    venue = venue_at(sandbox.url)
    urls = "\n".join(f'{name} = "{getattr(venue, name)}"' for name in venue.__struct_fields__)
    config, out = tmp_path / "truecopy.toml", tmp_path / "derived.json"
    config.write_text(
        f'[venue]\n{urls}\n[account]\nwallet = "{secrets.wallet}"\n'
        f'[execution]\nkey_file = "{key}"\n'
    )
    words = ["--config", str(config), "credentials", "--out", str(out)]
    result = await asyncio.to_thread(CliRunner().invoke, cli, words)
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    made = json.loads(out.read_bytes())
    assert set(made) == {"apiKey", "secret", "passphrase"}
    assert not any(value in result.output for value in made.values())
    assert secrets.leaked(result.output) == []
    derived = await derive_credentials(venue, secrets.key, secrets.wallet)
    assert derived.api_key == made["apiKey"]
