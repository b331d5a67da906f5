"""The join-and-size step: exposure joins liquidity, and every gap leads to an order or a hold.

World (observe): books, markets, feed health, our fills' and orders' records, reports, balance.
Decisions (evolve): what was booked, requested, held, corrected, settled. The window step's events
arrive with each record and are evolved here too. Orders never mean "copy this trade": they close
the gap between target and position plus what is in flight.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flows.core import booking, clock, following, ordering, progress, summary, watching, words
from flows.core.account import (
    HOLD_RECHECK_MS,
    AccountState,
    Leaders,
    LeaderView,
    Signal,
    lower_baselines,
)
from flows.core.clock import FoldClock
from flows.core.market import Markets
from flows.core.watching import Watching
from flows.core.words import Words
from schemas.policy import PolicyDocument
from schemas.records import journal, own
from schemas.records.base import Account, Record, Token, Wallet
from schemas.records.leader import LeaderFills, ReadDone
from schemas.records.market import BookEpoch, Depth, MarketClosed, MarketMeta, MarketResolved
from schemas.records.summary import Summary
from schemas.records.system import ConnectorStarted, Policy, Tick

SILENT = (Depth, LeaderFills, ReadDone, own.ReportAsked, own.PositionsReport, own.BalanceReport)
"""Kinds that `decide` has no case for, nineteen of twenty records: it need not be asked."""


@dataclass(slots=True)
class PlanState:
    """State of the join-and-size step. touched: what this record may have given a new gap."""

    clock: FoldClock = field(default_factory=FoldClock)
    policy: PolicyDocument = field(default_factory=PolicyDocument)
    version: int | None = None
    policy_offset: int | None = None
    words: Words = field(default_factory=Words)
    markets: Markets = field(default_factory=Markets)
    leaders: Leaders = field(default_factory=Leaders)
    accounts: dict[Account, AccountState] = field(default_factory=dict)
    watching: Watching = field(default_factory=Watching)
    summary_ms: int = 0
    touched: dict[tuple[Account, Token], None] = field(default_factory=dict)

    def touch(self, token: Token) -> None:
        """Every account may have a new gap in this token."""
        for name in self.accounts:
            self.touched[(name, token)] = None

    def touch_all(self) -> None:
        """Every gap there may be: policy or words changed for all tokens at once."""
        for view in self.leaders.values():
            for token in view.exposure:
                self.touch_market(token)
        for account in self.accounts.values():
            for token in (*account.positions, *account.holds):
                self.touch(token)

    def touch_market(self, token: Token) -> None:
        """The same for all outcomes of the token's market: pairs net each other."""
        for each in self.markets.pair(token):
            self.touch(each)


def observe(state: PlanState, offset: int, record: Record) -> None:
    """Fold one tape record into the world of this step."""
    if isinstance(record, Depth):  # four of five are; a book makes us want to see nothing
        _observe_depth(state, offset, record)
        return
    _observe_world(state, offset, record)
    watching.observe(state.watching, state.markets, record)


def _observe_depth(state: PlanState, offset: int, record: Depth) -> None:
    state.markets.observe_depth(offset, record)
    token = record.token
    for name, account in state.accounts.items():
        if token in account.holds:
            state.touched[(name, token)] = None


def _observe_world(state: PlanState, offset: int, record: Record) -> None:
    match record:
        case LeaderFills():
            return  # the window step says what comes of it
        case Tick():
            _observe_tick(state, record)
        case BookEpoch():
            state.markets.observe_epoch(record)
        case MarketMeta():
            state.markets.observe_meta(record)
            state.touch_market(record.outcomes[0].token)
        case MarketClosed() | MarketResolved():
            state.markets.observe_end(record)
        case ConnectorStarted():
            state.markets.observe_connector(record)
        case Policy():
            _observe_policy(state, offset, record)
        case own.ReportAsked() | own.PositionsReport() | own.BalanceReport():
            booking.observe_report(state.accounts, record)
        case own.OpenOrdersReport():
            booking.observe_open_orders(state.accounts, record)


def quiet(state: PlanState, record: Record) -> bool:
    """Whether `decide` would say nothing: nothing waits, and of such records it never does."""
    return not state.touched and not state.watching.wanted and isinstance(record, SILENT)


def decide(state: PlanState, offset: int, record: Record) -> Iterator[Record]:
    """Events that follow from the record; each is evolved before the next is drawn."""
    match record:
        case Policy():
            yield journal.PolicyAdopted(version=record.version)
        case own.OwnFill() if record.account in state.accounts:
            yield from booking.decide_fill(
                state.accounts[record.account], state.markets, state.policy, record
            )
            yield from booking.decide_audit(record.account, state.accounts[record.account])
            yield from booking.decide_settled(
                record.account, state.accounts[record.account], state.markets, record.condition
            )
        case own.OwnRedemption() if record.account in state.accounts:
            yield from booking.decide_redeemed(state.accounts[record.account], record)
        case own.OrderSigned() | own.OrderAnswered() | own.OrderExpired() | own.OrderAbsent() if (
            record.account in state.accounts
        ):
            yield from progress.decide_order(state.accounts[record.account], record)
        case MarketResolved() | MarketMeta():
            for name, account in state.accounts.items():
                yield from booking.decide_settled(name, account, state.markets, record.condition)
        case Tick():
            yield from clock.decide(state.clock)
            for name, account in state.accounts.items():
                yield from booking.decide_audit(name, account)
    for name, token in list(state.touched):
        yield from _decide_plan(state, offset, name, token)
    yield from watching.decide(state.watching)
    if isinstance(record, Tick) and _summary_due(state):
        yield summary.summarise(
            state.clock,
            state.policy,
            state.markets,
            state.leaders,
            state.accounts,
            summary.InForce(state.version, state.policy_offset, state.words),
        )


def evolve(state: PlanState, event: Record) -> None:
    """Take a decision in: this step's, the window step's, or the journal's in a rebuild."""
    watching.evolve(state.watching, state.markets, event)
    match event:
        case journal.WordAdopted():
            _evolve_word(state, event)
        case journal.NetDelta():
            _evolve_delta(state, event)
        case journal.ExposureRebased():
            _evolve_rebased(state, event)
        case journal.BaselineLowered():
            _lower_baselines(state, event.leader, event.token, event.exposure_micro)
        case journal.LeaderFollowed():
            state.leaders[event.leader] = LeaderView()
            following.begin_anew(state.accounts, event.leader)
            following.begin(state.accounts, state.leaders, state.clock.now_ms)
        case journal.LeaderUnfollowed():
            for token in state.leaders.leave(event.leader).exposure:
                state.touch_market(token)
        case journal.LeaderMarked():
            state.leaders[event.leader].incomplete = None if event.complete else event.reason
        case journal.PolicyAdopted():
            state.version = event.version
        case journal.PositionCorrected():
            _evolve_corrected(state, event)
        case journal.OrderRequested():
            account = state.accounts[event.account]
            progress.evolve_requested(account, event, state.markets)
            account.holds.pop(event.token, None)
        case journal.OrderHeld():
            ordering.evolve_held(state.accounts[event.account], event, state.clock)
        case journal.HoldEnded():
            state.accounts[event.account].holds.pop(event.token, None)
        case journal.OrderProgress():
            progress.evolve_progress(
                state.accounts[event.account], event, state.clock.now_ms, state.policy
            )
            state.touched[(event.account, event.token)] = None
        case journal.FillBooked():
            booking.evolve_booked(
                state.accounts[event.account], event, state.clock.now_ms, state.policy
            )
            state.touched[(event.account, event.token)] = None
        case journal.FillSettled():
            booking.evolve_settled(state.accounts[event.account], event, state.clock.now_ms)
            state.touched[(event.account, event.token)] = None
        case journal.Alarm(name="settlement_contradicted"):
            account_name = Account(event.subject)
            token = booking.evolve_contradicted(
                state.accounts[account_name], event, state.clock.now_ms
            )
            state.touched[(account_name, token)] = None
        case journal.Alarm():
            booking.evolve_alarm(state.accounts, event)
        case journal.PositionSettled():
            booking.evolve_position_settled(state.accounts[event.account], event)
            state.touched[(event.account, event.token)] = None
        case journal.PositionRedeemed():
            booking.evolve_redeemed(state.accounts[event.account], event)
        case Summary():
            state.summary_ms = event.now_ms
            for account in state.accounts.values():
                booking.forget_history(account, event.now_ms)


def _observe_tick(state: PlanState, tick: Tick) -> None:
    state.clock.observe(tick, state.policy.clock_jump_ms)
    now_ms = state.clock.now_ms
    for name, account in state.accounts.items():
        for token, hold in account.holds.items():
            if now_ms >= hold.again_ms:
                hold.again_ms = now_ms + HOLD_RECHECK_MS
                state.touched[(name, token)] = None
        booking.observe_audit(account, state.markets, state.clock, state.policy)


def _observe_policy(state: PlanState, offset: int, record: Policy) -> None:
    state.policy, state.policy_offset = record.document, offset
    following.adopt_policy(state.accounts, record.document, state.words)
    following.begin(state.accounts, state.leaders, state.clock.now_ms)
    state.touch_all()


def _evolve_word(state: PlanState, event: journal.WordAdopted) -> None:
    words.evolve(state.words, event)
    if event.word in ("Follow", "Unfollow"):
        following.adopt_word(state.accounts, state.policy, state.words, event)
        following.begin(state.accounts, state.leaders, state.clock.now_ms)
    state.touch_all()


def _evolve_delta(state: PlanState, event: journal.NetDelta) -> None:
    view = state.leaders[event.leader]
    _move_exposure(state, event.leader, event.token, event.shares_micro)
    if event.bought_micro:
        price = event.bought_cash_micro * 1_000_000 // event.bought_micro
        view.signals[event.token] = Signal(price, event.last_venue_ms, event.last_recv_ns)
    pair = state.markets.pair(event.token)
    if event.sold_micro and len(pair) == 2:
        # Selling one outcome is paying one less its price for the other.
        other = pair[1 - pair.index(event.token)]
        fetched = event.bought_cash_micro - event.cash_micro
        price = 1_000_000 - fetched * 1_000_000 // event.sold_micro
        view.signals[other] = Signal(price, event.last_venue_ms, event.last_recv_ns)


def _move_exposure(state: PlanState, leader: Wallet, token: Token, shares_micro: int) -> None:
    state.leaders.move(leader, token, shares_micro)
    state.touch_market(token)


def _lower_baselines(state: PlanState, leader: Wallet, token: Token, exposure_micro: int) -> None:
    for account in state.accounts.values():
        lower_baselines(account, leader, token, exposure_micro)
    state.touch_market(token)


def _evolve_rebased(state: PlanState, event: journal.ExposureRebased) -> None:
    """What was there before the follow moves exposure and baseline alike, so no target."""
    state.leaders.move(event.leader, event.token, event.shares_micro)
    for account in state.accounts.values():
        his = account.follows(event.leader)
        base = account.baseline.get(event.leader)
        if base is not None and (his is None or his.terms.start == "now"):
            base[event.token] = base.get(event.token, 0) + event.shares_micro
    state.touch_market(event.token)


def _evolve_corrected(state: PlanState, event: journal.PositionCorrected) -> None:
    leader = Wallet(event.subject)
    if leader in state.leaders:
        _move_exposure(state, leader, event.token, event.shares_micro)
        exposure = state.leaders[leader].exposure[event.token]
        _lower_baselines(state, leader, event.token, exposure)
        return
    account = state.accounts[Account(event.subject)]
    position = account.position(event.token, event.condition)
    if not position.shares_micro:
        position.since_ms = state.clock.now_ms
    if event.taken_back:
        position.take_back(event.shares_micro)
    else:
        position.correct(
            event.shares_micro,
            opening=event.opening,
            coming_micro=account.coming_micro(event.token, event.shares_micro),
        )
    account.audit.take(event)
    state.touched[(Account(event.subject), event.token)] = None


def _decide_plan(state: PlanState, offset: int, name: Account, token: Token) -> Iterator[Record]:
    account = state.accounts[name]
    if not account.active or token in account.working:
        return
    yield from ordering.decide(
        ordering.Question(
            offset=offset,
            name=name,
            token=token,
            account=account,
            clock=state.clock,
            policy=state.policy,
            markets=state.markets,
            leaders=state.leaders,
            words=state.words,
        )
    )


def _summary_due(state: PlanState) -> bool:
    return state.clock.now_ms - state.summary_ms >= state.policy.summary_every_ms
