"""Markets and order books as the tape tells them: metadata, epochs, the end of a market.

A book is usable only inside a live epoch. Two connectors may mirror one token; each has epochs of
its own and the newest Depth of a live one counts.
"""

from dataclasses import dataclass, field

import msgspec

from flows.core.clock import producer_of
from schemas.records.base import Condition, Token
from schemas.records.market import BookEpoch, Depth, MarketClosed, MarketMeta, MarketResolved
from schemas.records.system import ConnectorStarted


@dataclass(slots=True)
class Market:
    """One market: what it is, and whether it has ended."""

    meta: MarketMeta
    tokens: list[Token]
    closed: str | None = None
    payouts: dict[Token, int] | None = None

    def outcome(self, token: Token) -> str:
        """Name of a token's outcome."""
        return next((o.name for o in self.meta.outcomes if o.token == token), "?")


class Book(msgspec.Struct, frozen=True, gc=False):
    """The newest Depth of a live epoch and where it stands on the tape."""

    depth: Depth
    offset: int


@dataclass(slots=True)
class Epochs:
    """A token's live epochs with their newest Depth, and why the last one ended."""

    live: dict[str, Book | None] = field(default_factory=dict)
    ended: str = "no_book_yet"

    def newest(self) -> Book | None:
        """The Depth to price with, None if no live epoch has one."""
        books = [book for book in self.live.values() if book is not None]
        return max(books, key=lambda book: book.offset) if books else None


@dataclass(slots=True)
class Markets:
    """All markets and books of a shard."""

    by_condition: dict[Condition, Market] = field(default_factory=dict)
    condition_of: dict[Token, Condition] = field(default_factory=dict)
    epochs: dict[Token, Epochs] = field(default_factory=dict)
    ended_early: dict[Condition, MarketResolved | MarketClosed] = field(default_factory=dict)

    def of(self, token: Token) -> Market | None:
        """The token's market, None while its metadata is unknown."""
        condition = self.condition_of.get(token)
        return self.by_condition.get(condition) if condition is not None else None

    def pair(self, token: Token) -> list[Token]:
        """All tokens of the token's market, itself included; just itself while unknown."""
        market = self.of(token)
        return market.tokens if market is not None else [token]

    def resolved(self, token: Token) -> bool:
        """Whether the token's market has its payouts."""
        market = self.of(token)
        return market is not None and market.payouts is not None

    def observe_meta(self, record: MarketMeta) -> None:
        """Take metadata in; an end that was told before it applies now."""
        known = self.by_condition.get(record.condition)
        tokens = [outcome.token for outcome in record.outcomes]
        if known is not None:
            known.meta, known.tokens = record, tokens
        else:
            self.by_condition[record.condition] = Market(record, tokens)
        for outcome in record.outcomes:
            self.condition_of[outcome.token] = record.condition
        early = self.ended_early.pop(record.condition, None)
        if early is not None:
            self.observe_end(early)

    def observe_end(self, record: MarketClosed | MarketResolved) -> None:
        """Close a market, or give it its payouts; payouts once told never change."""
        market = self.by_condition.get(record.condition)
        if market is None:
            if not isinstance(self.ended_early.get(record.condition), MarketResolved):
                self.ended_early[record.condition] = record
        elif isinstance(record, MarketClosed):
            market.closed = record.reason
        elif market.payouts is None:
            market.closed = market.closed or "resolved"
            market.payouts = dict(record.payouts)
            for token in record.payouts:
                self.epochs.pop(token, None)

    def observe_epoch(self, record: BookEpoch) -> None:
        """Begin or end an epoch."""
        epochs = self.epochs.setdefault(record.token, Epochs())
        if record.state == "live":
            epochs.live[record.epoch] = None
        else:
            epochs.live.pop(record.epoch, None)
            epochs.ended = record.reason

    def observe_depth(self, offset: int, record: Depth) -> None:
        """Take a Depth in if its epoch is live; a late one of an ended epoch says nothing."""
        epochs = self.epochs.get(record.token)
        if epochs is not None and record.epoch in epochs.live:
            epochs.live[record.epoch] = Book(record, offset)

    def observe_connector(self, record: ConnectorStarted) -> None:
        """A producer began anew: what its earlier instance held live is unverified now."""
        for epochs in self.epochs.values():
            stale = [e for e in epochs.live if producer_of(e) == record.producer]
            for epoch in stale:
                del epochs.live[epoch]
                epochs.ended = "connector_restarted"
