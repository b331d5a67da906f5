"""The same work in Bytewax's stock idiom, for comparison only.

KafkaSource, fold_window, join, KafkaSink and recovery, as the manual has them: a window per leader
and token in event time, its net delta joined with the token's newest Depth, an order priced on it.
No positions, no gates, no reports, no numbers: less than the flow does, item by item.
"""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as windows
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from flows.core.slippage import Fee, slippage_limit, walk
from schemas import codec
from schemas.records.base import Record
from schemas.records.leader import LeaderFills
from schemas.records.market import Depth
from schemas.units import floor_mul

ALIGNED = datetime(2025, 1, 1, tzinfo=UTC)
WINDOW = timedelta(milliseconds=1_500)
RATIO_MICRO = 100_000
FEE = Fee(70_000, 1)
Net = tuple[int, dict[str, int]]


def run(bootstrap: str, topic: str, output: str) -> float:
    """Seconds from the first record to the end of the topic, everything written."""
    began: list[float] = []

    def decoded(message: Any) -> Record:
        if not began:
            began.append(time.perf_counter())
        return codec.decode(message.value)

    flow = Dataflow("idiom")
    source = KafkaSource([bootstrap], [topic], tail=False)
    records = op.map("decode", op.input("tape", flow, source), decoded)
    depths = op.filter_map("depths", records, lambda r: r if isinstance(r, Depth) else None)
    fills = op.filter_map("fills", records, lambda r: r if isinstance(r, LeaderFills) else None)
    clock: windows.EventClock[LeaderFills] = windows.EventClock(
        lambda fill: datetime.fromtimestamp(fill.recv_ns / 1e9, UTC), timedelta(0)
    )
    netted = windows.fold_window(
        "window",
        op.key_on("by_leader_and_token", fills, lambda fill: f"{fill.leader}|{fill.token}"),
        clock,
        windows.TumblingWindower(WINDOW, ALIGNED),
        lambda: (0, {}),
        _net,
        lambda one, other: (one[0] + other[0], {**one[1], **other[1]}),
    )
    deltas = op.map("by_token", netted.down, lambda item: (item[0].split("|")[1], item[1][1][0]))
    joined = op.join("join", op.key_on("by_book", depths, lambda depth: depth.token), deltas)
    orders = op.filter_map("price", joined, lambda item: _priced(*item[1]))
    op.output("orders", orders, KafkaSink([bootstrap], output))
    with tempfile.TemporaryDirectory() as recovery:
        init_db_dir(recovery, 1)  # type: ignore[no-untyped-call]
        config = RecoveryConfig(recovery)  # type: ignore[no-untyped-call]
        run_main(flow, recovery_config=config)  # type: ignore[no-untyped-call]
    return time.perf_counter() - began[0]


def _net(state: Net, fill: LeaderFills) -> Net:
    """Add what a fill group's total grew by."""
    shares, groups = state
    grown = max(fill.shares_micro - groups.get(fill.group, 0), 0)
    groups[fill.group] = max(fill.shares_micro, groups.get(fill.group, 0))
    return shares + (grown if fill.side == "BUY" else -grown), groups


def _priced(depth: Depth, shares_micro: int) -> KafkaSinkMessage[bytes, bytes] | None:
    """An order for our part of a net delta, walked on the book."""
    side = "BUY" if shares_micro > 0 else "SELL"
    levels = codec.decode_levels(depth.asks if side == "BUY" else depth.bids)
    limit = slippage_limit(side, levels[0][0], 20_000, depth.tick_micro)  # type: ignore[arg-type]
    wanted = floor_mul(abs(shares_micro), RATIO_MICRO)
    found = walk(levels, side, limit_micro=limit, fee=FEE, shares_max=wanted)  # type: ignore[arg-type]
    if not found.shares_micro:
        return None
    text = f'{{"token":"{depth.token}","side":"{side}","shares":{found.shares_micro}}}'
    return KafkaSinkMessage(depth.token.encode(), text.encode())
