"""Splits, merges, redemptions: what they do to holdings, and what cannot be followed."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from connectors.polymarket.moves import Tokens, conditions_of, leader_moves, sort_rows
from connectors.polymarket.wire import Unreadable
from connectors.polymarket.wire_data import ActivityRow, decode_activity_row
from schemas.records.base import Condition, Token

CONDITION = Condition("0x" + "cd" * 32)
TOKENS: Tokens = {CONDITION: (Token("11"), Token("22"))}


def row(type_: str, **changed: Any) -> ActivityRow:
    body = {
        "type": type_,
        "proxy_wallet": "0x" + "1f" * 20,
        "timestamp": 1_790_619_864,
        "condition_id": CONDITION,
        "size": 50.5,
        "usdc_size": 50.5,
        "transaction_hash": "0x" + "ee" * 32,
        "token_id": "",
        "side": "",
        "outcome_index": 999,
        **changed,
    }
    decoded = decode_activity_row(json.dumps(body).encode())
    assert isinstance(decoded, ActivityRow)
    return decoded


def moved(*rows: ActivityRow, tokens: Tokens = TOKENS) -> list[tuple[dict[Token, int], int]]:
    moves, failed = leader_moves(rows, tokens, instance="a", recv_ns=1)
    assert failed == []
    return [(move.delta_micro, move.cash_micro) for move in moves.values()]


@pytest.mark.parametrize(
    ("given", "delta", "cash"),
    [
        (row("SPLIT"), {"11": 50_500_000, "22": 50_500_000}, -50_500_000),
        (row("MERGE"), {"11": -50_500_000, "22": -50_500_000}, 50_500_000),
        (row("REDEEM", token_id="22"), {"22": -50_500_000}, 50_500_000),
        (row("REDEEM", outcome_index=0), {"11": -50_500_000}, 50_500_000),
    ],
)
def test_a_move_changes_holdings_as_the_venue_documents(
    given: ActivityRow, delta: dict[str, int], cash: int
) -> None:
    """Trap 9: MERGE rows have an empty side and outcome index 999."""
    assert moved(given) == [(delta, cash)]


def test_two_rows_of_one_redemption_are_one_total_over_both_outcomes() -> None:
    rows = row("REDEEM", token_id="11", usdc_size=50.5), row("REDEEM", token_id="22", usdc_size=0)
    assert moved(*rows) == [({"11": -50_500_000, "22": -50_500_000}, 50_500_000)]


def test_a_redemption_without_outcome_is_not_guessed() -> None:
    moves, failed = leader_moves([row("REDEEM")], TOKENS, instance="a", recv_ns=1)
    assert moves == {}
    assert [why.split(":")[0] for _, why in failed] == ["unfollowable_redeem"]


def test_a_total_that_lacks_a_row_is_held_back_whole() -> None:
    rows = [row("REDEEM", token_id="11"), row("REDEEM")]
    moves, failed = leader_moves(rows, TOKENS, instance="a", recv_ns=1)
    assert (moves, len(failed)) == ({}, 1)


def test_a_split_of_a_market_with_unknown_tokens_is_not_guessed() -> None:
    moves, failed = leader_moves([row("SPLIT")], {CONDITION: ()}, instance="a", recv_ns=1)
    assert (moves, len(failed)) == ({}, 1)


@pytest.mark.parametrize("size", ["-1", "NaN"])
def test_an_impossible_size_is_not_followed(size: str) -> None:
    moves, failed = leader_moves([row("SPLIT", size=size)], TOKENS, instance="a", recv_ns=1)
    assert (moves, len(failed)) == ({}, 1)


def test_rows_are_sorted_by_what_they_mean_for_the_leader() -> None:
    cash = ("REWARD", "YIELD", "MAKER_REBATE", "TAKER_REBATE", "REFERRAL_REWARD")
    given = [
        row("TRADE"),
        row("SPLIT", is_combo=True),
        *(row(kind) for kind in (*cash, "DEPOSIT", "WITHDRAWAL", "TIP")),
        row("SPLIT"),
        row("CONVERSION"),
        row("MIGRATION"),
        row("TELEPORT"),
    ]
    found = sort_rows(given)
    assert [r.type for r in found.moves] == ["SPLIT"]
    assert [why for _, why in found.reasons] == [
        "conversion",
        "migration",
        "unknown_activity:TELEPORT",
    ]
    assert found.ignored == 10


def test_a_62_digit_condition_is_padded_before_anything_is_looked_up() -> None:
    short = row("SPLIT", condition_id="0x" + "cd" * 31)
    assert conditions_of([short]) == ["0x" + "cd" * 31 + "00"]


def test_one_unreadable_row_is_a_value_and_not_a_lost_page() -> None:
    assert isinstance(decode_activity_row(b'{"type":"SPLIT"}'), Unreadable)
    assert isinstance(decode_activity_row(b"[]"), Unreadable)


def test_the_recorded_merges_have_no_side_and_are_followed(recorded: Path) -> None:
    """Trap 9 as recorded."""
    merges = [
        each
        for path in sorted((recorded / "wallet-activity").glob("*.csv"))
        for each in csv.DictReader(path.open())
        if each["type"] == "MERGE"
    ]
    assert {(each["side"], each["outcomeIndex"]) for each in merges} == {("", "999")}
    rows = [
        row(
            "MERGE",
            condition_id=each["conditionId"],
            size=float(each["size"]),
            usdc_size=float(each["usdcSize"]),
            transaction_hash=each["transactionHash"],
        )
        for each in merges
    ]
    tokens = {condition: (Token("1"), Token("2")) for condition in conditions_of(rows)}
    for (delta, cash), each in zip(moved(*rows, tokens=tokens), merges, strict=True):
        assert set(delta.values()) == {-round(float(each["size"]) * 1_000_000)}
        assert cash == round(float(each["usdcSize"]) * 1_000_000)
