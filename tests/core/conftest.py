"""A tape in a few lines: `world` builds records, folds them, and keeps all that came out."""

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from flows.core.account import AccountState, shares_of
from flows.core.fold import FoldState, fold
from schemas import codec
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.records import journal, leader, market, own, system
from schemas.records.base import Record, group_id
from schemas.units import ceil_mul, format_micro, parse_micro

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
WORKING_STATES = ("requested", "signed", "unknown", "accepted")


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
    trades: int = 0
    silent: tuple[str, ...] = ()
    on_append: Callable[["World", list[Record]], None] | None = None

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

    def fork(self) -> "World":
        """The same world once more, from pickled state, to try another future."""
        other: World = pickle.loads(pickle.dumps(self))
        return other

    def of(self, kind: type) -> list[Any]:
        """All events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def tick(self, ms: int = 100, *, feeds: dict[str, system.FeedState] | None = None) -> list:
        """Time passes: one Tick of every connector with all feeds fresh."""
        self.now_ms += ms
        out = []
        for producer, owned in FEEDS.items():
            self.seq += 1
            if producer in self.silent:
                continue
            states = {
                name: system.FeedState(state="up", last_data_ms=self.now_ms) for name in owned
            }
            states |= {k: v for k, v in (feeds or {}).items() if k in owned}
            out += self.append(
                system.Tick(producer=producer, seq=self.seq, now_ms=self.now_ms, feeds=states)
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

    def account(self, name: str = "main") -> AccountState:
        return self.state.plan.accounts[name]

    def held(self, token: str = UP, account: str = "main") -> int:
        return self.account(account).held_micro(token)

    def target(self, token: str = UP, account: str = "main") -> int:
        """Shares that the account should hold of a token."""
        plan = self.state.plan
        shares = shares_of(self.account(account), plan.leaders, plan.markets, token)
        return sum(share.shares_micro for share in shares)

    def exposure(self, token: str = UP, wallet: str = LEADER) -> int:
        return self.state.plan.leaders[wallet].exposure.get(token, 0)

    def hold(self, token: str = UP, account: str = "main") -> str | None:
        """Reason of the token's standing hold."""
        standing = self.account(account).holds.get(token)
        return standing.reason if standing is not None else None

    def requests(self) -> list[journal.OrderRequested]:
        return self.of(journal.OrderRequested)

    def working(self) -> list[journal.OrderRequested]:
        """Requests whose order has no end yet."""
        return [
            request
            for request in self.requests()
            if self.account(request.account).orders[request.intent].state in WORKING_STATES
        ]

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

    def move(
        self,
        move: str,
        deltas: dict[str, str],
        *,
        tx: str = "0xm1",
        wallet: str = LEADER,
        ago_ms: int = 0,
        condition: str = MARKET,
    ) -> list[Record]:
        """State what a split, merge or redemption did to the leader's holding."""
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
    ) -> list[Record]:
        """A complete REST answer about the leader's trades ends here; asked now."""
        upto = self.now_ms if upto_ms is None else upto_ms
        return self.append(
            leader.ReadDone(
                source="trades",
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

    def closed(self, condition: str = MARKET) -> list[Record]:
        return self.append(market.MarketClosed(condition=condition, reason="closed"))

    def resolved(self, up: str = "1", down: str = "0", condition: str = MARKET) -> list[Record]:
        payouts = {UP: micro(up), DOWN: micro(down)}
        return self.append(
            market.MarketResolved(condition=condition, payouts=payouts, source="gamma")
        )

    def report(
        self, rows: dict[str, str], subject: str = "main", *, complete: bool = True, dust: str = "0"
    ) -> list[Record]:
        """Ask and answer a positions report at once."""
        name = self.asked("positions", subject)
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

    def asked(self, about: str, subject: str = "main") -> str:
        """A question about one of our accounts goes to the tape; its name."""
        self.reports += 1
        name = f"r{self.reports}"
        self.append(
            own.ReportAsked(report=name, subject=subject, about=about, asked_ms=self.now_ms)
        )
        return name

    def balance(
        self, usd: str = "1000", subject: str = "main", report: str | None = None
    ) -> list[Record]:
        """Answer a balance read; it is asked just before unless `report` names an earlier one."""
        return self.append(
            own.BalanceReport(
                report=report or self.asked("balance", subject),
                subject=subject,
                usd_micro=micro(usd),
                answered_ms=self.now_ms,
            )
        )

    def open_orders(self, *rows: own.OpenOrder, complete: bool = True) -> list[Record]:
        return self.append(
            own.OpenOrdersReport(
                report=self.asked("orders"),
                subject="main",
                rows=rows,
                complete=complete,
                answered_ms=self.now_ms,
            )
        )

    def signed(self, request: journal.OrderRequested, order: str = "0xo1") -> list[Record]:
        return self.append(
            own.OrderSigned(
                account=request.account,
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
            "account": request.account,
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
            "account": request.account,
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

    def expired(self, request: journal.OrderRequested) -> list[Record]:
        return self.append(
            own.OrderExpired(
                account=request.account,
                intent=request.intent,
                now_ms=self.now_ms,
                valid_until_ms=request.valid_until_ms,
            )
        )

    def absent(self, request: journal.OrderRequested, order: str = "0xo1") -> list[Record]:
        return self.append(
            own.OrderAbsent(
                account=request.account,
                intent=request.intent,
                order=order,
                lookups=5,
                last_post_ms=self.now_ms - 10_000,
                first_lookup_ms=self.now_ms - 10_000,
                last_lookup_ms=self.now_ms,
            )
        )

    def trade(
        self, request: journal.OrderRequested, shares: str | None = None, *, confirm: bool = True
    ) -> str:
        """The venue takes the order and fills it (all of it, or `shares`); the trade's id."""
        self.trades += 1
        order, trade = f"0xo{request.intent}", f"T{self.trades}"
        size = micro(shares) if shares is not None else request.shares_micro
        price = request.touch_micro
        self.signed(request, order)
        self.answered(
            request, order=order, shares=format_micro(size), usd=format_micro(ceil_mul(size, price))
        )
        fill: dict[str, Any] = {"trade": trade, "order": order, "price": format_micro(price)}
        self.own_fill(request, format_micro(size), **fill)
        if confirm:
            self.own_fill(request, format_micro(size), status="CONFIRMED", **fill)
        return trade

    def trade_all(self) -> None:
        """The venue fills every order that has no end."""
        for request in self.working():
            self.trade(request)

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
