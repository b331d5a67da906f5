"""Frames of the market channel for the mirror's bench: a seeded stream and the recorded game.

Both carry the quotes that the venue's own book would state, so that every echo is checked and
agrees, as on a good day. The recording kept no `book` frames; they are put back where its quotes
say that a trade has taken levels.
"""

import json
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "nhl-l2-deltas"
BEGAN_MS = 1_795_000_000_000
HASH = "0123456789abcdef0123456789abcdef01234567"
SIZES = 20_000
"""So many different sizes came in 206,364 changes of the recorded game."""
Frame = tuple[bytes, int, int]
"""Bytes, receipt in ms, and how many changes they hold."""


class Venue:
    """One market of two tokens as the venue keeps it, in thousandths of a dollar."""

    def __init__(self, number: int, tokens: tuple[str, str]) -> None:
        self.market, self.tokens = f"0x{number:064x}", tokens
        self.bids: dict[int, str] = {}
        self.asks: dict[int, str] = {}

    def quotes(self) -> tuple[int, int]:
        """Best bid and ask of the first token; 0 and 1,000 stand for an empty side."""
        return max(self.bids, default=0), min(self.asks, default=1_000)

    def set(self, side: str, price: int, size: str) -> None:
        """Change one level of the first token."""
        levels = self.bids if side == "BUY" else self.asks
        if size == "0":
            levels.pop(price, None)
        else:
            levels[price] = size

    def trim(self, bid: int, ask: int) -> bool:
        """Drop what a trade has taken: levels better than these quotes. Whether there were any."""
        gone = [(self.bids, p) for p in self.bids if p > bid]
        gone += [(self.asks, p) for p in self.asks if p < ask]
        for levels, price in gone:
            del levels[price]
        return bool(gone)

    def rows(self, side: str, price: int, size: str) -> list[dict[str, str]]:
        """A change as both tokens' rows: a bid for one is an ask for the other."""
        bid, ask = self.quotes()
        other = "SELL" if side == "BUY" else "BUY"
        return [
            row(self.tokens[0], side, price, size, bid, ask),
            row(self.tokens[1], other, 1_000 - price, size, 1_000 - ask, 1_000 - bid),
        ]

    def snapshots(self, at_ms: int) -> Iterator[bytes]:
        """A `book` frame of each token."""
        mirrored = [{1_000 - p: size for p, size in s.items()} for s in (self.asks, self.bids)]
        for token, (bids, asks) in zip(
            self.tokens, [(self.bids, self.asks), mirrored], strict=True
        ):
            frame = {
                "event_type": "book",
                "market": self.market,
                "asset_id": token,
                "timestamp": str(at_ms),
                "bids": [level(p, bids[p]) for p in sorted(bids)],
                "asks": [level(p, asks[p]) for p in sorted(asks, reverse=True)],
                "tick_size": "0.01",
            }
            yield json.dumps(frame, separators=(",", ":")).encode()

    def frame(self, rows: list[dict[str, str]], at_ms: int) -> Frame:
        """A `price_change` frame."""
        body = {
            "event_type": "price_change",
            "market": self.market,
            "timestamp": str(at_ms),
            "price_changes": rows,
        }
        return json.dumps(body, separators=(",", ":")).encode(), at_ms, len(rows)


def price_text(thousandths: int) -> str:
    """As the venue spells prices: no trailing zeros."""
    return f"{thousandths / 1_000:.3f}".rstrip("0").rstrip(".")


def level(price: int, size: str) -> dict[str, str]:
    """One level of a snapshot."""
    return {"price": price_text(price), "size": size}


def row(token: str, side: str, price: int, size: str, bid: int, ask: int) -> dict[str, str]:
    """One element of `price_changes`."""
    return {
        "asset_id": token,
        "price": price_text(price),
        "size": size,
        "side": side,
        "hash": HASH,
        "best_bid": price_text(bid),
        "best_ask": price_text(ask),
    }


def seeded(tokens: int, frames: int, *, levels: int = 40, seed: int = 7) -> list[Frame]:
    """Markets of `levels` a side whose levels near the touch change most, one frame a ms."""
    draw = random.Random(seed)
    venues = [Venue(i, (str(10**76 + 2 * i), str(10**76 + 2 * i + 1))) for i in range(tokens // 2)]
    sizes = [size_text(draw) for _ in range(SIZES)]
    made: list[Frame] = []
    for venue in venues:
        for step in range(levels):
            venue.set("BUY", 495 - 10 * step, draw.choice(sizes))
            venue.set("SELL", 505 + 10 * step, draw.choice(sizes))
        made += [(raw, BEGAN_MS, 0) for raw in venue.snapshots(BEGAN_MS)]
    for number in range(frames):
        venue, rows = draw.choice(venues), []
        for _ in range(draw.choices((1, 2, 4), (86, 12, 2))[0]):
            side, step = draw.choice(("BUY", "SELL")), min(int(draw.expovariate(0.15)), levels - 1)
            price = 495 - 10 * step if side == "BUY" else 505 + 10 * step
            size = "0" if draw.random() < 0.11 else draw.choice(sizes)
            venue.set(side, price, size)
            rows += venue.rows(side, price, size)
        made.append(venue.frame(rows, BEGAN_MS + number))
    return made


def size_text(draw: random.Random) -> str:
    """Sizes as traders choose them: two in three whole, the rest to the cent."""
    if draw.random() < 2 / 3:
        return str(draw.choice((5, 10, 20, 50, 100, 198, 250, 500, 1_000)) + draw.randrange(50))
    return f"{draw.randrange(1, 300_000) / 100:.2f}"


def recorded(folder: Path = RECORDED) -> list[Frame]:
    """The recorded game as frames: its own changes and quotes, with the books put back."""
    rows = _rows(folder)
    venues: dict[str, Venue] = {}
    for first, second in pairwise(rows):
        if first[0] == second[0] and first[1] != second[1] and first[1] not in venues:
            venues[first[1]] = venues[second[1]] = Venue(len(venues), (first[1], second[1]))
    made = [
        (raw, rows[0][0], 0)
        for venue in dict.fromkeys(venues.values())
        for raw in venue.snapshots(rows[0][0])
    ]
    for at_ms, token, side, price, size, bid, ask in rows:
        venue = venues[token]
        if token != venue.tokens[0]:
            continue  # the same change, told of the other token
        venue.set(side, price, size)
        if venue.trim(bid, ask) | _reach(venue, bid, ask):
            made += [(raw, at_ms, 0) for raw in venue.snapshots(at_ms)]
        made.append(venue.frame(venue.rows(side, price, size), at_ms))
    return made


def _reach(venue: Venue, bid: int, ask: int) -> bool:
    """Set the level that a quote names and nobody told of."""
    missing = [("BUY", bid)] if bid > 0 and bid not in venue.bids else []
    missing += [("SELL", ask)] if ask < 1_000 and ask not in venue.asks else []
    for side, price in missing:
        venue.set(side, price, "1")
    return bool(missing)


def _rows(folder: Path) -> list[tuple[int, str, str, int, str, int, int]]:
    import polars as pl

    (path,) = folder.glob("*.parquet")
    kept = pl.read_parquet(path).filter(pl.col("event_type") == "PRICE_CHANGE")
    columns = kept.select(
        pl.col("timestamp").dt.epoch("ms"), "asset_id", pl.col("side").cast(str),
        "price", "size", "best_bid", "best_ask",
    )  # fmt: skip
    return [
        (at, token, "BUY" if side == "BID" else "SELL", _thousandths(price), f"{size:g}"
         if size < 1e5 else f"{size:.2f}".rstrip("0").rstrip("."),
         _thousandths(bid), _thousandths(ask))
        for at, token, side, price, size, bid, ask in columns.rows()
    ]  # fmt: skip


def _thousandths(price: float) -> int:
    return round(price * 1_000)
