"""The traps of the recordings that no other file replays, each through the project's own code.

Where the recordings are not beside the checkout these skip, saying so; the same traps on rows of
our own always run (tests/connectors, tests/core).
"""

import csv
import json
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from connectors.polymarket.fills import answer_totals
from connectors.polymarket.wire_data import Fill, decode_trade
from flows.core.exposure import unpaired
from flows.core.reconcile import Rebuilt, compare
from schemas.records import journal
from schemas.records.base import group_id
from schemas.units import MICRO, parse_micro, parse_micro_half_even
from tests.core.tape import LEADER, UP

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def recorded() -> Path:
    if not RECORDED.is_dir():
        pytest.skip("the recordings are not beside this checkout (../shared/data)")
    return RECORDED


def v2(row: dict) -> bytes:
    """A v1 trade row in the shape of the Data API v2 (names only)."""
    names = {
        "proxyWallet": "proxy_wallet",
        "asset": "token_id",
        "conditionId": "condition_id",
        "transactionHash": "transaction_hash",
        "outcomeIndex": "outcome_index",
    }
    return json.dumps({names.get(key, key): value for key, value in row.items()}).encode()


def test_trap_3_a_feed_that_misses_a_fill_is_put_right_by_reports_alone(started) -> None:
    """Rows of our own: 30 of 130 shares never came by any feed; three reports show it."""
    world = started()
    world.fills("100")
    world.wait(9_000)
    for _ in range(3):
        assert not world.of(journal.PositionCorrected)
        world.report({UP: "130"}, subject=LEADER)
        world.wait(5_000)
    (corrected,) = world.of(journal.PositionCorrected)
    assert corrected.shares_micro == parse_micro("30")
    assert len(corrected.reports) == 3
    assert not corrected.opening


def positions_of(recorded: Path) -> dict[str, list[tuple[float, int]]]:
    """Venue snapshots (an average price of at most four decimals) by token: (time, micro)."""
    found: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for name in (
        "2025-12-24T141918__src__target_positions.csv",
        "2025-12-24T141918__target_positions.csv",
    ):
        with (recorded / "wallet-feed" / name).open() as file:
            for row in csv.DictReader(file):
                if len(row["average_price"].partition(".")[2]) <= 4:
                    at = datetime.fromisoformat(row["recorded_at"]).timestamp()
                    found[row["asset_id"]].append((at, parse_micro_half_even(row["size"])))
    for snapshots in found.values():
        snapshots.sort()
    return found


def test_trap_3_on_the_recording_the_trade_feed_alone_rarely_explains_the_holding(
    recorded: Path,
) -> None:
    """Between two venue snapshots at most an hour apart, trades seen explain few changes."""
    trades: dict[str, Rebuilt] = defaultdict(Rebuilt)
    seen: dict[tuple[str, ...], None] = {}
    for name in (
        "2025-12-24T060519__src__target_trades.csv",
        "2025-12-24T141918__src__target_trades.csv",
        "2025-12-24T141918__target_trades.csv",
    ):
        with (recorded / "wallet-feed" / name).open() as file:
            for row in csv.DictReader(file):
                if tuple(row.values()) in seen:
                    continue
                seen[tuple(row.values())] = None
                at_ms = int(datetime.fromisoformat(row["recorded_at"]).timestamp() * 1_000)
                size = parse_micro_half_even(row["size"])
                trades[row["asset_id"]].move(size if row["side"] == "buy" else -size, at_ms)
    verdicts: Counter[str] = Counter()
    for token, snapshots in positions_of(recorded).items():
        rebuilt = trades[token]
        for (before_s, held), (after_s, now_held) in pairwise(snapshots):
            if not 0 < after_s - before_s <= 3_600 or held == now_held:
                continue
            asked_ms = int(after_s * 1_000)
            base = held - rebuilt.extremes(int(before_s * 1_000), int(before_s * 1_000))[1]
            interval = compare(
                rebuilt,
                row_micro=now_held - base,
                floor_micro=100_000,
                asked_ms=asked_ms,
                lag_ms=5_000,
                report="r",
            )
            verdicts["agrees" if interval.agrees else "differs"] += 1
    assert sum(verdicts.values()) > 40, verdicts
    assert verdicts["agrees"] < 0.1 * verdicts["differs"], verdicts


def test_trap_5_on_the_recording_events_step_back_in_time(recorded: Path) -> None:
    """0.8 % of rows, at most 2.9 s late: so time never orders anything here."""
    rows = pl.read_parquet(recorded / "nhl-l2-deltas" / "polymarket_20260607_0130.parquet")
    at_ms = rows["timestamp"].dt.epoch("ms")
    back = (at_ms.cum_max() - at_ms).filter(at_ms < at_ms.cum_max())
    assert 0.004 < len(back) / len(rows) < 0.02
    assert 1_000 < back.max() < 3_000


def test_trap_6_on_the_recording_levels_come_worst_first(recorded: Path) -> None:
    book = json.loads((recorded / "rest-answers" / "clob_orderbook_sample.json").read_text())
    asks = [parse_micro(level["price"]) for level in book["asks"]]
    assert asks == sorted(asks, reverse=True)
    assert asks[-1] == min(asks)
    bids = [parse_micro(level["price"]) for level in book["bids"]]
    assert bids == sorted(bids)


def test_trap_7_on_the_recording_one_transaction_holds_wallets_and_both_outcomes(
    recorded: Path,
) -> None:
    """Groups are per wallet, token and side, so no row of a transaction hides another."""
    legs = json.loads((recorded / "activity-feed" / "session.json").read_text())["events"]
    wallets: dict[str, set[str]] = defaultdict(set)
    tokens: dict[str, set[str]] = defaultdict(set)
    for leg in legs:
        wallets[leg["tx_hash"]].add(leg["trader"])
        tokens[leg["tx_hash"]].add(leg["token_id"])
    assert any(len(group) > 1 for group in wallets.values())
    assert any(len(group) > 1 for group in tokens.values())
    groups = {
        group_id(tx=x["tx_hash"], wallet=x["trader"], token=x["token_id"], side=x["side"])
        for x in legs
    }
    parts = {(x["tx_hash"], x["trader"].lower(), x["token_id"], x["side"]) for x in legs}
    assert len(groups) == len(parts) > len(wallets)


def test_trap_8_on_the_recording_prices_are_off_the_grid_and_sizes_still_add_up(
    recorded: Path,
) -> None:
    answer = recorded / "rest-answers" / "data_api_trades_global_sample.json"
    rows = json.loads(answer.read_text())
    assert any(round(row["price"] * 1_000, 6) % 1 for row in rows)
    fills = [fill for row in rows if isinstance(fill := decode_trade(v2(row)), Fill)]
    assert len(fills) == len(rows)
    wanted: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        key = (row["transactionHash"], row["proxyWallet"].lower(), row["asset"], row["side"])
        wanted[key] += parse_micro_half_even(row["size"])
    totals = answer_totals(fills, [])
    assert sorted(total.sums[1] for total in totals.values()) == sorted(wanted.values())


def test_trap_10_on_the_recording_both_outcomes_are_bought_and_only_the_unpaired_part_counts(
    recorded: Path,
) -> None:
    """In nearly every market; a copier of trades would buy pairs that pay one dollar together."""
    both = 0
    files = sorted((recorded / "wallet-activity").glob("*.csv"))
    for file in files:
        held: Counter[str] = Counter()
        with file.open() as opened:
            for row in csv.DictReader(opened):
                if row["type"] == "TRADE":
                    sign = 1 if row["side"] == "BUY" else -1
                    held[row["asset"]] += sign * parse_micro_half_even(row["size"])
        if len(held) == 2 and min(held.values()) > MICRO:
            both += 1
            rest = unpaired(list(held.values()))
            assert min(rest) == 0
            assert max(rest) == max(held.values()) - min(held.values())
    assert both > len(files) * 0.8
