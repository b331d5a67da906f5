"""A seeded stretch of everything at once: leaders, books, faults, orders, reports, policies.

Whatever it draws is legal for the venue and the connectors; what must hold after each record is
in ledger.py, and what must hold when the trouble ends is asked by `settle_down`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas.policy import AccountPolicy, LeaderPolicy
from schemas.records import leader, system
from schemas.units import format_micro
from tests.core.tape import LEADER, OTHER, OWN
from tests.core.venue import Venue

TOKENS = ("1001", "1002", "2001", "2002")
MARKETS = ("1001", "2001")
ACCOUNTS = {"main": OWN, "second": "0x" + "b" * 40}
LEADERS = (LEADER, OTHER)


@dataclass
class LeaderFill:
    """What a leader really did; size in whole shares."""

    wallet: str
    tx: str
    token: str
    side: str
    size: int
    price: str
    at_ms: int


class Chaos(Venue):
    """Draws actions from one seed. truth: what the leaders hold, in whole shares."""

    def __init__(self, seed: int, accounts: dict[str, str] = ACCOUNTS) -> None:
        super().__init__(seed)
        self.accounts = accounts
        self.fills: list[LeaderFill] = []
        self.truth: dict[tuple[str, str], int] = {}
        self.up_cents = dict.fromkeys(MARKETS, 40)
        self.epochs = 0
        self.live: dict[str, int] = {}
        self.over: set[str] = set()
        self.foreign: tuple[str, ...] = ("keep", "keep", "sell")
        self.in_policy = 0.95

    def begin(self) -> "Chaos":
        """Policy, reports, balances, markets and books."""
        world = self.world
        world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=tuple(self.accounts)))
        world.tick()
        for wallet in LEADERS:
            for token in TOKENS:
                self.truth[(wallet, token)] = self.chance.choice([0, 0, 300, 1200])
        self.policy(plain=True)
        self.reports()
        for market in MARKETS:
            world.meta(market)
        world.wait(2_000)
        for token in TOKENS:
            self.book(token, plain=True)
        return self

    def run(self, steps: int) -> "Chaos":
        actions: list[tuple[int, Callable[[], object]]] = [
            (30, self.leader_trades),
            (40, self.time),
            (30, self.orders),
            (25, self.tell),
            (20, lambda: self.book(self.chance.choice(TOKENS))),
            (6, self.rest),
            (6, self.reports),
            (3, self.move),
            (3, self.break_book),
            (2, self.policy),
            (3, self.operator),
            (1, self.restart),
            (1, self.incomplete),
            (1, self.by_hand),
            (1, self.market_ends),
            (1, self.redeem),
        ]
        weights = [weight for weight, _ in actions]
        for _ in range(steps):
            self.chance.choices([act for _, act in actions], weights)[0]()
        return self

    def leader_trades(self) -> None:
        """A fill; the feed may miss it, tell it twice, or tell too much or too little of it."""
        chance = self.chance
        wallet, token = chance.choice(LEADERS), chance.choice(TOKENS)
        held = self.truth.get((wallet, token), 0)
        side = "SELL" if held and chance.random() < 0.4 else "BUY"
        size = chance.randint(1, held) if side == "SELL" else chance.randint(1, 900)
        self.truth[(wallet, token)] = held + (size if side == "BUY" else -size)
        fill = LeaderFill(
            wallet, self.name("l"), token, side, size, self.price(token), self.world.now_ms
        )
        self.fills.append(fill)
        for _ in range(chance.choice([0, 1, 1, 1, 2])):
            seen = chance.choice([size, size, size, 2 * size, max(size // 2, 1)])
            self.state(fill, seen, "feed")

    def state(self, fill: LeaderFill, size: int, source: str) -> None:
        self.world.fills(
            str(size),
            fill.price,
            tx=fill.tx,
            side=fill.side,
            token=fill.token,
            wallet=fill.wallet,
            source=source,
            instance=self.name("i"),
            ago_ms=self.world.now_ms - fill.at_ms,
        )

    def rest(self) -> None:
        """A complete REST answer about one leader, and the end of its read."""
        wallet = self.chance.choice(LEADERS)
        known = [f for f in self.fills if f.wallet == wallet and self.chance.random() < 0.9]
        for fill in known:
            self.state(fill, fill.size, "rest")
        present = [self.world.group(f.tx, f.side, f.token, wallet) for f in known]
        self.world.read(self.name("r"), present, wallet=wallet)
        if self.chance.random() < 0.7:
            self.world.read(self.name("m"), wallet=wallet, source="activity")

    def move(self) -> None:
        wallet, market = self.chance.choice(LEADERS), self.chance.choice(MARKETS)
        pair = (market, str(int(market) + 1))
        sets = min(self.truth.get((wallet, token), 0) for token in pair)
        kind = "MERGE" if sets and self.chance.random() < 0.5 else "SPLIT"
        size = self.chance.randint(1, sets) if kind == "MERGE" else self.chance.randint(1, 500)
        signed = size if kind == "SPLIT" else -size
        for token in pair:
            self.truth[(wallet, token)] = self.truth.get((wallet, token), 0) + signed
        for _ in range(self.chance.choice([1, 1, 2])):
            self.world.move(
                kind, dict.fromkeys(pair, str(signed)), tx=f"0xm{self.names}", wallet=wallet
            )
        self.names += 1

    def time(self) -> None:
        chance, world = self.chance, self.world
        world.silent = chance.choice([(), (), (), (), (), ("public",), ("account",)])
        feeds: dict[str, system.FeedState] = {}
        if chance.random() < 0.1:
            feed = chance.choice(["market", "trades", "own_trades"])
            feeds = world.stale(feed, state=chance.choice(["up", "suspect", "down"]))
        world.wait(chance.choice([100, 300, 500, 2_000, 4_000]), feeds=feeds)
        world.silent = ()

    def price(self, token: str) -> str:
        market = MARKETS[TOKENS.index(token) // 2]
        cents = self.up_cents[market]
        return f"0.{cents if token == market else 100 - cents:02d}"

    def book(self, token: str, plain: bool = False) -> None:
        """A Depth: mostly sound, sometimes thin, one-sided or crossed."""
        chance, world = self.chance, self.world
        market = MARKETS[TOKENS.index(token) // 2]
        if not plain:
            step = chance.randint(-2, 2)
            self.up_cents[market] = min(max(self.up_cents[market] + step, 5), 95)
        if token not in self.live:
            self.epochs += 1
            self.live[token] = self.epochs
            world.epoch(token, n=self.epochs)
        ask = int(self.price(token)[2:])
        size = "2000" if plain else str(chance.choice([3, 40, 300, 2000]))
        bids, asks = (
            [(f"0.{ask - 1:02d}", size)],
            [(f"0.{ask:02d}", size), (f"0.{ask + 1:02d}", size)],
        )
        fault = 1.0 if plain else chance.random()
        if fault < 0.05:
            bids = []
        elif fault < 0.1:
            asks = []
        elif fault < 0.13:
            bids = [(f"0.{ask + 1:02d}", size)]
        world.depth(bids, asks, token=token, n=self.live[token])

    def break_book(self) -> None:
        token = self.chance.choice(TOKENS)
        if token in self.live:
            self.world.epoch(token, state="ended", reason="echo_mismatch", n=self.live.pop(token))

    def restart(self) -> None:
        self.world.append(system.ConnectorStarted(producer="public", role="public"))
        self.live.clear()

    def incomplete(self) -> None:
        wallet = self.chance.choice(LEADERS)
        self.world.append(
            leader.LeaderIncomplete(leader=wallet, instance=self.name("i"), reason="unknown_row")
        )

    def operator(self) -> None:
        """A word: mostly one that can be obeyed, and halts that are soon over."""
        chance, world = self.chance, self.world
        account, leader = chance.choice([*self.accounts, "nobody"]), chance.choice(LEADERS)
        scope, subject = chance.choice(
            [("account", account), ("leader", leader), ("token", chance.choice(TOKENS))]
        )
        only = None if scope == "account" else chance.choice([None, account])
        ratio, start = chance.choice(["0.05", "0.1", "0.3"]), chance.choice(["now", "converge"])
        chance.choice(
            [
                lambda: world.follow(leader, ratio, account=account, start=start),
                lambda: world.unfollow(leader, account),
                lambda: world.halt(scope, subject, only),
                lambda: world.resume(scope, subject),
            ]
        )()

    def plain_words(self) -> None:
        """Nothing is halted, and who was spoken of is followed as the plain policy would."""
        words = self.world.state.plan.words
        for scope, subject, _ in list(words.halts):
            if any(key[:2] == (scope, subject) for key in words.halts):
                self.world.resume(scope, subject)
        for account, wallet in list(words.said):
            self.world.follow(wallet, account=account)

    def policy(self, plain: bool = False) -> None:
        chance = self.chance

        def draw(*values: Any) -> Any:
            return values[0] if plain else chance.choice(values)

        followed = [w for w in LEADERS if plain or chance.random() < 0.8]
        self.world.policy(
            accounts=tuple(
                AccountPolicy(
                    name=name,
                    wallet=wallet,
                    ratio_micro=draw(100_000, 50_000, 200_000),
                    cap_trade_usd_micro=draw(100_000_000, 30_000_000),
                    cap_market_usd_micro=draw(500_000_000, 60_000_000),
                    cap_account_usd_micro=draw(2_000_000_000, 90_000_000),
                    foreign=draw(*self.foreign),
                    leaders=tuple(
                        LeaderPolicy(
                            wallet=each,
                            weight_micro=draw(1_000_000, 500_000),
                            cap_usd_micro=draw(1_000_000_000, 40_000_000),
                            start=draw("now", "now", "converge"),
                            pairs=draw("cash", "cash", "copy"),
                        )
                        for each in followed
                    ),
                )
                for name, wallet in self.accounts.items()
                if plain or chance.random() < self.in_policy
            )
        )

    def reports(self) -> None:
        """True answers about one subject, or about all at the beginning."""
        for account in self.accounts:
            rows = {t: format_micro(n) for (a, t), n in self.ours.items() if a == account and n > 0}
            self.world.report(rows, subject=account)
            self.world.balance("5000", subject=account)
        for wallet in LEADERS:
            rows = {t: str(n) for (w, t), n in self.truth.items() if w == wallet and n}
            self.world.report(rows, subject=wallet)

    def market_ends(self) -> None:
        market = self.chance.choice(MARKETS)
        if self.chance.random() < 0.5:
            self.world.closed(market)
        else:
            self.over.add(market)
            self.world.resolved("0.7", "0.3", market)

    def redeem(self) -> None:
        """Somebody turns what a market owes an account into dollars; it may be told twice."""
        for market in sorted(self.over):
            account = self.chance.choice(list(self.accounts))
            held = self.ours.pop((account, market), 0)
            if held > 0:
                tx, shares = self.name("r"), format_micro(held)
                for _ in range(self.chance.choice((1, 2))):
                    self.world.redeemed(shares, shares, token=market, tx=tx, account=account)

    def settle_down(self) -> "Chaos":
        """Faults stop: everything is told, answered, read and reported until nothing moves."""
        world = self.world
        self.policy(plain=True)
        self.plain_words()
        while self.untold:
            self.untold.pop(0)()
        for market in MARKETS:
            world.meta(market)
        for fill in self.fills:
            self.state(fill, fill.size, "rest")
        for _ in range(12):
            for token in TOKENS:
                self.book(token, plain=True)
            self.answer_plainly()
            world.wait(4_000)
            self.reports()
            world.wait(4_000)
        return self
