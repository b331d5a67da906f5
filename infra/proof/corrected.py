"""What a correction rested on: our own record before it, and the difference that reports prove."""

from flows.core.planning import PlanState
from infra.proof.facts import Fact, exposure_fact
from infra.proof.provenance import Provenance
from schemas.records.base import Account, Token, Wallet
from schemas.records.journal import DriftFound


def correction_facts(
    state: PlanState, known: Provenance, subject: str, token: Token, drift: DriftFound | None
) -> tuple[Fact, ...]:
    """What we had rebuilt of a wallet or an account before it was corrected, and the proof."""
    leader, account = Wallet(subject), state.accounts.get(Account(subject))
    facts: list[Fact] = []
    if leader in state.leaders:
        facts.append(exposure_fact(state, known, leader, token, "rebuilt before"))
    elif account is not None:
        at = known.newest("OwnFill", subject, token)
        held = account.held_micro(token)
        facts.append(
            Fact(name="rebuilt before", value=held, unit="shares", source="OwnFill", offset=at)
        )
    if drift is not None:
        ends = (("least", drift.low_micro), ("greatest", drift.high_micro))
        facts += [
            Fact(
                name=f"{name} difference that all reports allow",
                value=value,
                unit="shares",
                source="DriftFound",
            )
            for name, value in ends
        ]
    return tuple(facts)
