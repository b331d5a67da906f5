"""Promise R3 for books: whatever happens to frames, what is published was true, and it recovers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.polymarket.book import Mirror
from connectors.polymarket.effects import Append, FetchBooks, Reconnect, Send
from connectors.polymarket.wire_market import Change, decode_books
from schemas.codec import decode_levels
from schemas.records.market import Depth

UP = "101"
MS = 1_000_000
MakeDesk = Callable[..., Any]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["pass"] * 5 + ["drop", "double", "swap"]),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(0, 5),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=60,
)


class World:
    """A venue, a session and a line between them that loses, doubles and swaps frames."""

    def __init__(self, desk: Any, venue: Any) -> None:
        self.desk, self.venue = desk, venue
        self.true: dict[int, Any] = {}
        self.held: bytes | None = None
        self.published = 0
        self.remember()

    def remember(self) -> None:
        self.true[self.venue.now_ms] = self.venue.depth()

    def step(self, fate: str, side: str, level: int, size: int) -> None:
        price = f"{(0.48 - level / 100 if side == 'BUY' else 0.50 + level / 100):.2f}"
        frame = self.venue.change(side, price, str(size))
        self.remember()
        if fate == "drop":
            return
        if fate == "swap" and self.held is None:
            self.held = frame
            return
        late, self.held = self.held, None
        self.hear(frame, *([frame] if fate == "double" else []), *([late] if late else []))

    def hear(self, *frames: bytes) -> None:
        self.desk.hear(*frames)
        self.settle(20)

    def settle(self, ms: int) -> None:
        """Time passes; what the session wants done is done at once."""
        for _ in range(max(ms // 50, 1)):
            self.desk.wait(50)
            for effect in self.desk.taken():
                self.obey(effect)

    def obey(self, effect: Any) -> None:
        desk = self.desk
        match effect:
            case Append(record=Depth() as depth):
                found = [
                    [(price / MS, size / MS) for price, size in decode_levels(side)]
                    for side in (depth.bids, depth.asks)
                ]
                assert tuple(found) == self.true[depth.as_of_ms]
                self.published += 1
            case FetchBooks(tokens=tokens):
                books = {
                    b.asset_id: b for b in decode_books(json.dumps([self.venue.book()]).encode())
                }
                desk.did(desk.session.books_answered(tokens, books, desk.now_ms, desk.now_ms * MS))
            case Send(text=text) if "unsubscribe" not in text and "subscribe" in text:
                desk.hear(self.venue.snapshot())
            case Reconnect():
                desk.did(desk.session.closed(effect.reason, desk.now_ms))
                desk.did(desk.session.opened(desk.now_ms))
                desk.hear(self.venue.snapshot())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_every_published_depth_was_the_venues_book_and_the_mirror_recovers(
    steps: list[tuple[str, str, int, int]], desk: MakeDesk, new_venue: Any
) -> None:
    venue = new_venue()
    venue.bids["0.40"], venue.asks["0.60"] = "5", "5"
    world = World(desk(silence_ms=10**9).open(UP), venue)
    world.hear(venue.snapshot())
    for step in steps:
        world.step(*step)
    world.settle(40_000)
    session = world.desk.session
    asked = session.check_begin([UP], world.desk.now_ms)
    if asked:
        world.obey(FetchBooks((UP,)))
    world.settle(3_000)
    assert session.live_tokens == [UP]
    assert world.desk.mirrored() == venue.depth()
    assert world.published


@given(
    changes=st.lists(
        st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 99), st.integers(0, 3)),
        max_size=80,
    )
)
def test_the_mirrors_quotes_are_always_the_extremes_of_its_levels(
    changes: list[tuple[str, int, int]],
) -> None:
    mirror = Mirror()
    for number, (side, cents, size) in enumerate(changes):
        change = Change(asset_id=UP, price=f"{cents / 100:.2f}", size=str(size), side=side)
        mirror.change(change, number)
        assert mirror.best_bid == (max(mirror.bids) if mirror.bids else None)
        assert mirror.best_ask == (min(mirror.asks) if mirror.asks else None)
    assert "0" not in (*mirror.bids.values(), *mirror.asks.values())


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_the_order_in_which_levels_come_does_not_matter(
    desk: MakeDesk, venue: Any, order: str
) -> None:
    """Trap 6: levels come worst first today; the best is found, not assumed."""
    body = venue.book()
    levels = sorted(body["asks"], key=lambda level: float(level["price"]))
    body["asks"] = levels if order == "ascending" else levels[::-1]
    frame = json.dumps({"event_type": "book", **body, "hash": ""}).encode()
    found = desk().open(UP).hear(frame).last_depth()
    assert found == venue.depth()


def test_on_the_recorded_game_a_mirror_without_snapshots_is_contradicted_and_said_so(
    recorded: Path, desk: MakeDesk
) -> None:
    """Trap 4 on 206,848 real rows that came without `book` frames: stale levels stay behind.

    The mirror alone would be wrong in many rows and never know; the echo knows every one of them,
    and a session never publishes any of it.
    """
    rows = pl.read_parquet(recorded / "nhl-l2-deltas" / "polymarket_20260607_0130.parquet")
    rows = rows.filter(pl.col("event_type") == "PRICE_CHANGE").head(60_000)
    mirrors: dict[str, Mirror] = {}
    contradicted = 0
    for price, size, bid, ask, side, token in rows.select(
        "price", "size", "best_bid", "best_ask", pl.col("side").cast(str), "asset_id"
    ).rows():
        change = Change(
            asset_id=token,
            price=f"{price:.4f}",
            size=f"{size:.6f}",
            side="BUY" if side == "BID" else "SELL",
            best_bid=f"{bid:.4f}",
            best_ask=f"{ask:.4f}",
        )
        mirror = mirrors.setdefault(token, Mirror())
        mirror.change(change, 1)
        wrong = (mirror.best_bid or 0, mirror.best_ask or MS) != (
            round(bid * MS),
            round(ask * MS),
        )
        assert (mirror.contradiction(change) is not None) == wrong
        contradicted += wrong
    assert contradicted > 1_000


def test_on_the_recorded_game_the_session_publishes_nothing_before_a_snapshot(
    recorded: Path, desk: MakeDesk
) -> None:
    rows = pl.read_parquet(recorded / "nhl-l2-deltas" / "polymarket_20260607_0130.parquet")
    tokens = rows["asset_id"].unique().sort().to_list()
    heard = desk().open(*tokens)
    for at, price, size, side, token in (
        rows.head(5_000)
        .select(
            pl.col("timestamp").dt.epoch("ms"),
            "price",
            "size",
            pl.col("side").cast(str),
            "asset_id",
        )
        .rows()
    ):
        row = {
            "asset_id": token,
            "price": f"{price:.4f}",
            "size": f"{size:.2f}",
            "side": "BUY" if side == "BID" else "SELL",
        }
        frame = {
            "event_type": "price_change",
            "market": "0x1",
            "timestamp": str(at),
            "price_changes": [row],
        }
        heard.hear(json.dumps(frame).encode())
    assert heard.records() == []
