"""The crash table on real brokers, with the process really killed: what the venue saw is counted.

On the real Kafka and on the embedded one; the venue is a CLOB on loopback, the client the official.
"""

import asyncio
import signal
from typing import Any

import pytest

from schemas.records.own import OrderAnswered, OrderSigned


async def proved_once(rig: Any, http_venue: Any) -> list[Any]:
    """Exactly one order for the one intent: the first OrderSigned of the tape; all answers."""
    answers = [a for a in await rig.until(OrderAnswered) if a.outcome == "accepted"]
    while not answers or answers[-1].shares_micro is None:
        await asyncio.sleep(0.05)
        answers = [a for a in await rig.until(OrderAnswered) if a.outcome == "accepted"]
    signed = await rig.until(OrderSigned)
    assert set(http_venue.posted) == {signed[0].order}
    assert list(http_venue.orders) == [signed[0].order]
    assert answers[-1].order == signed[0].order
    assert answers[-1].shares_micro == 10_000_000
    return answers


ROWS = [
    # killed at, signatures in all, how the end is proven
    ("taken", 1, "post"),
    ("signed", 1, "post"),
    ("appended", 1, "post"),
    ("posted", 1, "lookup"),
    ("answered", 1, "post"),
]


@pytest.mark.parametrize(("at", "signatures", "proof"), ROWS, ids=[row[0] for row in ROWS])
async def test_killed_at_any_point_a_restart_brings_the_order_to_its_one_end(
    at: str, signatures: int, proof: str, rig: Any, secrets: Any, http_venue: Any
) -> None:
    config = rig.config(secrets)
    await rig.start_clock()
    await rig.order()
    first = rig.start(config, "--live", at=at)
    assert await first.died() == -signal.SIGKILL
    again = rig.start(config, "--live")
    answers = await proved_once(rig, http_venue)
    assert answers[-1].proof == proof
    assert len(await rig.until(OrderSigned)) == signatures
    await again.ready()
    again.send(signal.SIGTERM)
    assert await again.died() == 0, again.said
    assert secrets.leaked(first.said + again.said + repr(rig.records())) == []
