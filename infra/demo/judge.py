"""Judges a run: each promise it could have broken, and whether it was rich enough to prove any.

A verdict has a name, whether it held, and the numbers. A failed one makes the demo exit 1.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from flows.core.account import shares_of
from flows.core.gates import levels_gate
from flows.core.market import Market
from flows.core.sizing import Held, Terms, band, size_buy, size_sell
from flows.core.slippage import Fee
from infra.demo.evidence import Evidence, numbered_values
from schemas.policy import PolicyDocument
from schemas.records import journal, own
from schemas.records.base import Account, Token
from schemas.units import format_micro, parse_micro

FLOOR = {
    "leader fills": 100,
    "identical rows": 2,
    "flips": 1,
    "splits": 1,
    "merges": 1,
    "own orders": 20,
    "partial fills": 3,
    "hold reasons": 3,
    "tokens met": 3,
}
"""Least that a run must contain; less proves nothing."""

VENUE_MINIMUMS = ("below_minimum", "dust")
"""Holds of a gap that the venue would not take as an order: too few shares, or dollars."""

UNTRADABLE = (*VENUE_MINIMUMS, "one_sided", "crossed", "bound_depth", "bound_depth_share")
"""What may keep a gap open at the end, if the venue's own book says so too. A cap is not among it:
the demo's policy has room for every target."""


@dataclass(frozen=True)
class Verdict:
    """One question about the run and its answer."""

    name: str
    held: bool
    detail: str


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


def judge(found: Evidence, account: str) -> list[Verdict]:
    """All verdicts on a finished run: promises first, richness last."""
    tokens = lines(found, account)
    return [
        _same_bytes(found),
        _one_order_an_intent(found),
        _own_drift(found, account),
        _leader_drift(found),
        _no_drift_events(found),
        _targets_met(tokens),
        _no_alarms(found),
        *_rich(found, tokens),
    ]


def _same_bytes(found: Evidence) -> Verdict:
    """A fresh fold of the tape makes the journal and the orders that stand, byte for byte."""
    for topic, rows in (("journal", found.journal_rows), ("orders", found.orders_rows)):
        ours = [sealed.value for sealed in found.sealed if sealed.topic == topic]
        theirs = numbered_values(rows)
        for n, (mine, other) in enumerate(zip_longest(ours, theirs)):
            if mine != other:
                return Verdict("replay equal", False, f"{topic} {n}: {mine!r} against {other!r}")
    counted = len(found.sealed)
    return Verdict("replay equal", True, f"{len(found.tape)} tape records, {counted} made again")


def _one_order_an_intent(found: Evidence) -> Verdict:
    """Every hash that reached the venue is the first signature of exactly one intent."""
    intents = {str(signed.order): intent for intent, signed in found.first_signed().items()}
    reached = Counter(str(post["order_id"]) for post in found.posted)
    strangers = [order for order in reached if order not in intents]
    accepted = [str(p["order_id"]) for p in found.posted if int(p["accepted"]) > 1]
    doubled = [i for i, n in Counter(intents[o] for o in reached if o in intents).items() if n > 1]
    held = not strangers and not accepted and not doubled
    posts = sum(int(post["arrivals"]) for post in found.posted)
    detail = f"{len(reached)} orders at the venue, {posts} posts"
    if not held:
        detail += f"; unsigned {strangers}, accepted twice {accepted}, intents doubled {doubled}"
    return Verdict("one order an intent", held, detail)


def _own_drift(found: Evidence, account: str) -> Verdict:
    """Our ledger against the venue's, to the millionth of a share."""
    mine = found.state.plan.accounts[Account(account)]
    ours: dict[str, int] = {t: p.shares_micro + p.settled_micro for t, p in mine.positions.items()}
    theirs = _holdings(found.truth["accounts"], mine.policy.wallet)
    off = _differences(ours, theirs)
    total = format_micro(sum(abs(value) for value in off.values()))
    return Verdict("own drift 0", not off, f"{total} shares over {len(theirs)} tokens {off or ''}")


def _leader_drift(found: Evidence) -> Verdict:
    """What we rebuilt of the leaders against what they hold; resolved markets are settled."""
    plan = found.state.plan
    off: dict[str, int] = {}
    counted = 0
    for wallet, view in plan.leaders.items():
        theirs = _holdings(found.truth["leaders"], wallet)
        ours: dict[str, int] = {str(token): micro for token, micro in view.exposure.items()}
        counted += len(theirs)
        for token, micro in _differences(ours, theirs).items():
            if not plan.markets.resolved(Token(token)):
                off[f"{wallet[:8]}:{token[:8]}"] = micro
    total = format_micro(sum(abs(value) for value in off.values()))
    return Verdict("leader drift 0", not off, f"{total} shares over {counted} holdings {off or ''}")


def _holdings(wallets: Mapping[str, Any], wallet: str) -> dict[str, int]:
    """A wallet's true shares by token; wallets may be written in any case."""
    for name, state in wallets.items():
        if name.lower() == wallet.lower():
            return {str(t): int(h["shares_micro"]) for t, h in state["holdings"].items()}
    return {}


def _differences(ours: dict[str, int], theirs: dict[str, int]) -> dict[str, int]:
    """Ours less theirs, where they differ."""
    tokens = {**dict.fromkeys(ours), **dict.fromkeys(theirs)}
    return {
        token: ours.get(token, 0) - theirs.get(token, 0)
        for token in tokens
        if ours.get(token, 0) != theirs.get(token, 0)
    }


def _no_drift_events(found: Evidence) -> Verdict:
    drifts = found.of(journal.DriftFound)
    said = "; ".join(
        f"{d.subject[:8]} {d.token[:8]}: between {format_micro(d.low_micro)} and "
        f"{format_micro(d.high_micro)} shares"
        for d in drifts
    )
    return Verdict("no corrections needed", not drifts, said or "no DriftFound event")


def _targets_met(tokens: list[TokenLine]) -> Verdict:
    missed = [t for t in tokens if not t.ended and not t.met]
    detail = "; ".join(
        f"{t.title} {t.outcome}: target {format_micro(t.target_micro)}, "
        f"position {format_micro(t.position_micro)}, hold {t.hold}"
        for t in missed
    )
    inside = sum(1 for t in tokens if t.inside and not t.ended)
    excused = [f"{t.outcome}: {t.untradable}" for t in tokens if t.excused and not t.ended]
    said = f"{inside} tokens within the band"
    if excused:
        said += (
            f"; {len(excused)} outside it that the venue's book closes not: {', '.join(excused)}"
        )
    return Verdict("targets met", not missed, detail or said)


def _no_alarms(found: Evidence) -> Verdict:
    names = Counter(alarm.name for alarm in found.of(journal.Alarm))
    return Verdict("no alarms", not names, str(dict(names)) if names else "none")


def counts(found: Evidence, tokens: list[TokenLine]) -> dict[str, int]:
    """What the run contained, by the names of FLOOR."""
    stats: Counter[str] = Counter()
    for wallet, state in found.truth["leaders"].items():
        if wallet.lower() in found.state.plan.leaders:
            stats.update({k: v for k, v in state.items() if isinstance(v, int)})
    requests = found.requests()
    partial = 0
    for answer in _final_answers(found).values():
        request = requests.get(answer.intent)
        if request is None or answer.shares_micro is None or answer.usd_micro is None:
            continue
        if request.side == "BUY":
            short = request.budget_micro - answer.usd_micro > 20_000
        else:
            short = answer.shares_micro < request.shares_micro
        partial += bool(answer.shares_micro) and short
    return {
        "leader fills": stats["fills"],
        "identical rows": stats["identical_rows"],
        "flips": stats["flips"],
        "splits": stats["splits"],
        "merges": stats["merges"],
        "own orders": len(requests),
        "partial fills": partial,
        "hold reasons": len({held.reason for held in found.of(journal.OrderHeld)}),
        "tokens met": sum(1 for t in tokens if t.inside and t.target_micro > 0 and not t.ended),
    }


def _final_answers(found: Evidence) -> dict[str, own.OrderAnswered]:
    return {
        record.intent: record
        for record in found.on_tape(own.OrderAnswered)
        if record.outcome == "accepted" and record.shares_micro is not None
    }


def _rich(found: Evidence, tokens: list[TokenLine]) -> list[Verdict]:
    has = counts(found, tokens)
    thin = {name: n for name, n in has.items() if n < FLOOR[name]}
    said = ", ".join(f"{n} {name}" for name, n in has.items())
    if thin:
        said += f"; too thin: {', '.join(f'{name} below {FLOOR[name]}' for name in thin)}"
    return [Verdict("rich enough to prove it", not thin, said)]
