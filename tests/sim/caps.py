"""Whether a buy stays within every cap and the cash, by sums of our own: facts.py, costs.py.

What is invested is average cost with fees, through sales too, and everything that open orders may
still spend. Of the fold only what the leaders want is taken, and how much of a position is foreign.
"""

from fractions import Fraction
from typing import TYPE_CHECKING

from flows.core.account import shares_of
from schemas.records import journal
from tests.core.costs import with_fee

if TYPE_CHECKING:
    from tests.sim.judge import Judge


def passed(judge: "Judge", order: journal.OrderRequested) -> str | None:
    """Which cap this order, with all that is held and in the air, passes; None: none."""
    terms = judge.world.settings.policy.accounts[0]
    facts, rates = judge.own, judge.books.rates
    new = with_fee(order.budget_micro, rates[order.token])
    invested = {token: facts.invested(token, rates) for token in rates}
    there = judge.books.condition_tokens[order.condition]
    found = {
        "trade": (new, terms.cap_trade_usd_micro),
        "market": (new + sum(invested[each] for each in there), terms.cap_market_usd_micro),
        "account": (new + sum(invested.values()), terms.cap_account_usd_micro),
        "cash": (new, facts.cash_left(rates) or 0),
        **_by_leader(judge, order, new, invested),
    }
    over = [f"{name} {float(usd):.0f} of {cap}" for name, (usd, cap) in found.items() if usd > cap]
    return over[0] if over else None


def _by_leader(
    judge: "Judge", order: journal.OrderRequested, new: int, invested: dict[str, Fraction]
) -> dict[str, tuple[int, int]]:
    """For each leader who wants this token: dollars that stand for him with the order, his cap.

    Less a micro-dollar a token: of his part the fold takes whole micro-dollars only.
    """
    plan, name = judge.state.plan, order.account
    wanted = shares_of(plan.accounts[name], plan.leaders, plan.markets, order.token)
    found = {}
    for share in wanted:
        stands = sum(
            int(usd * _part(judge, name, share.leader, token)) for token, usd in invested.items()
        )
        mine = new * share.shares_micro // order.target_micro
        found[f"leader {share.leader}"] = (stands + mine, share.cap_usd_micro)
    return found


def _part(judge: "Judge", name: str, leader: str, token: str) -> Fraction:
    """How much of what a token's dollars bought stands for a leader.

    What nobody wants any more stands in full for each who ever moved in that market.
    """
    plan, account = judge.state.plan, judge.state.plan.accounts[name]
    if not any(each in plan.leaders[leader].exposure for each in plan.markets.pair(token)):
        return Fraction(0)
    shares = {
        s.leader: s.shares_micro for s in shares_of(account, plan.leaders, plan.markets, token)
    }
    whole = sum(shares.values())
    ours = judge.own.position(token) - account.kept_micro(token)
    left = max(ours + judge.own.in_flight(token) - whole, 0)
    return Fraction(shares.get(leader, 0) + left, whole + left) if whole + left else Fraction(0)
