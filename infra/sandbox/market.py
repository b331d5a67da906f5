"""One market: its ids and names, its displayed book, its place in a recording, its life.

open -> closed (no more orders) -> resolved (payouts known, book gone). The tick starts coarse and
becomes fine for good with the first recorded price that needs it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.sandbox.books import COARSE_TICK_MICRO, RecordedBook, Reel, Stretch
from infra.sandbox.hashing import hex_id, token_ids
from infra.sandbox.orderbook import BID, Levels, MarketBook

if TYPE_CHECKING:
    from infra.sandbox.records import Order


@dataclass(slots=True, kw_only=True, eq=False)
class Market:
    """A market being played. Outcome 0 is the recorded UP, 1 the recorded DOWN."""

    number: int
    stretch: Stretch
    books: Reel
    origin_ms: int
    speed: float
    min_shares_micro: int
    fee_rate_micro: int
    fee_exponent: int = 1
    neg_risk: bool = False
    tick_micro: int = COARSE_TICK_MICRO
    status: str = "open"
    played: int = 0
    book: MarketBook = field(default_factory=MarketBook)
    resting: "list[Order]" = field(default_factory=list)
    last_trade_price_micro: int | None = None
    last_trade_side: str = ""
    closed_ms: int = 0
    resolved_ms: int = 0
    volume_usd_micro: int = 0
    tokens: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        self.tokens = token_ids(self.condition_id)

    @property
    def condition_id(self) -> str:
        return self.stretch.condition_id

    @property
    def question_id(self) -> str:
        return hex_id("question", self.condition_id)

    @property
    def slug(self) -> str:
        return self.stretch.slug

    @property
    def question(self) -> str:
        return self.stretch.market.question

    @property
    def outcomes(self) -> tuple[str, str]:
        return self.stretch.market.outcomes

    @property
    def payouts_micro(self) -> tuple[int, int]:
        return self.stretch.market.payouts_micro

    @property
    def is_open(self) -> bool:
        return self.status == "open"

    @property
    def is_resolved(self) -> bool:
        return self.status == "resolved"

    def wall_ms(self, recorded_ms: int) -> int:
        """When a recorded moment plays."""
        return self.origin_ms + int((recorded_ms - self.stretch.from_ms) / self.speed)

    def price_micro(self, token: int) -> int:
        """What one share is worth now: payout, mid, the one quote there is, or 0.5."""
        if self.is_resolved:
            return self.payouts_micro[token]
        bid, ask = self.book.best_bid(token), self.book.best_ask(token)
        if bid is not None and ask is not None:
            return (bid + ask) // 2
        return next((quote for quote in (bid, ask) if quote is not None), 500_000)

    def target_sides(self, token: int, recorded: RecordedBook) -> tuple[Levels, Levels]:
        """A recorded token book with our resting orders on top of it."""
        bids, asks = recorded.sides[token]
        sides = dict(bids), dict(asks)
        for order in self.resting:
            side, price = resting_place(order, token)
            sides[side][price] = sides[side].get(price, 0) + order.left_micro
        return sides


def resting_place(order: "Order", token: int) -> tuple[int, int]:
    """Side and price at which a resting order shows in the book of one of the two tokens."""
    side = BID if order.terms.side == "BUY" else 1 - BID
    if order.token == token:
        return side, order.terms.price_micro
    return 1 - side, 1_000_000 - order.terms.price_micro
