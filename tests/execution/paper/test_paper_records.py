"""The paper venue's records: found again after a kill, settled, reported, paid out."""

import asyncio
from typing import Any

import pytest

from connectors.execution.backend import NotThere, Refusal, Seen, Signed
from connectors.execution.paper import FEEDS
from schemas.records.base import Account
from schemas.records.market import MarketResolved
from schemas.records.own import (
    BalanceReport,
    OpenOrdersReport,
    OwnFill,
    OwnRedemption,
    PositionsReport,
    ReportAsked,
)
from schemas.records.system import ConnectorStarted, Tick
from schemas.units import MICRO
from tests.waiting import until

MAIN = Account("main")
OTHER_TOKEN = "99"


async def test_a_killed_venue_finds_its_ledger_by_reading_and_doubles_no_fill(
    opened: Any, desk: Any
) -> None:
    first = desk(opened)
    signed, verdict = await first.order()
    again = desk(opened)
    assert again.venue.ledger.cash == first.venue.ledger.cash
    assert again.venue.ledger.holdings(MAIN) == first.venue.ledger.holdings(MAIN)
    seen = await again.venue.look_up(signed, opened.make.request())
    assert isinstance(seen, Seen)
    assert (seen.shares_micro, seen.usd_micro) == (verdict.shares_micro, verdict.usd_micro)
    repeated = await again.venue.post(signed)
    assert (repeated.outcome, repeated.status) == ("unknown", "duplicated")
    assert len(opened.tape.of(OwnFill)) == 1


async def test_an_order_that_was_never_filled_is_not_there(
    opened: Any, make: Any, desk: Any
) -> None:
    assert await desk(opened).venue.look_up(make.signed(), make.request()) == NotThere()


async def test_the_same_intent_has_the_same_order_whoever_signs_it(
    opened: Any, make: Any, desk: Any
) -> None:
    one = await desk(opened).venue.sign(make.request())
    two = await desk(opened).venue.sign(make.request())
    other = await desk(opened).venue.sign(make.request(intent="main:8:0"))
    assert isinstance(one, Signed)
    assert isinstance(other, Signed)
    assert one == two
    assert one.order != other.order


async def test_an_order_off_the_grid_is_not_built(opened: Any, make: Any, desk: Any) -> None:
    refused = await desk(opened).venue.sign(make.request(limit_micro=495_000))
    assert isinstance(refused, Refusal)
    assert "grid" in refused.reason


async def test_it_reports_and_ticks_and_settles_as_an_account_connector_would(
    opened: Any, desk: Any
) -> None:
    paper = desk(opened, positions_every_ms=3_600_000)
    await paper.order()
    running = asyncio.create_task(paper.venue.run())
    opened.clock.now_ms += 60
    await until(lambda: [fill.status for fill in opened.tape.of(OwnFill)][1:] == ["CONFIRMED"])
    await until(
        lambda: all(opened.tape.of(k) for k in (PositionsReport, BalanceReport, OpenOrdersReport))
    )
    ticks = len(opened.tape.of(Tick))
    await until(lambda: len(opened.tape.of(Tick)) > ticks + 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (started,) = [i for i, r in enumerate(opened.tape.records) if isinstance(r, ConnectorStarted)]
    statuses = [fill.status for fill in opened.tape.of(OwnFill)]
    assert statuses == ["MATCHED", "CONFIRMED"]
    asked = opened.tape.of(ReportAsked)
    assert [a.report for a in asked] == [f"paper-{started}.{k}" for k in (1, 2, 3)]
    (positions,) = opened.tape.of(PositionsReport)
    assert positions.complete
    assert [row.shares_micro for row in positions.rows] == [10_080_000]
    (balance,) = opened.tape.of(BalanceReport)
    assert balance.usd_micro == paper.venue.ledger.cash[MAIN]
    assert opened.tape.of(OpenOrdersReport)[0].rows == ()
    ticks = [t for t in opened.tape.of(Tick) if t.producer == "paper"]
    assert [t.seq for t in ticks] == list(range(len(ticks)))
    assert set(ticks[0].feeds) == set(FEEDS)
    assert opened.tape.records.index(asked[0]) < opened.tape.records.index(positions)


async def test_a_fill_left_unsettled_by_a_kill_is_confirmed_after_the_restart(
    opened: Any, desk: Any
) -> None:
    await desk(opened).order()
    opened.clock.now_ms += 60
    running = asyncio.create_task(desk(opened).venue.run())
    await until(lambda: len(opened.tape.of(OwnFill)) == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [fill.status for fill in opened.tape.of(OwnFill)] == ["MATCHED", "CONFIRMED"]


async def test_a_resolved_market_pays_out_and_leaves_the_positions(
    opened: Any, make: Any, desk: Any
) -> None:
    paper = desk(opened)
    await paper.order()
    before = paper.venue.ledger.cash[MAIN]
    opened.tape.put(
        MarketResolved(
            condition=make.condition, payouts={make.token: MICRO, OTHER_TOKEN: 0}, source="s"
        )
    )
    assert paper.venue.ledger.cash[MAIN] == before + 10_080_000
    assert paper.venue.ledger.holdings(MAIN) == ()


async def test_what_a_resolution_paid_is_told_once_whoever_was_killed_in_between(
    opened: Any, make: Any, desk: Any
) -> None:
    await desk(opened).order()
    opened.tape.put(
        MarketResolved(
            condition=make.condition, payouts={make.token: MICRO // 2, OTHER_TOKEN: 0}, source="s"
        )
    )
    for _ in range(2):
        paper = desk(opened)
        running = asyncio.create_task(paper.venue.run())
        started = len(opened.tape.of(BalanceReport))
        await until(lambda n=started: len(opened.tape.of(BalanceReport)) > n)
        await until(lambda p=paper: not p.venue.ledger.untold())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    (told,) = opened.tape.of(OwnRedemption)
    assert (told.account, told.token, told.condition) == (MAIN, make.token, make.condition)
    assert (told.shares_micro, told.cash_micro) == (10_080_000, 5_040_000)
