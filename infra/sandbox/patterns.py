"""How a taker order's fills become trades, and how twins come about.

The venue settles one taker order as one trade or as several; two fills of equal size and price are
two trades that no field tells apart (API reference 10.6).
"""

import random
from collections.abc import Callable, Sequence

from infra.sandbox.matching import Fill, Maker, Offer, fill_at

PATTERNS = ("one", "two", "each", "twins", "auto")
_AUTO = ("one", "one", "two", "each")


def trade_groups(fills: list[Fill], pattern: str, rng: random.Random) -> Sequence[Sequence[Fill]]:
    """Fills by trade: all in one, the first apart from the rest, or each its own."""
    chosen = rng.choice(_AUTO) if pattern == "auto" else pattern
    if chosen == "one" or len(fills) == 1:
        return [fills]
    if chosen == "two":
        return [fills[:1], fills[1:]]
    return [[fill] for fill in fills]


def twins(side: str, fills: list[Fill], new_maker: Callable[[Fill], Maker | None]) -> list[Fill]:
    """Each fill as two equal ones with a maker each, where it divides; None keeps it whole."""
    halves: list[Fill] = []
    for fill in fills:
        half, odd = divmod(fill.shares_micro, 2)
        makers = new_maker(fill), new_maker(fill)
        if odd or fill.usd_micro % 2 or None in makers:
            halves.append(fill)
            continue
        offers = [Offer(fill.price_micro, half, maker) for maker in makers if maker is not None]
        halves += [fill_at(side, offer, half) for offer in offers]
    return halves
