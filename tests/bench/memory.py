"""Resident memory of each process, and how it grows with tokens and with leaders.

The flow has folded the same number of records at every size; the public connector mirrors every
token and reads every leader of a venue where nothing happens, with books of 40 levels a side;
execution is the paper one, on a tape of the same records; the account connector waits. Resident
means what the kernel counts for a process, pages that processes share counted for each.
"""

import json
import os
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from figures import Figure
from scene import ACCOUNT, WALLET, Scene, Shape
from stand import (
    append,
    count,
    put,
    resident_mb,
    running,
    settings,
    shard,
    started,
    wait_for,
)
from tape import Tape, made

from flows.core import RULES
from infra.children import Child
from infra.tape import rows_now
from schemas import codec
from schemas.records.base import Record
from schemas.records.journal import Watch
from schemas.records.system import ConnectorStarted
from schemas.wiring import KafkaWiring

PART = "memory"
QUIET = Path(__file__).with_name("quiet.py")
READY_S = 60.0
TOGETHER_AIM_MB, TOKEN_AIM_KB = 500, 60
SETTINGS = """
epoch_s = 1.0

[venue]
clob_url = "http://{at}"
gamma_url = "http://{at}"
data_url = "http://{at}"
relayer_url = "http://{at}"
rpc_url = "http://{at}"
market_ws_url = "ws://{at}/ws/market"
user_ws_url = "ws://{at}/ws/user"
activity_ws_url = "ws://{at}/ws/activity"

[public]
rest_per_second = 500
market_silence_ms = 600000
activity_silence_ms = 600000

[account]
account = "{account}"
wallet = "{wallet}"
signer = "{wallet}"
credentials_file = "{credentials}"

[execution]
stop_file = "{folder}/STOP"

[[policy.accounts]]
name = "{account}"
wallet = "{wallet}"
"""

Sizes = dict[str, float]
"""Megabytes by process."""


def measure(bootstrap: str, *, records: int, tokens: list[int], leaders: list[int]) -> list[Figure]:
    """Each process at the largest size, then the growth with tokens and with leaders alone."""
    most_tokens, most_leaders = tokens[-1], leaders[-1]
    shapes = [(t, most_leaders) for t in tokens] + [(most_tokens, x) for x in leaders[:-1]]
    found = {
        (t, x): sizes_mb(bootstrap, made(Shape(records=records, tokens=t, leaders=x)))
        for t, x in shapes
    }
    largest = found[most_tokens, most_leaders]
    figures = [
        _mb(f"{name}, {most_tokens} tokens and {most_leaders} leaders", mb)
        for name, mb in largest.items()
    ]
    figures.append(_mb("connectors, flow and execution together", sum(largest.values()), most=True))
    for name in ("public", "flow"):
        by_tokens = {t: found[t, most_leaders][name] for t in tokens}
        by_leaders = {x: found[most_tokens, x][name] for x in leaders}
        figures += _growth(name, "token", by_tokens) + _growth(name, "leader", by_leaders)
    return figures


def _mb(name: str, mb: float, *, most: bool = False) -> Figure:
    aim = TOGETHER_AIM_MB if most else None
    return Figure(part=PART, name=name, unit="MB", runs=(mb,), aim_most=aim)


def _growth(process: str, of: str, mb: dict[int, float]) -> list[Figure]:
    """kB for each further one, from the least to the most; each size stands beside it."""
    low, high = min(mb), max(mb)
    if low == high:
        return []
    told = ", ".join(f"{size:.0f} MB at {n:,}" for n, size in mb.items())
    return [
        Figure(
            part=PART,
            name=f"{process}, for each further {of}",
            unit="kB",
            runs=((mb[high] - mb[low]) * 1_000 / (high - low),),
            ratio=told,
            aim_most=TOKEN_AIM_KB if (process, of) == ("public", "token") else None,
        )
    ]


def sizes_mb(bootstrap: str, tape: Tape) -> Sizes:
    """All four processes on one shard and one quiet venue."""
    shape = tape.shape
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        kafka = stack.enter_context(shard(bootstrap))
        argv = [sys.executable, str(QUIET), str(shape.tokens)]
        venue = stack.enter_context(started("venue", folder, argv))
        config = settings(kafka, folder, _settings(venue, folder))
        put(kafka, tape.records)

        def process(name: str, *words: str) -> Child:
            return stack.enter_context(running(name, folder, config, *words))

        flow = process("flow", "flow")
        wait_for("the journal", lambda: count(kafka, "journal") >= tape.journal, flow)
        sizes = {"flow": resident_mb(flow)}
        flow.stop()
        watch(kafka, Scene(shape))
        public = process("public", "connectors", "public")
        wait_for("every book and market", lambda: _mirrored(kafka, tape) >= shape.tokens, public)
        account = process("account", "connectors", "account")
        wait_for("its Ticks", lambda: _ticked(kafka, tape, "account"), account)
        # Paper execution refuses a tape of real fills: it has one of its own.
        aside = folder / "paper"
        aside.mkdir()
        paper = stack.enter_context(shard(bootstrap))
        put(paper, [_on_paper(record) for record in tape.records])
        own = settings(paper, aside, _settings(venue, aside))
        execution = stack.enter_context(running("execution", aside, own, "execution"))
        wait_for("its Ticks", lambda: _ticked(paper, tape, "paper"), execution)
        children = {"public": public, "account": account, "execution, paper": execution}
        return sizes | {name: resident_mb(child) for name, child in children.items()}


def _on_paper(record: Record) -> Record:
    """The same record on a tape whose account is played by the paper venue."""
    if isinstance(record, ConnectorStarted) and record.role == "account":
        return msgspec.structs.replace(record, role="paper")
    return record


def _settings(venue: Child, folder: Path) -> str:
    credentials = folder / "credentials.json"
    text = json.dumps({"apiKey": "bench", "secret": "YmVuY2g=", "passphrase": "bench"})
    with os.fdopen(os.open(credentials, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
        out.write(text)
    return SETTINGS.format(
        at=venue.ready(READY_S)["at"],
        account=ACCOUNT,
        wallet=WALLET,
        credentials=credentials,
        folder=folder,
    )


def watch(kafka: KafkaWiring, scene: Scene) -> None:
    """Ask for every wallet and token of the scene, behind what the flow has asked for."""
    first = count(kafka, "watch")
    wishes = [Watch(what="wallet", subject=w, on=True, why="bench") for w in scene.wallets]
    wishes += [Watch(what="token", subject=t, on=True, why="bench") for t in scene.tokens]
    rows = [
        (wish, codec.seal(wish, codec.Envelope(n=first + n, cause=0, rules=RULES)))
        for n, wish in enumerate(wishes)
    ]
    append(
        kafka, "watch", ((f"{w.what}:{w.subject}", value, codec.headers(w)) for w, value in rows)
    )


def _after(kafka: KafkaWiring, tape: Tape) -> Counter[str]:
    """Kinds of what processes have put on the tape behind the bench's own."""
    rows = rows_now(kafka, "tape", kafka.shard, len(tape.records))
    return Counter(row.headers.get("kind", b"").decode() for row in rows)


def _mirrored(kafka: KafkaWiring, tape: Tape) -> int:
    """Tokens with a live book whose market is known, too."""
    kinds = _after(kafka, tape)
    return min(kinds["BookEpoch"], 2 * kinds["MarketMeta"])


def _ticked(kafka: KafkaWiring, tape: Tape, producer: str) -> bool:
    """Whether a process has told the time, which it does once it is at work."""
    rows = rows_now(kafka, "tape", kafka.shard, len(tape.records))
    ticks = [codec.decode(row.value) for row in rows if row.headers.get("kind") == b"Tick"]
    return any(getattr(tick, "producer", "") == producer for tick in ticks)
