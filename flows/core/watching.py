"""What the decisions need to see, as Watch records: connectors subscribe from these alone.

Wallets that are followed; tokens that a leader trades or that we hold, and their complements,
until their market has its payouts. A token is wanted at a leader's first fill, so that its book
is there before the netting window closes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from flows.core.market import Markets
from schemas.records import journal
from schemas.records.base import Record, Token
from schemas.records.leader import LeaderFills, LeaderMove
from schemas.records.market import MarketMeta, MarketResolved

What = Literal["wallet", "token"]


@dataclass(slots=True)
class Watching:
    """Subjects that are on, and changes that are not yet events: (on, why) by subject."""

    on: dict[tuple[What, str], None] = field(default_factory=dict)
    wanted: dict[tuple[What, str], tuple[bool, str]] = field(default_factory=dict)

    def want(self, what: What, subject: str, on: bool, why: str) -> None:
        """Wish a subject on or off; what is so already needs no event."""
        key = (what, subject)
        if (key in self.on) != on:
            self.wanted.setdefault(key, (on, why))
        else:
            self.wanted.pop(key, None)

    def want_tokens(self, tokens: Iterable[Token], markets: Markets, why: str) -> None:
        """Wish tokens and their complements on, unless their market is over."""
        for token in tokens:
            if not markets.resolved(token):
                for each in markets.pair(token):
                    self.want("token", each, True, why)


def observe(watching: Watching, markets: Markets, record: Record) -> None:
    """What the world's records make us want to see."""
    match record:
        case LeaderFills() if ("token", record.token) not in watching.on:
            watching.want_tokens([record.token], markets, "leader_fill")
        case LeaderMove():
            watching.want_tokens(record.delta_micro, markets, "leader_move")
        case MarketMeta():
            known = [o.token for o in record.outcomes if ("token", o.token) in watching.on]
            watching.want_tokens(known, markets, "complement")
            for token in known:
                if markets.resolved(token):
                    watching.want("token", token, False, "resolved")
        case MarketResolved():
            for token in record.payouts:
                watching.want("token", token, False, "resolved")


def decide(watching: Watching) -> Iterator[Record]:
    """Say what changed."""
    for (what, subject), (on, why) in list(watching.wanted.items()):
        yield journal.Watch(what=what, subject=subject, on=on, why=why)


def evolve(watching: Watching, markets: Markets, event: Record) -> None:
    """What decisions make us want to see, and what was said of it."""
    match event:
        case journal.Watch():
            key = (event.what, event.subject)
            watching.wanted.pop(key, None)
            if event.on:
                watching.on[key] = None
            else:
                watching.on.pop(key, None)
        case journal.LeaderFollowed():
            watching.want("wallet", event.leader, True, "followed")
        case journal.LeaderUnfollowed():
            watching.want("wallet", event.leader, False, "unfollowed")
        case journal.PositionCorrected():
            watching.want_tokens([event.token], markets, "corrected")
        case journal.FillBooked():
            watching.want_tokens([event.token], markets, "own_fill")
        case journal.OrderHeld():
            watching.want_tokens([event.token], markets, "held")
