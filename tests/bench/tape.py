"""The tape that everything is measured on: fixed by its seed, mixed like a busy day.

Of 100 records 80 are Depths of 20 levels a side, 15 leader fills (the rows of one order, told by
two sockets and once by REST), 2 Ticks and 3 records of our own. A record is a millisecond of fold
time, so 1,000 records a second are real time. Our own records answer the orders that the fold makes
of this very tape: each is signed, accepted, filled and confirmed, in turn.

Offsets are part of it (an intent names one): `FlowStarted` stands where a flow that is started
after the opening would put its own, so the pacer leaves it out and the backlog keeps it.
"""

from collections import deque
from dataclasses import dataclass
from functools import cache

from scene import ACCOUNT, FEEDS, LAG_MS, WALLET, Scene, Shape

from flows.core import RULES
from flows.core.fold import FoldState, fold
from schemas import codec
from schemas.records import market, system
from schemas.records.base import Record
from schemas.records.journal import OrderRequested

CYCLE = ("depth",) * 80 + ("fill",) * 15 + ("own",) * 3


@dataclass(frozen=True, kw_only=True)
class Tape:
    """Encoded records with their kinds; what the fold made of them by number.

    opening: how many records stand before the mix, FlowStarted the last of them. journal, orders:
    how many events and orders; last: the journal's last record.
    """

    shape: Shape
    records: list[Record]
    opening: int
    journal: int
    orders: int
    last: bytes

    def values(self) -> list[bytes]:
        """The records as they stand on the topic."""
        return [codec.encode(record) for record in self.records]


class Maker:
    """Appends a scene's records, folds each, and answers the orders that come out."""

    def __init__(self, shape: Shape) -> None:
        self.scene = Scene(shape)
        self.records: list[Record] = []
        self.state = FoldState()
        self.journal = self.orders = 0
        self.last = b""
        self._due: deque[Record] = deque()
        self._fills: deque[Record] = deque()

    def append(self, *records: Record) -> None:
        """Fold records at their offsets; every order they lead to will be answered."""
        for record in records:
            for sealed in fold(self.state, len(self.records), record):
                if sealed.topic == "journal":
                    self.journal, self.last = self.journal + 1, sealed.value
                if sealed.topic == "orders":
                    self.orders += 1
                    event = codec.unseal(sealed.value)[1]
                    assert isinstance(event, OrderRequested), "an order is a request"
                    self._due.extend(self.scene.life_of(event))
            self.records.append(record)

    def opening(self) -> None:
        """Everything up to the moment when increases are allowed in every token."""
        scene = self.scene
        self.append(system.Genesis(tape_id="bench", schema=1, shard=0, accounts=(ACCOUNT,)))
        self.append(system.Policy(version=1, document=scene.policy()))
        self.append(system.ConnectorStarted(producer="public", role="public"))
        self.append(system.ConnectorStarted(producer="account", role="account"))
        self.append(*map(scene.ticked, FEEDS))
        for number, token in enumerate(scene.tokens):
            if number % 2 == 0:
                self.append(scene.meta(number))
            self.append(
                market.BookEpoch(
                    token=token, epoch=scene.epoch(number), state="live", reason="snapshot"
                ),
                scene.depth(number),
            )
        for subject, wallet in ((ACCOUNT, WALLET), *((w, w) for w in scene.wallets)):
            self.append(scene.asked("positions", subject), scene.nothing_held(subject, wallet))
        self.append(scene.asked("balance", ACCOUNT), scene.balance())
        for _ in range(3 * LAG_MS // 100):
            scene.now_ms += 100
            self.append(*map(scene.ticked, FEEDS))
        self.append(system.FlowStarted(shard=0, rules=RULES))

    def mix(self, records: int) -> None:
        """So many records of the mix, in cycles of 100 ms."""
        while records > 0:
            words = list(CYCLE)
            self.scene.chance.shuffle(words)
            cycle = ["public", *words[:49], "account", *words[49:]][:records]
            for word in cycle:
                self.scene.now_ms += 1
                self.append(self._next_of(word))
            records -= len(cycle)

    def _next_of(self, word: str) -> Record:
        """The next record of a part of the mix; a word that is no part names a Tick's producer."""
        scene = self.scene
        match word:
            case "depth":
                return scene.depth(scene.chance.randrange(len(scene.tokens)))
            case "fill":
                self._fills.extend(() if self._fills else scene.trade())
                return self._fills.popleft()
            case "own":
                idle = () if self._due else (scene.asked("balance", ACCOUNT), scene.balance())
                self._due.extend(idle)
                return self._due.popleft()
        return scene.ticked(word)


@cache
def made(shape: Shape) -> Tape:
    """The tape of this shape: always the same one."""
    maker = Maker(shape)
    maker.opening()
    opening = len(maker.records)
    maker.mix(shape.records)
    return Tape(
        shape=shape,
        records=maker.records,
        opening=opening,
        journal=maker.journal,
        orders=maker.orders,
        last=maker.last,
    )
