"""Tape: records of connectors and markets in a few words, each folded at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from flows.core.fold import FoldState, fold
from schemas import codec
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.records import leader, market, system
from schemas.records.base import Record, group_id
from schemas.units import parse_micro

LEADER = "0x" + "1" * 40
OTHER = "0x" + "2" * 40
OWN = "0x" + "a" * 40
UP, DOWN = "1001", "1002"
MARKET = "0x" + "c" * 64
START_MS = 1_700_000_000_000
FEEDS = {
    "public": ("market", "activity", "trades", "moves", "positions"),
    "account": ("user", "own_trades", "own_positions", "own_orders", "own_balance"),
}


def micro(text: str | float) -> int:
    return parse_micro(str(text))


def condition_of(token: str) -> str:
    """Tokens 1001 and 1002 are one market, 2001 and 2002 another, and so on."""
    return "0x" + "bcdef0123456789"[int(token) // 1000] * 64


@dataclass
class Tape:
    """Appends records to an imaginary tape, folds each at once, keeps events by kind."""

    state: FoldState = field(default_factory=FoldState)
    tape: list[Record] = field(default_factory=list)
    sealed: list[Any] = field(default_factory=list)
    events: list[Record] = field(default_factory=list)
    now_ms: int = START_MS
    seq: int = 0
    reports: int = 0
    trades: int = 0
    silent: tuple[str, ...] = ()
    reads_balance: bool = True
    producers: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(FEEDS))
    on_append: Callable[[Any, list[Record]], None] | None = None

    def append(self, record: Record) -> list[Record]:
        """Fold one record; the events it led to."""
        out = fold(self.state, len(self.tape), codec.decode(codec.encode(record)))
        self.tape.append(record)
        self.sealed += out
        new = [codec.unseal(s.value)[1] for s in out if s.topic != "orders"]
        self.events += new
        if self.on_append is not None:
            self.on_append(self, new)
        return new

    def of(self, kind: type) -> list[Any]:
        """All events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def tick(self, ms: int = 100, *, feeds: dict[str, system.FeedState] | None = None) -> list:
        """Time passes: one Tick of every connector with all feeds fresh."""
        self.now_ms += ms
        out = []
        for producer, owned in self.producers.items():
            self.seq += 1
            if producer in self.silent:
                continue
            states = {
                name: system.FeedState(state="up", last_data_ms=self.now_ms) for name in owned
            }
            states |= {k: v for k, v in (feeds or {}).items() if k in owned}
            whose = producer.partition("-")[2] or None
            out += self.append(
                system.Tick(
                    producer=producer,
                    seq=self.seq,
                    now_ms=self.now_ms,
                    feeds=states,
                    account=whose,
                )
            )
        return out

    def wait(self, ms: int, step: int = 100, **tick: Any) -> list[Record]:
        """Ticks each `step` ms until `ms` have passed."""
        out: list[Record] = []
        for _ in range(ms // step):
            out += self.tick(step, **tick)
        return out

    def stale(self, feed: str, age_ms: int = 3_600_000, state: str = "up") -> dict:
        """Feeds of a Tick in which one is not as it should be."""
        return {feed: system.FeedState(state=state, last_data_ms=self.now_ms - age_ms)}

    def policy(self, **changes: Any) -> list[Record]:
        """Follow LEADER with ratio 0.1; keyword arguments replace policy or account fields."""
        account_fields = set(AccountPolicy.__struct_fields__)
        mine = {k: changes.pop(k) for k in list(changes) if k in account_fields}
        mine.setdefault("leaders", (LeaderPolicy(wallet=LEADER),))
        account = AccountPolicy(**{"name": "main", "wallet": OWN, **mine})
        defaults = {
            "accounts": (account,),
            "fills_lag_ms": 1_000,
            "leader_report_lag_ms": 2_000,
            "account_report_lag_ms": 2_000,
        }
        document = PolicyDocument(**{**defaults, **changes})
        return self.append(system.Policy(version=len(self.tape), document=document))

    def meta(self, up: str = UP, **changes: Any) -> list[Record]:
        """The market of which `up` is the first outcome and the next number the second."""
        fields: dict[str, Any] = {
            "condition": condition_of(up),
            "outcomes": (
                market.Outcome(token=up, name="Up"),
                market.Outcome(token=str(int(up) + 1), name="Down"),
            ),
            "tick_micro": 10_000,
            "min_shares_micro": 5_000_000,
            "fee_rate_micro": 70_000,
            "fee_exponent": 1,
            "neg_risk": False,
            "accepting": True,
            "title": "Up or down",
            "event": "up-or-down",
        }
        return self.append(market.MarketMeta(**{**fields, **changes}))

    def epoch(self, token: str = UP, state: str = "live", reason: str = "snapshot", n: int = 1):
        return self.append(
            market.BookEpoch(token=token, epoch=f"public-0.{n}", state=state, reason=reason)
        )

    def depth(
        self,
        bids: list[tuple[str, str]],
        asks: list[tuple[str, str]],
        token: str = UP,
        n: int = 1,
        tick: str = "0.01",
    ) -> list[Record]:
        """A Depth with prices and sizes as text, best first."""
        sides = [[(micro(p), micro(s)) for p, s in side] for side in (bids, asks)]
        return self.append(
            market.Depth(
                token=token,
                epoch=f"public-0.{n}",
                as_of_ms=self.now_ms,
                recv_ns=self.now_ms * 1_000_000,
                tick_micro=micro(tick),
                bids=codec.encode_levels(sides[0]),
                asks=codec.encode_levels(sides[1]),
            )
        )

    def closed(self, token: str = UP) -> list[Record]:
        return self.append(market.MarketClosed(condition=condition_of(token), reason="closed"))

    def resolved(self, up: str = "1", down: str = "0", token: str = UP) -> list[Record]:
        """Payouts of the market of which `token` is the first outcome."""
        payouts = {token: micro(up), str(int(token) + 1): micro(down)}
        return self.append(
            market.MarketResolved(condition=condition_of(token), payouts=payouts, source="gamma")
        )

    def fills(
        self,
        size: str,
        price: str = "0.40",
        *,
        tx: str = "0xt1",
        side: str = "BUY",
        token: str = UP,
        source: str = "feed",
        instance: str = "public-0.s1",
        wallet: str = LEADER,
        ago_ms: int = 0,
        rows: int = 1,
    ) -> list[Record]:
        """State a fill group's total."""
        shares = micro(size)
        return self.append(
            leader.LeaderFills(
                source=source,
                instance=instance,
                leader=wallet,
                group=group_id(tx=tx, wallet=wallet, token=token, side=side),
                tx=tx,
                token=token,
                condition=condition_of(token),
                side=side,
                rows=rows,
                shares_micro=shares,
                cash_micro=shares * micro(price) // 1_000_000,
                venue_ms=(self.now_ms - ago_ms) // 1_000 * 1_000,
                recv_ns=self.now_ms * 1_000_000,
            )
        )

    def move(
        self,
        move: str,
        deltas: dict[str, str],
        *,
        tx: str = "0xm1",
        wallet: str = LEADER,
        ago_ms: int = 0,
    ) -> list[Record]:
        """State what a split, merge or redemption did to the leader's holding."""
        condition = condition_of(next(iter(deltas)))
        return self.append(
            leader.LeaderMove(
                instance="a1",
                leader=wallet,
                group=group_id(tx=tx, wallet=wallet, token=condition, side=move),
                tx=tx,
                move=move,
                condition=condition,
                delta_micro={token: micro(size) for token, size in deltas.items()},
                cash_micro=0,
                venue_ms=(self.now_ms - ago_ms) // 1_000 * 1_000,
                recv_ns=self.now_ms * 1_000_000,
            )
        )

    def read(
        self,
        instance: str,
        present: Iterable[str] = (),
        *,
        back_ms: int = 120_000,
        upto_ms: int | None = None,
        wallet: str = LEADER,
        source: str = "trades",
    ) -> list[Record]:
        """A complete REST answer about the leader ends here; asked now."""
        upto = self.now_ms if upto_ms is None else upto_ms
        return self.append(
            leader.ReadDone(
                source=source,
                instance=instance,
                leader=wallet,
                asked_ms=self.now_ms,
                from_ms=upto - back_ms,
                upto_ms=upto,
                present=tuple(present),
            )
        )

    def group(self, tx: str, side: str = "BUY", token: str = UP, wallet: str = LEADER) -> str:
        return group_id(tx=tx, wallet=wallet, token=token, side=side)
