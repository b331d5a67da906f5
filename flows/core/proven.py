"""How low a leader's holding provably fell: what REST answers alone say, and only that.

Feeds lose, double and reorder fills. A sell told twice, or told while its buy was lost, looks
like a sale of what he held before he was followed, and a baseline never grows again. So a
baseline is lowered by answers, never by frames. Trades come by one read, splits and merges by
another: a fall counts when both have come by since, if it is still there.
"""

from dataclasses import dataclass, field

from schemas.records.base import Token

READS = ("trades", "activity")


@dataclass(slots=True)
class Proven:
    """Movements since the follow that REST states, by token, and what they prove.

    rebased: what moved exposure and baseline alike; a token without has no baseline to lower.
    awaited: reads that have not come by since a token's last fall began. lowest: what was said of
    it; lows: the lowest that is not an event yet.
    """

    moved: dict[Token, int] = field(default_factory=dict)
    rebased: dict[Token, int] = field(default_factory=dict)
    awaited: dict[Token, list[str]] = field(default_factory=dict)
    lowest: dict[Token, int] = field(default_factory=dict)
    lows: dict[Token, int] = field(default_factory=dict)

    def move(self, token: Token, shares_micro: int) -> None:
        """REST states a movement, or another one than before."""
        self.moved[token] = self.moved.get(token, 0) + shares_micro
        if shares_micro < 0:
            self.awaited.setdefault(token, list(READS))

    def rebase(self, token: Token, shares_micro: int) -> None:
        """What was there before the follow; it is no movement."""
        self.rebased[token] = self.rebased.get(token, 0) + shares_micro

    def follow_again(self) -> None:
        """An account may begin to follow him now, with what he holds as its baseline."""
        self.lowest = dict(self.moved)
        for token in self.moved:
            self.rebased.setdefault(token, 0)

    def read(self, source: str) -> None:
        """A complete answer of one of the reads stands on the tape."""
        for token, awaited in list(self.awaited.items()):
            if source in awaited:
                awaited.remove(source)
            if not awaited:
                del self.awaited[token]
                self._proved(token)

    def _proved(self, token: Token) -> None:
        now = self.moved[token]
        if now < min(self.lowest.get(token, 0), self.lows.get(token, now + 1)):
            self.lows[token] = now

    def due(self) -> list[tuple[Token, int]]:
        """Tokens with a baseline, and the lowest holding that is proven and not yet said."""
        return [(t, low + self.rebased[t]) for t, low in self.lows.items() if t in self.rebased]

    def said(self, token: Token) -> None:
        """It is an event now."""
        self.lowest[token] = self.lows.pop(token)
