"""The displayed book of a market: two tokens that mirror each other, and how it changes.

A bid for one outcome at p is an ask for the other at 1 - p, so what a trade takes from one book
leaves the other too. Recorded books are served as they are: where a recording does not mirror,
neither does the display. Pure: no clock, no chance, no frames.
"""

from collections.abc import Iterator

import msgspec

from schemas.units import MICRO

Levels = dict[int, int]
BID, ASK = 0, 1


class Change(msgspec.Struct, frozen=True):
    """A level's new absolute size; 0 removes it. token is the outcome index, side BID or ASK."""

    token: int
    side: int
    price_micro: int
    shares_micro: int

    @property
    def mirror(self) -> "Change":
        """The same liquidity seen in the other outcome's book."""
        return Change(1 - self.token, 1 - self.side, MICRO - self.price_micro, self.shares_micro)


class MarketBook:
    """Levels of both tokens: `levels[token][side]` maps price to size."""

    def __init__(self) -> None:
        self.levels: tuple[tuple[Levels, Levels], tuple[Levels, Levels]] = (({}, {}), ({}, {}))

    def best_bid(self, token: int) -> int | None:
        return max(self.levels[token][BID], default=None)

    def best_ask(self, token: int) -> int | None:
        return min(self.levels[token][ASK], default=None)

    def apply(self, change: Change) -> None:
        side = self.levels[change.token][change.side]
        if change.shares_micro:
            side[change.price_micro] = change.shares_micro
        else:
            side.pop(change.price_micro, None)

    def best_first(self, token: int, side: int) -> list[tuple[int, int]]:
        """Levels of a side, the best price first."""
        return sorted(self.levels[token][side].items(), reverse=side == BID)

    def take(self, token: int, side: int, price_micro: int, shares_micro: int) -> None:
        """Remove traded liquidity from a level and from its mirror, never below nothing."""
        taken = Change(token, side, price_micro, shares_micro)
        for change in (taken, taken.mirror):
            levels = self.levels[change.token][change.side]
            left = levels.get(change.price_micro, 0) - shares_micro
            if left > 0:
                levels[change.price_micro] = left
            else:
                levels.pop(change.price_micro, None)


def differences(book: MarketBook, token: int, sides: tuple[Levels, Levels]) -> list[Change]:
    """Changes that turn a token's displayed levels into the given ones."""
    changes = []
    for side in (BID, ASK):
        old, new = book.levels[token][side], sides[side]
        changes += [Change(token, side, p, 0) for p in old if p not in new]
        changes += [Change(token, side, p, s) for p, s in new.items() if old.get(p) != s]
    return changes


def paired(changes: list[Change]) -> Iterator[tuple[Change, ...]]:
    """Changes in the order to publish: what shrinks first, mirrored changes together.

    Removals go before additions so that the book is not crossed in between.
    """
    open_mirrors = set(changes)
    for change in sorted(changes, key=lambda c: (c.shares_micro != 0, c.token)):
        if change not in open_mirrors:
            continue
        open_mirrors.discard(change)
        if change.mirror in open_mirrors:
            open_mirrors.discard(change.mirror)
            yield change, change.mirror
        else:
            yield (change,)
