"""Others' recordings as frames and rows of this venue; skipped where they are absent."""

import asyncio
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import polars as pl
import pytest
import websockets

from infra.sandbox.recordings import (
    activity_messages,
    as_emissions,
    l2_frames,
    v2_position,
    v2_row,
    v2_rows,
)
from infra.sandbox.server import Sandbox
from tests.waiting import WAIT_S


def test_l2_deltas_become_frames_of_both_mirrored_tokens(recorded: Path) -> None:
    path = next((recorded / "nhl-l2-deltas").glob("*.parquet"))
    frames = [frame for _, frame in l2_frames(path, rows_max=20_000)]
    rows = sum(len(frame.get("price_changes", [0])) for frame in frames)
    assert rows == 20_000
    sizes = Counter(len(f["price_changes"]) for f in frames if f["event_type"] == "price_change")
    assert sizes[2] > 50 * sizes[1]
    for frame in frames:
        for first, second in itertools.pairwise(frame.get("price_changes", [])):
            assert float(first["price"]) + float(second["price"]) == pytest.approx(1)
            assert {first["side"], second["side"]} == {"BUY", "SELL"}


def test_every_token_of_the_deltas_belongs_to_one_market_of_two(recorded: Path) -> None:
    path = next((recorded / "nhl-l2-deltas").glob("*.parquet"))
    tokens = defaultdict(set)
    for _, frame in l2_frames(path, rows_max=40_000):
        for change in frame.get("price_changes", []):
            tokens[frame["market"]].add(change["asset_id"])
    assert all(len(pair) == 2 for pair in tokens.values())


def test_the_feed_slice_has_identical_rows_that_are_two_fills(recorded: Path) -> None:
    messages = activity_messages(recorded / "activity-feed" / "session.json")
    rows = [m["payload"] for m in messages if m["type"] == "trades"]
    assert (len(rows), len({row["transactionHash"] for row in rows})) == (120, 49)
    equal = Counter(json.dumps(row, sort_keys=True) for row in rows)
    assert max(equal.values()) >= 2
    takers = [m["payload"] for m in messages if m["type"] == "orders_matched"]
    assert len(takers) == len({row["transactionHash"] for row in takers})


def test_saved_answers_have_v2_names_and_their_repeated_rows(recorded: Path) -> None:
    pages = [v2_rows(recorded / "wallet-trades" / f"trades_page{n}.json") for n in (0, 1)]
    assert pages[0][-26:] == pages[1][:26]
    assert {"proxy_wallet", "token_id", "condition_id", "transaction_hash"} <= pages[0][0].keys()


def test_a_saved_activity_is_typed_and_its_merges_have_no_outcome(recorded: Path) -> None:
    rows = [row for path in (recorded / "wallet-activity").glob("*.csv") for row in v2_rows(path)]
    kinds = Counter(row["type"] for row in rows)
    assert kinds == {"TRADE": 3085, "MERGE": 2}
    merges = [row for row in rows if row["type"] == "MERGE"]
    assert all((row["outcome_index"], row["side"]) == (999, "") for row in merges)
    assert all(isinstance(row["size"], float) for row in rows)


def test_saved_positions_have_v2_names(recorded: Path) -> None:
    rows = json.loads((recorded / "rest-answers" / "data_api_positions_sample.json").read_text())
    row = v2_position(rows[0])
    assert row["current_size"] == rows[0]["size"]
    assert row["opposite_token_id"] == rows[0]["oppositeAsset"]


async def test_recorded_frames_play_over_the_sockets(
    recorded: Path, open_sandbox: Callable[..., Awaitable[Sandbox]]
) -> None:
    sandbox = await open_sandbox(speed=0.001)
    path = next((recorded / "nhl-l2-deltas").glob("*.parquet"))
    frames = [frame for _, frame in l2_frames(path, rows_max=400)]
    token = sandbox.venue.floor.markets[2].tokens[0]
    async with websockets.connect(sandbox.ready()["ws_market"]) as socket:
        await socket.send(json.dumps({"type": "market", "assets_ids": [token]}))
        async with asyncio.timeout(WAIT_S):
            await socket.recv()
            for emission in as_emissions(iter(frames), "market"):
                sandbox.hub.emit(emission)
            assert [json.loads(await socket.recv()) for _ in frames] == frames


def test_a_trade_row_keeps_its_values_under_the_new_names() -> None:
    row = {"proxyWallet": "0x1", "asset": "7", "usdcSize": 1.5, "size": 3, "outcomeIndex": 999}
    assert v2_row(row) == {
        "proxy_wallet": "0x1",
        "token_id": "7",
        "usdc_size": 1.5,
        "size": 3,
        "outcome_index": 999,
    }


def test_deltas_of_our_own_making_pair_up_and_prints_stand_alone(tmp_path: Path) -> None:
    """Runs everywhere: a change, its mirror, a print, and a change without a mirror."""
    path = tmp_path / "deltas.parquet"
    rows = [
        (0, 0.31, 198.0, 0.35, 0.39, "BID", "PRICE_CHANGE", "up"),
        (0, 0.69, 198.0, 0.61, 0.65, "ASK", "PRICE_CHANGE", "down"),
        (5, 0.35, 10.0, 0.35, 0.39, "ASK", "LAST_TRADE", "up"),
        (9, 0.32, 7.0, 0.35, 0.39, "BID", "PRICE_CHANGE", "up"),
    ]
    names = ["timestamp", "price", "size", "best_bid", "best_ask", "side", "event_type", "asset_id"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ms"))).write_parquet(path)
    frames = list(l2_frames(path))
    assert [at_ms for at_ms, _ in frames] == [0, 5, 9]
    assert [len(f.get("price_changes", [])) for _, f in frames] == [2, 0, 1]
    assert len({f["market"] for _, f in frames}) == 1
    assert frames[1][1]["price"] == "0.35"
