"""Values that cannot be: each decoder says so by name, and none ends its process."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.polymarket.wire import BadValue, Unreadable, size_micro, tick_micro
from connectors.polymarket.wire_activity import decode_activity
from connectors.polymarket.wire_catalogue import decode_clob_market, decode_gamma
from connectors.polymarket.wire_data import decode_page, decode_trade, transaction_of
from connectors.polymarket.wire_market import decode_books, decode_market
from connectors.polymarket.wire_user import decode_balance, decode_listing, decode_user

UP = "101"
LONG = "1" * 5_000
"""More digits than Python reads."""
DEEP = b"[" * 100_000


def trade(**changed: Any) -> bytes:
    row = {
        "proxy_wallet": "0x" + "a" * 40,
        "side": "BUY",
        "token_id": UP,
        "condition_id": "0x" + "b" * 64,
        "size": 1,
        "price": 0.5,
        "timestamp": 1,
        "transaction_hash": "0x1",
    }
    return json.dumps({**row, **changed}).encode()


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity", "-1"])
@pytest.mark.parametrize("field", ["size", "price"])
def test_a_fill_of_no_number_is_put_aside(field: str, value: str) -> None:
    assert isinstance(decode_trade(trade(**{field: value})), Unreadable)


@pytest.mark.parametrize(
    "read", [decode_activity, decode_page, decode_listing, decode_clob_market, decode_gamma]
)
def test_an_answer_nested_without_end_is_unreadable(read: Callable[[bytes], Any]) -> None:
    assert isinstance(read(b'{"data":' + DEEP), Unreadable)


@pytest.mark.parametrize("read", [decode_market, decode_user, decode_books])
@pytest.mark.parametrize("raw", [DEEP, b'{"event_type":"book","x":' + DEEP])
def test_a_frame_nested_without_end_is_unreadable(read: Callable[[bytes], Any], raw: bytes) -> None:
    assert [type(each) for each in read(raw)] == [Unreadable]


def test_a_row_nested_without_end_has_no_transaction() -> None:
    assert transaction_of(b'{"transaction_hash":"0x1","x":' + DEEP) is None


def test_numbers_without_end_are_refused_and_not_quoted_whole() -> None:
    with pytest.raises(BadValue) as caught:
        size_micro(LONG)
    assert len(str(caught.value)) < 400
    found = decode_balance(json.dumps({"balance": LONG}).encode())
    assert isinstance(found, Unreadable)
    assert len(found.reason) < 400


@pytest.mark.parametrize("text", ["0", "0.0", "1", "1.0", "-0.01", "2", "x", "NaN"])
def test_a_tick_that_is_no_grid_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        tick_micro(text)


@pytest.mark.parametrize("tick", ["0", "1", "-0.01"])
def test_a_snapshot_on_no_grid_is_never_published(
    desk: Callable[..., Any], venue: Any, tick: str
) -> None:
    """A Depth with a tick of 0 would stop every fold of its tape, for ever."""
    venue.tick = tick
    heard = desk().open(UP).hear(venue.snapshot())
    assert heard.records() == []


@pytest.mark.parametrize("tick", ["0", "x"])
def test_a_change_to_no_grid_ends_the_epoch_until_rest_names_one(
    desk: Callable[..., Any], venue: Any, tick: str
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(venue.tick_change(tick))
    assert heard.epochs()[-1] == ("ended", "tick_size_change")
    venue.tick = None
    venue.now_ms += 1
    before = len(heard.records())
    heard.hear(venue.snapshot())
    assert len(heard.records()) == before
