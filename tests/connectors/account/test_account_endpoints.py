"""What the account connector says of itself while it reads: ready by its feeds, no secret shown."""

import asyncio
import logging
from typing import Any

import httpx
import msgspec

from connectors.telemetry.logs import pairs
from infra.kafka.node import free_ports
from schemas.settings import Settings
from tests.waiting import WAIT_S


def on_a_port(settings: Settings) -> tuple[Settings, str]:
    """The same with a fixed port, and the address."""
    (port,) = free_ports(1)
    replace = msgspec.structs.replace
    health = replace(settings.wiring.health, account_port=port)
    wiring = replace(settings.wiring, health=health)
    return replace(settings, wiring=wiring), f"http://127.0.0.1:{port}"


async def test_it_is_ready_once_every_feed_had_an_answer_and_shows_no_secret(
    stages: Any, caplog: Any
) -> None:
    stage = await stages()
    settings, address = on_a_port(stage.settings)
    with caplog.at_level(logging.INFO):
        connector = stage.start(settings)
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            async with asyncio.timeout(WAIT_S):
                while True:
                    try:
                        answer = await client.get("/readyz")
                    except httpx.ConnectError:
                        await asyncio.sleep(0.05)
                        continue
                    assert set(answer.json()) == {"announced", "feeds", "kafka"}
                    if answer.status_code == 200:
                        break
                    await asyncio.sleep(0.05)
            await stage.ready()
            page = (await client.get("/metrics")).text
            assert (await client.get("/healthz")).text == "ok\n"
        await connector.stopped()
    lines = page.splitlines()
    for feed in ("user", "own_trades", "own_orders", "own_positions", "own_balance"):
        assert f'truecopy_feed_up{{feed="{feed}"}} 1.0' in lines
    assert 'truecopy_rest_requests_total{outcome="ok"}' in page
    assert 'truecopy_produced_total{topic="tape"}' in page
    said = [pairs(r.getMessage()) for r in caplog.records if r.name.startswith("connectors.")]
    assert {"process": "account", "health": address} in said
    up = {line["feed"] for line in said if line and "feed" in line and line["state"] == "up"}
    assert {"user", "own_trades", "own_balance"} <= up
    shown = page + caplog.text
    assert not [secret for secret in stage.venue.secrets if secret in shown]
