"""The whole account connector, real sockets, a sandbox on loopback and an embedded broker."""

from collections.abc import Awaitable, Callable
from typing import Any

from schemas.records.own import BalanceReport, OpenOrdersReport, OwnFill, PositionsReport
from schemas.records.system import ConnectorStarted, Tick


async def test_a_fill_is_told_from_match_to_confirmation_and_equals_the_ledger(stages) -> None:
    stage = await stages()
    connector = stage.start()
    market = stage.venue.market()
    await stage.topics.until(Tick, lambda ticks: ticks and _all_up(ticks[-1]))
    stage.venue.buy(market)
    fills = await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "CONFIRMED")
    assert [fill.status for fill in fills] == ["MATCHED", "MINED", "CONFIRMED"]
    assert await stage.positions() == {market.tokens[0]: stage.venue.held(market)}
    assert await connector.stopped() < 2


def _all_up(tick: Tick) -> bool:
    return all(feed.state == "up" for feed in tick.feeds.values())
