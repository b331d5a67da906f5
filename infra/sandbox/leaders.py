"""Scripted wallets worth following, trading through the books in the patterns measured.

One order split in many fills; byte-identical fills; flips inside a netting window; both outcomes
of a market; SPLIT, MERGE and, after a resolution, REDEEM; resting orders that others fill; sizes
off the grid and size-weighted prices. Each leader has favourite tokens in lasting markets, holds
some of them before the run, and rests with hundreds of shares in several. What a leader does next
is drawn from the seed; whether it gets filled is up to the book.
"""

import random
from collections.abc import Callable
from typing import Protocol

import msgspec

from infra.sandbox.market import Market
from schemas.units import MICRO, floor_to_lot

SHARE = MICRO
HOLD_AT_MOST_MICRO = 1_200 * SHARE
QUOTE_LIFE_MS = 6_000
FLIP_GAP_MS = (120, 350)
REDEEM_AFTER_MS = (1_500, 4_000)
SLIP_TICKS = 3
BASELINE_MICRO = 320 * SHARE
DECK = (
    ["add"] * 8
    + ["trim"] * 4
    + ["sweep"] * 3
    + ["twins"] * 2
    + ["flip"] * 2
    + ["both"]
    + ["split"] * 2
    + ["merge"] * 2
    + ["quote"] * 2
    + ["short_lived"] * 2
)
"""One round of moves; shuffled anew each time, so every pattern comes within 28 moves."""


class Desk(Protocol):
    """What a leader can do and see; the venue implements it."""

    def buy(self, wallet: str, market: Market, token: int, usd_micro: int, pattern: str) -> int: ...
    def sell(self, wallet: str, market: Market, token: int, shares_micro: int) -> int: ...
    def quote(self, wallet: str, market: Market, token: int, shares_micro: int) -> list[str]: ...
    def cancel(self, order_id: str) -> None: ...
    def split(self, wallet: str, market: Market, shares_micro: int) -> None: ...
    def redeem(self, wallet: str, market: Market) -> int: ...
    def settled_micro(self, wallet: str, market: Market, token: int) -> int: ...
    def open_markets(self) -> list[Market]: ...
    def after(self, delay_ms: int, action: Callable[[], None]) -> None: ...


class Done(msgspec.Struct, kw_only=True):
    """How often a leader has done what."""

    flips: int = 0
    splits: int = 0
    merges: int = 0
    redeems: int = 0
    orders: int = 0


class Leader:
    """One wallet and its habits. `act` makes the next move; `rest` ends them for good."""

    def __init__(
        self, wallet: str, rng: random.Random, desk: Desk, homes: list[tuple[Market, int]]
    ) -> None:
        assert homes, "a leader needs a market that outlasts the run"
        self.wallet, self._rng, self._desk, self.homes = wallet, rng, desk, homes
        self.done = Done()
        self.resting = False
        self._deck = [*DECK[::3], "short_lived"]
        self._quotes: list[str] = []
        self._moves: dict[str, Callable[[], None]] = {
            "add": self._add,
            "trim": self._trim,
            "sweep": self._sweep,
            "twins": self._twins,
            "flip": self._flip,
            "both": self._both,
            "split": self._split,
            "merge": self._merge,
            "quote": self._quote,
            "short_lived": self._short_lived,
        }

    def act(self) -> None:
        """The next move of the deck."""
        if self.resting:
            return
        if not self._deck:
            self._deck = list(DECK)
            self._rng.shuffle(self._deck)
        self._moves[self._deck.pop()]()

    def rest(self) -> None:
        """No further move; what rests in the book is withdrawn."""
        self.resting = True
        self._withdraw()

    def _home(self) -> tuple[Market, int]:
        return self._rng.choice([home for home in self.homes if home[0].is_open] or self.homes)

    def _worth(self, market: Market, token: int, low: int, high: int) -> int:
        """Dollars for between low and high shares at the market's price, off every grid."""
        return self._rng.randint(low, high) * market.price_micro(token) + self._rng.randint(
            1, 9_999
        )

    def _buy(self, market: Market, token: int, low: int, high: int, pattern: str) -> int:
        self.done.orders += 1
        usd_micro = max(self._worth(market, token, low, high), MICRO)
        return self._desk.buy(self.wallet, market, token, usd_micro, pattern)

    def _add(self) -> None:
        market, token = self._home()
        if self._desk.settled_micro(self.wallet, market, token) < HOLD_AT_MOST_MICRO:
            self._buy(market, token, 60, 160, self._rng.choice(("one", "auto")))
        else:
            self._trim_of(market, token)

    def _sweep(self) -> None:
        market, token = self._home()
        self._buy(market, token, 150, 300, "each")

    def _twins(self) -> None:
        market, token = self._home()
        self._buy(market, token, 80, 140, "twins")

    def _trim(self) -> None:
        self._trim_of(*self._home())

    def _trim_of(self, market: Market, token: int) -> None:
        held = self._desk.settled_micro(self.wallet, market, token)
        if held > 250 * SHARE:
            self.done.orders += 1
            shares = self._rng.randint(30 * SHARE, min(held // 4, 120 * SHARE))
            self._desk.sell(self.wallet, market, token, shares)
        else:
            self._buy(market, token, 60, 120, "auto")

    def _flip(self) -> None:
        """Buy, and sell as much of the same token before a netting window closes."""
        market, token = self._home()
        bought = self._buy(market, token, 40, 90, "auto")
        if bought and self._desk.settled_micro(self.wallet, market, token) >= bought:
            delay_ms = self._rng.randint(*FLIP_GAP_MS)
            self._desk.after(delay_ms, lambda: self._flop(market, token, bought))

    def _flop(self, market: Market, token: int, shares_micro: int) -> None:
        if not self.resting and self._desk.sell(self.wallet, market, token, shares_micro):
            self.done.orders += 1
            self.done.flips += 1

    def _both(self) -> None:
        """Both outcomes of one market within a moment."""
        market, token = self._home()
        self._buy(market, token, 70, 110, "auto")
        self._buy(market, 1 - token, 20, 45, "auto")

    def _split(self) -> None:
        market, _ = self._home()
        self.done.splits += 1
        self._desk.split(self.wallet, market, self._rng.randint(40 * SHARE, 110 * SHARE))

    def _merge(self) -> None:
        """Merge a part of the pairs there are; without a pair, make one first."""
        for market, _ in self._rng.sample(self.homes, len(self.homes)):
            pairs = min(self._desk.settled_micro(self.wallet, market, token) for token in (0, 1))
            if market.is_open and pairs > SHARE:
                self.done.merges += 1
                self._desk.split(self.wallet, market, -self._rng.randint(pairs // 2, pairs))
                return
        self._split()

    def _quote(self) -> None:
        """Two equal orders at the best bid, withdrawn after a while: one taker may hit both."""
        self._withdraw()
        market, token = self._home()
        shares = floor_to_lot(self._rng.randint(15 * SHARE, 40 * SHARE))
        self._quotes = self._desk.quote(self.wallet, market, token, shares)
        self._desk.after(QUOTE_LIFE_MS, self._withdraw)

    def _withdraw(self) -> None:
        quotes, self._quotes = self._quotes, []
        for order_id in quotes:
            self._desk.cancel(order_id)

    def _short_lived(self) -> None:
        """A trade in the foreign market that closes first: it will be held to resolution."""
        homes = {market.condition_id for market, _ in self.homes}
        others = [m for m in self._desk.open_markets() if m.condition_id not in homes]
        if not others:
            self._add()
            return
        market = min(others, key=lambda m: m.wall_ms(m.stretch.market.close_ms))
        token = self._rng.randint(0, 1)
        self._buy(market, token, 60, 140, "auto")

    def on_resolve(self, market: Market) -> None:
        """Redeem what a resolved market owes, a little later."""
        self._desk.after(self._rng.randint(*REDEEM_AFTER_MS), lambda: self._redeem(market))

    def _redeem(self, market: Market) -> None:
        self.done.redeems += self._desk.redeem(self.wallet, market)
