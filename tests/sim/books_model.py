"""Order books drawn from a seed, in the shape in which the sandbox venue plays recorded ones.

A random walk of the mid price with a few levels a side; the other outcome's book is the mirror.
Sometimes a side is empty, the book is thin, or both sides cross: all of that was recorded at the
venue too. From `fine_ms` on prices need the finer tick.
"""

import random

from infra.sandbox.books import Levels, RecordedBook, RecordedMarket, Stretch
from infra.sandbox.hashing import hex_id

CENT = 10_000
MICRO = 1_000_000
SPAN_MS = 900_000
PLAYED_MS = 180_000
FINE_BEFORE_END_MS = 300_000


class DrawnReel:
    """Books of one market in order of play, each made when it is looked at first."""

    def __init__(self, books: list[RecordedBook]) -> None:
        self._books = books

    def __len__(self) -> int:
        return len(self._books)

    def at_ms(self, place: int) -> int:
        return self._books[place].at_ms

    def __getitem__(self, place: int) -> RecordedBook:
        return self._books[place]


class DrawnRecordings:
    """Stands in for the sandbox's Recordings. odd: how often a book is one-sided or crossed."""

    def __init__(self, seed: int, *, markets: int, gap_ms: int, odd: float, fine: bool) -> None:
        self._seed, self._gap_ms, self._odd, self._fine = seed, gap_ms, odd, fine
        self.markets = [self._market(number) for number in range(markets)]

    def _market(self, number: int) -> RecordedMarket:
        chance = random.Random(f"{self._seed}:market:{number}")
        up = chance.choice((0, 300_000, MICRO, MICRO))
        return RecordedMarket(
            market_id=hex_id(self._seed, "market", number),
            slug=f"market-{number}",
            question=f"Market {number}?",
            start_ms=1_000_000_000_000,
            end_ms=1_000_000_000_000 + SPAN_MS,
            outcomes=("Up", "Down"),
            payouts_micro=(up, MICRO - up),
        )

    def mid_micro(self, market: RecordedMarket, at_ms: int) -> int | None:
        """Liquid everywhere: the walk stays within (0.1, 0.9)."""
        return MICRO // 2

    def first_fine_ms(self, market: RecordedMarket) -> int | None:
        return market.end_ms - FINE_BEFORE_END_MS if self._fine else None

    def books(self, stretch: Stretch) -> DrawnReel:
        """From the stretch's beginning on, long enough for any world."""
        market = stretch.market
        chance = random.Random(f"{self._seed}:{market.market_id}:{stretch.generation}")
        fine_ms = self.first_fine_ms(market)
        mid, at_ms = chance.randint(25, 75), stretch.from_ms
        end_ms = min(at_ms + PLAYED_MS, market.close_ms)
        books: list[RecordedBook] = []
        while at_ms <= end_ms:
            mid = min(max(mid + chance.randint(-1, 1), 10), 90)
            fine = fine_ms is not None and at_ms >= fine_ms
            books.append(self._book(chance, at_ms, mid, fine=fine, plain=not books))
            at_ms += chance.randint(self._gap_ms // 2, self._gap_ms * 3 // 2)
        return DrawnReel(books)

    def _book(
        self, chance: random.Random, at_ms: int, mid: int, *, fine: bool, plain: bool
    ) -> RecordedBook:
        step = CENT // 5 if fine else CENT
        top_ask, depth = mid * CENT + step, chance.randint(2, 5)
        sizes = [chance.choice((8, 60, 400, 2_000)) * MICRO for _ in range(2 * depth)]
        asks = {top_ask + step * i: sizes[i] for i in range(depth)}
        bids = {mid * CENT - step * i: sizes[depth + i] for i in range(depth)}
        if not plain and chance.random() < self._odd:
            fault = chance.choice(("no_bids", "no_asks", "crossed"))
            if fault == "crossed":
                bids[top_ask + step] = 50 * MICRO
            else:
                (bids if fault == "no_bids" else asks).clear()
        sides = {0: (bids, asks), 1: (_mirrored(asks), _mirrored(bids))}
        return RecordedBook(at_ms=at_ms, sides=sides)


def _mirrored(levels: Levels) -> Levels:
    return {MICRO - price: size for price, size in levels.items()}
