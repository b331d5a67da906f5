"""Books and their frames: a mirror built from frames alone stays equal, and every hash is right."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from py_clob_client_v2.utilities import (
    generate_orderbook_summary_hash,
    parse_raw_orderbook_summary,
)

from infra.sandbox import wire_market
from infra.sandbox.books import Recordings, Stretch
from infra.sandbox.hashing import token_ids
from infra.sandbox.market import Market
from infra.sandbox.orderbook import ASK, BID, Change, MarketBook, differences, paired

START_MS = 1_795_000_000_000
World = Any
Make = Callable[..., World]


class Mirror:
    """A client's copy of one token's book, from the frames of the market channel alone."""

    def __init__(self, first: dict[str, Any]) -> None:
        self.known = {k: first[k] for k in ("min_order_size", "tick_size", "neg_risk")}
        self.last_trade = first["last_trade_price"]
        self.reset(first)

    def reset(self, frame: dict[str, Any]) -> None:
        self.bids = {row["price"]: row["size"] for row in frame["bids"]}
        self.asks = {row["price"]: row["size"] for row in frame["asks"]}

    def change(self, change: dict[str, Any]) -> None:
        side = self.bids if change["side"] == "BUY" else self.asks
        side.pop(change["price"], None)
        if change["size"] != "0":
            side[change["price"]] = change["size"]

    def quotes(self) -> tuple[str, str]:
        return max(self.bids, key=float, default="0"), min(self.asks, key=float, default="1")

    def hash(self, market: str, asset: str, timestamp: str) -> str:
        def rows(levels: dict[str, str], *, descending: bool) -> list[dict[str, str]]:
            ordered = sorted(levels.items(), key=lambda row: float(row[0]), reverse=descending)
            return [{"price": price, "size": size} for price, size in ordered]

        return oracle_hash(
            {
                "market": market,
                "asset_id": asset,
                "timestamp": timestamp,
                "hash": "",
                "bids": rows(self.bids, descending=False),
                "asks": rows(self.asks, descending=True),
                "last_trade_price": self.last_trade,
                **self.known,
            }
        )


def oracle_hash(book: dict[str, Any]) -> str:
    """The hash by the official client's own function."""
    return str(generate_orderbook_summary_hash(parse_raw_orderbook_summary(book)))


def follow(world: World, market: Market, ms: int) -> tuple[dict[str, Mirror], int]:
    """Mirrors of a market's tokens, each frame of the stretch checked; and how many were."""
    mirrors = {
        market.tokens[token]: Mirror(wire_market.first_book_frame(market, token, world.now_ms))
        for token in (0, 1)
    }
    start = len(world.emitted)
    world.run(ms)
    checked = 0
    for emission in world.emitted[start:]:
        if emission.channel == "market" and emission.key == market.condition_id:
            checked += check_frame(mirrors, emission.payload)
    return mirrors, checked


def check_frame(mirrors: dict[str, Mirror], frame: dict[str, Any]) -> int:
    kind = frame["event_type"]
    if kind == "price_change":
        for change in frame["price_changes"]:
            mirror = mirrors[change["asset_id"]]
            mirror.change(change)
            assert mirror.quotes() == (change["best_bid"], change["best_ask"])
            found = mirror.hash(frame["market"], change["asset_id"], frame["timestamp"])
            assert found == change["hash"]
    elif kind == "book":
        mirror = mirrors[frame["asset_id"]]
        mirror.reset(frame)
        assert mirror.hash(frame["market"], frame["asset_id"], frame["timestamp"]) == frame["hash"]
    elif kind == "tick_size_change":
        mirrors[frame["asset_id"]].known["tick_size"] = frame["new_tick_size"]
    elif kind == "last_trade_price":
        for mirror in mirrors.values():
            mirror.last_trade = frame["price"]
    return kind in ("price_change", "book")


def test_every_quote_and_hash_on_the_wire_holds_for_the_book_that_the_frames_build(
    busy_world: Make,
) -> None:
    """Trades, tick changes and recorded books together; the oracle is the official client's."""
    world = busy_world(seed=3)
    for market in world.venue.floor.markets[1:4]:
        _, checked = follow(world, market, 6_000)
        assert checked > 20


def test_mirrors_equal_the_served_books_after_a_minute(busy_world: Make) -> None:
    world = busy_world(seed=4)
    market = world.lasting()
    mirrors, _ = follow(world, market, 30_000)
    for token in (0, 1):
        served = wire_market.book(market, token, world.now_ms)
        mirror = mirrors[market.tokens[token]]
        assert {row["price"]: row["size"] for row in served["bids"]} == mirror.bids
        assert {row["price"]: row["size"] for row in served["asks"]} == mirror.asks


def test_served_books_carry_the_official_clients_hash_and_the_best_level_last(
    world: Make,
) -> None:
    for market in world().venue.floor.markets:
        book = wire_market.book(market, 0, 1_795_000_000_123)
        assert oracle_hash(book) == book["hash"]
        bids = [float(row["price"]) for row in book["bids"]]
        asks = [float(row["price"]) for row in book["asks"]]
        assert bids == sorted(bids)
        assert asks == sorted(asks, reverse=True)


def test_the_recorded_answer_of_the_venue_has_the_hash_that_our_oracle_computes(
    recorded: Any,
) -> None:
    book = json.loads((recorded / "rest-answers" / "clob_orderbook_sample.json").read_text())
    assert oracle_hash(book) == book["hash"]


def test_one_market_passes_to_the_finer_tick_and_shows_both_books_anew(world: Make) -> None:
    run = world(tick_after_s=3)
    market = run.venue.floor.markets[1]
    assert market.tick_micro == 10_000
    run.run(6_000)
    assert market.tick_micro == 1_000
    frames = run.frames("market", "tick_size_change")
    assert [(f["old_tick_size"], f["new_tick_size"]) for f in frames] == [("0.01", "0.001")] * 2
    after = [
        e.payload["event_type"]
        for e in run.emitted
        if e.payload.get("market") == frames[0]["market"]
    ]
    place = after.index("tick_size_change")
    assert after[place : place + 4] == ["tick_size_change"] * 2 + ["book"] * 2


def test_recorded_books_are_served_as_they_are_one_sided_ones_too(
    recordings: Recordings, world: Make
) -> None:
    """The resolving market's last books have one side only."""
    run = world(duration_s=30, resolve_after_s=20)
    market = run.venue.floor.markets[0]
    one_sided = 0
    for _ in range(160):
        run.run(100)
        if market.is_open:
            shown = market.books[market.played - 1].sides
            for token, (bids, asks) in shown.items():
                assert market.book.levels[token] == (bids, asks)
                one_sided += not bids or not asks
    assert one_sided > 0


def test_a_crossed_recorded_book_stays_crossed_on_the_wire(
    recordings: Recordings, world: Make
) -> None:
    """22 of the recorded books are crossed; the venue shows what there is."""
    recorded = recordings.markets[12]
    reel = recordings.books(Stretch(market=recorded, from_ms=recorded.start_ms))
    crossed = [
        (reel.at_ms(place), token)
        for place in range(len(reel))
        for token, (bids, asks) in reel[place].sides.items()
        if bids and asks and max(bids) >= min(asks)
    ]
    assert crossed
    for at_ms, token in crossed:
        floor = world(markets=1).venue.floor
        market = floor.list_market(Stretch(market=recorded, from_ms=at_ms, generation=1))
        book = wire_market.book(market, token, START_MS)
        assert float(book["bids"][-1]["price"]) >= float(book["asks"][-1]["price"])


def test_speed_shortens_only_the_intervals_between_recorded_books(world: Make) -> None:
    slow, fast = world(seed=5), world(seed=5, speed=4.0)
    played = []
    for run in (slow, fast):
        run.run(10_000)
        played.append(sum(market.played for market in run.venue.floor.markets))
    assert played[1] > 2.5 * played[0]


@pytest.mark.parametrize("number", range(5))
def test_token_ids_are_77_digits_and_not_of_protocol_v2(number: int) -> None:
    first, second = token_ids(f"0x{number:064x}")
    assert first != second
    for token in (first, second):
        assert len(token) == 77
        assert (int(token) >> 40) & (2**64 - 1)


def test_at_least_six_markets_play_and_a_resolved_one_is_replaced(world: Make) -> None:
    run = world(duration_s=20, resolve_after_s=8)
    assert len(run.venue.floor.open_markets()) == 6
    run.run(10_000)
    assert [market.status for market in run.venue.floor.markets].count("resolved") == 1
    assert len(run.venue.floor.open_markets()) == 6
    resolved = run.venue.floor.markets[0]
    frame = run.frames("market", "market_resolved")[0]
    assert frame["winning_asset_id"] == resolved.tokens[resolved.payouts_micro.index(1_000_000)]


def test_a_change_and_its_mirror_travel_together_and_removals_come_first() -> None:
    book = MarketBook()
    book.levels[0][BID][400_000] = 5
    book.levels[1][ASK][600_000] = 5
    up = differences(book, 0, ({410_000: 7}, {}))
    down = differences(book, 1, ({}, {590_000: 7}))
    assert list(paired(up + down)) == [
        (Change(0, BID, 400_000, 0), Change(1, ASK, 600_000, 0)),
        (Change(0, BID, 410_000, 7), Change(1, ASK, 590_000, 7)),
    ]


def test_what_a_trade_takes_leaves_both_outcomes_books() -> None:
    book = MarketBook()
    book.levels[0][ASK][300_000] = 10
    book.levels[1][BID][700_000] = 10
    book.take(0, ASK, 300_000, 4)
    assert (book.levels[0][ASK], book.levels[1][BID]) == ({300_000: 6}, {700_000: 6})
    book.take(0, ASK, 300_000, 6)
    assert (book.levels[0][ASK], book.levels[1][BID]) == ({}, {})


def test_the_last_trade_price_is_one_string_of_three_decimals_for_both_tokens() -> None:
    shown = SimpleNamespace(last_trade_price_micro=750_000)
    assert wire_market.last_trade_text(shown) == "0.750"  # type: ignore[arg-type]
