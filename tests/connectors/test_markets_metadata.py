"""What a market is, whether it takes orders, and how it ended: looked up, never guessed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.polymarket.resolution import NotResolved, payouts_of
from connectors.polymarket.wire import BadValue, Unreadable
from connectors.polymarket.wire_catalogue import (
    GammaMarket,
    decode_clob_market,
    end_ms,
    market_meta,
)
from connectors.polymarket.wire_data import Resolution, TokenRow
from schemas.records.base import Condition
from schemas.records.market import MarketClosed, MarketMeta, MarketResolved

CONDITION = Condition("0x" + "cd" * 32)
BY_TOKEN, CLOB = "/markets-by-token/11", f"/clob-markets/{CONDITION}"
GAMMA, RESOLVED, TOKENS = "/markets/keyset", "/v2/resolutions", "/v2/tokens"
WAIT_S = 30


def clob(**changed: Any) -> dict[str, Any]:
    return {
        "t": [{"t": "11", "o": "Up"}, {"t": "22", "o": "Down"}],
        "c": CONDITION,
        "mos": 5,
        "mts": 0.01,
        "nr": False,
        "fd": {"r": 0.07, "e": 1, "to": True},
        "ao": True,
        **changed,
    }


def gamma(**changed: Any) -> dict[str, Any]:
    return {
        "conditionId": CONDITION,
        "question": "Up or down?",
        "slug": "up-or-down",
        "endDate": "2026-11-23T18:00:00Z",
        "active": True,
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "outcomes": '["Up", "Down"]',
        "events": [{"slug": "the-event"}],
        **changed,
    }


def meta(**changed: Any) -> MarketMeta:
    made_clob = clob(**{k: v for k, v in changed.items() if k in clob()})
    made_gamma = gamma(**{k: v for k, v in changed.items() if k not in clob()})
    decoded = decode_clob_market(json.dumps(made_clob).encode())
    assert not isinstance(decoded, Unreadable)
    return market_meta(CONDITION, decoded, msgspec.convert(made_gamma, GammaMarket, strict=False))


def test_clob_and_gamma_make_one_record() -> None:
    found = meta()
    assert [(outcome.token, outcome.name) for outcome in found.outcomes] == [
        ("11", "Up"),
        ("22", "Down"),
    ]
    assert (found.tick_micro, found.min_shares_micro) == (10_000, 5_000_000)
    assert (found.fee_rate_micro, found.fee_exponent) == (70_000, 1)
    assert (found.title, found.event, found.accepting) == ("Up or down?", "the-event", True)
    assert found.end_ms == 1_795_456_800_000


def test_a_fee_that_clob_does_not_state_is_gammas_and_one_that_nobody_states_is_refused() -> None:
    schedule = {"rate": 0.05, "exponent": 1}
    stated = meta(fd=None, feesEnabled=True, feeSchedule=schedule)
    assert stated.fee_rate_micro == 50_000
    assert meta(fd=None, feesEnabled=False).fee_rate_micro == 0
    with pytest.raises(BadValue, match="neither CLOB nor Gamma"):
        meta(fd=None)


@pytest.mark.parametrize(
    "changed",
    [
        {"ao": False},
        {"acceptingOrders": False},
        {"active": False},
        {"closed": True},
        {"archived": True},
        {"enableOrderBook": False},
    ],
)
def test_orders_are_taken_only_if_every_source_says_so(changed: dict[str, Any]) -> None:
    assert not meta(**changed).accepting


@pytest.mark.parametrize("changed", [{"mts": 0}, {"mts": 2}, {"mts": 0.0000001}, {"mos": -5}])
def test_an_impossible_tick_or_minimum_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(BadValue, match="market 0x"):
        meta(**changed)


@pytest.mark.parametrize("fee", [{"r": -0.01}, {"r": 1.5}, {"r": 0.07, "e": 900_000}])
def test_a_fee_that_cannot_be_is_refused(fee: dict[str, Any]) -> None:
    with pytest.raises(BadValue, match="is no schedule"):
        meta(fd=fee)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-11-22 18:00:00+00", 1_795_370_400_000),
        ("2026-11-22T18:00:00.5Z", 1_795_370_400_000),
        ("2026-11-22T18:00:00", 1_795_370_400_000),
        ("some day", None),
    ],
)
def test_end_dates_of_every_format_are_read_and_others_are_unknown(
    text: str, ms: int | None
) -> None:
    assert end_ms(text) == ms


def test_recorded_gamma_markets_are_readable(recorded: Path) -> None:
    found = []
    for path in sorted((recorded / "rest-answers").glob("gamma_*.json")):
        rows = json.loads(path.read_text())
        each = rows if isinstance(rows, list) else [rows]
        found += [msgspec.convert(row, GammaMarket, strict=False) for row in each]
    assert len(found) > 50
    assert {market.closed for market in found} == {True, False}
    crypto = [market for market in found if market.fee_schedule is not None]
    assert crypto
    assert all(market.fees_enabled for market in crypto)


def token(index: int, **changed: Any) -> TokenRow:
    names = {0: "11", 1: "22"}
    row = {"token_id": names[index], "condition_id": CONDITION, "outcome_index": index, **changed}
    return msgspec.convert(row, TokenRow)


def resolution(*payouts: int, **changed: Any) -> Resolution:
    row = {"condition_id": CONDITION, "payouts": list(payouts) or None, **changed}
    return msgspec.convert(row, Resolution)


@pytest.mark.parametrize(
    ("payouts", "found"),
    [
        ((1_000_000, 0), {"11": 1_000_000, "22": 0}),
        ((0, 1_000_000), {"11": 0, "22": 1_000_000}),
        ((500_000, 500_000), {"11": 500_000, "22": 500_000}),
    ],
)
def test_payouts_belong_to_tokens_by_outcome_slot_whatever_the_order_of_rows(
    payouts: tuple[int, int], found: dict[str, int]
) -> None:
    assert payouts_of(CONDITION, [resolution(*payouts)], [token(1), token(0)]) == found


@pytest.mark.parametrize(
    ("rows", "tokens"),
    [
        ([], [token(0), token(1)]),
        ([resolution()], [token(0), token(1)]),
        ([resolution(1_000_000, 0)], [token(0)]),
        ([resolution(1_000_000)], [token(0), token(1)]),
        ([resolution(900_000, 0)], [token(0), token(1)]),
        ([resolution(1_500_000, -500_000)], [token(0), token(1)]),
        ([resolution(1_000_000, 0), resolution(0, 1_000_000)], [token(0), token(1)]),
        ([resolution(1_000_000, 0)], [token(0, final_price=0), token(1, final_price=1)]),
        ([resolution(1_000_000, 0, condition_id="0x" + "ab" * 32)], [token(0), token(1)]),
    ],
)
def test_payouts_that_contradict_anything_are_not_believed(
    rows: list[Resolution], tokens: list[TokenRow]
) -> None:
    assert isinstance(payouts_of(CONDITION, rows, tokens), NotResolved)


@pytest.fixture
async def running(desktop: Any) -> AsyncIterator[Any]:
    """The catalogue at work over a scripted venue; `seen(kind, n)` waits for n records of it,
    `passes()` until all that was due when it was called has been read."""
    task = asyncio.create_task(desktop.catalogue.run())

    async def seen(kind: type, count: int = 1) -> list[Any]:
        async with asyncio.timeout(WAIT_S):
            while True:
                found = [record for record in desktop.records() if isinstance(record, kind)]
                if len(found) >= count:
                    return found
                assert not task.done()
                desktop.now_ms += 500
                await asyncio.sleep(0.05)

    async def passes() -> None:
        # Tokens come before markets: once the second is asked about, the first one's pass is over.
        for token in ("901", "902"):
            desktop.catalogue.follow(token, on=True)
            async with asyncio.timeout(WAIT_S):
                while not any(url.path.endswith(token) for url in desktop.asked):
                    assert not task.done()
                    await asyncio.sleep(0.01)

    desktop.seen, desktop.passes = seen, passes
    desktop.answer(BY_TOKEN, {"condition_id": CONDITION}).answer(CLOB, clob())
    yield desktop
    task.cancel()
    await asyncio.wait([task])


async def test_a_watched_token_leads_to_its_markets_metadata_once(running: Any) -> None:
    running.answer(GAMMA, {"markets": [gamma()]})
    running.catalogue.follow("11", on=True)
    (found,) = await running.seen(MarketMeta)
    assert found.condition == CONDITION
    running.now_ms += 60_000
    await running.passes()
    assert len(await running.seen(MarketMeta)) == 1


async def test_changed_metadata_is_appended_again(running: Any) -> None:
    running.answer(GAMMA, {"markets": [gamma()]})
    running.catalogue.follow("11", on=True)
    await running.seen(MarketMeta)
    running.forget(CLOB).answer(CLOB, clob(mts=0.001))
    running.catalogue.reread("11", "tick_size_change")
    found = await running.seen(MarketMeta, 2)
    assert [record.tick_micro for record in found] == [10_000, 1_000]


async def test_a_closed_market_is_found_only_by_asking_for_closed_ones(running: Any) -> None:
    running.answer(GAMMA, {"markets": []}, {"markets": [gamma(closed=True)]})
    running.answer(RESOLVED, {"data": [{"condition_id": CONDITION, "payouts": None}]})
    running.catalogue.follow("11", on=True)
    (closed,) = await running.seen(MarketClosed)
    assert (closed.condition, closed.reason) == (CONDITION, "closed")
    asked = [url.params["closed"] for url in running.asked if url.path == GAMMA]
    assert asked[:2] == ["false", "true"]


async def test_a_resolution_is_waited_for_and_told_once(running: Any) -> None:
    rows = [
        {"token_id": "11", "condition_id": CONDITION, "outcome_index": 0},
        {"token_id": "22", "condition_id": CONDITION, "outcome_index": 1},
    ]
    running.answer(GAMMA, {"markets": [gamma(closed=True)]}).answer(TOKENS, {"data": rows})
    running.answer(
        RESOLVED,
        {"data": []},
        {"data": [{"condition_id": CONDITION, "payouts": None}]},
        {"data": [{"condition_id": CONDITION, "payouts": [0, 1_000_000]}]},
    )
    running.catalogue.follow("11", on=True)
    (resolved,) = await running.seen(MarketResolved)
    assert resolved.payouts == {"11": 0, "22": 1_000_000}
    running.catalogue.reread(CONDITION, "market_resolved")
    await running.passes()
    assert len(await running.seen(MarketResolved)) == 1
    assert len(await running.seen(MarketClosed)) == 1


async def test_a_market_that_gamma_does_not_list_is_asked_for_again_later(running: Any) -> None:
    running.answer(GAMMA, {"markets": []}, {"markets": []}, {"markets": [gamma()]})
    running.catalogue.follow("11", on=True)
    await running.seen(MarketMeta)


async def test_a_token_that_clob_does_not_know_yet_is_found_by_the_data_api(running: Any) -> None:
    running.forget(BY_TOKEN).answer(GAMMA, {"markets": [gamma()]})
    row = {"token_id": "11", "condition_id": CONDITION, "outcome_index": 0}
    running.answer(TOKENS, {"data": [row]})
    running.catalogue.follow("11", on=True)
    await running.seen(MarketMeta)


async def test_unreadable_metadata_is_put_aside_and_tried_again(running: Any) -> None:
    running.forget(CLOB).answer(CLOB, {"t": 5}, clob()).answer(GAMMA, {"markets": [gamma()]})
    running.catalogue.follow("11", on=True)
    await running.seen(MarketMeta)
    assert [record.feed for record in running.records("dead")] == ["catalogue"]
