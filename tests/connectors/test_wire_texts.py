"""Texts of the venue read once, and frames whose tag stands wherever the venue puts it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.polymarket.book import Mirror
from connectors.polymarket.wire import BadValue, Known, Unknown, Unreadable, price_micro, size_micro
from connectors.polymarket.wire_market import Change, PriceChange, decode_market

UP = "101"


def test_a_text_is_read_once_and_what_does_not_fit_makes_room_by_forgetting_all() -> None:
    asked: list[str] = []

    def read(text: str) -> int:
        asked.append(text)
        return int(text)

    known = Known(read, 2)
    assert [known[text] for text in ("1", "1", "2", "3", "3", "1")] == [1, 1, 2, 3, 3, 1]
    assert asked == ["1", "2", "3", "1"]
    assert len(known) == 2


def test_a_text_that_cannot_be_read_is_refused_every_time_and_never_remembered() -> None:
    known = Known(size_micro, 8)
    for _ in range(2):
        with pytest.raises(BadValue, match="'1e3'"):
            known["1e3"]
    assert not known


@pytest.mark.parametrize("text", ["-1", "1.5", "", "x", "0.1234567", "nan"])
def test_a_price_that_is_none_is_refused_by_name(text: str) -> None:
    for _ in range(2):
        with pytest.raises(BadValue, match="price"):
            price_micro(text)


def frame(**changed: Any) -> dict[str, Any]:
    row = {"asset_id": UP, "price": "0.5", "size": "10", "side": "BUY", "hash": "h"}
    return {"market": "0x1", "timestamp": "1", "price_changes": [row], **changed}


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("space", [(",", ":"), (", ", ": ")])
def test_a_price_change_is_the_same_wherever_its_tag_stands(
    last: bool, space: tuple[str, str]
) -> None:
    tag = {"event_type": "price_change"}
    body = {**frame(), **tag} if last else {**tag, **frame()}
    (found,) = decode_market(json.dumps(body, separators=space).encode())
    assert isinstance(found, PriceChange)
    assert found.price_changes == [Change(**frame()["price_changes"][0])]
    assert (found.market, found.timestamp) == ("0x1", "1")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({**frame(price_changes=5), "event_type": "price_change"}, Unreadable),
        ({"event_type": "news", "about": {"event_type": "price_change"}}, Unknown),
        ({"event_type": "book", "of": {"event_type": "price_change"}}, Unreadable),
    ],
)
def test_what_only_looks_like_a_price_change_is_none(body: dict[str, Any], kind: type) -> None:
    raw = json.dumps(body, separators=(",", ":")).encode()
    (found,) = decode_market(raw)
    assert isinstance(found, kind)


def test_a_bad_frame_among_good_ones_stands_in_its_place_though_the_last_is_a_price_change() -> (
    None
):
    good = {**frame(), "event_type": "price_change"}
    raw = json.dumps([good, {"event_type": "book"}, good], separators=(",", ":")).encode()
    assert [type(each) for each in decode_market(raw)] == [PriceChange, Unreadable, PriceChange]


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 30),
        st.sampled_from(["0", "0.0", "5", "7.25", "0.000001"]),
        st.integers(0, 20),
    ),
    max_size=120,
)


@given(changes=CHANGES, levels=st.integers(1, 25))
def test_depths_and_quotes_are_those_of_the_levels_though_changes_come_late(
    changes: list[tuple[str, int, str, int]], levels: int
) -> None:
    mirror = Mirror()
    for side, cents, size, as_of_ms in changes:
        text = f"{cents / 100:.2f}"
        mirror.change(Change(asset_id=UP, price=text, size=size, side=side), as_of_ms)
    bids = sorted(((p, size_micro(s)) for p, s in mirror.bids.items()), reverse=True)
    asks = sorted((p, size_micro(s)) for p, s in mirror.asks.items())
    assert mirror.top(levels) == (bids[:levels], asks[:levels])
    assert mirror.best_bid == (bids[0][0] if bids else None)
    assert mirror.best_ask == (asks[0][0] if asks else None)
    twin = mirror.copy()
    twin.change(Change(asset_id=UP, price="0.99", size="1", side="BUY"), 99)
    assert mirror.top(levels) == (bids[:levels], asks[:levels])
