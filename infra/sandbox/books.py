"""Recorded order books of the package resolvedkit, as integer levels, and which stretch plays when.

`resolvedkit` 0.1.0 holds 18 BTC 15-minute markets of 2026-09-28: twenty levels a side of both
outcomes, about 66 books a minute each, from 15 minutes before the market starts to about half a
minute after its end, with payouts. Its books are served as they are, one-sided and crossed ones
too. It has no token ids, ticks, minimums or hashes: those are the sandbox's own.
"""

import random
from pathlib import Path

import msgspec
import polars as pl
import resolvedkit

from infra.sandbox.hashing import hex_id
from infra.sandbox.settings import SandboxSettings

Levels = dict[int, int]
"""price_micro -> shares_micro of one side."""

CLOSE_AFTER_END_MS = 15_000
"""Trading stops this much recorded time after the market's end: the last books are one-sided."""
RESOLVE_AFTER_CLOSE_MS = 3_000
"""Wall time from the close to the resolution."""
COARSE_TICK_MICRO = 10_000
FINE_TICK_MICRO = 1_000
_DATA = Path(resolvedkit.__file__).parent / "sample_data"
_LIQUID_MICRO = (200_000, 800_000)


class RecordedMarket(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded market; times are recorded times in epoch ms, payouts micro-USD a share."""

    market_id: str
    slug: str
    question: str
    start_ms: int
    end_ms: int
    outcomes: tuple[str, str]
    payouts_micro: tuple[int, int]

    @property
    def close_ms(self) -> int:
        return self.end_ms + CLOSE_AFTER_END_MS


class RecordedBook(msgspec.Struct, frozen=True):
    """Both sides of one or both outcomes (index 0 and 1) at one recorded moment."""

    at_ms: int
    sides: dict[int, tuple[Levels, Levels]]

    @property
    def is_fine(self) -> bool:
        """Whether any price needs the finer tick."""
        return any(p % COARSE_TICK_MICRO for s in self.sides.values() for side in s for p in side)


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded market and the recorded moment at which its play begins.

    generation tells replays of one recording apart: each gets ids of its own.
    """

    market: RecordedMarket
    from_ms: int
    generation: int = 0

    @property
    def condition_id(self) -> str:
        if self.generation == 0:
            return self.market.market_id
        return hex_id("condition", self.market.market_id, self.generation)

    @property
    def slug(self) -> str:
        return self.market.slug + (f"-r{self.generation}" if self.generation else "")


_REEL = ("ts", "side", "bid_px", "bid_sz", "ask_px", "ask_sz")


class Reel:
    """Books in the order of play, made of the recording one by one as they are looked at."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self._rows: dict[int, list[int]] = {}
        for row, at_ms in enumerate(frame["ts"].to_list()):
            self._rows.setdefault(at_ms, []).append(row)
        self._moments = list(self._rows)

    def __len__(self) -> int:
        return len(self._moments)

    def at_ms(self, place: int) -> int:
        return self._moments[place]

    def __getitem__(self, place: int) -> RecordedBook:
        at_ms = self._moments[place]
        sides = {}
        for row in self._rows[at_ms]:
            _, side, bid_px, bid_sz, ask_px, ask_sz = self._frame.row(row)
            sides[0 if side == "UP" else 1] = _levels(bid_px, bid_sz), _levels(ask_px, ask_sz)
        return RecordedBook(at_ms, sides)


class Recordings:
    """The recorded markets and, on request, the books of one of them."""

    def __init__(self) -> None:
        self.markets = [_market(row) for row in _read("markets").iter_rows(named=True)]
        self._books = _read("books")
        self._touch = _touches(self._books)

    def books(self, stretch: Stretch) -> "Reel":
        """The books to play: the one standing at the stretch's start, then all until its close."""
        frame = self._books.filter(
            (pl.col("market_id") == stretch.market.market_id)
            & (pl.col("ts") <= stretch.market.close_ms)
        ).sort("ts", maintain_order=True)
        before = frame.filter(pl.col("ts") <= stretch.from_ms)
        standing = before.group_by("side", maintain_order=True).last()
        later = frame.filter(pl.col("ts") > stretch.from_ms)
        first = standing.with_columns(ts=pl.lit(stretch.from_ms, dtype=pl.Int64))
        return Reel(pl.concat([first.select(_REEL), later.select(_REEL)]))

    def mid_micro(self, market: RecordedMarket, at_ms: int) -> int | None:
        """Mid price of the first outcome at a recorded moment; None when one-sided or absent."""
        rows = self._touch.filter(
            (pl.col("market_id") == market.market_id) & (pl.col("ts") <= at_ms)
        )
        if rows.is_empty():
            return None
        bid, ask = rows[-1, "bid"], rows[-1, "ask"]
        return None if bid is None or ask is None else round((bid + ask) * 500_000)

    def first_fine_ms(self, market: RecordedMarket) -> int | None:
        """The first recorded moment whose prices need the finer tick."""
        rows = self._touch.filter((pl.col("market_id") == market.market_id) & pl.col("fine"))
        return None if rows.is_empty() else int(rows[0, "ts"])


def _read(name: str) -> pl.DataFrame:
    return pl.read_parquet(_DATA / f"{name}.parquet")


def _touches(books: pl.DataFrame) -> pl.DataFrame:
    def off_grid(column: str) -> pl.Expr:
        cents = pl.element() * 100
        return pl.col(column).list.eval((cents - cents.round()).abs() > 1e-6).list.any()

    return books.filter(pl.col("side") == "UP").select(
        "market_id",
        "ts",
        bid=pl.col("bid_px").list.get(0, null_on_oob=True),
        ask=pl.col("ask_px").list.get(0, null_on_oob=True),
        fine=off_grid("bid_px") | off_grid("ask_px"),
    )


def _market(row: dict[str, object]) -> RecordedMarket:
    return msgspec.convert(
        {
            "market_id": row["market_id"],
            "slug": row["slug"],
            "question": row["question"],
            "start_ms": row["start_ts"],
            "end_ms": row["end_ts"],
            "outcomes": (row["outcome_up"], row["outcome_down"]),
            "payouts_micro": tuple(
                round(float(str(row[f"payout_{side}"])) * 1_000_000) for side in ("up", "down")
            ),
        },
        RecordedMarket,
    )


def _levels(prices: list[float], sizes: list[float]) -> Levels:
    return {
        round(price * 1_000_000): round(size * 1_000_000)
        for price, size in zip(prices, sizes, strict=True)
    }


def plan_stretches(
    recordings: Recordings, settings: SandboxSettings, rng: random.Random
) -> list[Stretch]:
    """The stretches that play from the start.

    The first resolves at `resolve_ms`; the second passes to the finer tick at `tick_after_s`, where
    a recording allows it; the others are liquid and outlast the planned duration.
    """
    pool = list(recordings.markets)
    rng.shuffle(pool)
    stretches = [_resolving(recordings, settings, pool, rng)]
    if settings.markets > 1:
        stretches.append(_refining(recordings, settings, pool, rng))
    while len(stretches) < settings.markets:
        stretches.append(_lasting(recordings, settings, pool, rng))
    return stretches


def _take(pool: list[RecordedMarket], market: RecordedMarket) -> RecordedMarket:
    pool.remove(market)
    return market


def _resolving(
    recordings: Recordings,
    settings: SandboxSettings,
    pool: list[RecordedMarket],
    rng: random.Random,
) -> Stretch:
    before_close_ms = int((settings.resolve_ms - RESOLVE_AFTER_CLOSE_MS) * settings.speed)

    def doubt(market: RecordedMarket) -> int:
        mid = recordings.mid_micro(market, market.close_ms - before_close_ms)
        return 1_000_000 if mid is None else abs(mid - 500_000)

    market = _take(pool, rng.choice(sorted(pool, key=doubt)[:4]))
    return Stretch(market=market, from_ms=market.close_ms - before_close_ms)


def _refining(
    recordings: Recordings,
    settings: SandboxSettings,
    pool: list[RecordedMarket],
    rng: random.Random,
) -> Stretch:
    lead_ms = int(settings.tick_after_s * 1000 * settings.speed)
    rest_ms = int(settings.duration_s * 1000 * settings.speed)
    for market in pool:
        fine_ms = recordings.first_fine_ms(market)
        if fine_ms is not None and fine_ms - lead_ms + rest_ms < market.end_ms - 30_000:
            return Stretch(market=_take(pool, market), from_ms=fine_ms - lead_ms)
    return _lasting(recordings, settings, pool, rng)


def _lasting(
    recordings: Recordings,
    settings: SandboxSettings,
    pool: list[RecordedMarket],
    rng: random.Random,
) -> Stretch:
    rest_ms = int(settings.duration_s * 1000 * settings.speed)
    low, high = _LIQUID_MICRO
    stretch: Stretch | None = None
    for _ in range(40):
        market = rng.choice(pool)
        latest = max(market.end_ms - 60_000 - rest_ms, market.start_ms - 800_000)
        from_ms = rng.randint(min(market.start_ms, latest), latest)
        stretch = Stretch(market=market, from_ms=from_ms)
        mids = [recordings.mid_micro(market, at) for at in (from_ms, from_ms + rest_ms)]
        if all(mid is not None and low <= mid <= high for mid in mids):
            break
    assert stretch is not None
    pool.remove(stretch.market)
    return stretch


def replacement(recordings: Recordings, used: list[Stretch], rng: random.Random) -> Stretch:
    """The market listed when one has resolved: a recording played least often, from its start."""
    plays = {m.market_id: 0 for m in recordings.markets}
    for stretch in used:
        plays[stretch.market.market_id] += 1
    fewest = min(plays.values())
    market = rng.choice([m for m in recordings.markets if plays[m.market_id] == fewest])
    return Stretch(market=market, from_ms=market.start_ms - 600_000, generation=fewest)
