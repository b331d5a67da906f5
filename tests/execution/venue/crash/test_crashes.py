"""The crash table on real brokers, with the process really killed: what the venue saw is counted.

On the real Kafka and on the embedded one; the venue is a CLOB on loopback, the client the official.
"""

import signal
from typing import Any

import pytest

from schemas.records.own import OrderAnswered, OrderSigned


def final(answers: list[Any]) -> bool:
    return any(a.outcome == "accepted" and a.shares_micro is not None for a in answers)


async def proved_once(rig: Any, http_venue: Any) -> Any:
    """Exactly one order for the one intent: the first OrderSigned of the tape; its last answer."""
    answers = await rig.until(OrderAnswered, final)
    signed = rig.of(OrderSigned)
    assert set(http_venue.posted) == {signed[0].order}
    assert list(http_venue.orders) == [signed[0].order]
    assert answers[-1].order == signed[0].order
    assert answers[-1].shares_micro == 10_000_000
    return answers[-1]


ROWS = [
    # killed at, how the end is proven
    ("taken", "post"),
    ("signed", "post"),
    ("appended", "post"),
    ("posted", "lookup"),
    ("answered", "post"),
]


@pytest.mark.parametrize(("at", "proof"), ROWS, ids=[row[0] for row in ROWS])
async def test_killed_at_any_point_a_restart_brings_the_order_to_its_one_end(
    at: str, proof: str, rig: Any, secrets: Any, http_venue: Any
) -> None:
    config = rig.config(secrets)
    await rig.start_clock()
    await rig.order()
    first = rig.start(config, "--live", at=at)
    assert await first.died() == -signal.SIGKILL
    again = rig.start(config, "--live")
    answer = await proved_once(rig, http_venue)
    assert answer.proof == proof
    assert len(rig.of(OrderSigned)) == 1
    await again.ready()
    again.send(signal.SIGTERM)
    assert await again.died() == 0, again.said
    assert secrets.leaked(first.said + again.said + repr(rig.records())) == []
