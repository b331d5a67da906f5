"""Records about markets and order books."""

from typing import Annotated, Literal

import msgspec

from schemas.records.base import Condition, Part, Record, Token

Levels = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="[[price_micro, shares_micro], ...] best first",
        extra_json_schema={
            "type": "array",
            "items": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "integer"}]},
        },
    ),
]
"""Undecoded levels: most books are never priced, and decoding them is most of a Depth's cost."""


class Depth(Record, frozen=True):
    """The best levels of one token's verified book, conflated. Belongs to a live BookEpoch.

    as_of_ms is the venue's engine time of the last change, recv_ns its receipt here.
    """

    token: Token
    epoch: str
    as_of_ms: int
    recv_ns: int
    tick_micro: int
    bids: Levels
    asks: Levels


class BookEpoch(Record, frozen=True):
    """A token's mirror became trustworthy (live) or ceased to be (ended), and why.

    epoch is '<connector instance>.<number>', unique for ever.
    """

    token: Token
    epoch: str
    state: Literal["live", "ended"]
    reason: str


class Outcome(Part, frozen=True):
    """One outcome of a market; index is its place in the venue's pair."""

    token: Token
    name: str


class MarketMeta(Record, frozen=True):
    """What sizing needs to know of a market; re-appended when any of it changes.

    The taker fee is shares * rate * (p * (1 - p)) ** exponent (API reference 14). end_ms is
    scheduled, never proof of closing.
    """

    condition: Condition
    outcomes: tuple[Outcome, ...]
    tick_micro: int
    min_shares_micro: int
    fee_rate_micro: int
    fee_exponent: int
    neg_risk: bool
    accepting: bool
    title: str
    event: str
    end_ms: int | None = None


class MarketClosed(Record, frozen=True):
    """The venue no longer takes orders for the market; nothing is said about payouts."""

    condition: Condition
    reason: str


class MarketResolved(Record, frozen=True):
    """Final payouts per share in micro-USD, one per outcome token; may be split."""

    condition: Condition
    payouts: dict[Token, int]
    source: str
