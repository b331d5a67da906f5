"""The book hash: the venue's own proof of a whole book, and how far it may be trusted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_clob_client_v2.clob_types import OrderBookSummary, OrderSummary
from py_clob_client_v2.utilities import generate_orderbook_summary_hash

from connectors.polymarket.book import Mirror
from connectors.polymarket.book_hash import HashBudget, HashGate
from connectors.polymarket.effects import FetchBooks
from connectors.polymarket.wire_market import Book, decode_book, decode_books

UP = "101"
MS = 1_000_000
MakeDesk = Callable[..., Any]
LEVELS = st.dictionaries(
    st.integers(1, 999).map(lambda n: f"{n / 1000:.3f}".rstrip("0")),
    st.integers(1, 10**12).map(lambda n: f"{n / 100:.2f}".rstrip("0").rstrip(".")),
    max_size=30,
)


@given(bids=LEVELS, asks=LEVELS, neg_risk=st.booleans(), last=st.sampled_from(["", "0.750", "1"]))
def test_the_hash_is_that_of_the_venues_own_client_on_any_book(
    bids: dict[str, str], asks: dict[str, str], neg_risk: bool, last: str
) -> None:
    rows = {
        "bids": [{"price": p, "size": bids[p]} for p in sorted(bids, key=float)],
        "asks": [{"price": p, "size": asks[p]} for p in sorted(asks, key=float, reverse=True)],
    }
    rest = {
        "market": "0xabc",
        "asset_id": "77",
        "timestamp": "1790619864123",
        "min_order_size": "5",
        "tick_size": "0.001",
        "neg_risk": neg_risk,
        "last_trade_price": last,
    }
    levels = {side: [OrderSummary(**level) for level in rows[side]] for side in rows}
    oracle = generate_orderbook_summary_hash(OrderBookSummary(**rest, **levels))
    book = decode_book(json.dumps({**rest, **rows, "hash": oracle}).encode())
    assert isinstance(book, Book)
    mirror = Mirror()
    mirror.install(book, 1)
    assert HashGate().snapshot(book, mirror) is True


def test_the_recorded_answer_of_the_venue_is_reproduced(recorded: Path) -> None:
    book = decode_book((recorded / "rest-answers" / "clob_orderbook_sample.json").read_bytes())
    assert isinstance(book, Book)
    mirror = Mirror()
    mirror.install(book, int(book.timestamp))
    assert HashGate().snapshot(book, mirror) is True


def test_a_book_of_protocol_v2_is_never_gated_since_its_preimage_is_unknown(venue: Any) -> None:
    (book,) = decode_books(json.dumps([venue.book(version="v2")]).encode())
    assert isinstance(book, Book)
    mirror, gate = Mirror(), HashGate()
    mirror.install(book, 1)
    assert gate.snapshot(book, mirror) is None
    assert not gate.gates()


def racing(desk: Any, venue: Any, rounds: int) -> int:
    """A venue whose hashes know a trade that it never tells; how often REST was asked."""
    asked = 0
    for number in range(rounds):
        venue.last_trade = f"0.{number:03d}"
        desk.hear(venue.change("BUY", "0.46", str(number + 1)))
        for _ in range(100):
            fetches = [e for e in desk.wait(200).taken() if isinstance(e, FetchBooks)]
            asked += len(fetches)
            if fetches:
                books = {b.asset_id: b for b in decode_books(json.dumps([venue.book()]).encode())}
                desk.did(desk.session.books_answered([UP], books, desk.now_ms, desk.now_ms * MS))
        desk.hear(b"PONG")
    return asked


def test_a_preimage_that_races_by_one_print_costs_at_most_two_reads_a_token(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk(silence_ms=10**9).open(UP).hear(venue.snapshot())
    assert racing(heard, venue, rounds=12) == 2
    assert heard.session.mirrors.books[UP].live
    assert heard.session.mirrors.books[UP].gate.metric_only
    assert heard.mirrored() == venue.depth()


def test_a_trade_print_that_did_arrive_is_no_mismatch(desk: MakeDesk, venue: Any) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    venue.last_trade = "0.510"
    trade = {
        "event_type": "last_trade_price",
        "market": venue.book()["market"],
        "asset_id": "202",
        "price": "0.510",
        "timestamp": str(venue.now_ms),
    }
    heard.hear(json.dumps(trade).encode(), venue.change("BUY", "0.46", "1")).wait(300)
    assert heard.epochs() == []


def test_a_print_that_comes_before_the_change_it_belongs_behind_is_no_mismatch(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    change = venue.change("BUY", "0.46", "1")
    trade = {
        "event_type": "last_trade_price",
        "market": venue.book()["market"],
        "asset_id": UP,
        "price": "0.520",
        "timestamp": str(venue.now_ms),
    }
    heard.taken()
    heard.hear(json.dumps(trade).encode(), change).wait(300)
    assert heard.epochs() == []


def test_frames_that_were_really_lost_never_switch_the_gate_off(desk: MakeDesk, venue: Any) -> None:
    heard = desk(silence_ms=10**9).open(UP).hear(venue.snapshot())
    ends = []
    for number in range(6):
        venue.change("BUY", "0.46", str(100 + number))  # lost
        heard.hear(venue.change("SELL", "0.53", str(1 + number)))
        ends += heard.epochs()
        heard.wait(31_000).hear(b"PONG")
        books = {b.asset_id: b for b in decode_books(json.dumps([venue.book()]).encode())}
        heard.did(heard.session.books_answered([UP], books, heard.now_ms, heard.now_ms * MS))
    assert [reason for state, reason in ends if state == "ended"] == ["hash"] * 6
    assert not heard.session.mirrors.books[UP].gate.metric_only


def test_a_snapshot_whose_own_hash_does_not_fit_does_not_gate(desk: MakeDesk, venue: Any) -> None:
    heard = desk().open(UP).hear(venue.snapshot(hash="f" * 40))
    heard.taken()
    heard.hear(venue.change("BUY", "0.46", "1", hash="0" * 40)).wait(300)
    assert heard.epochs() == []


@pytest.mark.parametrize(("levels", "affordable"), [(10, 112), (100, 32), (0, 150)])
def test_hashing_stops_when_its_share_of_a_second_is_used_up(levels: int, affordable: int) -> None:
    budget = HashBudget(900)
    bought = sum(budget.afford(levels, 1_000) for _ in range(500))
    assert bought == affordable
    assert not budget.afford(levels, 1_001)
    assert budget.afford(levels, 2_000)
