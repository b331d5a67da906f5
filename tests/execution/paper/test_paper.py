"""The paper venue fills against the recorded depth as the venue would, and refuses as it would."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.execution.paper_ledger import Killed, PaperLedger
from schemas.records.base import Account
from schemas.records.market import BookEpoch, MarketClosed, MarketResolved
from schemas.records.own import OwnFill
from schemas.units import MICRO

MAIN = Account("main")
CASH = 1_000 * MICRO


def test_execution_starts_without_the_official_client_which_paper_never_needs() -> None:
    client = "{'polymarket', 'eth_account', 'eth_utils'}"
    code = f"import sys, connectors.execution.__main__; sys.exit({client} & set(sys.modules) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_a_buy_walks_the_asks_within_its_limit_and_spends_at_most_its_budget(
    opened: Any,
    desk: Any,
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
    opened: Any, make: Any, desk: Any, depth_of: Any
) -> None:
    opened.tape.put(depth_of(make, asks=[(490_000, 4 * MICRO)]))
    _, verdict = await desk(opened).order()
    assert (verdict.shares_micro, verdict.usd_micro) == (4 * MICRO, 1_960_000)


async def test_cash_pays_for_shares_and_the_fee_of_the_market(
    opened: Any, make: Any, desk: Any, depth_of: Any
) -> None:
    opened.tape.put(depth_of(make, asks=[(500_000, 100 * MICRO)]))
    paper = desk(opened)
    await paper.order()
    # 10 shares * 0.07 * 0.5 * 0.5 = 0.175 USD.
    assert paper.venue.ledger.cash[MAIN] == CASH - 5_000_000 - 175_000


async def test_displayed_liquidity_is_taken_once_until_the_next_depth(
    opened: Any, make: Any, desk: Any, depth_of: Any
) -> None:
    paper = desk(opened)
    await paper.order(intent="main:7:0")
    _, second = await paper.order(intent="main:8:0")
    assert (second.shares_micro, second.usd_micro) == (10 * MICRO, 5_000_000)
    opened.tape.put(depth_of(make, asks=[(490_000, 100 * MICRO)]))
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
    given: dict[str, Any], reason: str, opened: Any, desk: Any
) -> None:
    _, verdict = await desk(opened, cash_micro=30 * MICRO).order(**given)
    assert (verdict.outcome, verdict.reason) == ("refused", reason)
    assert opened.tape.of(OwnFill) == []


@pytest.mark.parametrize("how", ["unknown", "ended epoch", "closed", "resolved", "not accepting"])
async def test_a_token_without_a_trusted_book_or_an_open_market_fills_nothing(
    how: str, opened: Any, make: Any, desk: Any, market_of: Any
) -> None:
    token = "55" if how == "unknown" else make.token
    record: Any = {
        "unknown": make.tick(0),
        "ended epoch": BookEpoch(token=token, epoch="e", state="ended", reason="r"),
        "closed": MarketClosed(condition=make.condition, reason="r"),
        "resolved": MarketResolved(condition=make.condition, payouts={token: 0}, source="s"),
        "not accepting": market_of(make, accepting=False),
    }[how]
    opened.tape.put(record)
    paper = desk(opened)
    signed = make.signed(token=token, backend="paper")
    verdict = await paper.venue.post(signed)
    assert verdict.outcome == "refused"


async def test_a_sell_takes_confirmed_shares_only(opened: Any, desk: Any) -> None:
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


level = st.tuples(st.integers(1, 99), st.integers(1, 500))
levels = st.lists(level, min_size=1, max_size=8, unique_by=lambda pair: pair[0])


@settings(max_examples=80, deadline=None)
@given(
    asks=levels,
    orders=st.lists(st.tuples(st.integers(5, 99), st.integers(100, 5_000)), min_size=1, max_size=5),
)
def test_no_sequence_of_buys_takes_more_than_the_book_held_or_the_cash_there_was(
    make_now: Any,
    asks: list[tuple[int, int]],
    orders: list[tuple[int, int]],
    market_of: Any,
    depth_of: Any,
) -> None:
    book = sorted((cents * 10_000, shares * MICRO) for cents, shares in asks)
    ledger = PaperLedger(20 * MICRO, [MAIN])
    ledger.observe(0, market_of(make_now, min_shares_micro=0))
    ledger.observe(1, depth_of(make_now, asks=book))
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
