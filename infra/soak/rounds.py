"""Runs rounds of the soak, judges each by what it left behind, and remembers those that are done.

A round is a pipeline of its own (topics under a new prefix) on one lasting Kafka. It is judged as
the demo is: the venue's truth against the fold, the journal against one undisturbed fold of the
tape, the orders at the venue against their signatures. Never judged: how fast it was.
"""

import shutil
import time
from collections import Counter
from pathlib import Path

import msgspec

from infra.demo.command import settle
from infra.demo.evidence import Evidence, gather, save
from infra.demo.judge import Verdict, judge
from infra.demo.stage import ACCOUNT, Options, Stage, staged
from infra.kafka.cluster import KafkaCluster
from infra.soak.faults import Faults
from infra.soak.plan import REST_S, Plan, draw, rounds
from infra.tape import bounds
from schemas.order_life import ENDED
from schemas.records import journal

JUDGED = ("replay equal", "one order an intent", "own drift 0", "leader drift 0", "targets met")
ORDERS_MIN = 8
"""Fewer orders at the venue in a round prove nothing."""
MEMORY = "rounds.jsonl"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: rounds of another soak do not count for this one."""

    seed: int
    brokers: int
    kills: int


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A finished round: its figures, and the verdicts that failed (none, if all is well)."""

    asked: Asked
    number: int
    seconds: float
    kills: int
    faults: dict[str, int]
    restarted: dict[str, int]
    tape: int
    journal: int
    signals: int
    orders: int
    posts: int
    fills: int
    lost: int
    doubled: int
    alarms: dict[str, int]
    broken: list[str]


class ForeignRounds(ValueError):
    """The folder holds rounds of another soak; the message says what to do."""


def remembered(folder: Path, asked: Asked) -> list[Done]:
    """Rounds of this soak that an earlier call finished; raises ForeignRounds."""
    file = folder / MEMORY
    if not file.exists():
        return []
    done = [msgspec.json.decode(line, type=Done) for line in file.read_bytes().splitlines()]
    if any(round_.asked != asked for round_ in done):
        raise ForeignRounds(f"{file} is of another soak ({done[0].asked}): use another --folder")
    return done


def remember(folder: Path, done: Done) -> None:
    """Write a finished round down, for a soak that is called again."""
    with (folder / MEMORY).open("ab") as out:
        out.write(msgspec.json.encode(done) + b"\n")


def run_round(folder: Path, asked: Asked, number: int, cluster: KafkaCluster) -> Done:
    """One round, from first fill to judgement; its logs, tape and journal stay in the folder."""
    plan = draw(asked.seed, number, rounds(asked.kills)[number])
    home = folder / f"round{number}"
    if home.exists():
        shutil.rmtree(home)  # of a round that was cut short, or that is seen again
    home.mkdir(parents=True)
    options = Options(seconds=plan.seconds, rest_s=REST_S, seed=plan.seed, kafka=cluster.bootstrap)
    began = time.monotonic()
    with staged(options, home) as stage:
        faults = Faults(stage, cluster)
        _disturb(faults, plan, began)
        settle(stage)
        found = _evidence(stage)
    return _judged(found, asked, number, faults, plan, time.monotonic() - began)


def _disturb(faults: Faults, plan: Plan, began: float) -> None:
    for fault in plan.faults:
        faults.wait(max(0.0, began + fault.at_s - time.monotonic()))
        faults.carry_out(fault.what)
    faults.wait(max(0.0, began + plan.seconds - time.monotonic()))


def _evidence(stage: Stage) -> Evidence:
    truth, posted, books = stage.ask("truth"), stage.ask("orders")["orders"], stage.books()
    kafka = stage.settings.wiring.kafka
    _, cut = bounds(kafka, "tape", kafka.shard)
    stage.stop_pipeline()
    save(kafka, stage.folder)
    return gather(kafka, cut, truth, posted, books)


def _judged(
    found: Evidence, asked: Asked, number: int, faults: Faults, plan: Plan, seconds: float
) -> Done:
    verdicts = [verdict for verdict in judge(found, ACCOUNT) if verdict.name in JUDGED]
    posts = Counter(str(post["order_id"]) for post in found.posted)
    verdicts.append(Verdict("rich enough", len(posts) >= ORDERS_MIN, f"{len(posts)} orders"))
    lost = _without_end(found)
    verdicts.append(Verdict("no lost signal", not lost, f"orders without an end: {lost}"))
    accepted = {str(p["order_id"]): int(p["accepted"]) for p in found.posted}
    return Done(
        asked=asked,
        number=number,
        seconds=round(seconds, 1),
        kills=plan.kills,
        faults=dict(faults.done),
        restarted=dict(faults.restarted),
        tape=len(found.tape),
        journal=len(found.events),
        signals=len(found.of(journal.NetDelta)),
        orders=len(posts),
        posts=sum(int(post["arrivals"]) for post in found.posted),
        fills=len(found.of(journal.FillBooked)),
        lost=len(lost),
        doubled=sum(1 for times in accepted.values() if times > 1),
        alarms=dict(Counter(alarm.name for alarm in found.of(journal.Alarm))),
        broken=[f"{v.name}: {v.detail}" for v in verdicts if not v.held],
    )


def _without_end(found: Evidence) -> list[str]:
    """Orders the flow asked for of which nobody knows the end: neither filled nor refused."""
    ended = {event.intent for event in found.of(journal.OrderProgress) if event.state in ENDED}
    return [str(intent) for intent in found.requests() if intent not in ended]
