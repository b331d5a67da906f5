"""A tape in a few lines: `world` builds records, folds them, and keeps all that came out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from flows.core.fold import FoldState, fold
from schemas import codec
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.records import journal, leader, market, own, system
from schemas.records.base import Record, group_id
from schemas.units import parse_micro

LEADER = "0x" + "1" * 40
OTHER = "0x" + "2" * 40
OWN = "0x" + "a" * 40
UP, DOWN = "1001", "1002"
MARKET = "0x" + "c" * 64
START_MS = 1_700_000_000_000


def micro(text: str | float) -> int:
    return parse_micro(str(text))


@dataclass
class World:
    """Appends records to an imaginary tape, folds each at once, keeps events by kind."""

    state: FoldState = field(default_factory=FoldState)
    tape: list[Record] = field(default_factory=list)
    sealed: list[Any] = field(default_factory=list)
    events: list[Record] = field(default_factory=list)
    now_ms: int = START_MS
    seq: int = 0
    reports: int = 0
    feeds_state: str = "up"

    def append(self, record: Record) -> list[Record]:
        """Fold one record; the events it led to."""
        out = fold(self.state, len(self.tape), codec.decode(codec.encode(record)))
        self.tape.append(record)
        self.sealed += out
        new = [codec.unseal(s.value)[1] for s in out if s.topic != "orders"]
        self.events += new
        return new

    def of(self, kind: type) -> list[Any]:
        """All events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def tick(self, ms: int = 100, *, feeds: dict[str, system.FeedState] | None = None) -> list:
        """Time passes: one Tick of every connector with all feeds fresh."""
        self.now_ms += ms
        out = []
        names = {
            "public": ("market", "activity", "trades", "moves", "positions"),
            "account": ("user", "own_trades", "own_positions", "own_orders", "own_balance"),
        }
        for producer, owned in names.items():
            self.seq += 1
            states = {
                name: system.FeedState(state="up", last_data_ms=self.now_ms) for name in owned
            }
            states |= {k: v for k, v in (feeds or {}).items() if k in owned}
            out += self.append(
                system.Tick(producer=producer, seq=self.seq, now_ms=self.now_ms, feeds=states)
            )
        return out

    def wait(self, ms: int, step: int = 100) -> list[Record]:
        """Ticks each `step` ms until `ms` have passed."""
        out: list[Record] = []
        for _ in range(ms // step):
            out += self.tick(step)
        return out

    def policy(self, **changes: Any) -> list[Record]:
        """Follow LEADER with ratio 0.1; keyword arguments replace policy or account fields."""
        account_fields = {f for f in AccountPolicy.__struct_fields__}
        mine = {k: changes.pop(k) for k in list(changes) if k in account_fields}
        mine.setdefault("leaders", (LeaderPolicy(wallet=LEADER),))
        account = AccountPolicy(**{"name": "main", "wallet": OWN, **mine})
        document = PolicyDocument(
            accounts=(account,),
            **{"fills_lag_ms": 1_000, "leader_report_lag_ms": 2_000, **changes},
        )
        return self.append(system.Policy(version=len(self.tape), document=document))

    def meta(self, **changes: Any) -> list[Record]:
        fields: dict[str, Any] = {
            "condition": MARKET,
            "outcomes": (
                market.Outcome(token=UP, name="Up"),
                market.Outcome(token=DOWN, name="Down"),
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
                condition=MARKET,
                side=side,
                rows=rows,
                shares_micro=shares,
                cash_micro=shares * micro(price) // 1_000_000,
                venue_ms=(self.now_ms - ago_ms) // 1_000 * 1_000,
                recv_ns=self.now_ms * 1_000_000,
            )
        )

    def report(
        self, rows: dict[str, str], subject: str = "main", *, complete: bool = True, dust: str = "0"
    ) -> list[Record]:
        """Ask and answer a positions report at once."""
        self.reports += 1
        name = f"r{self.reports}"
        self.append(
            own.ReportAsked(report=name, subject=subject, about="positions", asked_ms=self.now_ms)
        )
        return self.append(
            own.PositionsReport(
                report=name,
                subject=subject,
                wallet=OWN if subject == "main" else subject,
                rows=tuple(
                    own.Holding(token=t, condition=MARKET, shares_micro=micro(s))
                    for t, s in rows.items()
                ),
                complete=complete,
                floor_micro=micro(dust),
                answered_ms=self.now_ms,
            )
        )

    def balance(self, usd: str = "1000") -> list[Record]:
        return self.append(
            own.BalanceReport(
                report="b", subject="main", usd_micro=micro(usd), answered_ms=self.now_ms
            )
        )

    def signed(self, request: journal.OrderRequested, order: str = "0xo1") -> list[Record]:
        return self.append(
            own.OrderSigned(
                account="main",
                intent=request.intent,
                order=order,
                backend="live",
                token=request.token,
                side=request.side,
                maker_micro=request.budget_micro,
                taker_micro=request.shares_micro,
                payload={},
                executor="x",
                signed_ns=1,
            )
        )

    def answered(
        self,
        request: journal.OrderRequested,
        outcome: str = "accepted",
        shares: str | None = None,
        usd: str | None = None,
        order: str = "0xo1",
        **changes: Any,
    ) -> list[Record]:
        fields: dict[str, Any] = {
            "account": "main",
            "intent": request.intent,
            "order": order,
            "outcome": outcome,
            "status": "matched",
            "reason": "",
            "http_status": 200,
            "shares_micro": micro(shares) if shares is not None else None,
            "usd_micro": micro(usd) if usd is not None else None,
            "trades": (),
            "proof": "post",
            "sent_ns": 1,
            "answered_ns": 2,
        }
        return self.append(own.OrderAnswered(**{**fields, **changes}))

    def own_fill(
        self,
        request: journal.OrderRequested,
        shares: str,
        price: str = "0.40",
        *,
        trade: str = "T1",
        status: str = "MATCHED",
        order: str = "0xo1",
        **changes: Any,
    ) -> list[Record]:
        size = micro(shares)
        fields: dict[str, Any] = {
            "account": "main",
            "source": "user",
            "trade": trade,
            "order": order,
            "role": "TAKER",
            "token": request.token,
            "condition": request.condition,
            "side": request.side,
            "shares_micro": size,
            "cash_micro": size * micro(price) // 1_000_000,
            "status": status,
            "tx": "",
            "venue_ms": self.now_ms // 1_000 * 1_000,
            "recv_ns": self.now_ms * 1_000_000,
        }
        return self.append(own.OwnFill(**{**fields, **changes}))

    def begin(self, **changes: Any) -> "World":
        """Genesis, policy, both wallets reported empty, market, a live two-sided book."""
        self.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
        self.tick()
        self.policy(**changes)
        self.report({})
        self.report({}, subject=LEADER)
        self.balance()
        self.wait(2_000)
        self.meta()
        for token, bid, ask in ((UP, "0.39", "0.40"), (DOWN, "0.60", "0.61")):
            self.epoch(token)
            self.depth([(bid, "1000")], [(ask, "1000")], token=token)
        return self


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def started() -> Callable[..., World]:
    """A world with everything ready to trade; keyword arguments change the policy."""
    return lambda **changes: World().begin(**changes)
