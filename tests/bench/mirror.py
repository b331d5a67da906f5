"""Price changes decoded, echo-checked and mirrored a second, on one core: `measure()`.

Timed is what the connector does with a frame between the socket and the tape:
`MarketSession.receive`, and `tick` every 50 ms of frame time. The venue's hash is left out (frames
carry it, but no snapshot confirmed it). Beside it, over the same frames (market_frames.py): a loop
that only decodes, and the usual script of `json.loads` and dicts, which checks nothing.
"""

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from market_frames import BEGAN_MS, RECORDED, Frame, recorded, seeded

from connectors.polymarket.book_hash import HashBudget
from connectors.polymarket.session import MarketSession
from connectors.polymarket.wire_market import BookFrame, decode_market

NS = 1_000_000
TICK_EVERY_MS = 50
DEPTH_EVERY_MS, AT_ONCE_ONLY_MS = 250, 10**9


def opened(frames: list[Frame], depth_interval_ms: int) -> MarketSession:
    """A session that is connected and believes the books of the opening frames."""
    numbers = iter(range(1, 1_000_000_000))
    session = MarketSession(
        ids=lambda: f"public-0.{next(numbers)}",
        depth_levels=20,
        depth_interval_ms=depth_interval_ms,
        silence_ms=10**9,
        budget=HashBudget(0),
    )
    books = [
        book for raw, _, _ in frames for book in decode_market(raw) if isinstance(book, BookFrame)
    ]
    session.follow(dict.fromkeys(book.asset_id for book in books), [], BEGAN_MS)
    session.opened(frames[0][1])
    for raw, at_ms, _ in frames:
        session.receive(raw, at_ms * NS)
    assert len(session.live_tokens) == len(session.tokens)
    return session


def mirror(session: MarketSession, frames: list[Frame]) -> None:
    """Feed frames to a session, as its driver would."""
    due_ms = 0
    receive, tick = session.receive, session.tick
    for raw, at_ms, _ in frames:
        receive(raw, at_ms * NS)
        if at_ms >= due_ms:
            tick(at_ms)
            due_ms = at_ms + TICK_EVERY_MS


def decode_only(frames: list[Frame]) -> None:
    """The bare loop."""
    for raw, _, _ in frames:
        decode_market(raw)


def scripted(frames: list[Frame]) -> dict[str, dict[str, dict[str, str]]]:
    """What most bots do: dicts keyed by the venue's strings, nothing checked."""
    books: dict[str, dict[str, dict[str, str]]] = {}
    for raw, _, _ in frames:
        frame: dict[str, Any] = json.loads(raw)
        for change in frame.get("price_changes", ()):
            sides = books.setdefault(change["asset_id"], {"BUY": {}, "SELL": {}})
            if change["size"] == "0":
                sides[change["side"]].pop(change["price"], None)
            else:
                sides[change["side"]][change["price"]] = change["size"]
    return books


def seconds(work: Callable[[list[Frame]], object], frames: list[Frame]) -> float:
    """Processor seconds of one run; the garbage of others is collected before."""
    gc.collect()
    began = time.process_time()
    work(frames)
    return time.process_time() - began


def bytes_per_token(tokens: int, *, levels: int = 40) -> int:
    """What the session holds for a token of so many levels a side after 20 changes."""
    first, rest = split(seeded(tokens, tokens * 10, levels=levels))
    tracemalloc.start()
    try:
        session = opened(first, AT_ONCE_ONLY_MS)
        mirror(session, rest)
        held, _ = tracemalloc.get_traced_memory()
        return held // len(session.tokens)
    finally:
        tracemalloc.stop()


def split(frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """The opening snapshots, and everything after them."""
    begins = next(place for place, (_, _, changes) in enumerate(frames) if changes)
    return frames[:begins], frames[begins:]


def mirroring(frames: list[Frame], depth_interval_ms: int) -> float:
    """Seconds for all frames after the opening ones; on a good day nothing is ever doubted."""
    first, rest = split(frames)
    session = opened(first, depth_interval_ms)
    took_s = seconds(partial(mirror, session), rest)
    assert not +session.counts, f"a good day has no faults, but there were {session.counts}"
    return took_s


def figures(frames: list[Frame], runs: int) -> dict[str, float]:
    """Changes a second of each loop: median, least and most, and nanoseconds of a frame by part.

    published: with the Depths that this stream's own pace brings, one a token and 250 ms at most.
    """
    rest = split(frames)[1]
    changes, count = sum(n for _, _, n in rest), len(rest)
    loops: dict[str, Callable[[], float]] = {
        "mirror": lambda: mirroring(frames, AT_ONCE_ONLY_MS),
        "publish": lambda: mirroring(frames, DEPTH_EVERY_MS),
        "decode": lambda: seconds(decode_only, rest),
        "script": lambda: seconds(scripted, rest),
    }
    took: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(runs):  # in turn, so that a slow moment of the machine meets all of them
        for name, loop in loops.items():
            took[name].append(loop())
    middle = {name: median(times) for name, times in took.items()}
    return {
        "changes": changes,
        "frames": count,
        "changes_per_s": changes / middle["mirror"],
        "changes_per_s_min": changes / max(took["mirror"]),
        "changes_per_s_max": changes / min(took["mirror"]),
        "published_changes_per_s": changes / middle["publish"],
        "decode_only_changes_per_s": changes / middle["decode"],
        "json_and_dicts_changes_per_s": changes / middle["script"],
        "decode_ns_per_frame": middle["decode"] / count * 1e9,
        "mirror_ns_per_frame": (middle["mirror"] - middle["decode"]) / count * 1e9,
        "publish_ns_per_frame": (middle["publish"] - middle["mirror"]) / count * 1e9,
    }


def measure(*, runs: int = 5, tokens: int = 1_000, frames: int = 100_000) -> dict[str, float]:
    """All figures as one flat dict; those of the recorded game only where it is."""
    found = figures(seeded(tokens, frames), runs)
    found["bytes_per_token"] = bytes_per_token(tokens)
    if RECORDED.is_dir():
        game = figures(recorded(), runs)
        found |= {f"recorded_{name}": figure for name, figure in game.items()}
    return found


def main() -> None:
    """Print the figures."""
    for name, figure in measure(runs=int(sys.argv[1]) if sys.argv[1:] else 5).items():
        print(f"{name:42} {figure:14,.0f}")


if __name__ == "__main__":
    main()
