"""What an answer of POST /books may be taken for, and what it may not."""

from collections.abc import Callable
from typing import Any

import msgspec

from connectors.polymarket.effects import Send
from connectors.polymarket.wire import Unreadable
from connectors.polymarket.wire_market import Book
from connectors.public.books import told_of

UP, DOWN = "101", "102"
MS = 1_000_000
MakeDesk = Callable[..., Any]


def book(token: str, **levels: Any) -> Book:
    return Book(asset_id=token, market="0x" + "1" * 64, timestamp="1", bids=[], asks=[], **levels)


def test_a_token_missing_from_a_whole_answer_has_no_book() -> None:
    assert told_of([UP, DOWN], [book(UP)])[0] == [UP, DOWN]


def test_nothing_is_known_of_a_token_missing_from_an_answer_that_cannot_be_read_whole() -> None:
    """An answer cut short was taken for "no book" of all its tokens, and ended every epoch."""
    broken = Unreadable("truncated", b'[{"asset_id"')
    assert told_of([UP, DOWN], [broken]) == ([], {})
    assert told_of([UP, DOWN], [book(UP), broken])[0] == [UP]


def test_a_rest_book_that_contradicts_the_sockets_newest_snapshot_is_not_believed(
    desk: MakeDesk, venue: Any
) -> None:
    """Ghost books at 0.01/0.99 were served for months; no change had come since the snapshot."""
    heard = desk().open(UP).hear(venue.snapshot())
    heard.did(heard.session.books_answered([UP], {}, heard.now_ms, heard.now_ms * MS))
    assert heard.epochs() == [("live", "snapshot"), ("ended", "no_book")]
    ghost = book_at(venue, venue.now_ms + 500, bid="0.01", ask="0.99")
    heard.now_ms += 600
    heard.did(heard.session.books_answered([UP], {UP: ghost}, heard.now_ms, heard.now_ms * MS))
    effects = heard.taken()
    assert [type(effect) for effect in effects] == [Send, Send]


def book_at(venue: Any, as_of_ms: int, *, bid: str, ask: str) -> Book:
    shown = venue.book(
        timestamp=str(as_of_ms),
        bids=[{"price": bid, "size": "9"}],
        asks=[{"price": ask, "size": "9"}],
    )
    return msgspec.convert(shown, Book)
