"""Judges a run: each promise it could have broken, and whether it was rich enough to prove any.

A verdict has a name, whether it held, and the numbers. A failed one makes the demo exit 1.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from infra.demo.evidence import Evidence, numbered_values
from infra.demo.token_lines import TokenLine, lines
from schemas.records import journal, own
from schemas.records.base import Account, Token
from schemas.units import format_micro

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


@dataclass(frozen=True)
class Verdict:
    """One question about the run and its answer."""

    name: str
    held: bool
    detail: str


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
    ours: dict[str, int] = {t: p.shares_micro + p.owed_micro for t, p in mine.positions.items()}
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
