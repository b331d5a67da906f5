"""A small deterministic flow, run as a process by the tests of this folder: net fills per window.

The tape holds `fill <wallet> <shares>`, `tick` and `FlowStarted <rules>`. Each tick closes a
window: one journal row per wallet, chained by hash, an order for each positive net, and a compacted
row `wallet -> last net`. All follows from the tape, so `expected` is the oracle of all tests.
"""

import hashlib
import logging
import sys
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow

from flows.engine.fence import Fence
from flows.engine.hub import Hub
from flows.engine.launch import run
from flows.engine.recovery import Identity
from flows.engine.rows import OutRow, TapeRow
from flows.engine.sink import NumberedSink
from flows.engine.source import TapeSource
from flows.engine.stateful import fold_step

TOPICS = ("journal", "orders", "watch")
IDENTITY = Identity(tape_id="t", schema_version=1, partition=0)


class Out(NamedTuple):
    topic: str
    row: OutRow


class Windows:
    """The pure fold. salt stands for a changed rule: other bytes from the same tape."""

    def __init__(self, state: Any | None, salt: str = "") -> None:
        self.window, self.chain, self.numbers, self.net = 0, "", dict.fromkeys(TOPICS, 0), {}
        self.salt = salt
        if state is not None:
            self.window, self.chain, self.numbers, self.net = state

    def on_batch(self, values: list[TapeRow], /) -> list[Out]:
        return [out for row in values for out in self.on_row(row)]

    def on_row(self, row: TapeRow) -> Iterable[Out]:
        kind, *words = row.value.decode().split()
        if kind == "fill":
            self.net[words[0]] = self.net.get(words[0], 0) + int(words[1])
        if kind == "tick":
            self.window += 1
            for wallet, net in sorted(self.net.items()):
                yield from self.close(row.offset, wallet, net)
            self.net = {}

    def close(self, cause: int, wallet: str, net: int) -> Iterable[Out]:
        body = f"{self.window} {wallet} {net} cause={cause} {self.salt}prev={self.chain}".encode()
        self.chain = hashlib.sha256(body).hexdigest()[:16]
        yield self.out("journal", None, body)
        if net > 0:
            yield self.out("orders", wallet.encode(), b"buy %d" % net)
        yield self.out("watch", wallet.encode(), b"%d" % net)

    def out(self, topic: str, key: bytes | None, value: bytes) -> Out:
        number = self.numbers[topic]
        self.numbers[topic] += 1
        return Out(topic, OutRow(number, key, value, (("kind", topic.encode()),)))

    def snapshot(self) -> Any:
        return self.window, self.chain, dict(self.numbers), dict(self.net)


def expected(tape: Iterable[TapeRow], topic: str) -> list[OutRow]:
    """What an undisturbed run writes to one topic."""
    return [out.row for out in Windows(None).on_batch(list(tape)) if out.topic == topic]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a test sets. topics: the full name of each of TOPICS. salt: a changed rule."""

    bootstrap: str
    tape: str
    topics: dict[str, str]
    group: str | None
    state: str | None = None
    epoch_s: float = 0.1
    until: int | None = None
    rules: int = 1
    read_only: bool = False
    salt: str = ""


def build(options: Options, hub: Hub, fence: Fence) -> Dataflow:
    """tape, decode, window; then journal, orders and watch."""
    seen: list[int] = []

    def decode(rows: list[TapeRow]) -> list[tuple[str, TapeRow]]:
        if rows and not seen:
            seen.append(rows[0].offset)
            print("first", rows[0].offset, flush=True)
        for row in rows:
            if row.value.startswith(b"FlowStarted"):
                fence.check(row.offset, int(row.value.split()[1]))
        return [("0", row) for row in rows]

    source = TapeSource(hub, options.tape, 0, fence=fence, group=options.group, until=options.until)
    flow = Dataflow("windows")
    keyed = op.flat_map_batch("decode", op.input("tape", flow, source), decode)
    outs = fold_step(
        "window", keyed, lambda state: Windows(state, options.salt), offset_of=lambda r: r.offset
    )
    for topic in TOPICS:
        rows = op.filter_map_value(topic, outs, partial(only, topic))
        sink = NumberedSink(hub, options.topics[topic], [0], compacted=topic == "watch")
        op.output(f"{topic}_sink", rows, sink)
    return flow


def only(topic: str, out: Out) -> OutRow | None:
    return out.row if out.topic == topic else None


def main(options: Options) -> int:
    stop = threading.Event()
    hub = Hub(bootstrap=options.bootstrap, stop=stop)

    def flow_started() -> int:
        value = b"FlowStarted %d" % options.rules
        return hub.producer.append_and_wait(options.tape, value, key=None, partition=0, headers=())

    fence = (
        Fence.read_only(rules=options.rules)
        if options.read_only
        else Fence.writing(flow_started, rules=options.rules)
    )
    return run(
        build(options, hub, fence),
        stop=stop,
        epoch_s=options.epoch_s,
        recovery_dir=None if options.state is None else Path(options.state),
        identity=None if options.state is None else IDENTITY,
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=Options)))
