"""World: a tape whose end is known after each record, with our own orders, fills and reports."""

import pickle
from typing import Any

from flows.core.account import AccountState, shares_of
from schemas.records import journal, operator, own, system
from schemas.records.base import Record
from schemas.units import ceil_mul, format_micro
from tests.core.tape import DOWN, LEADER, OWN, UP, Tape, condition_of, micro

WORKING_STATES = ("requested", "signed", "unknown", "accepted")


class World(Tape):
    """What our account does at the venue, and what it has come to."""

    def fork(self) -> "World":
        """The same world once more, from pickled state, to try another future."""
        other: World = pickle.loads(pickle.dumps(self))
        return other

    def tick(self, ms: int = 100, **tick: Any) -> list[Record]:
        """Time passes, and an account that has been read goes on being read: the same cash."""
        out = super().tick(ms, **tick)
        for name, account in self.state.plan.accounts.items() if self.reads_balance else ():
            left = account.cash.left_micro
            if left is not None and self.now_ms - account.cash.as_of_ms >= 10_000:
                out += self.balance(format_micro(left), subject=name)
        return out

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
                    own.Holding(token=t, condition=condition_of(t), shares_micro=micro(s))
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

    def follow(
        self,
        leader: str = LEADER,
        ratio: str = "0.1",
        cap: str = "1000",
        account: str = "main",
        *,
        start: str = "now",
    ) -> list[Record]:
        """An operator's word; the three below are others."""
        return self.append(
            operator.Follow(
                account=account,
                leader=leader,
                name="",
                ratio_micro=micro(ratio),
                cap_usd_micro=micro(cap),
                start=start,
                pairs="cash",
                reason="by hand",
            )
        )

    def unfollow(self, leader: str = LEADER, account: str = "main") -> list[Record]:
        return self.append(operator.Unfollow(account=account, leader=leader, reason="by hand"))

    def halt(self, scope: str, subject: str, account: str | None = None) -> list[Record]:
        return self.append(
            operator.Halt(scope=scope, subject=subject, account=account, reason="by hand")
        )

    def resume(self, scope: str, subject: str) -> list[Record]:
        return self.append(operator.Resume(scope=scope, subject=subject, reason="by hand"))

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

    def redeemed(
        self, shares: str, cash: str, *, token: str = UP, tx: str = "0xr1", account: str = "main"
    ) -> list[Record]:
        """The account's wallet turned shares of a token into dollars."""
        return self.append(
            own.OwnRedemption(
                account=account,
                source="rest",
                tx=tx,
                condition=condition_of(token),
                token=token,
                shares_micro=micro(shares),
                cash_micro=micro(cash),
                venue_ms=self.now_ms // 1_000 * 1_000,
                recv_ns=self.now_ms * 1_000_000,
            )
        )

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
