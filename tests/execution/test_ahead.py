"""What is asked of the venue ahead of an order: each market leaders trade in now, and not twice."""

import asyncio
from typing import Any

from connectors.execution.ahead import AGAIN_S, FRESH_MS, Ahead
from connectors.kafka.consumer import Row
from schemas.codec import encode, headers
from schemas.records.base import Condition, Group, Record, Token, Wallet
from schemas.records.leader import LeaderFills
from schemas.records.system import Tick

NOW_MS = 1_795_000_000_000


def fills(token: str) -> LeaderFills:
    return LeaderFills(
        source="feed",
        instance="public-2.a1",
        leader=Wallet("0x" + "a" * 40),
        group=Group("g"),
        tx="0x1",
        token=Token(token),
        condition=Condition("0x2"),
        side="BUY",
        rows=1,
        shares_micro=1,
        cash_micro=1,
        venue_ms=NOW_MS,
        recv_ns=NOW_MS * 1_000_000,
    )


def row(record: Record, at_ms: int = NOW_MS) -> Row:
    return Row("tape", 0, 0, at_ms, None, dict(headers(record)), encode(record))


class Venue:
    """asked: the tokens it was asked about. now_ms: everybody's clock."""

    def __init__(self) -> None:
        self.asked: list[Token] = []
        self.now_ms = NOW_MS

    async def know(self, token: Token) -> None:
        self.asked.append(token)

    async def shown(self, *rows: Row, ahead: Ahead | None = None) -> Ahead:
        """Show rows from another thread, as the tape's reader does, and let all be asked."""
        ahead = ahead or Ahead(self.know, clock_ms=lambda: self.now_ms)
        running = asyncio.create_task(ahead.run())
        await asyncio.to_thread(lambda: [ahead.glance(each) for each in rows])
        for _ in range(10):
            await asyncio.sleep(0)
        running.cancel()
        return ahead


async def test_the_market_of_a_fresh_leader_fill_is_asked_for_once() -> None:
    venue = Venue()
    await venue.shown(row(fills("1")), row(fills("1")), row(fills("2")))
    assert venue.asked == ["1", "2"]


async def test_it_is_asked_for_again_before_the_client_forgets_it() -> None:
    venue = Venue()
    ahead = await venue.shown(row(fills("1")))
    venue.now_ms += int(AGAIN_S * 1_000)
    await venue.shown(row(fills("1"), venue.now_ms), ahead=ahead)
    assert venue.asked == ["1", "1"]


async def test_old_fills_and_other_records_ask_for_nothing() -> None:
    venue = Venue()
    tick: Any = Tick(producer="public", seq=1, now_ms=NOW_MS, feeds={})
    await venue.shown(row(fills("1"), NOW_MS - FRESH_MS - 1), row(tick))
    assert venue.asked == []
