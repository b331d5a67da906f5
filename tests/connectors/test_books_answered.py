"""What an answer of POST /books may be taken for, and what it may not."""

from collections.abc import Callable
from typing import Any

import msgspec

from connectors.polymarket.effects import FetchBooks, Send
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


def told_a_ghost(heard: Any, venue: Any, *, asked_ms: int, after_ms: int = 0) -> list[Any]:
    heard.now_ms += after_ms
    ghost = book_at(venue, heard.now_ms, bid="0.01", ask="0.99")
    heard.did(heard.session.books_answered([UP], {UP: ghost}, asked_ms, heard.now_ms * MS))
    return [effect for effect in heard.taken() if not isinstance(effect, FetchBooks)]


def test_a_ghost_that_was_asked_for_before_the_first_one_was_found_out_says_nothing(
    desk: MakeDesk, venue: Any
) -> None:
    """Seed 42426613773: two questions under way, the quotes known to the first answer only."""
    heard = desk().open(UP).hear(venue.snapshot())
    asked_ms = heard.now_ms
    heard.did(heard.session.books_answered([UP], {}, asked_ms, asked_ms * MS)).taken()
    first = told_a_ghost(heard, venue, asked_ms=asked_ms, after_ms=600)
    assert [type(effect) for effect in first] == [Send, Send]
    assert told_a_ghost(heard, venue, asked_ms=asked_ms + 500, after_ms=40) == []
    heard.hear(venue.snapshot())
    assert heard.last_depth() == venue.depth()


def test_after_a_ghost_rest_is_believed_again_only_with_the_sockets_word(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.did(heard.session.books_answered([UP], {}, heard.now_ms, heard.now_ms * MS)).taken()
    told_a_ghost(heard, venue, asked_ms=heard.now_ms, after_ms=600)
    heard.now_ms += 6_000
    again = told_a_ghost(heard, venue, asked_ms=heard.now_ms)
    assert [type(effect) for effect in again] == [Send, Send], "the socket is asked once more"
    heard.now_ms += 6_000
    venue.now_ms = heard.now_ms
    heard.hear(venue.change("SELL", "0.52", "7"))
    heard.now_ms += 10
    venue.now_ms = heard.now_ms
    true = msgspec.convert(venue.book(timestamp=str(heard.now_ms)), Book)
    heard.taken()
    heard.did(heard.session.books_answered([UP], {UP: true}, heard.now_ms, heard.now_ms * MS))
    assert heard.epochs() == [("live", "rest_snapshot")]


def book_at(venue: Any, as_of_ms: int, *, bid: str, ask: str) -> Book:
    shown = venue.book(
        timestamp=str(as_of_ms),
        bids=[{"price": bid, "size": "9"}],
        asks=[{"price": ask, "size": "9"}],
    )
    return msgspec.convert(shown, Book)
