"""The paper venue as a process on real brokers: killed anywhere, it doubles no fill."""

import signal
from collections import Counter
from typing import Any

import pytest

from connectors.execution.__main__ import REFUSED
from schemas.codec import encode_levels
from schemas.records.base import Account, Token
from schemas.records.market import Depth, MarketMeta, Outcome
from schemas.records.own import BalanceReport, OrderAnswered, OwnFill, PositionsReport
from schemas.records.system import SCHEMA_VERSION, ConnectorStarted, Genesis, Tick
from schemas.units import MICRO


async def market_on(rig: Any) -> None:
    """A market and its book on the tape."""
    make = rig.make
    outcomes = (Outcome(token=make.token, name="Up"), Outcome(token=Token("99"), name="Down"))
    await rig.append(
        MarketMeta(
            condition=make.condition, outcomes=outcomes, tick_micro=10_000,
            min_shares_micro=5 * MICRO, fee_rate_micro=70_000, fee_exponent=1, neg_risk=False,
            accepting=True, title="t", event="e",
        )
    )  # fmt: skip
    await rig.append(
        Depth(
            token=make.token, epoch="public-1.1", as_of_ms=0, recv_ns=0, tick_micro=10_000,
            bids=encode_levels([(480_000, 100 * MICRO)]),
            asks=encode_levels([(490_000, 100 * MICRO)]),
        )
    )  # fmt: skip


START = 10_000 * MICRO


def by_status(fills: list[Any]) -> dict[str, dict[str, int]]:
    """status -> trade -> shares."""
    found: dict[str, dict[str, int]] = {"CONFIRMED": {}, "MATCHED": {}}
    for fill in fills:
        found[fill.status][fill.trade] = fill.shares_micro
    return found


def held(report: Any) -> int:
    """All shares of a complete report."""
    return sum(row.shares_micro for row in report.rows) if report.complete else -1


@pytest.mark.parametrize("at", ["appended", "posted", "answered"])
async def test_paper_killed_at_any_point_fills_each_order_once(
    at: str, rig: Any, secrets: Any
) -> None:
    config = rig.config(secrets, backend="paper")
    await rig.start_clock()
    await market_on(rig)
    first = await rig.order()
    child = rig.start(config, at=at)
    assert await child.died() == -signal.SIGKILL
    second = await rig.order()
    rig.start(config)
    intents = {first.intent, second.intent}
    answers = await rig.until(
        OrderAnswered, lambda found: {a.intent for a in found if a.outcome == "accepted"} == intents
    )
    fills = await rig.until(OwnFill, lambda found: len(by_status(found)["CONFIRMED"]) == 2)
    matched = Counter(f.order for f in fills if f.status == "MATCHED")
    assert matched == {a.order: 1 for a in answers if a.outcome == "accepted"}
    bought = sum(by_status(fills)["CONFIRMED"].values())
    await rig.until(PositionsReport, lambda found: bought in [held(report) for report in found])
    spent = sum(f.cash_micro for f in fills if f.status == "MATCHED")
    reported = await rig.until(BalanceReport, lambda found: found[-1].usd_micro < START - spent)
    assert reported[-1].usd_micro > START - 2 * spent
    assert [t for t in rig.of(Tick) if t.producer == "paper"]


async def test_an_empty_tape_is_waited_for_and_never_begun(rig: Any, secrets: Any) -> None:
    """Its offset 0 is Genesis; whatever else stood there, `policy apply` would refuse for ever."""
    config = rig.config(secrets, backend="paper")
    waiting = rig.start(config)
    await waiting.until(lambda child: "state=empty" in child.said)
    waiting.send(signal.SIGTERM)
    assert await waiting.died() == 0, waiting.said
    again = rig.start(config)
    await again.until(lambda child: "state=empty" in child.said)
    assert rig.records() == []
    await rig.append(
        Genesis(tape_id="t", schema=SCHEMA_VERSION, shard=0, accounts=(Account("main"),))
    )
    (started,) = await rig.until(ConnectorStarted)
    assert started.role == "paper"
    assert isinstance(rig.records()[0], Genesis)


@pytest.mark.parametrize(("began", "flags"), [("account", ()), ("paper", ("--live",))])
async def test_paper_and_real_fills_never_share_a_tape(
    began: Any, flags: tuple[str, ...], rig: Any, secrets: Any
) -> None:
    """Whoever played an account first says whose tape it is; a connector says nothing of it."""
    config = rig.config(secrets, backend="live" if flags else "paper")
    for role in ("public", began):
        await rig.append(ConnectorStarted(producer=role, role=role))
    child = rig.start(config, *flags)
    assert await child.died() == REFUSED
    assert "would count as" in child.said
    assert "RUNBOOK.md#live-refused" in child.said
    assert len(rig.records()) == 2
