"""Each token at a run's end: what the leaders hold, what we should and do, and whether that is met.

Met is within the trade band. A gap outside it is excused only where the venue's own book would not
take the order either; a cap excuses nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.core.account import shares_of
from flows.core.gates import levels_gate
from flows.core.market import Market
from flows.core.sizing import Held, Terms, band, size_buy, size_sell
from flows.core.slippage import Fee
from infra.demo.evidence import Evidence
from schemas.policy import PolicyDocument
from schemas.records.base import Account, Token
from schemas.units import parse_micro

VENUE_MINIMUMS = ("below_minimum", "dust")
"""Holds of a gap that the venue would not take as an order: too few shares, or dollars."""

UNTRADABLE = (*VENUE_MINIMUMS, "one_sided", "crossed", "bound_depth", "bound_depth_share")
"""What may keep a gap open at the end, if the venue's own book says so too. A cap is not among it:
the demo's policy has room for every target."""


@dataclass(frozen=True)
class TokenLine:
    """One token at the end: the leaders' exposure there, what we should and do hold."""

    token: str
    title: str
    outcome: str
    leaders_micro: int
    target_micro: int
    position_micro: int
    band_micro: int
    hold: str | None
    ended: bool
    untradable: str | None

    @property
    def gap_micro(self) -> int:
        """What is missing to the target."""
        return self.target_micro - self.position_micro

    @property
    def inside(self) -> bool:
        """Whether nothing above the trade band is missing."""
        return abs(self.gap_micro) <= self.band_micro

    @property
    def excused(self) -> bool:
        """Outside the band, held by name, and the venue's own book would not take an order.

        The hold may be another one: while our book is fetched anew, say, it is that.
        """
        return not self.inside and self.hold is not None and self.untradable is not None

    @property
    def met(self) -> bool:
        """Inside the band, or excused."""
        return self.inside or self.excused


def lines(found: Evidence, account: str) -> list[TokenLine]:
    """Every token that a leader or we touched, as the fold of the tape ends."""
    plan = found.state.plan
    mine = plan.accounts[Account(account)]
    tokens: dict[Token, None] = dict.fromkeys(mine.positions)
    for view in plan.leaders.values():
        tokens.update(dict.fromkeys(view.exposure))
    made = []
    for token in tokens:
        market = plan.markets.of(token)
        ended = market is not None and market.payouts is not None
        target = 0
        if not ended:
            target = sum(
                share.shares_micro for share in shares_of(mine, plan.leaders, plan.markets, token)
            )
        hold = mine.holds.get(token)
        minimum = market.meta.min_shares_micro if market is not None else 0
        book = found.books.get(token)
        gap = target - mine.held_micro(token)
        made.append(
            TokenLine(
                token=token,
                title=market.meta.title if market is not None else "?",
                outcome=market.outcome(token) if market is not None else "?",
                leaders_micro=sum(v.exposure.get(token, 0) for v in plan.leaders.values()),
                target_micro=target,
                position_micro=mine.held_micro(token),
                band_micro=band(target, plan.policy.band_micro, minimum),
                hold=hold.reason if hold is not None else None,
                ended=ended,
                untradable=_untradable(book, gap, market, plan.policy),
            )
        )
    return made


def _untradable(
    book: Mapping[str, Any] | None, gap_micro: int, market: Market | None, policy: PolicyDocument
) -> str | None:
    """Why no order would close the gap in the venue's own book, not our mirror; None if one would.

    Recorded books are one-sided, crossed and thin now and then. Caps and cash are left out.
    """
    if book is None or market is None or not gap_micro:
        return None
    bids, asks = (
        [(parse_micro(each["price"]), parse_micro(each["size"])) for each in book[side]]
        for side in ("bids", "asks")
    )
    bids.sort(reverse=True)
    asks.sort()
    refused = levels_gate(bids, asks)
    if refused is not None:
        return refused.reason
    terms = Terms(
        tick_micro=parse_micro(book["tick_size"]),
        min_shares_micro=market.meta.min_shares_micro,
        min_order_usd_micro=policy.min_order_usd_micro,
        slippage_micro=policy.slippage_micro,
        depth_share_micro=policy.depth_share_micro,
        fee=Fee(market.meta.fee_rate_micro, market.meta.fee_exponent),
    )
    if gap_micro > 0:
        sized = size_buy(gap_micro, asks, terms, ())
    else:
        sized = size_sell(-gap_micro, -gap_micro, bids, terms)
    return sized.reason if isinstance(sized, Held) and sized.reason in UNTRADABLE else None
