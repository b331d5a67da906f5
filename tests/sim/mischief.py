"""The faults of one world: a list drawn beforehand, each armed at its time and spent once.

A world with some of its faults left out is the same world otherwise, since faults draw nothing
when they strike. That is what lets `--minimise` find the few that matter.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

SPENT_AFTER_MS = 6_000
"""A fault whose occasion does not come within so long is forgotten."""

CHANNELS = ("market", "user", "activity")
PROCESSES = ("public", "account", "flow", "execution")

KINDS: dict[str, tuple[int, Sequence[str], int, int]] = {
    # name: weight, targets, least and largest strength
    "drop": (10, CHANNELS, 1, 3),
    "double": (8, CHANNELS, 1, 2),
    "swap": (6, CHANNELS, 1, 1),
    "late": (4, CHANNELS, 300, 2_500),
    "garbled": (2, CHANNELS, 1, 1),
    "cut": (5, CHANNELS, 1, 1),
    "freeze": (3, CHANNELS, 1_500, 40_000),
    "upgrade_429": (1, CHANNELS, 1, 1),
    "rest_500": (3, ("rest",), 1, 3),
    "rest_429": (1, ("rest",), 1, 1),
    "rest_slow": (2, ("rest",), 500, 3_000),
    "rest_cached": (3, ("rest",), 1, 2),
    "rest_cut_short": (2, ("rest",), 1, 2),
    "ghost_book": (3, ("rest",), 1, 4),
    "lost_request": (3, ("venue",), 1, 1),
    "late_request": (4, ("venue",), 400, 1_400),
    "lost_row": (2, ("leader",), 1, 1),
    "lost_answer": (5, ("venue",), 1, 1),
    "answer_500": (2, ("venue",), 1, 1),
    "too_early_425": (1, ("venue",), 1, 2),
    "post_only_503": (1, ("venue",), 1, 2),
    "delayed": (3, ("venue",), 1, 1),
    "forgotten": (3, ("venue",), 1, 1),
    "failed_trade": (6, ("venue",), 1, 1),
    "retrying": (2, ("venue",), 1, 1),
    "unclear_lookup": (2, ("venue",), 1, 3),
    "kill": (10, PROCESSES, 50, 1_500),
    "kill_repeating": (4, ("public", "account", "execution"), 50, 1_500),
    "kill_twice": (3, ("flow", "execution"), 50, 1_500),
    "kill_at": (4, ("taken", "signed", "appended", "posted", "answered"), 1, 1),
    "stall": (3, PROCESSES, 400, 4_000),
    "zombie": (2, ("flow", "execution"), 500, 4_000),
    "clock_off": (2, PROCESSES[:2] + PROCESSES[3:], 100, 900),
}


class Fault(NamedTuple):
    """One misfortune: strength is a count or a time in ms, by kind."""

    at_ms: int
    kind: str
    target: str
    strength: int

    def __str__(self) -> str:
        return f"{self.at_ms / 1000:.2f} s {self.kind} {self.target} {self.strength}"


def drawn(chance: random.Random, *, until_ms: int, count: int) -> list[Fault]:
    """A plan of faults in order of time."""
    names = list(KINDS)
    weights = [KINDS[name][0] for name in names]
    # Swarm: each world leaves some kinds out, so that the others come close together.
    left_out = set(chance.sample(names, chance.randint(0, len(names) // 2)))
    weights = [0 if n in left_out else w for n, w in zip(names, weights, strict=True)]
    faults = []
    for _ in range(count):
        kind = chance.choices(names, weights)[0]
        _, targets, least, most = KINDS[kind]
        at_ms, strength = chance.randint(500, until_ms), chance.randint(least, most)
        if kind == "lost_row":
            at_ms //= 2  # three reports must come after it
        faults.append(Fault(at_ms, kind, chance.choice(targets), strength))
    return sorted(faults)


class Mischief:
    """What is armed now. `take` spends a fault when its occasion comes."""

    def __init__(self, plan: Sequence[Fault], now_ms: Callable[[], int]) -> None:
        self._plan = list(plan)
        self._now_ms = now_ms
        self._armed: list[tuple[Fault, int]] = []
        self._next = 0
        self.over = False
        self.struck: Counter[str] = Counter()

    def take(self, kind: str, target: str) -> Fault | None:
        """A fault of this kind that is armed for this target, counted; None if there is none."""
        self._arm()
        for place, (fault, left) in enumerate(self._armed):
            if fault.kind == kind and fault.target == target:
                self._spend(place, fault, left)
                return fault
        return None

    def due(self, kinds: Sequence[str]) -> list[Fault]:
        """All armed faults of kinds that wait for no occasion."""
        self._arm()
        found = [fault for fault, _ in self._armed if fault.kind in kinds]
        self._armed = [pair for pair in self._armed if pair[0].kind not in kinds]
        for fault in found:
            self.struck[fault.kind] += 1
        return found

    def _arm(self) -> None:
        if not self._armed and self._next == len(self._plan):
            return
        now_ms = self._now_ms()
        while self._next < len(self._plan) and self._plan[self._next].at_ms <= now_ms:
            fault = self._plan[self._next]
            self._armed.append((fault, _uses(fault)))
            self._next += 1
        self._armed = [
            pair
            for pair in self._armed
            if now_ms - pair[0].at_ms < SPENT_AFTER_MS and not self.over
        ]

    def _spend(self, place: int, fault: Fault, left: int) -> None:
        self.struck[fault.kind] += 1
        if left > 1:
            self._armed[place] = fault, left - 1
        else:
            del self._armed[place]


def _uses(fault: Fault) -> int:
    """How often it strikes: strengths of 50 and more are times."""
    return fault.strength if fault.strength < 50 else 1
