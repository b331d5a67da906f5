"""Rows of /v2/activity that are no trades: splits, merges, redemptions, what cannot be followed.

Effects on holdings: API reference 10.3. Rows of SPLIT and MERGE name a condition and no token, so
the condition's tokens are looked up first. Totals per (transaction, wallet, condition, type): a
redemption has one row an outcome since 2026-08-10. Never guesses: a row whose tokens cannot be told
makes the leader incomplete.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from connectors.polymarket.wire import BadValue, condition_id, epoch_ms, token_id, wallet
from connectors.polymarket.wire_data import ActivityRow
from schemas.records.base import Condition, Group, Token, Wallet, group_id
from schemas.records.leader import LeaderMove
from schemas.units import UnitError, parse_micro_half_even

Move = Literal["SPLIT", "MERGE", "REDEEM"]
MOVES: dict[str, Move] = {"SPLIT": "SPLIT", "MERGE": "MERGE", "REDEEM": "REDEEM"}
UNFOLLOWABLE = frozenset({"CONVERSION", "MIGRATION"})
CASH_ONLY = frozenset(
    {
        "REWARD",
        "YIELD",
        "MAKER_REBATE",
        "TAKER_REBATE",
        "REFERRAL_REWARD",
        "DEPOSIT",
        "WITHDRAWAL",
        "TIP",
    }
)
NO_OUTCOME = 999
"""The Data API's outcome index of a row without outcome."""

Tokens = Mapping[Condition, Sequence[Token]]
"""Outcome tokens of a condition, in the venue's order."""


@dataclass(slots=True)
class Sorted:
    """The rows of one answer by what they mean. reasons: why the leader is incomplete."""

    moves: list[ActivityRow] = field(default_factory=list)
    reasons: list[tuple[ActivityRow, str]] = field(default_factory=list)
    ignored: int = 0


def sort_rows(rows: Sequence[ActivityRow]) -> Sorted:
    """Trades are read elsewhere, combos and cash are nothing to us; an unknown type is a reason."""
    result = Sorted()
    for row in rows:
        if row.is_combo or row.type == "TRADE" or row.type in CASH_ONLY:
            result.ignored += 1
        elif row.type in MOVES:
            result.moves.append(row)
        elif row.type in UNFOLLOWABLE:
            result.reasons.append((row, row.type.lower()))
        else:
            result.reasons.append((row, f"unknown_activity:{row.type}"[:64]))
    return result


def conditions_of(rows: Sequence[ActivityRow]) -> list[Condition]:
    """Conditions whose tokens must be known; unreadable ones are left to `leader_moves`."""
    found: dict[Condition, None] = {}
    for row in rows:
        try:
            found[condition_id(row.condition_id)] = None
        except BadValue:
            continue
    return list(found)


def leader_moves(
    rows: Sequence[ActivityRow], tokens: Tokens, *, instance: str, recv_ns: int
) -> tuple[dict[Group, LeaderMove], list[tuple[ActivityRow, str]]]:
    """Totals per group, and the rows that could not be followed with the reason."""
    moves: dict[Group, LeaderMove] = {}
    failed: list[tuple[ActivityRow, str]] = []
    for row in rows:
        try:
            move = _move(row, tokens, instance=instance, recv_ns=recv_ns)
        except (BadValue, UnitError) as error:
            failed.append((row, f"unfollowable_{row.type.lower()}: {error}"))
            continue
        known = moves.get(move.group)
        moves[move.group] = move if known is None else _sum(known, move)
    for row, _ in failed:
        # A total that lacks a row would be wrong: hold the whole transaction's move back.
        for group in [g for g, m in moves.items() if m.tx == row.transaction_hash.lower()]:
            del moves[group]
    return moves, failed


def _move(row: ActivityRow, tokens: Tokens, *, instance: str, recv_ns: int) -> LeaderMove:
    condition, who = condition_id(row.condition_id), wallet(row.proxy_wallet)
    shares = parse_micro_half_even(row.size)
    if shares < 0 or not row.transaction_hash:
        raise BadValue(f"size {row.size}, transaction {row.transaction_hash!r}")
    move = MOVES[row.type]
    return LeaderMove(
        instance=instance,
        leader=Wallet(who),
        group=group_id(tx=row.transaction_hash, wallet=who, token=condition, side=move),
        tx=row.transaction_hash.lower(),
        move=move,
        condition=condition,
        delta_micro=_delta(row, move, tokens.get(condition, ()), shares),
        cash_micro=_cash(move, row.usdc_size),
        venue_ms=epoch_ms(row.timestamp),
        recv_ns=recv_ns,
    )


def _delta(row: ActivityRow, move: Move, tokens: Sequence[Token], shares: int) -> dict[Token, int]:
    if move == "REDEEM":
        return {_redeemed(row, tokens): -shares}
    if len(tokens) != 2:
        raise BadValue(f"condition {row.condition_id} has {len(tokens)} known tokens, not 2")
    return dict.fromkeys(tokens, shares if move == "SPLIT" else -shares)


def _redeemed(row: ActivityRow, tokens: Sequence[Token]) -> Token:
    if row.token_id:
        return Token(token_id(row.token_id))
    index = row.outcome_index
    if index is None or index == NO_OUTCOME or not 0 <= index < len(tokens):
        raise BadValue(f"outcome index {index} of {len(tokens)} known tokens")
    return tokens[index]


def _cash(move: Move, usdc: Decimal) -> int:
    amount = parse_micro_half_even(usdc)
    return -amount if move == "SPLIT" else amount


def _sum(a: LeaderMove, b: LeaderMove) -> LeaderMove:
    delta = dict(a.delta_micro)
    for token, shares in b.delta_micro.items():
        delta[token] = delta.get(token, 0) + shares
    return LeaderMove(
        instance=a.instance,
        leader=a.leader,
        group=a.group,
        tx=a.tx,
        move=a.move,
        condition=a.condition,
        delta_micro=delta,
        cash_micro=a.cash_micro + b.cash_micro,
        venue_ms=a.venue_ms,
        recv_ns=a.recv_ns,
    )
