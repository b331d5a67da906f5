"""One world from one seed: venue, network, broker, four processes, and what befalls them.

Trouble first, then calm: leaders rest, faults end, and everything must come right. Everything that
is chance comes from the seed; the same seed gives the same tape, byte for byte.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from connectors.polymarket.credentials import Credentials
from flows.engine.errors import Superseded
from infra.sandbox.records import Emission
from schemas import codec
from schemas.records.base import Record
from schemas.records.system import SCHEMA_VERSION, Genesis, Policy
from tests.sim import processes
from tests.sim.books_model import DrawnRecordings
from tests.sim.broker_model import Broker, SimProducer
from tests.sim.clockwork import VirtualLoop, run_virtually
from tests.sim.desk import Arrivals, SimBackend
from tests.sim.fixed_points import outside
from tests.sim.mischief import Fault, Mischief
from tests.sim.network import Network
from tests.sim.options import BEGIN_MS, CALM_MS, CALMS, TROUBLE_MS, Options
from tests.sim.processes import Flow, FlowHub, FlowSnapshot
from tests.sim.town import Town

ORIGIN_NS = 1_790_000_000_000_000_000
FORGOTTEN = ("raw.", "dead")
LOOK_S = 0.1
TIMED = ("cut", "freeze", "rest_slow")
LIVES = ("kill", "kill_repeating", "kill_twice", "stall", "zombie", "clock_off")


@dataclass(slots=True)
class Life:
    """One life of a process, and how it is ended."""

    name: str
    task: asyncio.Task[None]
    kill: Callable[[bool], None]


class World:
    """Make it, then `run()`; judge looks on from the first record to the last."""

    def __init__(self, options: Options, judge: Callable[["World"], Any]) -> None:
        self.options = options
        self.judge: Any = None
        self.loop = VirtualLoop(ORIGIN_NS)
        self.chance = random.Random(f"{options.seed}:world")
        self.mischief = Mischief(options.faults, self.trouble_ms)
        self.network = Network(self.loop, self.mischief, self._stream("network"))
        recordings = DrawnRecordings(
            options.seed,
            markets=options.sandbox.markets + 1,
            gap_ms=options.book_gap_ms,
            odd=options.odd_books,
            fine=options.fine,
        )
        self.town = Town(self.loop, options.sandbox, recordings, self.mischief, self._emit)
        self.network.town = self.town
        self.broker = Broker(self.loop.now_ms, forgotten=FORGOTTEN)
        self.settings = options.settings(self.town.leaders)
        self.arrivals = Arrivals()
        self.offsets_ms = dict.fromkeys(("public", "account", "execution"), 0)
        self.snapshot: FlowSnapshot | None = None
        self.lives: dict[str, Life] = {}
        self.paused_until: dict[str, float] = {}
        self.failures: list[BaseException] = []
        self.had_zombie = False
        self._errands: set[asyncio.Task[None]] = set()
        self.judge = judge(self)
        for leader in self.town.venue.leaders:
            leader.resting = True
        for market in self.town.venue.floor.markets:
            self.judge.market_moved(market.condition_id)

    def _emit(self, emission: Emission) -> None:
        self.network.emit(emission)
        if emission.channel == "market" and self.judge is not None:
            self.judge.market_moved(emission.key)

    def _stream(self, purpose: str) -> random.Random:
        return random.Random(f"{self.options.seed}:{purpose}")

    def trouble_ms(self) -> int:
        """Time since the trouble began."""
        return self.loop.now_ms() - ORIGIN_NS // 1_000_000 - BEGIN_MS

    def clock_ns(self, process: str) -> Callable[[], int]:
        """The clock a process reads: true, but for a fault."""
        return lambda: self.loop.now_ns() + self.offsets_ms[process] * 1_000_000

    def run(self) -> None:
        """From the first record to the last; raises what the judge finds, or a process's error."""
        with outside(self.options.seed, self.network.connect, self.clock_ns):
            run_virtually(self.loop, self._main())

    async def _main(self) -> None:
        venue = self.loop.create_task(self.town.run())
        self._append(
            Genesis(
                tape_id=processes.TAPE_ID,
                schema=SCHEMA_VERSION,
                shard=0,
                accounts=(processes.ACCOUNT,),
            )
        )
        self._append(Policy(version=1, document=self.settings.policy))
        for name in ("flow", "public", "account", "execution"):
            self.start(name)
        await asyncio.sleep(BEGIN_MS / 1_000)
        for leader in self.town.venue.leaders:
            leader.resting = False
        until = (BEGIN_MS + TROUBLE_MS) / 1_000
        while self.loop.time() < until:
            self._strike()
            await self._look(venue)
        self.mischief.over = True
        self.offsets_ms = dict.fromkeys(self.offsets_ms, 0)
        for left in reversed(range(CALMS)):
            until += CALM_MS / 1_000
            while self.loop.time() < until:
                await self._look(venue)
            if self.judge.all_is_well(final=not left):
                return

    async def _look(self, venue: asyncio.Task[None]) -> None:
        await asyncio.sleep(LOOK_S)
        self.judge.look()
        if self.judge.found is not None:
            raise self.judge.found
        if self.failures or self.loop.failures:
            raise (self.failures or self.loop.failures)[0]
        if venue.done():
            venue.result()

    def _append(self, record: Record) -> None:
        self.broker.append("tape", b"", codec.encode(record), codec.headers(record))

    def start(self, name: str) -> None:
        """A new life of a process."""
        producer = SimProducer(
            self.broker,
            self.chance,
            slow_ms=self.options.slow_producer_ms,
            stalled=self._stall(name),
        )
        if name == "flow":
            hub = FlowHub(self.broker, self.chance)
            task = self.loop.create_task(self._flow(hub))
            self._live(Life(name, task, lambda repeats: hub.kill()))
            return
        makers: dict[str, Callable[[SimProducer], Coroutine[Any, Any, None]]] = {
            "public": self._public,
            "account": self._account,
            "execution": self._execution,
        }
        task = self.loop.create_task(makers[name](producer))
        self._live(Life(name, task, lambda repeats: producer.kill(repeats=repeats)))

    def _stall(self, name: str) -> Callable[[], float]:
        return lambda: max(self.paused_until.get(name, 0.0) - self.loop.time(), 0.0)

    def _live(self, life: Life) -> None:
        self.lives[life.name] = life
        life.task.add_done_callback(lambda task: self._ended(life, task))

    def _ended(self, life: Life, task: asyncio.Task[None]) -> None:
        """A process that ends by itself is a failure, unless a successor superseded it."""
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Superseded) and self.lives.get(life.name) is not life:
            return
        self.failures.append(error or RuntimeError(f"{life.name} ended by itself"))

    async def _flow(self, hub: FlowHub) -> None:
        flow = Flow(self.broker, hub, self.snapshot, self.chance)
        await flow.run(self.options.epoch_ms, lambda s: self._kept(flow, s), self._stall("flow"))

    def _kept(self, flow: Flow, snapshot: FlowSnapshot) -> None:
        self.snapshot = snapshot

    async def _public(self, producer: SimProducer) -> None:
        clock_ns = self.clock_ns("public")
        await processes.run_public(self.settings, self.broker, producer, self.network, clock_ns)

    async def _account(self, producer: SimProducer) -> None:
        own = self.town.credentials
        credentials = Credentials(api_key=own.key, secret=own.secret, passphrase=own.passphrase)
        clock_ns = self.clock_ns("account")
        await processes.run_account(
            self.settings, self.broker, producer, self.network, clock_ns, credentials
        )

    async def _execution(self, producer: SimProducer) -> None:
        backend = SimBackend(
            self.town,
            self.network,
            self.mischief,
            self.arrivals,
            self.chance,
            processes.ACCOUNT,
            self.settings.wiring.execution.absent_after_ms,
            self._under_way,
            self.options.forgetful,
        )

        async def checkpoint(point: str) -> None:
            if self.mischief.take("kill_at", point):
                self.kill("execution", repeats=False, back_ms=100)
                await asyncio.sleep(1)

        await processes.run_execution(
            self.settings,
            self.broker,
            producer,
            backend,
            self.clock_ns("execution"),
            checkpoint,
            f"execution-{self.chance.getrandbits(16)}",
        )

    def _under_way(self, errand: Coroutine[Any, Any, None]) -> None:
        """Something that no kill stops any more; its failure is the world's."""
        task = self.loop.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errand_done)

    def _errand_done(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)

    def kill(self, name: str, *, repeats: bool, back_ms: int) -> None:
        """kill -9, and its supervisor starts it again after a while."""
        life = self.lives.pop(name, None)
        if life is None:
            return
        life.kill(repeats)
        life.task.cancel()
        self.loop.call_later(back_ms / 1_000, self.start, name)

    def _strike(self) -> None:
        for fault in self.mischief.due(TIMED):
            self.network.strike(fault)
        for fault in self.mischief.due(LIVES):
            self._befall(fault)

    def _befall(self, fault: Fault) -> None:
        name, ms = fault.target, fault.strength
        match fault.kind:
            case "kill" | "kill_repeating":
                self.kill(name, repeats=fault.kind == "kill_repeating", back_ms=ms)
            case "kill_twice":
                self.kill(name, repeats=False, back_ms=50)
                self.loop.call_later((50 + ms) / 1_000, self._kill_again, name)
            case "stall":
                self.paused_until[name] = self.loop.time() + ms / 1_000
            case "zombie":
                self._zombie(name, ms)
            case "clock_off":
                self.offsets_ms[name] = self.chance.choice((-ms, ms))
                self.loop.call_later(3.0, self.offsets_ms.__setitem__, name, 0)

    def _kill_again(self, name: str) -> None:
        self.kill(name, repeats=False, back_ms=100)

    def _zombie(self, name: str, ms: int) -> None:
        """A second one is started while the first goes on; it is killed a while later."""
        old = self.lives.pop(name, None)
        if old is None:
            return
        self.had_zombie = True
        self.start(name)

        def end() -> None:
            old.kill(False)
            old.task.cancel()

        self.loop.call_later(ms / 1_000, end)
