"""The paper venue fills against the recorded depth, and finds itself again on the tape."""

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.execution.backend import NotThere, Refusal, Seen, Signed
from connectors.execution.mirror import Mirror
from connectors.execution.paper import FEEDS, PaperVenue
from connectors.execution.paper_ledger import Killed, PaperLedger
from schemas.codec import encode_levels
from schemas.records.base import Account, Wallet
from schemas.records.market import (
    BookEpoch,
    Depth,
    MarketClosed,
    MarketMeta,
    MarketResolved,
    Outcome,
)
from schemas.records.own import (
    BalanceReport,
    OpenOrdersReport,
    OrderSigned,
    OwnFill,
    PositionsReport,
    ReportAsked,
)
from schemas.records.system import ConnectorStarted, Tick
from schemas.units import MICRO
from schemas.wiring import PaperWiring

MAIN = Account("main")
OTHER_TOKEN = "99"
CASH = 1_000 * MICRO


def market(make: Any, **given: Any) -> MarketMeta:
    values: dict[str, Any] = {
        "condition": make.condition,
        "outcomes": (Outcome(token=make.token, name="Up"), Outcome(token=OTHER_TOKEN, name="Down")),
        "tick_micro": 10_000,
        "min_shares_micro": 5 * MICRO,
        "fee_rate_micro": 70_000,
        "fee_exponent": 1,
        "neg_risk": False,
        "accepting": True,
        "title": "t",
        "event": "e",
    }
    return MarketMeta(**{**values, **given})


def depth(make: Any, bids: Any = (), asks: Any = ()) -> Depth:
    return Depth(
        token=make.token, epoch="public-1.1", as_of_ms=0, recv_ns=0, tick_micro=10_000,
        bids=encode_levels(list(bids)), asks=encode_levels(list(asks)),
    )  # fmt: skip


@dataclass
class Desk:
    """A paper venue over the test's tape."""

    world: Any
    venue: PaperVenue
    mirror: Mirror

    async def order(self, **given: Any) -> tuple[OrderSigned, Any]:
        """Sign and post; the signed order and the verdict."""
        request = self.world.make.request(**given)
        built = await self.venue.sign(request)
        assert isinstance(built, Signed)
        signed: OrderSigned = self.world.make.signed(
            order=built.order, intent=request.intent, side=request.side, backend="paper",
            maker_micro=built.maker_micro, taker_micro=built.taker_micro, payload=built.payload,
        )  # fmt: skip
        return signed, await self.venue.post(signed)


def desk(world: Any, cash_micro: int = CASH, **wiring: Any) -> Desk:
    """A venue that has just read the tape to its end, as after a start."""
    paper = PaperWiring(
        **{"latency_ms": 0, "settle_ms": 50, "cash_usd_micro": cash_micro, **wiring}
    )
    venue = PaperVenue(
        paper, {MAIN: Wallet("0x" + "1" * 40)}, tick_ms=20, append=world.tape.append,
        clock_ns=world.clock.ns,
    )  # fmt: skip
    mirror = Mirror("paper", [venue.ledger.observe])
    venue.attach(mirror)
    world.tape.attach(mirror)
    return Desk(world, venue, mirror)


@pytest.fixture
def opened(world: Any, make: Any) -> Any:
    """A market with a book of three asks and two bids."""
    world.tape.put(market(make))
    world.tape.put(
        depth(
            make,
            bids=[(480_000, 30 * MICRO), (470_000, 100 * MICRO)],
            asks=[(490_000, 4 * MICRO), (500_000, 100 * MICRO), (510_000, 100 * MICRO)],
        )
    )
    return world


async def test_a_buy_walks_the_asks_within_its_limit_and_spends_at_most_its_budget(
    opened: Any,
) -> None:
    _, verdict = await desk(opened).order()
    # 4 shares at 0.49 are 1.96 USD; the other 3.04 USD buy 6.08 at 0.50: more than the 10 planned.
    assert (verdict.outcome, verdict.shares_micro, verdict.usd_micro) == (
        "accepted",
        10_080_000,
        5_000_000,
    )
    (fill,) = opened.tape.of(OwnFill)
    assert (fill.status, fill.source, fill.role) == ("MATCHED", "paper", "TAKER")
    assert (fill.shares_micro, fill.cash_micro) == (10_080_000, 5_000_000)


async def test_a_buy_beyond_the_depth_is_filled_in_part_and_the_rest_is_killed(
    opened: Any, make: Any
) -> None:
    opened.tape.put(depth(make, asks=[(490_000, 4 * MICRO)]))
    _, verdict = await desk(opened).order()
    assert (verdict.shares_micro, verdict.usd_micro) == (4 * MICRO, 1_960_000)


async def test_cash_pays_for_shares_and_the_fee_of_the_market(opened: Any, make: Any) -> None:
    opened.tape.put(depth(make, asks=[(500_000, 100 * MICRO)]))
    paper = desk(opened)
    await paper.order()
    # 10 shares * 0.07 * 0.5 * 0.5 = 0.175 USD.
    assert paper.venue.ledger.cash[MAIN] == CASH - 5_000_000 - 175_000


async def test_displayed_liquidity_is_taken_once_until_the_next_depth(
    opened: Any, make: Any
) -> None:
    paper = desk(opened)
    await paper.order(intent="main:7:0")
    _, second = await paper.order(intent="main:8:0")
    assert (second.shares_micro, second.usd_micro) == (10 * MICRO, 5_000_000)
    opened.tape.put(depth(make, asks=[(490_000, 100 * MICRO)]))
    _, third = await paper.order(intent="main:9:0")
    assert third.shares_micro > 10 * MICRO


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("nothing at the limit", {"limit_micro": 480_000, "budget_micro": 4_800_000}, "killed"),
    ("below the minimum size", {"budget_micro": 2_000_000},
     "size 4000000 micro is lower than the minimum 5000000"),
    ("below a dollar", {"limit_micro": 100_000, "budget_micro": 900_000},
     "a marketable BUY is at least 1 USD"),
    ("sold more than held", {"side": "SELL", "limit_micro": 470_000}, "not enough balance"),
    ("spent more than there is", {"budget_micro": 40_000_000}, "not enough balance"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "reason"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
async def test_what_the_venue_would_refuse_is_refused_and_leaves_no_fill(
    given: dict[str, Any], reason: str, opened: Any
) -> None:
    _, verdict = await desk(opened, cash_micro=30 * MICRO).order(**given)
    assert (verdict.outcome, verdict.reason) == ("refused", reason)
    assert opened.tape.of(OwnFill) == []


@pytest.mark.parametrize("how", ["unknown", "ended epoch", "closed", "resolved", "not accepting"])
async def test_a_token_without_a_trusted_book_or_an_open_market_fills_nothing(
    how: str, opened: Any, make: Any
) -> None:
    token = "55" if how == "unknown" else make.token
    record: Any = {
        "unknown": make.tick(0),
        "ended epoch": BookEpoch(token=token, epoch="e", state="ended", reason="r"),
        "closed": MarketClosed(condition=make.condition, reason="r"),
        "resolved": MarketResolved(condition=make.condition, payouts={token: 0}, source="s"),
        "not accepting": market(make, accepting=False),
    }[how]
    opened.tape.put(record)
    paper = desk(opened)
    signed = make.signed(token=token, backend="paper")
    verdict = await paper.venue.post(signed)
    assert verdict.outcome == "refused"


async def test_a_sell_takes_confirmed_shares_only(opened: Any) -> None:
    paper = desk(opened)
    _, bought = await paper.order()
    sell = {"intent": "main:8:0", "side": "SELL", "limit_micro": 470_000}
    _, early = await paper.order(**sell)
    assert (early.outcome, early.reason) == ("refused", "not enough balance")
    (fill,) = opened.tape.of(OwnFill)
    opened.tape.put(msgspec.structs.replace(fill, status="CONFIRMED"))
    _, late = await paper.order(**{**sell, "intent": "main:9:0"})
    assert (late.shares_micro, late.usd_micro) == (10 * MICRO, 4_800_000)
    (left,) = paper.venue.ledger.holdings(MAIN)
    assert left.shares_micro == bought.shares_micro - 10 * MICRO


async def test_a_killed_venue_finds_its_ledger_by_reading_and_doubles_no_fill(opened: Any) -> None:
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


async def test_an_order_that_was_never_filled_is_not_there(opened: Any, make: Any) -> None:
    assert await desk(opened).venue.look_up(make.signed(), make.request()) == NotThere()


async def test_the_same_intent_has_the_same_order_whoever_signs_it(opened: Any, make: Any) -> None:
    one = await desk(opened).venue.sign(make.request())
    two = await desk(opened).venue.sign(make.request())
    other = await desk(opened).venue.sign(make.request(intent="main:8:0"))
    assert isinstance(one, Signed)
    assert isinstance(other, Signed)
    assert one == two
    assert one.order != other.order


async def test_an_order_off_the_grid_is_not_built(opened: Any, make: Any) -> None:
    refused = await desk(opened).venue.sign(make.request(limit_micro=495_000))
    assert isinstance(refused, Refusal)
    assert "grid" in refused.reason


async def test_it_reports_and_ticks_and_settles_as_an_account_connector_would(opened: Any) -> None:
    paper = desk(opened, positions_every_ms=10_000)
    await paper.order()
    running = asyncio.create_task(paper.venue.run())
    opened.clock.now_ms += 60
    await asyncio.sleep(0.2)
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


async def test_a_fill_left_unsettled_by_a_kill_is_confirmed_after_the_restart(opened: Any) -> None:
    await desk(opened).order()
    opened.clock.now_ms += 60
    running = asyncio.create_task(desk(opened).venue.run())
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [fill.status for fill in opened.tape.of(OwnFill)] == ["MATCHED", "CONFIRMED"]


async def test_a_resolved_market_pays_out_and_leaves_the_positions(opened: Any, make: Any) -> None:
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


level = st.tuples(st.integers(1, 99), st.integers(1, 500))
levels = st.lists(level, min_size=1, max_size=8, unique_by=lambda pair: pair[0])


@settings(max_examples=80, deadline=None)
@given(
    asks=levels,
    orders=st.lists(st.tuples(st.integers(5, 99), st.integers(100, 5_000)), min_size=1, max_size=5),
)
def test_no_sequence_of_buys_takes_more_than_the_book_held_or_the_cash_there_was(
    make_now: Any, asks: list[tuple[int, int]], orders: list[tuple[int, int]]
) -> None:
    book = sorted((cents * 10_000, shares * MICRO) for cents, shares in asks)
    ledger = PaperLedger(20 * MICRO, [MAIN])
    ledger.observe(0, market(make_now, min_shares_micro=0))
    ledger.observe(1, depth(make_now, asks=book))
    filled = 0
    for k, (limit, cents) in enumerate(orders):
        maker = cents * 10_000
        order = make_now.signed(
            order=f"0x{k}", maker_micro=maker, taker_micro=maker * MICRO // (limit * 10_000)
        )
        found = ledger.match(order)
        if isinstance(found, Killed):
            continue
        assert found.cash_micro <= maker
        assert found.last_micro <= limit * 10_000
        filled += found.shares_micro
        fill = make_now.fill(
            order=order.order, trade=f"t{k}", source="paper", shares_micro=found.shares_micro,
            cash_micro=found.cash_micro,
        )  # fmt: skip
        ledger.observe(2 + k, fill)
        ledger.observe(2 + k, fill)
    assert filled <= sum(size for _, size in book)
    assert ledger.cash[MAIN] >= 0
    assert sum(h.shares_micro for h in ledger.holdings(MAIN)) == filled
