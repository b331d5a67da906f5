"""How a market ended: payouts per token, from the Data API's own numbering of outcomes.

Payouts are millionths by on-chain outcome slot, which may differ from the order book's slot, so
tokens are matched through /v2/tokens. Split payouts are possible. Nothing is ever concluded from a
winner's name, a price or a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.polymarket.wire import BadValue, condition_id
from connectors.polymarket.wire_data import Resolution, TokenRow
from schemas.records.base import Condition, Token
from schemas.units import MICRO, UnitError, parse_micro_half_even


@dataclass(frozen=True, slots=True)
class NotResolved:
    """No payouts yet, or none that can be believed."""

    why: str


def ordered_tokens(rows: Sequence[TokenRow], condition: Condition) -> tuple[Token, ...]:
    """Outcome tokens of a condition by outcome slot; empty unless there is one for every slot."""
    mine = {
        row.outcome_index: Token(row.token_id) for row in rows if _is(row.condition_id, condition)
    }
    if sorted(index for index in mine if index is not None) != list(range(len(mine))):
        return ()
    return tuple(mine[index] for index in range(len(mine)))


def payouts_of(
    condition: Condition, rows: Sequence[Resolution], tokens: Sequence[TokenRow]
) -> dict[Token, int] | NotResolved:
    """Final payout of each token in micro-USD a share."""
    mine = [row for row in rows if row.payouts and _is(row.condition_id or "", condition)]
    if not mine:
        return NotResolved("no payouts yet")
    payouts, ordered = mine[0].payouts or [], ordered_tokens(tokens, condition)
    if any(row.payouts != payouts for row in mine):
        return NotResolved("two rows state different payouts")
    if len(payouts) != len(ordered) or len(ordered) < 2:
        return NotResolved(f"{len(payouts)} payouts for {len(ordered)} tokens")
    if min(payouts) < 0 or sum(payouts) != MICRO:
        return NotResolved(f"payouts {payouts} do not share one dollar")
    found = dict(zip(ordered, payouts, strict=True))
    for row in tokens:
        if row.final_price is not None and _is(row.condition_id, condition):
            try:
                price = parse_micro_half_even(row.final_price)
            except UnitError as error:
                return NotResolved(str(error))
            if price != found[Token(row.token_id)]:
                return NotResolved(f"token {row.token_id}: final price {row.final_price} differs")
    return found


def _is(text: str, condition: Condition) -> bool:
    try:
        return condition_id(text) == condition
    except BadValue:
        return False
