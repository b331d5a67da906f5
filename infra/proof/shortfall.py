"""What an order cost against the price its leader had: implementation shortfall, part by part.

Pure arithmetic (Perold 1988, by the definitions of the copy-trading literature): delay from the
leader's price to the mid at the decision, half the spread, impact beyond the touch, fees, and what
the shares that were not filled came to by the horizon. The parts add up exactly. Amounts are
micro-USD, positive is what copying cost. Products of shares and prices are kept whole and rounded
in one place, `_rounded`.
"""

import msgspec

from schemas.records.base import Side

WHOLE = 2_000_000
"""A mid is half of two prices, and shares times a price are millionths of a micro-dollar."""


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """An order and what it met. wanted, filled: shares; cash: of the fills, without fees.

    leader_micro: the price the leader had. bid, ask: the touch at the decision. horizon_micro: what
    a share was worth later, None while that is not known.
    """

    side: Side
    wanted_micro: int
    filled_micro: int
    cash_micro: int
    fees_micro: int
    leader_micro: int
    bid_micro: int
    ask_micro: int
    horizon_micro: int | None


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """The parts in micro-USD, and what they add up to.

    opportunity: of the shares that were not filled; None while the horizon's price is not known.
    """

    delay_micro: int
    half_spread_micro: int
    impact_micro: int
    fees_micro: int
    opportunity_micro: int | None
    total_micro: int


def shortfall(trade: Trade) -> Shortfall:
    """The parts of what following the leader cost."""
    sign = 1 if trade.side == "BUY" else -1
    filled, missed = trade.filled_micro, trade.wanted_micro - trade.filled_micro
    mid_twice = trade.bid_micro + trade.ask_micro
    touch = trade.ask_micro if trade.side == "BUY" else trade.bid_micro
    later = 0 if trade.horizon_micro is None else trade.horizon_micro - trade.leader_micro
    delay, half_spread, impact, opportunity = _rounded(
        sign * filled * (mid_twice - 2 * trade.leader_micro),
        sign * filled * (2 * touch - mid_twice),
        sign * (trade.cash_micro * WHOLE - 2 * filled * touch),
        sign * missed * 2 * later,
    )
    paid = trade.cash_micro * WHOLE - 2 * filled * trade.leader_micro
    total = sign * (paid + missed * 2 * later) // WHOLE
    known = trade.horizon_micro is not None or not missed
    return Shortfall(
        delay_micro=delay,
        half_spread_micro=half_spread,
        impact_micro=impact,
        fees_micro=trade.fees_micro,
        opportunity_micro=opportunity if known else None,
        total_micro=total + trade.fees_micro,
    )


def _rounded(*parts: int) -> list[int]:
    """Parts in whole micro-dollars: each is the step of the sum so far, rounded down.

    So they add up to the rounded sum whatever they are, and none is off by a micro-dollar.
    """
    steps, before, total = [], 0, 0
    for part in parts:
        total += part
        steps.append(total // WHOLE - before)
        before = total // WHOLE
    return steps
