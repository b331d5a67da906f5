"""Ledger: what the events alone say, kept beside the fold and compared after every record."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from flows.core.account import shares_of
from flows.core.sizing import band
from schemas.codec import chain_hash, unseal
from schemas.records import journal, own
from schemas.records.base import Record
from tests.core.costs import Fill, cost_of, spent_on, with_fee
from tests.core.world import WORKING_STATES, World

MIN_UNKNOWN = 5_000_000
Place = tuple[str, str]


@dataclass
class Ledger:
    """Sums of journal events by (account or leader, token), and the invariants over them."""

    fills: dict[str, tuple[Place, int]] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)
    corrected: dict[Place, int] = field(default_factory=dict)
    settled: dict[Place, int] = field(default_factory=dict)
    exposure: dict[Place, int] = field(default_factory=dict)
    holds: dict[Place, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    requests: dict[str, journal.OrderRequested] = field(default_factory=dict)
    paid: dict[str, Fill] = field(default_factory=dict)
    booked: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    cash: dict[str, tuple[int, int]] = field(default_factory=dict)
    checked: int = 0

    def __call__(self, world: World, events: list[Record]) -> None:
        self.told(world.tape[-1])
        for event in events:
            self.take(world, event)
        self.check(world)

    def take(self, world: World, event: Any) -> None:
        match event:
            case journal.FillBooked():
                signed = event.shares_micro if event.side == "BUY" else -event.shares_micro
                assert event.trade not in self.fills, "a fill was booked twice"
                self.fills[event.trade] = ((event.account, event.token), signed)
                self.paid[event.trade] = Fill(signed, event.cash_micro, event.fee_micro)
                if event.intent is not None:
                    self.booked[event.intent] = self.booked.get(event.intent, 0) + event.cash_micro
            case journal.FillSettled(status="FAILED"):
                del self.fills[event.trade]
            case journal.FillSettled():
                self.confirmed.add(event.trade)
            case journal.PositionCorrected():
                leader = event.subject.startswith("0x")
                self.add(self.exposure if leader else self.corrected, event.subject, event)
            case journal.PositionSettled():
                self.add(self.settled, event.account, event)
            case journal.NetDelta() | journal.ExposureRebased():
                self.add(self.exposure, event.leader, event)
            case journal.LeaderFollowed():
                for place in [p for p in self.exposure if p[0] == event.leader]:
                    del self.exposure[place]
            case journal.OrderHeld():
                assert (event.account, event.token) not in self.holds, "a hold began inside another"
                self.holds[(event.account, event.token)] = event.reason
            case journal.HoldEnded():
                assert self.holds.pop((event.account, event.token)) == event.reason
            case journal.OrderRequested():
                self.requested(world, event)
            case journal.OrderProgress():
                self.states[event.intent] = event.state
                if event.state == "accepted" and event.usd_micro is not None:
                    self.accepted[event.intent] = event.usd_micro

    @staticmethod
    def add(sums: dict[Place, int], subject: str, event: Any) -> None:
        place = (subject, event.token)
        sums[place] = sums.get(place, 0) + event.shares_micro

    def position(self, place: Place) -> int:
        booked = sum(signed for where, signed in self.fills.values() if where == place)
        return booked + self.corrected.get(place, 0) - self.settled.get(place, 0)

    def sellable(self, place: Place) -> int:
        proven = sum(
            signed
            for trade, (where, signed) in self.fills.items()
            if where == place and (signed < 0 or trade in self.confirmed)
        )
        return proven + self.corrected.get(place, 0) - self.settled.get(place, 0)

    def requested(self, world: World, event: journal.OrderRequested) -> None:
        """At its decision an order is alone in its token and inside every cap."""
        place = (event.account, event.token)
        assert place not in self.holds, "an order left while a hold stood"
        others = [
            r
            for i, r in self.requests.items()
            if (r.account, r.token) == place and self.states[i] in WORKING_STATES
        ]
        assert not others, "a second order for a token"
        self.requests[event.intent] = event
        self.states[event.intent] = "requested"
        ours = event.position_micro - event.kept_micro
        assert event.gap_micro == event.target_micro - ours - event.in_flight_micro
        assert event.position_micro == self.position(place)
        assert event.shares_micro % 10_000 == 0
        assert 0 < event.limit_micro < 1_000_000
        assert event.limit_micro % event.tick_micro == 0
        if event.side == "SELL":
            assert event.shares_micro <= min(-event.gap_micro, self.sellable(place))
            return
        assert event.shares_micro <= event.gap_micro
        terms = world.account(event.account).policy
        markets = world.state.plan.markets
        there = [outcome.token for outcome in markets.of(event.token).meta.outcomes]
        rate = markets.of(event.token).meta.fee_rate_micro
        assert with_fee(event.budget_micro, rate) <= terms.cap_trade_usd_micro
        invested = {t: self.invested((event.account, t), rate) for t in markets.condition_of}
        assert sum(invested[token] for token in there) <= terms.cap_market_usd_micro
        assert sum(invested.values()) <= terms.cap_account_usd_micro
        usd, spent_before = self.cash[event.account]
        left = usd - (self.spent(event.account) - spent_before)
        assert left >= sum(self.reserved((event.account, t), rate) for t in markets.condition_of)

    def invested(self, place: Place, rate_micro: int) -> Fraction:
        """Dollars at average cost, fees included, and all that orders may still spend."""
        live = [
            fill for trade, fill in self.paid.items() if self.fills.get(trade, ("",))[0] == place
        ]
        cost = Fraction(0) if place in self.settled else cost_of(live)
        return cost + self.reserved(place, rate_micro)

    def reserved(self, place: Place, rate_micro: int) -> int:
        """What the token's open buys may still spend, their fees included."""
        found = 0
        for intent, request in self.requests.items():
            mine = (request.account, request.token) == place and request.side == "BUY"
            if mine and self.states[intent] in WORKING_STATES:
                most = self.accepted.get(intent, request.budget_micro)
                found += with_fee(max(most - self.booked.get(intent, 0), 0), rate_micro)
        return found

    def spent(self, account: str) -> int:
        """Dollars that left an account for fills that did not fail, less what sales fetched."""
        live = {trade for trade, (place, _) in self.fills.items() if place[0] == account}
        return spent_on(fill for trade, fill in self.paid.items() if trade in live)

    def told(self, record: Record) -> None:
        """What a tape record says of our cash."""
        match record:
            case own.ReportAsked(about="balance"):
                self.asked[record.report] = self.spent(record.subject)
            case own.BalanceReport() if record.report in self.asked:
                self.cash[record.subject] = (record.usd_micro, self.asked[record.report])

    def check(self, world: World) -> None:
        """What must hold after every record."""
        self.checked += 1
        plan = world.state.plan
        assert {(n, t): h.reason for n, a in plan.accounts.items() for t, h in a.holds.items()} == (
            self.holds
        )
        for wallet, view in plan.leaders.items():
            for token, exposure in view.exposure.items():
                assert exposure == self.exposure.get((wallet, token), 0)
        for name, account in plan.accounts.items():
            places = {**dict.fromkeys(account.positions), **dict.fromkeys(account.working)}
            for view in plan.leaders.values():
                places.update(dict.fromkeys(view.exposure))
            for token in places:
                assert account.held_micro(token) == self.position((name, token))
                self.check_gap(world, name, token)
            open_states = [
                i
                for i, r in self.requests.items()
                if r.account == name and self.states[i] in WORKING_STATES
            ]
            assert sorted(open_states) == sorted(o.intent for o in account.unended())
            assert account.reserved_micro() >= 0

    def check_gap(self, world: World, name: str, token: str) -> None:
        """Every gap that is not below the band leads to a working order or a named hold."""
        plan, account = world.state.plan, world.account(name)
        market = plan.markets.of(token)
        if not account.active or (market is not None and market.payouts is not None):
            return
        shares = shares_of(account, plan.leaders, plan.markets, token)
        wanted = sum(share.shares_micro for share in shares)
        assert wanted >= 0
        ours = account.held_micro(token) - account.kept_micro(token)
        gap = wanted - ours - account.in_flight_micro(token)
        minimum = market.meta.min_shares_micro if market is not None else MIN_UNKNOWN
        due = abs(gap) >= band(wanted, plan.policy.band_micro, minimum) or (not wanted and gap < 0)
        answered = token in account.working or token in account.holds
        assert answered or not due or not gap, f"{name} {token}: a gap of {gap} leads to nothing"


def check_chain(world: World) -> None:
    """Numbers are contiguous in every topic, and each journal record names the one before."""
    numbers = {"journal": 0, "orders": 0, "watch": 0}
    prev = ""
    for sealed in world.sealed:
        envelope, _ = unseal(sealed.value)
        assert sealed.number == envelope.n == numbers[sealed.topic]
        numbers[sealed.topic] += 1
        assert 0 <= envelope.cause < len(world.tape)
        if sealed.topic == "journal":
            assert envelope.prev == prev
            prev = chain_hash(sealed.value)
