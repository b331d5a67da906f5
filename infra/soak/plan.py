"""What a round of the soak does to the pipeline, and when: drawn from a seed, decided beforehand.

A round is as long as its faults need; every one of them leaves the time to come back before the
next begins, because two faults at once are faults of their own here (`broker_and_flow`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

KILLS_PER_ROUND = 10
COSTS_S = {
    "public": 2.5,
    "account": 2.5,
    "flow": 2.5,
    "execution": 2.5,
    "signed": 4.0,
    "flow_twice": 7.0,
    "broker": 6.0,
    "broker_and_flow": 8.0,
    "stall": 24.0,
    "zombie": 10.0,
}
"""How long each takes, its return included. `signed`: execution dies between OrderSigned and its
answer; `flow_twice`: the dataflow dies twice before its first snapshot; `stall`: the broker is
stopped for 20 s and goes on; `zombie`: the flow is stopped, a second one started, the first goes
on."""
KILLS = dict.fromkeys(COSTS_S, 1) | {
    "flow_twice": 2,
    "broker_and_flow": 2,
    "stall": 0,
    "zombie": 0,
}
SINGLE = ("public", "account", "flow", "flow", "execution", "execution", "signed", "broker")
"""What fills a round up: the processes with the most to lose more often."""
WARM_S = 8.0
REST_S = 20
"""After the last fault the leaders trade no more and everything has to agree."""


@dataclass(frozen=True)
class Fault:
    """One fault: what, and how long after the round's beginning."""

    what: str
    at_s: float


@dataclass(frozen=True)
class Plan:
    """A round: its faults in order, and how long the venue trades and rests."""

    seed: int
    faults: tuple[Fault, ...]
    seconds: int

    @property
    def kills(self) -> int:
        """SIGKILLs it contains."""
        return sum(KILLS[fault.what] for fault in self.faults)


def draw(seed: int, number: int, kills: int = KILLS_PER_ROUND) -> Plan:
    """The plan of a round; two rounds of one seed differ, one round is always the same."""
    rng = random.Random(f"soak:{seed}:{number}")  # noqa: S311 - a plan, no secret
    what = ["stall", "zombie", *_filled(rng, kills)]
    rng.shuffle(what)
    faults, at = [], WARM_S
    for name in what:
        faults.append(Fault(what=name, at_s=round(at, 2)))
        at += COSTS_S[name] * rng.uniform(1.0, 1.3)
    return Plan(seed=rng.randrange(1, 10_000), faults=tuple(faults), seconds=int(at) + REST_S)


def _filled(rng: random.Random, kills: int) -> list[str]:
    """Faults that kill exactly so often; the double ones are in every round that has room."""
    chosen = [name for name in ("flow_twice", "broker_and_flow") if kills >= 4]
    left = kills - sum(KILLS[name] for name in chosen)
    return chosen + [rng.choice(SINGLE) for _ in range(left)]


def rounds(kills: int) -> Sequence[int]:
    """How many kills each round has, for so many in all."""
    whole, rest = divmod(kills, KILLS_PER_ROUND)
    return [KILLS_PER_ROUND] * whole + ([rest] if rest else [])
