"""Builders and stand-ins of the execution tests: requests, records, a tape in memory, a venue."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from connectors.execution.answers import Verdict
from connectors.execution.backend import NotThere, Refusal, Seen, Sighting, Signed, Unready
from connectors.execution.mirror import Mirror
from connectors.execution.plan import Rules
from connectors.execution.sink import Append, Checkpoint, Outside, Pause, Sink, no_checkpoint
from schemas.codec import decode, encode
from schemas.records.base import Account, Condition, Intent, OrderHash, Record, Token
from schemas.records.journal import OrderRequested
from schemas.records.own import OrderAnswered, OrderSigned, OwnFill
from schemas.records.system import Tick

TOKEN = Token("107505882767731489358349912513945399560393482969656700824895970500493757150417")
CONDITION = Condition("0x" + "bd" * 32)
T0_MS = 1_795_000_000_000


@dataclass
class Make:
    """Records with plausible values; every field may be overridden."""

    token: Token = TOKEN
    condition: Condition = CONDITION
    t0_ms: int = T0_MS

    def request(self, **given: Any) -> OrderRequested:
        """A BUY of 5 USD at most 0.50 a share, by default."""
        values: dict[str, Any] = {
            "intent": Intent("main:7:0"),
            "account": Account("main"),
            "token": self.token,
            "condition": self.condition,
            "side": "BUY",
            "limit_micro": 500_000,
            "shares_micro": 10_000_000,
            "budget_micro": 5_000_000,
            "tick_micro": 10_000,
            "neg_risk": False,
            "valid_until_ms": self.t0_ms + 3_000,
            "now_ms": self.t0_ms,
            "target_micro": 10_000_000,
            "position_micro": 0,
            "in_flight_micro": 0,
            "gap_micro": 10_000_000,
            "bound": "gap",
            "bounds": (),
            "touch_micro": 490_000,
            "avg_micro": 495_000,
            "fee_micro": 0,
            "epoch": "public-1.1",
            "depth_offset": 3,
            "depth_age_ms": 10,
            "signal_age_ms": 100,
            "signal_recv_ns": None,
        }
        return OrderRequested(**{**values, **given})

    def signed(self, **given: Any) -> OrderSigned:
        """An order on the tape for that request."""
        values: dict[str, Any] = {
            "account": Account("main"),
            "intent": Intent("main:7:0"),
            "order": OrderHash("0xaa"),
            "backend": "live",
            "token": self.token,
            "side": "BUY",
            "maker_micro": 5_000_000,
            "taker_micro": 10_000_000,
            "payload": {"salt": 1},
            "executor": "other",
            "signed_ns": self.t0_ms * 1_000_000,
        }
        return OrderSigned(**{**values, **given})

    def answered(self, outcome: str, **given: Any) -> OrderAnswered:
        """What became of it."""
        values: dict[str, Any] = {
            "account": Account("main"),
            "intent": Intent("main:7:0"),
            "order": OrderHash("0xaa"),
            "outcome": outcome,
            "status": "",
            "reason": "",
            "http_status": 200,
            "shares_micro": None,
            "usd_micro": None,
            "trades": (),
            "proof": "post",
            "sent_ns": self.t0_ms * 1_000_000,
            "answered_ns": self.t0_ms * 1_000_000,
        }
        return OrderAnswered(**{**values, **given})

    def fill(self, **given: Any) -> OwnFill:
        """A fill of it."""
        values: dict[str, Any] = {
            "account": Account("main"),
            "source": "user",
            "trade": "t1",
            "order": OrderHash("0xaa"),
            "role": "TAKER",
            "token": self.token,
            "condition": self.condition,
            "side": "BUY",
            "shares_micro": 10_000_000,
            "cash_micro": 5_000_000,
            "status": "MATCHED",
            "tx": "",
            "venue_ms": self.t0_ms,
            "recv_ns": self.t0_ms * 1_000_000,
        }
        return OwnFill(**{**values, **given})

    def tick(self, now_ms: int, producer: str = "public") -> Tick:
        """A Tick of a connector."""
        return Tick(producer=producer, seq=0, now_ms=now_ms, feeds={})


class Clock:
    """A clock that moves only when told."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def ns(self) -> int:
        return self.now_ms * 1_000_000


@dataclass
class MemoryTape:
    """A tape in memory that several mirrors read; `lag` readers wait for `deliver`."""

    records: list[Record] = field(default_factory=list)
    mirrors: list[Mirror] = field(default_factory=list)

    async def end(self) -> int:
        """The offset after the last record, as the broker knows it."""
        return len(self.records)

    async def append(self, record: Record) -> int:
        """Append and deliver to every mirror, as bytes and back."""
        offset = self.put(record)
        await asyncio.sleep(0)
        return offset

    def put(self, record: Record) -> int:
        """The same, synchronously."""
        self.records.append(decode(encode(record)))
        offset = len(self.records) - 1
        for mirror in self.mirrors:
            mirror.take([(offset, self.records[offset])], offset + 1)
        return offset

    def attach(self, mirror: Mirror) -> Mirror:
        """A mirror that has read everything so far, as after a start."""
        mirror.take(enumerate(self.records), len(self.records))
        self.mirrors.append(mirror)
        return mirror

    def of(self, kind: type[Record]) -> list[Any]:
        """All records of a kind."""
        return [record for record in self.records if isinstance(record, kind)]


class MemoryVenue:
    """A venue in memory that knows orders by hash; `answers` scripts what each POST does.

    holding: intents whose POST waits for an event; held: those that have come to wait. accept:
    takes the order and says so. lose: takes it and answers nothing. drop: never sees it.
    Other values are verdicts to give without taking the order. resting: None, or how many cancels
    it takes to end an order that rests; cancels: how many look-ups there had been at each.
    """

    def __init__(self, name: Literal["live", "paper"] = "live") -> None:
        self._name = name
        self.answers: list[str | Verdict] = []
        self.arrived: list[str] = []
        self.orders: dict[str, Seen] = {}
        self.lookups = 0
        self.resting: int | None = None
        self.cancels: list[int] = []
        self.signatures = 0
        self.sign_results: list[Refusal | Unready] = []
        self.sightings: list[Sighting] = []
        self.holding: dict[str, asyncio.Event] = {}
        self.held: list[str] = []

    @property
    def name(self) -> Literal["live", "paper"]:
        return self._name

    @property
    def accounts(self) -> frozenset[Account]:
        return frozenset((Account("main"),))

    async def sign(self, request: OrderRequested) -> Signed | Refusal | Unready:
        if self.sign_results:
            return self.sign_results.pop(0)
        self.signatures += 1
        order = OrderHash(f"0x{self.signatures}{id(self)}")
        return Signed(
            order=order, maker_micro=5_000_000, taker_micro=10_000_000, payload={"order": order}
        )

    async def post(self, signed: OrderSigned) -> Verdict:
        if signed.intent in self.holding:
            self.held.append(signed.intent)
            await self.holding[signed.intent].wait()
        answer = self.answers.pop(0) if self.answers else "accept"
        if isinstance(answer, Verdict):
            return answer
        if answer == "drop":
            return Verdict(outcome="unknown", status="transport")
        self.arrived.append(signed.order)
        if signed.order in self.orders:
            return Verdict(outcome="unknown", status="duplicated", http_status=400)
        seen = Seen(status="matched", shares_micro=10_000_000, usd_micro=4_900_000, trades=("t1",))
        self.orders[signed.order] = seen
        if answer == "lose":
            return Verdict(outcome="unknown", status="transport")
        return Verdict(
            outcome="accepted",
            status="matched",
            http_status=200,
            shares_micro=seen.shares_micro,
            usd_micro=seen.usd_micro,
            trades=seen.trades,
        )

    async def look_up(self, signed: OrderSigned, request: OrderRequested) -> Sighting:
        self.lookups += 1
        if self.sightings:
            return self.sightings.pop(0)
        if self.resting is not None:
            ended = Seen(status="canceled", shares_micro=0, usd_micro=0)
            return ended if len(self.cancels) >= self.resting else Seen(status="live")
        return self.orders.get(signed.order, NotThere())

    async def cancel(self, signed: OrderSigned) -> str:
        self.cancels.append(self.lookups)
        return "canceled"


RULES = Rules(clock_skew_max_ms=500, lookup_every_ms=1_000, absent_after_ms=10_000)


@dataclass
class World:
    """Tape, venue and clock of one test, and executors over them.

    Waiting takes no time: it moves the clock on, by 50 ms and a Tick a turn, until there is news.
    """

    make: Make
    tape: MemoryTape
    venue: MemoryVenue
    clock: Clock
    stopped: bool = False

    async def pause(self, news: asyncio.Event, timeout_s: float) -> None:
        """Virtual time: everybody's clock and the tape's Ticks move on together."""
        until_ms = self.clock.now_ms + timeout_s * 1000
        while self.clock.now_ms < until_ms and not news.is_set():
            self.clock.now_ms += 50
            self.tape.put(self.make.tick(self.clock.now_ms))
            await asyncio.sleep(0)

    def sink(
        self,
        checkpoint: Checkpoint = no_checkpoint,
        clock: Callable[[], int] | None = None,
        pause: Pause | None = None,
        append: Append | None = None,
    ) -> Sink:
        """A fresh executor that has read the tape to its end."""
        outside = Outside(
            append=append or self.tape.append,
            tape_end=self.tape.end,
            clock_ns=clock or self.clock.ns,
            stopped=lambda: self.stopped,
            executor="execution-test",
            pause=self.pause if pause is None else pause,
            checkpoint=checkpoint,
        )
        mirror = self.tape.attach(Mirror("paper"))
        return Sink(backend=self.venue, mirror=mirror, rules=RULES, workers=4, outside=outside)

    async def run(self, request: OrderRequested, checkpoint: Checkpoint = no_checkpoint) -> bool:
        """One executor from its start to the intent's end."""
        async with asyncio.timeout(60):
            return await self.sink(checkpoint).work(request, asyncio.Event())

    def outcomes(self) -> list[tuple[str, str]]:
        """(outcome, proof) of every answer on the tape."""
        return [(answer.outcome, answer.proof) for answer in self.tape.of(OrderAnswered)]


@pytest.fixture
def make() -> Make:
    """Builder of records."""
    return Make()


@pytest.fixture(scope="session")
def make_now() -> Make:
    """The same, for property tests (hypothesis wants fixtures that outlive an example)."""
    return Make()


@pytest.fixture
def world(make: Make) -> World:
    """A tape with one Tick that agrees with the clock, an obedient venue."""
    tape = MemoryTape()
    tape.put(make.tick(make.t0_ms))
    return World(make, tape, MemoryVenue(), Clock(make.t0_ms))
