"""Recordings made by others, as frames and rows of this venue, for tests that can reach them.

They are no part of the project; a caller names the folder and skips where it is absent. What a
recording does not hold is not invented: the L2 deltas have no `book` frames and no hashes, so their
frames carry empty ones and a mirror grows stale on them, as it did for whoever recorded them.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from infra.sandbox.hashing import hex_id
from infra.sandbox.records import Emission
from infra.sandbox.wire_activity import message
from schemas.units import format_micro, parse_micro_half_even

Json = dict[str, Any]
_SIDES = {"BID": "BUY", "ASK": "SELL", "BUY": "BUY", "SELL": "SELL"}
_V2_NAMES = {
    "proxyWallet": "proxy_wallet",
    "asset": "token_id",
    "conditionId": "condition_id",
    "outcomeIndex": "outcome_index",
    "transactionHash": "transaction_hash",
    "usdcSize": "usdc_size",
    "eventSlug": "event_slug",
    "profileImage": "profile_image",
    "profileImageOptimized": "profile_image_optimized",
}
_V2_POSITION_NAMES = {
    "size": "current_size",
    "avgPrice": "avg_price",
    "initialValue": "entry_cost_usdc",
    "currentValue": "current_value",
    "curPrice": "current_price",
    "totalBought": "total_size",
    "realizedPnl": "realized_pnl",
    "cashPnl": "total_pnl",
    "percentPnl": "percent_pnl",
    "percentRealizedPnl": "percent_realized_pnl",
    "negativeRisk": "negative_risk",
    "oppositeOutcome": "opposite_outcome",
    "oppositeAsset": "opposite_token_id",
    "eventId": "event_id",
    "endDate": "end_date",
}
_NUMBERS = ("size", "usdcSize", "price")
_INTEGERS = ("timestamp", "outcomeIndex")


def l2_frames(path: Path, rows_max: int | None = None) -> Iterator[tuple[int, Json]]:
    """Market-channel frames of a recording of L2 deltas, with their recorded times.

    The two rows of a change that mirrors itself in the other token are one frame.
    """
    frame = pl.read_parquet(path, n_rows=rows_max).with_columns(
        pl.col("side", "event_type").cast(pl.String)
    )
    columns = ("timestamp", "price", "size", "best_bid", "best_ask", "side", "event_type")
    pairs = _token_pairs(frame)
    rows = list(
        frame.select(pl.col("timestamp").dt.epoch("ms"), *columns[1:], "asset_id").iter_rows()
    )
    place = 0
    while place < len(rows):
        row = rows[place]
        following = rows[place + 1] if place + 1 < len(rows) else None
        mirrored = following is not None and _mirrors(row, following)
        group = rows[place : place + 2] if mirrored else [row]
        place += len(group)
        token = str(row[7])
        market = hex_id("recorded", *sorted((token, pairs.get(token, ""))))
        if row[6] == "LAST_TRADE":
            for print_row in group:
                yield int(row[0]), _print(market, print_row)
        else:
            yield int(row[0]), _deltas(market, group)


def _mirrors(row: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return bool(
        row[0] == other[0]
        and row[2] == other[2]
        and row[5] != other[5]
        and row[6] == other[6] == "PRICE_CHANGE"
        and abs(row[1] + other[1] - 1) < 1e-9
        and row[7] != other[7]
    )


def _token_pairs(frame: pl.DataFrame) -> dict[str, str]:
    """Which two tokens belong to one market: those that mirror each other most often."""
    votes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    rows = list(
        frame.head(20_000)
        .select(
            "timestamp", "price", "size", "best_bid", "best_ask", "side", "event_type", "asset_id"
        )
        .iter_rows()
    )
    for row, other in pairwise(rows):
        if _mirrors(row, other):
            votes[row[7]][other[7]] += 1
            votes[other[7]][row[7]] += 1
    return {token: max(others, key=lambda o: others[o]) for token, others in votes.items()}


def _decimal(number: float) -> str:
    return format_micro(parse_micro_half_even(number))


def _deltas(market: str, rows: list[tuple[Any, ...]]) -> Json:
    return {
        "event_type": "price_change",
        "market": market,
        "timestamp": str(rows[0][0]),
        "price_changes": [
            {
                "asset_id": str(row[7]),
                "price": _decimal(row[1]),
                "size": _decimal(row[2]),
                "side": _SIDES[row[5]],
                "hash": "",
                "best_bid": _decimal(row[3]),
                "best_ask": _decimal(row[4]),
            }
            for row in rows
        ],
    }


def _print(market: str, row: tuple[Any, ...]) -> Json:
    return {
        "event_type": "last_trade_price",
        "market": market,
        "asset_id": str(row[7]),
        "price": _decimal(row[1]),
        "size": _decimal(row[2]),
        "side": _SIDES[row[5]],
        "fee_rate_bps": "0",
        "timestamp": str(row[0]),
        "transaction_hash": "",
    }


def activity_messages(path: Path) -> list[Json]:
    """RTDS messages of a recorded slice of the feed: `trades` for each leg, in order.

    The taker of a transaction is the leg as large as all others together; where that is no single
    leg the recording does not say who it was, and there is no `orders_matched`.
    """
    events = json.loads(path.read_text())["events"]
    messages = []
    by_tx: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        by_tx[event["tx_hash"]].append(event)
        messages.append(_activity("trades", event))
    for legs in by_tx.values():
        sizes = [parse_micro_half_even(leg["size"]) for leg in legs]
        takers = [leg for leg, size in zip(legs, sizes, strict=True) if 2 * size == sum(sizes)]
        if len(takers) == 1:
            messages.append(_activity("orders_matched", takers[0]))
    return messages


def _activity(kind: str, event: Json) -> Json:
    row = {
        "proxyWallet": event["trader"],
        "asset": event["token_id"],
        "conditionId": event["market_id"],
        "side": event["side"],
        "size": event["size"],
        "price": event["price"],
        "timestamp": event["source_ts_ms"] // 1000,
        "transactionHash": event["tx_hash"],
        "outcome": event["outcome"],
        "outcomeIndex": 999,
        "slug": event["slug"],
        "eventSlug": event["slug"],
        "title": event["title"],
    }
    return message(kind, row, now_ms=event["source_ts_ms"], connection="recorded=")


def v2_row(row: Json) -> Json:
    """A v1 trade or activity row under its v2 names (API reference 10.7)."""
    return {_V2_NAMES.get(name, name): value for name, value in row.items()}


def v2_position(row: Json) -> Json:
    """A v1 position under its v2 names; fields v1 did not have are left out."""
    return v2_row({_V2_POSITION_NAMES.get(name, name): value for name, value in row.items()})


def v2_rows(path: Path) -> list[Json]:
    """Rows of a recorded v1 answer (JSON) or of a saved activity (CSV)."""
    if path.suffix == ".json":
        return [v2_row(row) for row in json.loads(path.read_text())]
    with path.open(newline="") as lines:
        return [v2_row(_typed(row)) for row in csv.DictReader(lines)]


def _typed(row: dict[str, str]) -> Json:
    typed: Json = {name: value for name, value in row.items() if name != "datetime"}
    typed |= {name: float(row[name]) for name in _NUMBERS}
    return typed | {name: int(row[name]) for name in _INTEGERS}


def as_emissions(frames: Iterator[Json], channel: str) -> Iterator[Emission]:
    """Recorded frames as the hub sends them: to every market socket, or by activity type."""
    for frame in frames:
        key = frame["type"] if channel == "activity" else frame["market"]
        yield Emission(channel=channel, key=key, payload=frame, everyone=channel == "market")
