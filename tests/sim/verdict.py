"""Liveness: what must be so when leaders rest and faults have ended long ago.

Exposures are what the leaders really hold, positions are what the venue says we hold, no order is
without an end, every gap is closed or held by a wish of the policy, and the targets follow from
what the leaders really did, added up here from the venue's own index.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

from flows.core.account import AccountState, shares_of
from flows.core.sizing import band
from infra.sandbox.market import Market
from schemas.records.base import Token
from schemas.units import floor_mul
from tests.sim.town import OWN_WALLET

if TYPE_CHECKING:
    from tests.sim.judge import Judge

POLICY_HOLDS = (
    "bound_",
    "below_minimum",
    "dust",
    "signal_old",
    "signal_unpriced",
    "market_closed",
    "market_not_accepting",
    "one_sided",
    "crossed",
)
"""Wishes of the policy and facts of the market: no trouble that will pass."""


RESOLVED_FOR_MS = 6_000
"""So long after a resolution our shares are settled, and what was redeemed of them is told."""


def settle(judge: "Judge") -> None:
    """Raise the first that is not so."""
    _leaders(judge)
    _ours(judge)
    _orders(judge)
    if not judge.world.network.hidden:
        _targets(judge)
    _gaps(judge)
    _settled(judge)
    if not judge.world.options.faults and judge.counts["DriftFound"]:
        raise judge.late("nothing_to_correct_in_a_clean_world", str(judge.counts["DriftFound"]))
    if judge.due["journal"] != len(judge.reference["journal"]):
        behind = len(judge.reference["journal"]) - judge.due["journal"]
        if behind > 50:
            raise judge.late("the_flow_keeps_up", f"{behind} records behind")


def _open_tokens(judge: "Judge") -> list[tuple[Token, Market, int]]:
    return [each for each in judge.world.town.tokens() if not each[1].is_resolved]


def _leaders(judge: "Judge") -> None:
    for wallet in judge.world.town.leaders:
        view = judge.state.plan.leaders.get(wallet)
        for token, market, index in _open_tokens(judge):
            really = judge.world.town.held_micro(wallet, market, index)
            believed = view.exposure.get(token, 0) if view is not None else None
            if believed != really:
                raise judge.late(
                    "exposures_are_the_leaders_holdings",
                    f"{wallet[:8]} {token[-6:]}: {believed}, really {really}",
                )


def _account(judge: "Judge") -> AccountState:
    return next(iter(judge.state.plan.accounts.values()))


def _ours(judge: "Judge") -> None:
    account = _account(judge)
    for token, market, index in _open_tokens(judge):
        really = judge.world.town.held_micro(OWN_WALLET, market, index)
        if account.held_micro(token) != really:
            raise judge.late(
                "our_positions_are_the_venues",
                f"{token[-6:]}: {account.held_micro(token)}, really {really}",
            )


def _orders(judge: "Judge") -> None:
    left = judge.own.open_orders()
    if left:
        state = judge.own.states[left[0].intent]
        raise judge.late("every_order_ends", f"{left[0].intent} is {state}")


def _settled(judge: "Judge") -> None:
    """Shares of a resolved market are no position any more, and owed unless they were redeemed."""
    account, now_ms = _account(judge), judge.world.loop.now_ms()
    for token, market, index in judge.world.town.tokens():
        long_ago = market.is_resolved and now_ms - market.resolved_ms > RESOLVED_FOR_MS
        if long_ago and account.held_micro(token):
            detail = f"{token[-6:]}: {account.held_micro(token)}"
            raise judge.late("resolved_markets_are_settled", detail)
        position = account.positions.get(token)
        if long_ago and position is not None:
            really = judge.world.town.held_micro(OWN_WALLET, market, index)
            if position.owed_micro != really:
                detail = f"{token[-6:]}: {position.owed_micro}, really {really}"
                raise judge.late("redeemed_is_owed_no_more", detail)


def _gaps(judge: "Judge") -> None:
    account, plan = _account(judge), judge.state.plan
    for token, market, _ in _open_tokens(judge):
        hold = account.holds.get(token)
        if hold is not None and not hold.reason.startswith(POLICY_HOLDS):
            raise judge.late("trouble_passes", f"{token[-6:]}: {hold.reason}")
        wanted = sum(s.shares_micro for s in shares_of(account, plan.leaders, plan.markets, token))
        gap = wanted - account.held_micro(token) + account.kept_micro(token)
        least = max(market.min_shares_micro, band(wanted, plan.policy.band_micro, 0))
        if hold is None and abs(gap) > least:
            raise judge.late("gaps_close", f"{token[-6:]}: {gap} and no hold")


def _targets(judge: "Judge") -> None:
    """Our targets, from what the leaders did second by second, in any order within a second."""
    town, account = judge.world.town, _account(judge)
    plan, terms = judge.state.plan, judge.world.options.terms
    for market in town.venue.floor.markets:
        if market.is_resolved:
            continue
        wanted = [
            sum(s.shares_micro for s in shares_of(account, plan.leaders, plan.markets, token))
            for token in market.tokens
        ]
        low, high = [0, 0], [0, 0]
        for wallet in town.leaders:
            kept = [_baselines(judge, wallet, market, k) for k in (0, 1)]
            held = [town.held_micro(wallet, market, k) for k in (0, 1)]
            if terms["start"] == "converge":
                kept = [(0, 0), (0, 0)]
            for k in (0, 1):
                least, most = _copyable(held, kept, k, pairs=terms["pairs"])
                low[k] += floor_mul(least, terms["ratio_micro"])
                high[k] += floor_mul(most, terms["ratio_micro"])
        for k in (0, 1):
            if not low[k] <= wanted[k] <= high[k]:
                raise judge.late(
                    "targets_follow_the_leaders",
                    f"{market.tokens[k][-6:]}: {wanted[k]}, should be {low[k]}..{high[k]}",
                )


def _copyable(
    held: list[int], kept: list[tuple[int, int]], k: int, *, pairs: str
) -> tuple[int, int]:
    """Least and most shares above the baseline that are no pair."""
    bounds = [(max(h - b[1], 0), max(h - b[0], 0)) for h, b in zip(held, kept, strict=True)]
    if pairs == "copy":
        return bounds[k]
    other = bounds[1 - k]
    return max(bounds[k][0] - other[1], 0), max(bounds[k][1] - other[0], 0)


def _baselines(judge: "Judge", wallet: str, market: Market, k: int) -> tuple[int, int]:
    """Least and most that can be left of what he held at first.

    Least: the lowest he ever held, sells first within a second. Most: what he holds now, at most
    what he began with. Where between them the baseline ends rests on when the two reads that
    prove a fall came by: it counts only if it is still there by then (flows/core/proven.py).
    """
    start_s = judge.world.town.venue.start_ms // 1_000
    by_second: dict[int, list[int]] = defaultdict(list)
    held = 0
    for row in judge.world.town.venue.index.rows:
        if row.wallet != wallet or row.market is not market or row.token not in (None, k):
            continue
        up = row.kind == "SPLIT" or (row.kind == "TRADE" and row.side == "BUY")
        signed = row.shares_micro if up else -row.shares_micro
        if row.ts_s < start_s:
            held += signed
        else:
            by_second[row.ts_s].append(signed)
    first = least = held
    for second in sorted(by_second):
        lowest = held + sum(move for move in by_second[second] if move < 0)
        held += sum(by_second[second])
        least = min(least, lowest)
    return max(least, 0), min(first, held)
