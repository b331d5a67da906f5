"""The price grid: whose word on it counts, and that a change that was lost is found out."""

import json
from collections.abc import Callable
from typing import Any

from connectors.polymarket.book_hash import HashBudget
from connectors.polymarket.effects import FetchBooks, RereadMarket
from connectors.polymarket.wire_market import decode_books
from schemas.records.market import Depth

MS = 1_000_000
UP = "101"

MakeDesk = Callable[..., Any]


def rest(desk: Any, venue: Any, **changed: Any) -> None:
    """REST answers what it was asked a moment ago."""
    (book,) = decode_books(json.dumps([venue.book(**changed)]).encode())
    desk.did(desk.session.books_answered([UP], {UP: book}, desk.now_ms, desk.now_ms * MS))


def compared(desk: Any, venue: Any, **changed: Any) -> list[Any]:
    """A comparison with REST, to its judgement; what that led to."""
    assert desk.session.check_begin([UP], desk.now_ms) == [UP]
    rest(desk, venue, **changed)
    # Something is heard meanwhile, so the connection is not frozen.
    desk.hear(venue.change("SELL", "0.55", str(desk.now_ms % 1_000 + 1)))
    desk.taken()
    desk.wait(1_100)
    effects: list[Any] = desk.effects
    return effects


def test_a_tick_change_ends_the_epoch_until_a_book_on_the_new_grid_is_there(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(venue.tick_change("0.001")).wait(50)
    effects = heard.taken()
    assert [e.record.reason for e in effects if hasattr(e, "record")] == ["tick_size_change"]
    assert RereadMarket(UP, "tick_size_change") in effects
    assert FetchBooks((UP,)) in effects
    venue.tick = "0.001"
    venue.set("BUY", "0.481", "4")
    rest(heard, venue)
    depth = heard.records()[-1]
    assert isinstance(depth, Depth)
    assert depth.tick_micro == 1_000


def test_a_first_snapshot_without_a_tick_is_completed_by_rest(desk: MakeDesk, venue: Any) -> None:
    heard = desk().open(UP).hear(venue.snapshot(tick_size=None, last_trade_price=None)).wait(50)
    effects = heard.taken()
    assert FetchBooks((UP,)) in effects
    assert not any(isinstance(effect, Depth) for effect in effects)
    rest(heard, venue)
    assert heard.last_depth() == venue.depth()


def test_a_change_of_the_grid_that_was_lost_is_found_by_the_comparison_with_rest(
    desk: MakeDesk, venue: Any
) -> None:
    """Every price still fits the old grid, so the levels agree: orders alone would be refused."""
    heard = desk(budget=HashBudget(0)).open(UP).hear(venue.snapshot())
    venue.tick = "0.001"
    effects = compared(heard, venue)
    assert RereadMarket(UP, "tick_size_change") in effects
    assert heard.epochs() == [("ended", "books_differ")]
    rest(heard.wait(5_000), venue)
    depth = heard.records()[-1]
    assert isinstance(depth, Depth)
    assert depth.tick_micro == 1_000


def test_an_answer_from_before_the_snapshot_says_nothing_of_the_grid(
    desk: MakeDesk, venue: Any
) -> None:
    early_ms = venue.now_ms - 1
    heard = desk(budget=HashBudget(0)).open(UP).hear(venue.snapshot())
    compared(heard, venue, tick_size="0.001", timestamp=str(early_ms))
    assert heard.epochs() == []
    assert heard.session.live_tokens


def test_an_answer_without_a_tick_says_nothing_of_the_grid(desk: MakeDesk, venue: Any) -> None:
    heard = desk(budget=HashBudget(0)).open(UP).hear(venue.snapshot())
    compared(heard, venue, tick_size=None)
    assert heard.epochs() == []
    assert heard.session.live_tokens


def test_after_a_loss_a_book_without_a_tick_waits_for_one_that_states_it(
    desk: MakeDesk, venue: Any
) -> None:
    """What was lost may have been the change of the grid, which later books do not state."""
    heard = desk().open(UP).hear(venue.snapshot())
    venue.change("BUY", "0.49", "7")  # lost: a new best bid
    venue.tick = "0.001"  # and the word of the grid
    heard.hear(venue.change("SELL", "0.55", "3"))
    assert ("ended", "echo_bid") in heard.epochs()
    heard.taken()
    heard.hear(venue.snapshot(tick_size=None, last_trade_price=None)).wait(50)
    assert not heard.session.live_tokens
    assert FetchBooks((UP,)) in heard.taken()
    rest(heard, venue)
    depth = heard.records()[-1]
    assert isinstance(depth, Depth)
    assert depth.tick_micro == 1_000
