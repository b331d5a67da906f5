"""Our own trades: whose leg is whose, what it cost, how far it is settled."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.polymarket.own_fills import OwnFills, taker_cash
from connectors.polymarket.wire import BadValue, Unreadable
from connectors.polymarket.wire_user import (
    OrderEvent,
    TradeRow,
    decode_balance,
    decode_order_row,
    decode_trade_row,
    decode_user,
    status_of,
)
from schemas.records.base import Account
from schemas.records.own import OwnFill

KEY, OTHER_KEY = "11111111-aaaa-4bbb-8ccc-222222222222", "99999999-aaaa-4bbb-8ccc-888888888888"
WALLET = "0x" + "1F" * 20
UP, DOWN = "11", "22"


def leg(amount: str, price: str, token: str = UP, **changed: Any) -> dict[str, Any]:
    return {
        "order_id": "0xAA",
        "owner": OTHER_KEY,
        "maker_address": "0x" + "2e" * 20,
        "matched_amount": amount,
        "price": price,
        "asset_id": token,
        **changed,
    }


def trade(**changed: Any) -> TradeRow:
    body = {
        "event_type": "trade",
        "id": "28c4d2eb",
        "status": "MATCHED",
        "market": "0x" + "cd" * 32,
        "asset_id": UP,
        "side": "BUY",
        "price": "0.57",
        "size": "10",
        "owner": KEY,
        "taker_order_id": "0xBEEF",
        "trader_side": "TAKER",
        "match_time": "1790619864",
        "transaction_hash": "",
        **changed,
    }
    (decoded,) = decode_user(json.dumps(body).encode())
    assert isinstance(decoded, TradeRow)
    return decoded


def fills(*rows: TradeRow, source: Any = "user") -> list[OwnFill]:
    mine = OwnFills(account=Account("main"), wallet=WALLET, api_key=KEY)
    return [fill for row in rows for fill in mine.stated(row, source, 5)]


def test_a_taker_fill_is_the_whole_trade_under_the_taker_order() -> None:
    (fill,) = fills(trade())
    assert (fill.trade, fill.order, fill.role, fill.token, fill.side) == (
        "28c4d2eb",
        "0xbeef",
        "TAKER",
        UP,
        "BUY",
    )
    assert (fill.shares_micro, fill.cash_micro) == (10_000_000, 5_700_000)
    assert (fill.status, fill.venue_ms) == ("MATCHED", 1_790_619_864_000)


def test_several_makers_at_several_prices_cost_their_exact_sum_and_not_the_last_price() -> None:
    row = trade(maker_orders=[leg("4", "0.55"), leg("6", "0.57")])
    (fill,) = fills(row)
    assert fill.cash_micro == 4 * 550_000 + 6 * 570_000


def test_a_leg_in_the_complementary_token_costs_us_one_minus_its_price() -> None:
    row = trade(maker_orders=[leg("4", "0.55"), leg("6", "0.42", DOWN)])
    (fill,) = fills(row)
    assert fill.cash_micro == 4 * 550_000 + 6 * 580_000


def test_legs_that_do_not_add_up_to_the_trade_are_not_believed_for_its_cash() -> None:
    assert taker_cash(trade(maker_orders=[leg("4", "0.55")])) == 5_700_000


def test_a_maker_fill_is_only_the_row_that_is_ours_with_its_own_order_token_and_side() -> None:
    ours = leg("3", "0.40", DOWN, order_id="0xCAFE", owner=KEY, side="BUY")
    row = trade(trader_side="MAKER", owner=OTHER_KEY, maker_orders=[leg("7", "0.57"), ours])
    (fill,) = fills(row)
    assert (fill.role, fill.order, fill.token, fill.side) == ("MAKER", "0xcafe", DOWN, "BUY")
    assert (fill.shares_micro, fill.cash_micro) == (3_000_000, 1_200_000)


@pytest.mark.parametrize(("token", "side"), [(UP, "SELL"), (DOWN, "BUY")])
def test_a_makers_missing_side_follows_from_his_token(token: str, side: str) -> None:
    ours = leg("3", "0.40", token, owner=KEY)
    (fill,) = fills(trade(trader_side="MAKER", maker_orders=[ours]))
    assert fill.side == side


def test_a_maker_row_without_owner_is_known_by_its_wallet() -> None:
    ours = leg("3", "0.40", owner="", maker_address=WALLET.lower())
    (fill,) = fills(trade(trader_side="MAKER", owner="", maker_orders=[ours]))
    assert fill.role == "MAKER"


def test_two_of_our_orders_hit_by_one_trade_are_two_fills() -> None:
    rows = [
        leg("3", "0.40", owner=KEY, order_id="0x1"),
        leg("2", "0.41", owner=KEY, order_id="0x2"),
    ]
    found = fills(trade(trader_side="MAKER", maker_orders=rows))
    assert [(fill.trade, fill.order) for fill in found] == [
        ("28c4d2eb", "0x1"),
        ("28c4d2eb", "0x2"),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"trader_side": "MAKER", "maker_orders": None},
        {"trader_side": "MAKER", "maker_orders": [leg("1", "0.5")]},
        {"trader_side": "", "owner": OTHER_KEY},
        {"status": "TELEPORTED"},
        {"size": "ten"},
        {"side": "HOLD"},
        {"price": "1.5"},
        {"match_time": ""},
        {"asset_id": "0x12"},
    ],
)
def test_what_cannot_be_told_is_refused_with_a_reason(changed: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        fills(trade(**changed))


def test_without_trader_side_an_owner_that_is_us_makes_us_the_taker() -> None:
    (fill,) = fills(trade(trader_side=""))
    assert fill.role == "TAKER"


def test_each_transition_is_stated_once_whichever_source_tells_it() -> None:
    mine = OwnFills(account=Account("main"), wallet=WALLET, api_key=KEY)
    told = [
        ("user", "MATCHED"),
        ("rest", "TRADE_STATUS_MATCHED"),
        ("user", "MINED"),
        ("user", "MINED"),
        ("rest", "RETRYING"),
        ("user", "MINED"),
        ("rest", "TRADE_STATUS_CONFIRMED"),
        ("user", "MINED"),
        ("user", "CONFIRMED"),
    ]
    stated = [
        fill.status
        for source, status in told
        for fill in mine.stated(trade(status=status), "user" if source == "user" else "rest", 1)
    ]
    assert stated == ["MATCHED", "MINED", "RETRYING", "MINED", "CONFIRMED"]


def test_a_failure_after_a_match_is_stated() -> None:
    found = fills(trade(), trade(status="FAILED"))
    assert [fill.status for fill in found] == ["MATCHED", "FAILED"]


def test_user_channel_and_rest_state_identical_fills() -> None:
    row = {
        "id": "t",
        "taker_order_id": "0x1",
        "market": "0x" + "cd" * 32,
        "asset_id": UP,
        "side": "SELL",
        "size": "10",
        "price": "0.5",
        "owner": KEY,
        "trader_side": "TAKER",
        "match_time": "1790619864",
        "transaction_hash": "0xAB",
        "maker_orders": [leg("10", "0.51")],
    }
    (event,) = decode_user(json.dumps({**row, "event_type": "trade", "status": "MINED"}).encode())
    rest = decode_trade_row(json.dumps({**row, "status": "TRADE_STATUS_MINED"}).encode())
    assert isinstance(event, TradeRow)
    assert isinstance(rest, TradeRow)
    (one,), (two,) = fills(event), fills(rest)
    assert one == two


@pytest.mark.parametrize(
    ("stamp", "ms"), [("1790619864", 1_790_619_864_000), (1790619864123, 1_790_619_864_123)]
)
def test_stamps_in_seconds_and_milliseconds_are_told_apart(stamp: Any, ms: int) -> None:
    (fill,) = fills(trade(match_time=stamp))
    assert fill.venue_ms == ms


@given(
    parts=st.lists(
        st.tuples(st.integers(1, 10**9), st.integers(1, 999_999), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_a_takers_cash_is_the_exact_sum_over_all_legs_rounded_once(
    parts: list[tuple[int, int, bool]],
) -> None:
    def text(micro: int) -> str:
        return f"{micro // 10**6}.{micro % 10**6:06d}"

    legs = [leg(text(a), text(p), DOWN if other else UP) for a, p, other in parts]
    row = trade(size=text(sum(a for a, _, _ in parts)), maker_orders=legs)
    exact = sum(a * (10**6 - p if other else p) for a, p, other in parts)
    assert abs(taker_cash(row) * 10**6 - exact) <= 500_000


def test_order_events_unknown_events_and_arrays_are_told_apart() -> None:
    frames = decode_user(
        b'[{"event_type":"order","id":"0x1","type":"PLACEMENT"},{"event_type":"fireworks"},{}]'
    )
    assert isinstance(frames[0], OrderEvent)
    assert [type(frame).__name__ for frame in frames[1:]] == ["Unknown", "Unknown"]
    (bad,) = decode_user(b'{"event_type":"trade","id":"x"}')
    assert isinstance(bad, Unreadable)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("MATCHED_NOT_BROADCASTED", "MATCHED"),
        ("TRADE_STATUS_FAILED", "FAILED"),
        ("TRADE_STATUS_RETRYING", "RETRYING"),
        ("DELAYED", None),
    ],
)
def test_statuses_are_known_in_both_spellings(text: str, status: str | None) -> None:
    assert status_of(text) == status


def test_a_balance_is_an_integer_of_base_units_or_unreadable() -> None:
    assert decode_balance(b'{"balance":"12345678","allowances":{}}') == 12_345_678
    assert isinstance(decode_balance(b'{"balance":"1.5"}'), Unreadable)
    assert isinstance(decode_order_row(b'{"id":"x"}'), Unreadable)
