"""The market session: what is believed, when it ceases to be, and what brings it back."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.polymarket.effects import FetchBooks, Quarantine, Reconnect, RereadMarket, Send
from connectors.polymarket.wire_market import Book, decode_books
from schemas.records.market import BookEpoch, Depth

MS = 1_000_000
UP, DOWN = "101", "202"

MakeDesk = Callable[..., Any]


def answer(venue: Any, **changed: Any) -> dict[str, Book]:
    (book,) = decode_books(json.dumps([venue.book(**changed)]).encode())
    assert isinstance(book, Book)
    return {book.asset_id: book}


def rest(desk: Any, venue: Any, **changed: Any) -> None:
    """REST answers what it was asked a moment ago."""
    session = desk.session
    books = answer(venue, **changed)
    desk.did(session.books_answered([venue.token], books, desk.now_ms, desk.now_ms * MS))


def test_the_first_frame_after_connecting_subscribes_with_snapshots(desk: MakeDesk) -> None:
    (sent,) = desk().open(UP, DOWN).taken()
    assert isinstance(sent, Send)
    assert json.loads(sent.text) == {
        "type": "market",
        "assets_ids": [UP, DOWN],
        "custom_feature_enabled": True,
        "initial_dump": True,
    }


def test_a_snapshot_begins_an_epoch_and_publishes_the_book_at_once(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    begun, depth = heard.records()
    assert isinstance(begun, BookEpoch)
    assert (begun.epoch, begun.state, begun.reason) == ("public-7.1", "live", "snapshot")
    assert isinstance(depth, Depth)
    assert (depth.epoch, depth.tick_micro) == (begun.epoch, 10_000)
    assert depth.as_of_ms == venue.now_ms


def test_levels_come_worst_first_and_are_published_best_first(desk: MakeDesk, venue: Any) -> None:
    found = desk().open(UP).hear(venue.snapshot()).last_depth()
    assert found == (
        [(0.48, 10.0), (0.47, 20.5), (0.46, 30.0)],
        [(0.5, 11.0), (0.51, 21.0), (0.53, 31.25)],
    )


def test_changes_before_the_first_snapshot_are_never_published(desk: MakeDesk, venue: Any) -> None:
    """Trap 4: without a snapshot levels are missing or stale, and nothing would show it."""
    heard = desk().open(UP)
    heard.hear(*(venue.change("BUY", "0.49", str(size)) for size in range(1, 9))).wait(2_000)
    assert heard.records() == []


def test_changes_are_conflated_to_one_depth_an_interval_and_the_last_state_wins(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(*(venue.change("BUY", "0.48", str(size)) for size in range(11, 60)))
    assert heard.records() == []
    heard.wait(250)
    assert heard.last_depth() == venue.depth()
    heard.wait(1_000)
    assert heard.records() == []
    heard.hear(venue.change("SELL", "0.50", "3"))
    assert heard.last_depth() == venue.depth()


@pytest.mark.parametrize(
    ("field", "text", "fault"),
    [
        ("best_bid", "0.47", "echo_bid"),
        ("best_ask", "0.51", "echo_ask"),
        ("best_bid", "", "echo_bid"),
        ("best_ask", "1", "echo_ask"),
        ("hash", "0" * 40, "hash"),
    ],
)
def test_a_contradiction_ends_the_epoch_and_rest_is_asked(
    desk: MakeDesk, venue: Any, field: str, text: str, fault: str
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(venue.change("BUY", "0.46", "31", **{field: text}))
    assert heard.epochs() == [("ended", fault)]
    heard.wait(50)
    assert FetchBooks((UP,)) in heard.taken()


@pytest.mark.parametrize("empty", ["", "0"])
def test_an_empty_bid_side_is_an_echo_like_any_other(
    desk: MakeDesk, new_venue: Any, empty: str
) -> None:
    venue = new_venue()
    venue.bids["0.10"], venue.asks["0.90"] = "5", "5"
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(venue.change("BUY", "0.10", "0", best_bid=empty))
    heard.wait(300)
    assert heard.last_depth() == ([], [(0.9, 5.0)])


def test_a_lost_change_below_the_touch_is_noticed_by_the_hash_of_the_next_one(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    venue.change("BUY", "0.46", "0")  # lost on the way
    heard.taken()
    heard.hear(venue.change("SELL", "0.53", "1"))
    assert heard.epochs() == [("ended", "hash")]


def test_a_rest_snapshot_is_brought_up_to_date_by_the_changes_that_came_meanwhile(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.hear(venue.change("BUY", "0.46", "31", best_bid="0.47"))
    snapshot = answer(venue)
    later = venue.change("SELL", "0.52", "7")
    heard.wait(50).hear(later)
    heard.taken()
    heard.did(heard.session.books_answered([UP], snapshot, heard.now_ms, heard.now_ms * MS))
    begun, depth = heard.records()
    assert isinstance(begun, BookEpoch)
    assert (begun.state, begun.reason) == ("live", "rest_snapshot")
    assert isinstance(depth, Depth)
    assert heard.mirrored() == venue.depth()


def test_a_rest_book_that_the_socket_contradicts_is_not_believed(
    desk: MakeDesk, venue: Any
) -> None:
    """Ghost books at 0.01/0.99 were served over REST for months (complaint 17)."""
    heard = desk().open(UP).hear(venue.snapshot())
    heard.hear(venue.change("BUY", "0.48", "9", best_bid="0.45"))
    heard.hear(venue.change("BUY", "0.48", "8")).wait(50)
    heard.taken()
    ghost = {"bids": [{"price": "0.01", "size": "9"}], "asks": [{"price": "0.99", "size": "9"}]}
    rest(heard, venue, **ghost)
    sent = [json.loads(effect.text) for effect in heard.taken() if isinstance(effect, Send)]
    assert [frame["operation"] for frame in sent] == ["unsubscribe", "subscribe"]
    heard.hear(venue.snapshot())
    assert heard.last_depth() == venue.depth()


def test_an_answer_older_than_what_the_socket_showed_is_asked_for_again(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    old = answer(venue)
    heard.hear(venue.change("BUY", "0.48", "9", best_bid="0.45")).wait(50)
    heard.did(heard.session.books_answered([UP], old, heard.now_ms, heard.now_ms * MS))
    assert heard.epochs() == [("live", "snapshot"), ("ended", "echo_bid")]
    heard.wait(600)
    assert FetchBooks((UP,)) in heard.taken()


def test_asking_for_one_token_slows_down_with_every_attempt(desk: MakeDesk, venue: Any) -> None:
    heard = desk().open(UP)
    asked = []
    for _ in range(1_200):
        heard.wait(50)
        asked += [heard.now_ms for effect in heard.taken() if isinstance(effect, FetchBooks)]
        heard.hear(b"PONG", b'{"event_type":"best_bid_ask","asset_id":"101"}')
    pauses = [b - a for a, b in itertools.pairwise(asked)]
    assert pauses == sorted(pauses)
    assert len(asked) <= 8


def test_frames_older_than_the_snapshot_are_in_it_already(desk: MakeDesk, venue: Any) -> None:
    late = venue.change("BUY", "0.45", "99")
    venue.set("BUY", "0.45", "0")
    venue.now_ms += 10
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(late).wait(500)
    assert heard.epochs() == []
    assert heard.mirrored() == venue.depth()


def test_a_change_that_comes_late_yields_to_a_newer_one_of_its_level(
    desk: MakeDesk, venue: Any
) -> None:
    """Trap 5: events step back in time."""
    heard = desk().open(UP).hear(venue.snapshot())
    first = venue.change("BUY", "0.48", "5")
    second = venue.change("BUY", "0.48", "6")
    third = venue.change("SELL", "0.50", "7")
    heard.hear(second, first)
    assert heard.epochs() == [("live", "snapshot")]
    heard.hear(third).wait(300)
    assert heard.epochs() == []
    assert heard.mirrored() == venue.depth()


def test_the_quotes_of_a_late_change_speak_of_the_past_and_end_nothing(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    late = venue.change("BUY", "0.47", "5")
    heard.hear(venue.change("SELL", "0.49", "6", hash=""), late)
    assert heard.epochs() == [("live", "snapshot")]
    assert heard.session.counts["late_change"] == 1
    heard.hear(venue.change("SELL", "0.49", "7")).wait(300)
    assert heard.last_depth() == venue.depth()


def test_a_frame_that_was_overtaken_is_missed_by_the_hash_of_the_one_that_did(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    venue.change("BUY", "0.47", "5")  # still on its way
    heard.taken()
    heard.hear(venue.change("SELL", "0.51", "6"))
    assert heard.epochs() == [("ended", "hash")]


def test_a_change_that_overtook_its_snapshot_is_applied_on_top_of_it(
    desk: MakeDesk, venue: Any
) -> None:
    snapshot = venue.snapshot()
    overtaking = venue.change("BUY", "0.49", "5")
    heard = desk().open(UP).hear(overtaking, snapshot)
    assert heard.last_depth() == venue.depth()


def test_a_snapshot_older_than_the_mirror_changes_nothing(desk: MakeDesk, venue: Any) -> None:
    first = venue.snapshot()
    heard = desk().open(UP).hear(first, venue.change("BUY", "0.49", "5"))
    heard.taken()
    heard.hear(first).wait(500)
    assert heard.mirrored() == venue.depth()
    assert heard.session.counts["old_snapshot"] == 1


def test_an_undecodable_frame_goes_to_quarantine_and_ends_every_epoch(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(b'{"event_type":"price_change","price_changes":7}')
    put_aside, reconnect = heard.taken()
    assert isinstance(put_aside, Quarantine)
    assert b"price_changes" in put_aside.record.raw
    assert reconnect == Reconnect("undecodable_frame")
    heard.did(heard.session.closed("undecodable_frame", heard.now_ms))
    assert heard.epochs() == [("ended", "undecodable_frame")]


@pytest.mark.parametrize(
    "row",
    [
        {"price": "0.5", "size": "abc"},
        {"price": "abc", "size": "1"},
        {"price": "1.5", "size": "1"},
        {"price": "0.5", "size": "-1"},
        {"price": "0.5", "size": "1", "side": "HOLD"},
        {"price": "0.5", "size": "1", "best_bid": "x"},
    ],
)
def test_an_impossible_change_is_quarantined_and_ends_its_own_tokens_epoch(
    desk: MakeDesk, venue: Any, row: dict[str, str]
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(venue.frame([{"asset_id": UP, "side": "BUY", **row}]))
    effects = heard.taken()
    assert sum(isinstance(effect, Quarantine) for effect in effects) == 1
    assert [e.record.reason for e in effects if hasattr(e, "key")] == ["undecodable_change"]


@pytest.mark.parametrize(
    ("ahead_ms", "reasons"),
    [(4_000, []), (6_000, ["undecodable_change"]), (10**13, ["undecodable_change"])],
)
def test_a_change_from_the_future_is_not_believed_and_makes_nothing_after_it_late(
    desk: MakeDesk, venue: Any, ahead_ms: int, reasons: list[str]
) -> None:
    """Were its stamp taken, no later change would be held against the venue's quotes."""
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    before_ms = venue.now_ms
    venue.now_ms += ahead_ms
    frame = venue.change("BUY", "0.48", "5")
    venue.now_ms = before_ms
    heard.hear(frame)
    records = [getattr(effect, "record", None) for effect in heard.taken()]
    assert [each.reason for each in records if isinstance(each, BookEpoch)] == reasons


def test_unknown_event_types_and_extra_keys_are_counted_not_feared(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot(colour="green"))
    heard.taken()
    heard.hear(b'{"event_type":"weather","sun":1}', b'[{"event_type":"new_market","id":"1"}]')
    assert heard.taken() == []
    assert heard.session.counts["unknown:weather"] == 1


def test_one_bad_frame_in_an_array_does_not_lose_the_good_one(desk: MakeDesk, venue: Any) -> None:
    both = b'[{"event_type":"book"},' + venue.snapshot() + b"]"
    heard = desk().open(UP).hear(both)
    effects = heard.taken()
    assert sum(isinstance(effect, Quarantine) for effect in effects) == 1
    assert any(isinstance(getattr(effect, "record", None), Depth) for effect in effects)


def test_both_tokens_of_one_frame_are_mirrored_each_in_its_own_book(
    desk: MakeDesk, new_venue: Any
) -> None:
    up, down = new_venue(UP), new_venue(DOWN)
    up.bids["0.50"], up.asks["0.60"] = "1", "1"
    down.bids["0.40"], down.asks["0.50"] = "1", "1"
    heard = desk().open(UP, DOWN).hear(up.snapshot(), down.snapshot())
    heard.taken()
    both = [
        json.loads(frame)["price_changes"][0]
        for frame in (up.change("BUY", "0.55", "9"), down.change("SELL", "0.45", "9"))
    ]
    heard.hear(up.frame(both)).wait(300)
    depths = {r.token: r for r in heard.records() if isinstance(r, Depth)}
    assert set(depths) == {UP, DOWN}


def test_several_changes_of_one_token_in_a_frame_are_judged_by_the_last(
    desk: MakeDesk, venue: Any
) -> None:
    """Whether each echo speaks of its own change or of the frame is not documented (7.2)."""
    heard = desk().open(UP).hear(venue.snapshot())
    rows = [
        json.loads(venue.change("BUY", "0.49", "5"))["price_changes"][0],
        json.loads(venue.change("BUY", "0.49", "0"))["price_changes"][0],
    ]
    rows[0]["best_bid"] = rows[1]["best_bid"]
    heard.taken()
    heard.hear(venue.frame(rows)).wait(300)
    assert heard.last_depth() == venue.depth()


def test_a_crossed_book_that_the_venue_confirms_is_published_as_it_is(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(venue.change("BUY", "0.52", "1")).wait(300)
    found = heard.last_depth()
    assert found is not None
    assert found[0][0] > found[1][0]


def test_a_crossed_book_that_nobody_confirms_is_a_fault(desk: MakeDesk, venue: Any) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.hear(venue.change("BUY", "0.52", "1", best_bid=None, best_ask=None, hash=""))
    assert heard.epochs() == [("ended", "crossed")]


def test_silence_with_pong_alive_reconnects(desk: MakeDesk, venue: Any) -> None:
    heard = desk(silence_ms=8_000).open(UP).hear(venue.snapshot())
    heard.taken()
    for _ in range(7):
        heard.wait(1_000).hear(b"PONG")
    assert not any(isinstance(effect, Reconnect) for effect in heard.taken())
    heard.wait(1_100)
    assert Reconnect("silent") in heard.taken()


def test_a_ping_goes_out_every_ten_seconds_and_its_silence_is_noticed(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk(silence_ms=1_000_000).open(UP).hear(venue.snapshot())
    heard.wait(30_100)
    effects = heard.taken()
    assert effects.count(Send("PING")) == 3
    assert Reconnect("no_pong") in effects


def check(desk: Any) -> list[str]:
    asked: list[str] = desk.session.check_begin([UP], desk.now_ms)
    return asked


def test_a_rest_book_that_agrees_proves_a_quiet_connection_fresh(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    before_ms = heard.session.fresh_ms
    heard.wait(5_000)
    assert heard.session.fresh_ms == before_ms
    assert check(heard) == [UP]
    asked_ms = heard.now_ms
    heard.wait(100)
    rest(heard, venue)
    heard.wait(1_100)
    assert heard.session.fresh_ms == asked_ms


def test_a_rest_book_that_moved_on_while_the_socket_was_silent_means_frozen(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot()).wait(3_000)
    check(heard)
    venue.set("BUY", "0.48", "1")
    rest(heard, venue)
    heard.taken()
    heard.wait(1_100)
    assert Reconnect("frozen") in heard.taken()


def test_a_stale_level_that_nobody_touched_is_found_by_comparison_on_a_busy_book(
    desk: MakeDesk, venue: Any
) -> None:
    """The method needs no equal timestamps: what did not move while it was asked must agree."""
    heard = desk(budget=no_hashing()).open(UP).hear(venue.snapshot())
    venue.change("BUY", "0.46", "0")  # lost, and the hash is not looked at
    check(heard)
    heard.hear(venue.change("SELL", "0.50", "12"))
    rest(heard, venue)
    heard.hear(venue.change("SELL", "0.50", "13"), venue.change("BUY", "0.47", "1"))
    heard.taken()
    heard.wait(1_100)
    assert ("ended", "books_differ") in heard.epochs()


def test_a_busy_book_that_is_right_survives_comparison(desk: MakeDesk, venue: Any) -> None:
    heard = desk(budget=no_hashing()).open(UP).hear(venue.snapshot())
    check(heard)
    heard.hear(venue.change("SELL", "0.50", "12"))
    rest(heard, venue)
    ahead = venue.change("BUY", "0.47", "1")
    heard.wait(400).hear(ahead)
    heard.taken()
    heard.wait(1_100)
    assert heard.epochs() == []
    assert heard.mirrored() == venue.depth()


def test_a_book_that_is_compared_more_often_than_a_judgement_takes_is_judged_all_the_same(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk(budget=no_hashing()).open(UP).hear(venue.snapshot())
    venue.change("BUY", "0.46", "0")  # lost, and the hash is not looked at
    assert check(heard) == [UP]
    rest(heard, venue)
    heard.wait(500)
    assert check(heard) == []
    heard.hear(venue.change("SELL", "0.50", "12"))
    heard.taken()
    heard.wait(600)
    assert ("ended", "books_differ") in heard.epochs()


def test_a_comparison_that_a_snapshot_ended_does_not_end_the_next_one(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk(budget=no_hashing()).open(UP).hear(venue.snapshot())
    assert check(heard) == [UP]
    rest(heard, venue)
    heard.hear(venue.snapshot())
    assert check(heard) == [UP]
    venue.change("BUY", "0.46", "0")  # lost
    heard.wait(50)
    rest(heard, venue)
    heard.hear(venue.change("SELL", "0.50", "12"))
    heard.taken()
    heard.wait(1_100)
    assert ("ended", "books_differ") in heard.epochs()


def no_hashing() -> Any:
    from connectors.polymarket.book_hash import HashBudget

    return HashBudget(0)


def test_a_token_without_a_book_is_looked_up_again_in_the_catalogue(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).wait(5_100)
    heard.taken()
    heard.did(heard.session.books_answered([UP], {}, heard.now_ms, heard.now_ms * MS))
    assert heard.taken() == [RereadMarket(UP, "no_book")]


def test_a_believed_book_that_rest_no_longer_has_is_believed_no_longer(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    check(heard)
    heard.taken()
    heard.did(heard.session.books_answered([UP], {}, heard.now_ms, heard.now_ms * MS))
    assert heard.epochs() == [("ended", "no_book")]


def test_an_answer_asked_before_the_connection_proves_nothing_about_it(
    desk: MakeDesk, venue: Any
) -> None:
    heard = desk().open(UP)
    old = answer(venue)
    heard.taken()
    asked_ms = heard.now_ms - 1
    heard.did(heard.session.books_answered([UP], old, asked_ms, heard.now_ms * MS))
    assert heard.taken() == []


def test_dropping_a_token_ends_its_epoch_and_unsubscribes(desk: MakeDesk, venue: Any) -> None:
    heard = desk().open(UP).hear(venue.snapshot())
    heard.taken()
    heard.did(heard.session.follow([DOWN], [UP], heard.now_ms))
    effects = heard.taken()
    assert [e.record.reason for e in effects if hasattr(e, "key")] == ["unwatched"]
    operations = [json.loads(e.text) for e in effects if isinstance(e, Send)]
    assert [(o["operation"], o["assets_ids"]) for o in operations] == [
        ("unsubscribe", [UP]),
        ("subscribe", [DOWN]),
    ]


def test_a_market_resolved_frame_is_only_a_hint_to_read(desk: MakeDesk) -> None:
    heard = desk().open(UP)
    heard.taken()
    heard.hear(b'{"event_type":"market_resolved","market":"0xabc","winning_asset_id":"101"}')
    assert heard.taken() == [RereadMarket("0xabc", "market_resolved")]
