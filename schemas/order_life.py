"""The life of one order as a transition table. All legal steps are here; nothing else decides them.

An intent ends only by proof: expired before anything was signed, refused, absent after look-ups,
or filled to the accepted amount. Time alone never ends one (design promise R4). The first record
of the tape wins, so a second executor's later records are void, not errors.
"""

from typing import Final, Literal

State = Literal[
    "requested", "signed", "unknown", "accepted", "filled", "refused", "expired", "absent"
]
Happening = Literal["signed", "accepted", "unknown", "refused", "expired", "absent", "filled"]

ENDED: Final[frozenset[State]] = frozenset({"filled", "refused", "expired", "absent"})

TRANSITIONS: Final[dict[tuple[State, Happening], State]] = {
    ("requested", "signed"): "signed",
    ("requested", "expired"): "expired",
    # Refused before signing: the client could not build exactly this order.
    ("requested", "refused"): "refused",
    ("signed", "accepted"): "accepted",
    ("signed", "refused"): "refused",
    ("signed", "unknown"): "unknown",
    ("signed", "absent"): "absent",
    # Another executor's record that lost the race on the tape.
    ("signed", "signed"): "signed",
    ("signed", "expired"): "signed",
    ("unknown", "unknown"): "unknown",
    ("unknown", "accepted"): "accepted",
    ("unknown", "refused"): "refused",
    ("unknown", "absent"): "absent",
    ("unknown", "signed"): "unknown",
    ("unknown", "expired"): "unknown",
    # A look-up refines what the POST said ('live' or 'delayed' becomes final amounts).
    ("accepted", "accepted"): "accepted",
    ("accepted", "filled"): "filled",
    ("accepted", "signed"): "accepted",
    ("accepted", "expired"): "accepted",
    ("accepted", "unknown"): "accepted",
    # Called pending once and forgotten since: only while no amount is final and no fill is known.
    ("accepted", "absent"): "absent",
    # The venue knows an order that we had proven absent, or that another executor's answer called
    # refused (it may have asked twice): reserve for it again, and raise it.
    ("absent", "accepted"): "accepted",
    ("refused", "accepted"): "accepted",
}


class IllegalStep(ValueError):
    """A step that no order can take; names the state and what happened."""

    def __init__(self, state: State, happening: Happening) -> None:
        super().__init__(f"an order that is {state} cannot become {happening}")


def step(state: State, happening: Happening) -> State:
    """Next state. An ended order stays as it is whatever repeats; else IllegalStep."""
    following = TRANSITIONS.get((state, happening))
    if following is not None:
        return following
    if state in ENDED:
        return state
    raise IllegalStep(state, happening)


def complete(accepted_micro: int, filled_micro: int, fills: int) -> bool:
    """Whether fills are all that the venue accepted.

    Each fill is told in whole micro-shares, so each may be told as one less than it was: a sum
    short by one a fill is complete. Waiting for that micro-share would keep an order open for ever.
    """
    return filled_micro >= accepted_micro - fills
