"""The records execution appends, built from what happened to an order. Pure."""

from typing import Literal

from connectors.execution.answers import Verdict
from connectors.execution.backend import Refusal, Seen
from connectors.execution.ledger import Life
from connectors.execution.plan import Witness
from schemas.records.base import OrderHash
from schemas.records.journal import OrderRequested
from schemas.records.own import OrderAbsent, OrderAnswered, OrderSigned


def verdict_of(seen: Seen, life: Life) -> Verdict | None:
    """What a look-up adds to the tape; None if it says nothing new.

    An order that ended at the venue without any fill was killed. If the tape already calls it
    accepted, that is final amounts of nothing; else it is a refusal with proof.
    """
    final = seen.shares_micro is not None
    if not final and life.state == "accepted":
        return None
    if final and not seen.shares_micro and life.state != "accepted":
        return Verdict(outcome="refused", status=seen.status, reason="killed")
    return Verdict(
        outcome="accepted",
        status=seen.status,
        reason=seen.reason,
        shares_micro=seen.shares_micro,
        usd_micro=seen.usd_micro,
        trades=seen.trades,
    )


def answer(
    signed: OrderSigned,
    verdict: Verdict,
    proof: Literal["post", "lookup", "paper"],
    sent_ns: int,
    answered_ns: int,
) -> OrderAnswered:
    """What a POST or a look-up said."""
    return OrderAnswered(
        account=signed.account,
        intent=signed.intent,
        order=signed.order,
        outcome=verdict.outcome,
        status=verdict.status,
        reason=verdict.reason,
        http_status=verdict.http_status,
        shares_micro=verdict.shares_micro,
        usd_micro=verdict.usd_micro,
        trades=verdict.trades,
        proof=proof,
        sent_ns=sent_ns,
        answered_ns=answered_ns,
    )


def local_refusal(request: OrderRequested, refusal: Refusal, now_ns: int) -> OrderAnswered:
    """Nothing was signed, and nothing will be."""
    return OrderAnswered(
        account=request.account,
        intent=request.intent,
        order=OrderHash(""),
        outcome="refused",
        status="local",
        reason=refusal.reason,
        http_status=None,
        shares_micro=None,
        usd_micro=None,
        trades=(),
        proof="local",
        sent_ns=0,
        answered_ns=now_ns,
    )


def absent(life: Life, witness: Witness) -> OrderAbsent:
    """It never reached the venue, and the look-ups that say so."""
    signed, first, last = life.signed, witness.absent_first_ms, witness.absent_last_ms
    assert signed is not None, f"{life.intent}: nothing is signed"
    assert first is not None, f"{life.intent}: absence without a look-up"
    assert last is not None, f"{life.intent}: absence without a look-up"
    posted = life.last_sent_ms if witness.last_post_ms is None else witness.last_post_ms
    return OrderAbsent(
        account=signed.account,
        intent=signed.intent,
        order=signed.order,
        lookups=witness.absent_lookups,
        last_post_ms=posted,
        first_lookup_ms=first,
        last_lookup_ms=last,
    )
