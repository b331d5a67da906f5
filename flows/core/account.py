"""One of our accounts: positions, orders, baselines, holds, cash, and what they add up to.

Only state and arithmetic on it; when something changes is decided in planning.py.
"""

from dataclasses import dataclass, field

from flows.core.cash import Cash
from flows.core.exposure import excess, lowered, target, unpaired
from flows.core.market import Markets
from flows.core.orders import Order
from flows.core.positions import Position
from flows.core.subjects import Subject
from flows.core.words import Followed
from schemas.policy import AccountPolicy
from schemas.records.base import Condition, Intent, OrderHash, Token, Wallet

HOLD_RECHECK_MS = 500
"""How often a held gap is looked at again besides at every Depth of its token."""
ENDED_MAX = 2_000
"""Ended orders kept by hash, so that a late fill still finds its intent."""


@dataclass(slots=True)
class Hold:
    """A standing refusal: since when (fold time and Ticks), and when to look again."""

    reason: str
    since_ms: int
    since_ticks: int
    again_ms: int


@dataclass(slots=True)
class Retry:
    """Pause of a token after orders that brought nothing; failures doubles it."""

    until_ms: int
    failures: int


@dataclass(frozen=True, slots=True)
class Signal:
    """What a leader paid when a token's target last rose, and when."""

    price_micro: int
    venue_ms: int
    recv_ns: int


@dataclass(slots=True)
class LeaderView:
    """A leader as planning sees him: exposure by token, prices he paid, completeness."""

    exposure: dict[Token, int] = field(default_factory=dict)
    signals: dict[Token, Signal] = field(default_factory=dict)
    incomplete: str | None = None


class Leaders(dict[Wallet, LeaderView]):
    """All leaders, and by token those whose exposure ever moved in it: a few of a hundred."""

    __slots__ = ("movers",)

    def __init__(self) -> None:
        super().__init__()
        self.movers: dict[Token, dict[Wallet, None]] = {}

    def move(self, wallet: Wallet, token: Token, shares_micro: int) -> None:
        """Add to what a leader holds of a token."""
        exposure = self[wallet].exposure
        exposure[token] = exposure.get(token, 0) + shares_micro
        self.movers.setdefault(token, {})[wallet] = None

    def movers_of(self, tokens: list[Token]) -> dict[Wallet, None]:
        """Whose exposure ever moved in any of these tokens."""
        return {wallet: None for token in tokens for wallet in self.movers.get(token, ())}

    def leave(self, wallet: Wallet) -> LeaderView:
        """Nobody follows him any more; what he was to us."""
        view = self.pop(wallet)
        for token in view.exposure:
            del self.movers[token][wallet]
        return view


@dataclass(frozen=True, slots=True)
class Share:
    """One leader's part of a token's target."""

    leader: Wallet
    shares_micro: int
    cap_usd_micro: int


@dataclass(slots=True)
class Totals:
    """Counters for the Summary."""

    orders: int = 0
    fills: int = 0


@dataclass(slots=True)
class AccountState:
    """Everything the plan of one account rests on.

    followed: whom it follows by policy and words, in their order; place: the same by wallet, with
    its number there. since_ms: fold time from which on it does.
    working: the order of a token that keeps it from another. returned: orders proven absent that
    the venue accepted after all, while their token already worked another.
    """

    policy: AccountPolicy
    active: bool = True
    followed: tuple[Followed, ...] = ()
    place: dict[Wallet, int] = field(default_factory=dict)
    since_ms: dict[Wallet, int] = field(default_factory=dict)
    baseline: dict[Wallet, dict[Token, int]] = field(default_factory=dict)
    positions: dict[Token, Position] = field(default_factory=dict)
    token_of_fill: dict[str, Token] = field(default_factory=dict)
    orders: dict[Intent, Order] = field(default_factory=dict)
    intent_of: dict[OrderHash, Intent] = field(default_factory=dict)
    working: dict[Token, Intent] = field(default_factory=dict)
    returned: dict[Intent, None] = field(default_factory=dict)
    holds: dict[Token, Hold] = field(default_factory=dict)
    retries: dict[Token, Retry] = field(default_factory=dict)
    audit: Subject = field(default_factory=Subject)
    cash: Cash = field(default_factory=Cash)
    foreign: dict[Token, int] = field(default_factory=dict)
    halted: str | None = None
    totals: Totals = field(default_factory=Totals)

    def follow(self, followed: tuple[Followed, ...]) -> None:
        """Follow these from now on, and nobody else."""
        self.followed = followed
        self.place = {each.leader: number for number, each in enumerate(followed)}

    def follows(self, wallet: Wallet) -> Followed | None:
        """On which terms the account follows a leader, None if it does not."""
        number = self.place.get(wallet)
        return self.followed[number] if number is not None else None

    def position(self, token: Token, condition: Condition) -> Position:
        """The token's position, begun empty if there is none."""
        return self.positions.setdefault(token, Position(condition))

    def held_micro(self, token: Token) -> int:
        """Shares held of a token, in flight not counted."""
        position = self.positions.get(token)
        return position.shares_micro if position is not None else 0

    def unended(self) -> list[Order]:
        """Orders that may still bring something."""
        return [self.orders[i] for i in (*self.working.values(), *self.returned)]

    def unended_of(self, token: Token) -> list[Order]:
        """The same of one token: the one that works, and those that came back beside it."""
        intent = self.working.get(token)
        mine = [] if intent is None else [self.orders[intent]]
        return mine + [self.orders[i] for i in self.returned if self.orders[i].token == token]

    def in_flight_micro(self, token: Token) -> int:
        """Signed shares that the token's orders will still bring."""
        return sum(order.in_flight_micro for order in self.unended_of(token))

    def coming_micro(self, token: Token, direction: int) -> int:
        """The part of it that goes the way of direction, + or -."""
        found = [order.in_flight_micro for order in self.unended_of(token)]
        return sum(signed for signed in found if signed * direction > 0)

    def kept_micro(self, token: Token) -> int:
        """Shares held that are none of ours to sell, by the policy."""
        position = self.positions.get(token)
        if position is None or self.policy.foreign == "sell":
            return 0
        return position.foreign_micro

    def sellable_micro(self, token: Token) -> int:
        """Shares that a sell may take: confirmed ones, and under 'keep' only what we bought."""
        position, doubt = self.positions[token], self.audit.doubts.get(token)
        sellable = position.sellable_micro
        if self.policy.foreign != "sell":
            sellable = min(sellable, position.owned.sellable_micro)
        return max(sellable - (doubt.gone_micro if doubt is not None else 0), 0)

    def invested(self) -> dict[Token, int]:
        """Dollars at cost by token, fees and its orders' full reservations included.

        Shares without a cost that reports found count with the most they may have cost.
        """
        usd = {token: position.bound_usd_micro for token, position in self.positions.items()}
        for order in self.unended():
            usd[order.token] = usd.get(order.token, 0) + order.reserved_usd_micro
        return usd

    def reserved_micro(self) -> int:
        """Dollars that orders may still spend."""
        return sum(order.reserved_usd_micro for order in self.unended())

    def available_cash_micro(self) -> int | None:
        """The collateral that is certain (cash.py), less what orders reserve."""
        left = self.cash.left_micro
        return left - self.reserved_micro() if left is not None else None

    def end(self, order: Order) -> None:
        """The order is over; one of its token that came back keeps the token in its place."""
        self.returned.pop(order.intent, None)
        if self.working.get(order.token) == order.intent:
            del self.working[order.token]
            for intent in self.returned:
                if self.orders[intent].token == order.token:
                    self.working[order.token] = intent
                    del self.returned[intent]
                    return
        position = self.positions.get(order.token)
        if position is not None and order.token not in self.working:
            position.owned.concluded(position.shares_micro)

    def forget_ended(self) -> None:
        """Drop the oldest ended orders beyond ENDED_MAX."""
        most = ENDED_MAX + len(self.unended())
        if len(self.orders) <= most:
            return
        for intent, order in list(self.orders.items()):
            if order.ended and len(self.orders) > most:
                del self.orders[intent]
                if order.order is not None:
                    self.intent_of.pop(order.order, None)


def shares_of(
    account: AccountState, leaders: Leaders, markets: Markets, token: Token
) -> list[Share]:
    """Each followed leader's part of the token's target, in the order they are followed."""
    pair, place = markets.pair(token), account.place
    # Who never moved in the market has no part: a baseline holds tokens of the exposure only.
    movers = leaders.movers_of(pair)
    found = []
    for number in sorted(place[wallet] for wallet in movers if wallet in place):
        wallet, terms = account.followed[number].leader, account.followed[number].terms
        exposure = leaders[wallet].exposure
        base = account.baseline.get(wallet, {})
        excesses = [excess(exposure.get(t, 0), base.get(t, 0)) for t in pair]
        if terms.pairs == "cash":
            excesses = unpaired(excesses)
        shares = target(excesses[pair.index(token)], terms.ratio_micro, terms.weight_micro)
        if shares:
            found.append(Share(wallet, shares, terms.cap_usd_micro))
    return found


def lower_baselines(account: AccountState, wallet: Wallet, token: Token, exposure: int) -> None:
    """What the leader sold of his baseline is gone from it."""
    base = account.baseline.get(wallet)
    if base is not None and token in base:
        base[token] = lowered(exposure, base[token])
