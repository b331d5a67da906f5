"""Feeds as a connector's own Ticks have them, and what both connectors count."""

import logging
from typing import Literal

import pytest

from connectors.telemetry.feeds import ConnectorCounts, FeedBoard
from connectors.telemetry.server import Telemetry
from schemas.records.base import Token
from schemas.records.market import BookEpoch
from schemas.records.system import FeedState

State = Literal["up", "suspect", "down"]
NOW_MS = 1_764_000_000_000


def feed(state: State, age_ms: int | None) -> FeedState:
    return FeedState(state=state, last_data_ms=0 if age_ms is None else NOW_MS - age_ms)


@pytest.fixture
def board() -> FeedBoard:
    return FeedBoard(lambda: NOW_MS * 1_000_000)


def test_states_and_ages_are_those_of_the_newest_tick(board: FeedBoard) -> None:
    says = {
        "market": feed("up", 40),
        "activity": feed("suspect", 2_500),
        "user": feed("down", None),
    }
    tick = board.watching(lambda _now_ms: says)
    assert board.levels() == board.ages_s() == {}
    assert tick(NOW_MS) == says
    assert board.levels() == {"market": 1, "activity": 0.5, "user": 0}
    assert board.ages_s() == {"market": 0.04, "activity": 2.5}


def test_each_change_of_a_state_is_one_line_and_no_change_is_none(
    board: FeedBoard, caplog: pytest.LogCaptureFixture
) -> None:
    says = {"market": feed("suspect", None)}
    tick = board.watching(lambda _now_ms: dict(says))
    with caplog.at_level(logging.INFO):
        for found in (feed("up", 10), feed("up", 20), feed("down", 900)):
            tick(NOW_MS)
            says["market"] = found
        tick(NOW_MS)
        tick(NOW_MS)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "feed=market state=suspect was=none data_age_ms=none"),
        ("INFO", "feed=market state=up was=suspect data_age_ms=10"),
        ("WARNING", "feed=market state=down was=up data_age_ms=900"),
    ]


def test_conditions_name_the_feed_that_is_down_or_silent(board: FeedBoard) -> None:
    says = {"market": feed("down", 10), "user": feed("up", None)}
    tick = board.watching(lambda _now_ms: says)
    assert board.silent() == board.down("market") == "no Tick yet"
    tick(NOW_MS)
    assert board.down("market") == "market is down"
    assert board.down("user") == ""
    assert board.silent() == "no data yet: user"
    says["user"] = feed("suspect", 5)
    assert board.silent() == ""


@pytest.mark.parametrize(
    ("state", "reason", "counted"),
    [("ended", "books_differ", 1), ("ended", "unwatched", 0), ("live", "snapshot", 0)],
)
def test_an_epoch_that_ended_is_a_resync_unless_nobody_wants_the_book(
    state: Literal["live", "ended"], reason: str, counted: int
) -> None:
    counts = ConnectorCounts()
    counts.appended(BookEpoch(token=Token("1"), epoch="p-1.1", state=state, reason=reason))
    assert counts.resyncs.total() == counted


def test_counts_come_out_under_their_names() -> None:
    telemetry, counts = Telemetry("public"), ConnectorCounts()
    counts.export(telemetry)
    counts.lost("market")()
    counts.frames["activity"] += 3
    counts.dead["market"] += 1
    counts.resyncs["echo"] += 2
    page = telemetry.metrics.page().decode()
    for line in (
        'truecopy_reconnects_total{feed="market"} 1.0',
        'truecopy_frames_total{feed="activity"} 3.0',
        'truecopy_dead_total{feed="market"} 1.0',
        'truecopy_book_resyncs_total{reason="echo"} 2.0',
    ):
        assert line in page.splitlines()
