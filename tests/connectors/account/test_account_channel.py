"""The user channel's session, frame by frame, and that both sources state the same fill."""

import json
from typing import Any

import pytest

from connectors.polymarket.credentials import Credentials
from connectors.polymarket.effects import Append, Quarantine, Reconnect, Resync, Send
from connectors.polymarket.own_fills import OwnFills
from connectors.polymarket.user import HEAR_MS, STAMP_MS, UserSession
from connectors.polymarket.wire_user import TradeRow, decode_trade_row
from schemas.records.base import Account
from schemas.records.own import OwnFill

KEY, SECRET, PHRASE = "our-api-key", "b3VyLXNlY3JldA==", "our-passphrase"
WALLET = "0x" + "cd" * 20
CONDITION = "0x" + "bd" * 32
T0 = 1_795_000_000_000
US, THEM, OTHER = "111", "222", "333"


def own_fills() -> OwnFills:
    return OwnFills(account=Account("main"), wallet=WALLET, api_key=KEY)


def opened(silence_ms: int = 30_000, at_ms: int = T0) -> UserSession:
    credentials = Credentials(api_key=KEY, secret=SECRET, passphrase=PHRASE)
    session = UserSession(credentials=credentials, fills=own_fills(), silence_ms=silence_ms)
    session.opened(at_ms)
    return session


def frame(number: int = 1, **given: Any) -> bytes:
    """A trade event as small as the venue's schema allows."""
    row = {
        "event_type": "trade",
        "id": f"trade-{number}",
        "taker_order_id": "0xaa",
        "market": CONDITION,
        "asset_id": US,
        "side": "BUY",
        "size": "10",
        "price": "0.57",
        "status": "MATCHED",
        "owner": KEY,
        "match_time": str(T0 // 1_000),
    }
    return json.dumps({**row, **given}).encode()


def ns(at_ms: int) -> int:
    return at_ms * 1_000_000


def appended(effects: list[Any]) -> list[OwnFill]:
    return [each.record for each in effects if isinstance(each, Append)]


def test_the_first_frame_is_the_credentials_and_the_first_wish_a_full_read() -> None:
    credentials = Credentials(api_key=KEY, secret=SECRET, passphrase=PHRASE)
    session = UserSession(credentials=credentials, fills=own_fills(), silence_ms=30_000)
    first, wish = session.opened(T0)
    assert isinstance(first, Send)
    assert json.loads(first.text) == {
        "type": "user",
        "auth": {"apiKey": KEY, "secret": SECRET, "passphrase": PHRASE},
    }
    assert isinstance(wish, Resync)


@pytest.mark.parametrize(
    ("raw", "fills", "wishes"),
    [
        (frame(), 1, []),
        (b"[" + frame(1) + b"," + frame(2) + b"]", 2, []),
        (b"PONG", 0, []),
        (b"", 0, []),
        (b'{"event_type":"order","type":"PLACEMENT","id":"0x1"}', 0, ["order_event"]),
        (b'{"event_type":"something_new","x":1}', 0, []),
        (b'{"no":"type"}', 0, []),
        (b"{broken", 0, ["undecodable_frame"]),
        (b"\xff\xfe", 0, ["undecodable_frame"]),
        (frame(status="TELEPORTED"), 0, ["undecodable_frame"]),
        (frame(size="-1"), 0, ["undecodable_frame"]),
        (frame(owner="a stranger"), 0, ["undecodable_frame"]),
        (frame(trader_side="MAKER", maker_orders=[]), 0, ["undecodable_frame"]),
    ],
)
def test_every_frame_is_a_fill_a_wish_to_read_or_nothing(
    raw: bytes, fills: int, wishes: list[str]
) -> None:
    effects = opened().receive(raw, ns(T0))
    assert len(appended(effects)) == fills
    assert [each.why for each in effects if isinstance(each, Resync)] == wishes
    quarantined = [each for each in effects if isinstance(each, Quarantine)]
    assert len(quarantined) == ("undecodable_frame" in wishes)


def test_a_status_is_told_once_and_none_after_a_final_one() -> None:
    session = opened()
    told = []
    for status in ("MATCHED", "MATCHED", "MINED", "RETRYING", "MINED", "FAILED", "MINED", "FAILED"):
        told += appended(session.receive(frame(status=status), ns(T0)))
    assert [fill.status for fill in told] == ["MATCHED", "MINED", "RETRYING", "MINED", "FAILED"]


def test_nothing_secret_is_left_in_what_is_quarantined() -> None:
    raw = frame(status="TELEPORTED", note=f"{SECRET} {PHRASE}", owner=KEY)
    effects = opened().receive(raw, ns(T0))
    (aside,) = [each.record for each in effects if isinstance(each, Quarantine)]
    text = aside.raw.decode() + aside.reason
    assert not [secret for secret in (KEY, SECRET, PHRASE) if secret in text]
    assert "TELEPORTED" in text


LEG = {
    "order_id": "0xBB",
    "matched_amount": "4",
    "price": "0.6",
    "asset_id": US,
    "owner": "a maker",
    "side": "SELL",
}
THEIR_LEG = {**LEG, "order_id": "0xCC", "asset_id": THEM, "price": "0.41", "side": "BUY"}
OUR_LEG = {**LEG, "order_id": "0xDD", "owner": KEY, "price": "0.43", "asset_id": THEM}
TAKER: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    ({}, ("TAKER", "0xaa", US, "BUY", 10_000_000, 5_700_000)),
    ({"side": "SELL"}, ("TAKER", "0xaa", US, "SELL", 10_000_000, 5_700_000)),
    (
        {"maker_orders": [LEG, {**THEIR_LEG, "matched_amount": "6"}]},
        ("TAKER", "0xaa", US, "BUY", 10_000_000, 4 * 600_000 + 6 * 590_000),
    ),
    (
        {"maker_orders": [LEG]},  # legs that are not the whole trade say nothing about its cash
        ("TAKER", "0xaa", US, "BUY", 10_000_000, 5_700_000),
    ),
    (
        {"size": "0.333333", "price": "0.333"},
        ("TAKER", "0xaa", US, "BUY", 333_333, 111_000),
    ),
]
MAKER: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    (
        {"owner": "a taker", "trader_side": "MAKER", "maker_orders": [LEG, OUR_LEG]},
        ("MAKER", "0xdd", THEM, "SELL", 4_000_000, 1_720_000),
    ),
    (  # without trader_side, by its legs; without a side, by whose token it is
        {"owner": "a taker", "maker_orders": [{**OUR_LEG, "asset_id": US, "side": ""}]},
        ("MAKER", "0xdd", US, "SELL", 4_000_000, 1_720_000),
    ),
    (
        {"owner": "a taker", "maker_orders": [{**OUR_LEG, "side": ""}]},
        ("MAKER", "0xdd", THEM, "BUY", 4_000_000, 1_720_000),
    ),
]


@pytest.mark.parametrize(("given", "fill"), TAKER + MAKER)
def test_channel_and_rest_state_the_same_fill(given: dict, fill: tuple[Any, ...]) -> None:
    raw = frame(**given)
    (by_channel,) = appended(opened().receive(raw, ns(T0)))
    rest_row = json.loads(raw) | {"status": "TRADE_STATUS_MATCHED"}
    row = decode_trade_row(json.dumps(rest_row).encode())
    assert isinstance(row, TradeRow)
    (by_rest,) = own_fills().stated(row, "rest", by_channel.recv_ns)
    said = by_channel
    assert (said.role, said.order, said.token, said.side) == fill[:4]
    assert (said.shares_micro, said.cash_micro) == fill[4:]
    assert {**_fields(by_channel), "source": "rest"} == _fields(by_rest)


def _fields(fill: OwnFill) -> dict[str, Any]:
    return {name: getattr(fill, name) for name in fill.__struct_fields__}


def test_ping_goes_out_and_a_silent_connection_is_left() -> None:
    session = opened(silence_ms=30_000)
    assert session.tick(T0 + 9_999) == []
    assert session.tick(T0 + 10_000) == [Send("PING")]
    session.receive(b"PONG", ns(T0 + 10_050))
    assert session.tick(T0 + 20_000) == [Send("PING")]
    assert session.tick(T0 + 30_000) == [Send("PING")]
    assert session.tick(T0 + 40_049) == [Send("PING")]
    assert session.tick(T0 + 40_050) == [Reconnect("silent")]


def test_a_short_patience_pings_often_enough_for_it() -> None:
    session = opened(silence_ms=900)
    assert session.tick(T0 + 299) == []
    assert session.tick(T0 + 300) == [Send("PING")]


AFTER = T0 + STAMP_MS + 1
NEWS: list[tuple[str, list[tuple[str, int]], str, int, bool]] = [
    ("REST alone knows the trade", [], "MATCHED", AFTER, True),
    ("REST alone knows how it went on", [("MATCHED", -1)], "MINED", AFTER, True),
    ("the channel told it before", [("MINED", -1)], "MINED", AFTER, False),
    ("the channel told more before", [("MINED", -1)], "MATCHED", AFTER, False),
    ("the channel tells it a little later", [("MINED", 100)], "MINED", AFTER, False),
    ("the channel tells a later status", [("CONFIRMED", 100)], "MINED", AFTER, False),
    ("it happened before the connection", [], "MINED", T0 - 1, False),
    ("it happened while connecting", [], "MINED", T0 + STAMP_MS, False),
    ("when it happened is not known", [], "MINED", 0, False),
]


@pytest.mark.parametrize(("what", "heard", "status", "happened_ms", "frozen"), NEWS)
def test_a_channel_is_frozen_when_rest_knows_what_it_should_have_told(
    what: str, heard: list[tuple[str, int]], status: Any, happened_ms: int, frozen: bool
) -> None:
    session = opened()
    said_ms = T0 + 4_000
    for told, after_ms in [each for each in heard if each[1] < 0]:
        session.receive(frame(status=told), ns(said_ms + after_ms))
    session.rest_said("trade-1", status, happened_ms, said_ms)
    for told, after_ms in [each for each in heard if each[1] > 0]:
        session.receive(frame(status=told), ns(said_ms + after_ms))
    session.receive(b"PONG", ns(said_ms + HEAR_MS - 1))
    assert Reconnect("frozen") not in session.tick(said_ms + HEAR_MS - 1)
    assert (Reconnect("frozen") in session.tick(said_ms + HEAR_MS)) == frozen, what
    assert Reconnect("frozen") not in session.tick(said_ms + HEAR_MS + 1), "once"


def test_a_new_connection_is_not_judged_by_what_the_old_one_kept_to_itself() -> None:
    session = opened()
    session.rest_said("trade-1", "MATCHED", AFTER, T0 + 4_000)
    session.closed("connection_lost", T0 + 5_000)
    assert session.tick(T0 + 20_000) == [], "there is nothing to leave"
    session.opened(T0 + 6_000)
    assert session.tick(T0 + 4_000 + HEAR_MS + 1) == []
