"""Misbehaviours of the venue as named switches, each drawn from the seed and counted.

To add one: give it a name, a line and a rate in FAULTS, and ask `draw` (a chance per occasion) or
`due` (so many a minute) where it strikes. A fault that is off draws nothing, so switching one on
does not change what the others do.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from infra.sandbox.chance import stream


class Fault(msgspec.Struct, frozen=True):
    """What a switch does, and its default rate: a chance per occasion, or times a minute.

    in_all: whether `all` means it too.
    """

    what: str
    rate: float
    in_all: bool = True


FAULTS: dict[str, Fault] = {
    "drop": Fault("a frame of the market, user or activity channel is lost; chance a frame", 0.02),
    "double": Fault("a frame is sent twice; chance a frame", 0.02),
    "swap": Fault("a frame is sent after the one that follows it; chance a frame", 0.02),
    "cut": Fault("a socket is cut without a close frame; times a minute and socket", 2.0),
    "freeze": Fault(
        "a market or activity socket goes silent with PONG alive, until the client reconnects or "
        "8 s have passed; times a minute and socket",
        1.5,
    ),
    "lost_answer": Fault("POST /order is accepted, the answer never comes; chance an order", 0.1),
    "failed_trade": Fault("a trade of an account is MATCHED, then FAILED; chance a trade", 0.08),
    # By name only: how often the demo meets its targets with them in a minute was not measured.
    "upgrade_429": Fault("a socket's upgrade is refused with 429; chance a connection", 0.3, False),
    "ghost_book": Fault(
        "/book or /books shows 0.01/0.99 books under true names and times; chance an answer",
        0.1,
        False,
    ),
    "stale_rest": Fault(
        "a Data API answer comes from a cache whatever its URL's cache buster, its Age tells; "
        "chance an answer",
        0.1,
        False,
    ),
    "engine_restart": Fault(
        "POST /order is answered 425, for 2 s; for 3 s more only post-only orders are taken (503); "
        "chance an order",
        0.05,
        False,
    ),
    "delayed": Fault(
        "POST /order is answered `delayed` at once, and matched or killed later; chance an order",
        0.1,
        False,
    ),
}
FREEZE_MS = 8_000
RESTART_MS = 2_000
POST_ONLY_MS = 3_000
"""How long the matching engine restarts, and takes only post-only orders after that."""
SWAP_HOLD_MS = 250
HANG_MS = 12_000
"""A lost answer is a reset connection or, as often, one held open this long and then reset."""


class UnknownFaultError(ValueError):
    """A name that is no fault; the message lists the names there are."""


def fault_names(names: Iterable[str]) -> frozenset[str]:
    """The faults meant by names, `all` and `none` among them."""
    chosen: set[str] = set()
    for name in names:
        if name == "all":
            chosen |= {each for each, fault in FAULTS.items() if fault.in_all}
        elif name in FAULTS:
            chosen.add(name)
        elif name not in ("none", ""):
            known = ", ".join([*FAULTS, "all", "none"])
            raise UnknownFaultError(f"unknown fault {name!r}; there are: {known}")
    return frozenset(chosen)


class Faults:
    """Which faults are on, how often they strike, and how often they have."""

    def __init__(self, seed: int, names: Iterable[str], rates: dict[str, float]) -> None:
        fault_names(rates)
        self.on = fault_names(names)
        self.rates = {name: rates.get(name, fault.rate) for name, fault in FAULTS.items()}
        self.counts: Counter[str] = Counter(dict.fromkeys(FAULTS, 0))
        self._rngs = {name: stream(seed, f"fault:{name}") for name in FAULTS}

    def switch(self, names: Iterable[str], rates: dict[str, float] | None = None) -> None:
        """Exactly these faults are on from now on."""
        fault_names(rates or {})
        self.on = fault_names(names)
        self.rates |= rates or {}

    def draw(self, name: str) -> bool:
        """Whether a fault strikes on this occasion; counted if so."""
        if name not in self.on or self._rngs[name].random() >= self.rates[name]:
            return False
        self.counts[name] += 1
        return True

    def due(self, name: str, elapsed_ms: int) -> bool:
        """Whether a fault of so many times a minute strikes within a stretch of time."""
        chance = self.rates[name] * elapsed_ms / 60_000
        if name not in self.on or self._rngs[name].random() >= chance:
            return False
        self.counts[name] += 1
        return True

    def coin(self, name: str) -> bool:
        """An even choice between two forms of a fault."""
        return self._rngs[name].random() < 0.5
