"""The window step: what leaders did becomes net deltas of their exposure, and is audited.

World (observe): the followed wallets' fill groups, moves, and reports. Decisions (evolve): open
windows closed, fills withdrawn, differences found. Downstream sees only this step's events.
Never here: prices, our positions, orders.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flows.core import words
from flows.core.clock import FoldClock
from flows.core.corrections import Finding
from flows.core.fills import Delta, LeaderGroups
from flows.core.market import Markets
from flows.core.proven import Proven
from flows.core.reconcile import SECOND_MS, is_late
from flows.core.subjects import Subject
from flows.core.window import Window, closed
from flows.core.words import Words
from schemas.policy import PolicyDocument
from schemas.records import journal
from schemas.records.base import Condition, Group, Record, Token, Wallet
from schemas.records.leader import LeaderFills, LeaderIncomplete, LeaderMove, ReadDone
from schemas.records.market import MarketClosed, MarketMeta, MarketResolved
from schemas.records.operator import Follow, Halt, Resume, Unfollow
from schemas.records.own import PositionsReport, ReportAsked
from schemas.records.system import Policy, Tick

MOVES_MAX = 100_000


@dataclass(slots=True)
class LeaderState:
    """One followed wallet. earlier: deltas from before he was followed, not yet an event."""

    since_ms: int
    groups: LeaderGroups = field(default_factory=LeaderGroups)
    moves: dict[Group, dict[Token, int]] = field(default_factory=dict)
    windows: dict[Token, Window] = field(default_factory=dict)
    earlier: list[Delta] = field(default_factory=list)
    proven: Proven = field(default_factory=Proven)
    audit: Subject = field(default_factory=Subject)
    incomplete: str | None = None
    incomplete_since_ms: int = 0


@dataclass(slots=True)
class LeadersState:
    """State of the window step: clock, policy and words in force, markets (for ends), leaders."""

    clock: FoldClock = field(default_factory=FoldClock)
    policy: PolicyDocument = field(default_factory=PolicyDocument)
    words: Words = field(default_factory=Words)
    markets: Markets = field(default_factory=Markets)
    leaders: dict[Wallet, LeaderState] = field(default_factory=dict)
    marks: dict[Wallet, str] = field(default_factory=dict)


def observe(state: LeadersState, offset: int, record: Record) -> None:
    """Fold one tape record into the world of this step."""
    match record:
        case LeaderFills():
            _observe_fills(state, record)
        case Tick():
            state.clock.observe(record, state.policy.clock_jump_ms)
            _observe_audits(state)
        case Policy():
            state.policy = record.document
            for known in state.leaders.values():
                known.proven.follow_again()
        case LeaderMove():
            _observe_move(state, record)
        case ReadDone() if (leader := state.leaders.get(record.leader)) is not None:
            if record.source == "trades":
                leader.groups.observe_read(
                    record, state.policy.forget_after_ms, state.policy.withdraw_after_ms
                )
            leader.proven.read(record.source)
        case LeaderIncomplete() if (leader := state.leaders.get(record.leader)) is not None:
            leader.incomplete = record.reason
            leader.incomplete_since_ms = state.clock.now_ms
        case ReportAsked() if (leader := state.leaders.get(Wallet(record.subject))) is not None:
            leader.audit.observe_asked(record)
        case PositionsReport() if (leader := state.leaders.get(Wallet(record.subject))) is not None:
            leader.audit.observe_report(record)
        case MarketMeta():
            state.markets.observe_meta(record)
        case MarketClosed() | MarketResolved():
            state.markets.observe_end(record)


def quiet(state: LeadersState, record: Record) -> bool:
    """Whether `decide` would say nothing: a fill that waits in its window, as nearly all do."""
    if not isinstance(record, LeaderFills):
        return False
    leader = state.leaders.get(record.leader)
    return leader is None or not leader.earlier


def decide(state: LeadersState, offset: int, record: Record) -> Iterator[Record]:
    """Events that follow from the record; each is evolved before the next is drawn."""
    match record:
        case LeaderFills() | LeaderMove():
            yield from _decide_earlier(state, record.leader)
        case Policy():
            yield from _decide_followed(state)
        case Follow() | Unfollow() | Halt() | Resume():
            yield from words.decide(state.words, state.policy, offset, record)
            yield from _decide_followed(state)
        case ReadDone() if record.leader in state.leaders:
            yield from _decide_withdrawn(state, record.leader)
            yield from _decide_earlier(state, record.leader)
            yield from _decide_lows(record.leader, state.leaders[record.leader])
        case LeaderIncomplete() if record.leader in state.leaders:
            if record.leader not in state.marks:
                yield journal.LeaderMarked(
                    leader=record.leader, complete=False, reason=record.reason
                )
        case Tick():
            if state.clock.ticks == 1:
                # A policy that stood on the tape before any time did: nobody is followed since 0.
                yield from _decide_followed(state)
            yield from _decide_windows(state)
            for wallet, leader in state.leaders.items():
                if leader.proven.lows:
                    yield from _decide_lows(wallet, leader)
                if leader.audit.findings or wallet in state.marks:
                    yield from _decide_audit(wallet, leader, wallet in state.marks)


def evolve(state: LeadersState, event: Record) -> None:
    """Take a decision in: made now, or read from the journal by a rebuild."""
    match event:
        case journal.WordAdopted():
            words.evolve(state.words, event)
            leader = state.leaders.get(Wallet(event.subject))
            if event.word == "Follow" and leader is not None:
                leader.proven.follow_again()
        case journal.LeaderFollowed():
            state.leaders[event.leader] = LeaderState(since_ms=event.since_ms)
        case journal.LeaderUnfollowed():
            del state.leaders[event.leader]
            state.marks.pop(event.leader, None)
        case journal.LeaderMarked() if event.complete:
            state.marks.pop(event.leader, None)
        case journal.LeaderMarked():
            state.marks[event.leader] = event.reason
        case journal.NetDelta():
            del state.leaders[event.leader].windows[event.token]
        case journal.ExposureRebased() if event.reason == "earlier_fill":
            del state.leaders[event.leader].earlier[0]
        case journal.ExposureRebased():
            state.leaders[event.leader].audit.opened(event.token, event.shares_micro)
            state.leaders[event.leader].proven.rebase(event.token, event.shares_micro)
        case journal.BaselineLowered():
            state.leaders[event.leader].proven.said(event.token)
        case journal.PositionCorrected() if (
            leader := state.leaders.get(Wallet(event.subject))
        ) is not None:
            leader.audit.take(event)
            leader.proven.rebase(event.token, event.shares_micro)
        case journal.LeaderFillWithdrawn():
            _evolve_withdrawn(state, event)


def _observe_fills(state: LeadersState, record: LeaderFills) -> None:
    leader = state.leaders.get(record.leader)
    if leader is None:
        return
    delta = leader.groups.observe(record)
    if delta is not None:
        # A total that shrinks is a frame told twice, not a trade the other way.
        grew = delta.shares_micro > 0 if record.side == "BUY" else delta.shares_micro < 0
        _take(state, leader, delta, record.recv_ns, traded=grew)


def _observe_move(state: LeadersState, record: LeaderMove) -> None:
    """A split, merge or redemption is a total too: the newest answer replaces."""
    leader = state.leaders.get(record.leader)
    if leader is None:
        return
    before = leader.moves.get(record.group, {})
    leader.moves[record.group] = record.delta_micro
    while len(leader.moves) > MOVES_MAX:
        del leader.moves[next(iter(leader.moves))]
    for token in {**before, **record.delta_micro}:
        shares = record.delta_micro.get(token, 0) - before.get(token, 0)
        if shares:
            delta = Delta(token, record.condition, shares, 0, record.venue_ms, shares)
            _take(state, leader, delta, record.recv_ns, traded=False)


def _take(
    state: LeadersState, leader: LeaderState, delta: Delta, recv_ns: int, *, traded: bool
) -> None:
    """A delta enters the audit by venue time, and a window unless it is from before the follow."""
    if leader.audit.opened_with(delta.venue_ms, state.policy.leader_report_lag_ms):
        return  # the opening report counted it
    earlier = delta.venue_ms // SECOND_MS < leader.since_ms // SECOND_MS
    (leader.proven.rebase if earlier else leader.proven.move)(delta.token, delta.stated_micro)
    if not delta.shares_micro and not delta.cash_micro:
        return
    late = is_late(delta.venue_ms, state.clock.now_ms, state.policy.fills_lag_ms)
    leader.audit.move(delta.token, delta.condition, delta.shares_micro, delta.venue_ms, late=late)
    if earlier:
        leader.earlier.append(delta)
        return
    now_ms = state.clock.now_ms
    window = leader.windows.setdefault(delta.token, Window(delta.condition, now_ms, now_ms))
    window.add(delta, now_ms, recv_ns, traded)


def _decide_followed(state: LeadersState) -> Iterator[Record]:
    if not state.clock.ticks:
        return  # nobody is followed before there is any time
    wanted = dict.fromkeys(
        each.leader
        for account in state.policy.accounts
        for each in words.followed(state.policy, account, state.words)
    )
    for wallet in [w for w in state.leaders if w not in wanted]:
        yield journal.LeaderUnfollowed(leader=wallet)
    for wallet in wanted:
        if wallet not in state.leaders:
            yield journal.LeaderFollowed(leader=wallet, since_ms=state.clock.now_ms)


def _decide_earlier(state: LeadersState, wallet: Wallet) -> Iterator[Record]:
    leader = state.leaders.get(wallet)
    while leader is not None and leader.earlier:
        delta = leader.earlier[0]
        yield journal.ExposureRebased(
            leader=wallet,
            token=delta.token,
            condition=delta.condition,
            shares_micro=delta.shares_micro,
            reason="earlier_fill",
        )


def _decide_withdrawn(state: LeadersState, wallet: Wallet) -> Iterator[Record]:
    leader = state.leaders[wallet]
    for group_id, first, second in list(leader.groups.withdrawable):
        group = leader.groups.groups[group_id]
        yield journal.LeaderFillWithdrawn(
            leader=wallet,
            group=group_id,
            token=group.token,
            side=group.side,
            shares_micro=group.shares_micro,
            answers=(first, second),
        )


def _evolve_withdrawn(state: LeadersState, event: journal.LeaderFillWithdrawn) -> None:
    leader = state.leaders[event.leader]
    delta = leader.groups.withdraw(event.group)
    if delta is not None:
        _take(state, leader, delta, 0, traded=False)


def _decide_windows(state: LeadersState) -> Iterator[Record]:
    now_ms, policy = state.clock.now_ms, state.policy
    quiet_ms, most_ms = policy.quiet_ms, policy.net_window_ms
    due = [
        (wallet, token, window)
        for wallet, leader in state.leaders.items()
        if leader.windows
        for token, window in leader.windows.items()
        if window.due(now_ms, quiet_ms, most_ms)
    ]
    for wallet, token, window in due:
        yield closed(wallet, token, window, now_ms)


def _decide_lows(wallet: Wallet, leader: LeaderState) -> Iterator[Record]:
    """A proven fall lowers baselines when no window holds back what belongs to it."""
    for token, exposure in leader.proven.due():
        if token not in leader.windows:
            yield journal.BaselineLowered(leader=wallet, token=token, exposure_micro=exposure)


def _observe_audits(state: LeadersState) -> None:
    """Judge at most one waiting report of each leader: a correction comes before the next."""
    now_ms, policy = state.clock.now_ms, state.policy
    for leader in (each for each in state.leaders.values() if each.audit.waiting):
        for waiting in leader.audit.due(now_ms, policy.fills_lag_ms)[:1]:
            skip = [t for t in leader.audit.rebuilt if state.markets.resolved(t)]
            skip += [r.token for r in waiting.report.rows if state.markets.resolved(r.token)]
            agreed = leader.audit.judge(waiting, now_ms, policy.leader_report_lag_ms, skip)
            if agreed and waiting.asked_ms > leader.incomplete_since_ms:
                leader.incomplete = None


def _decide_audit(wallet: Wallet, leader: LeaderState, marked: bool) -> Iterator[Record]:
    """Corrections of what reports proved; never for a wallet as a whole, always per token."""
    for finding in list(leader.audit.findings):
        condition = leader.audit.condition_of[finding.token]
        if finding.opening:
            yield journal.ExposureRebased(
                leader=wallet,
                token=finding.token,
                condition=condition,
                shares_micro=finding.proof.nearest_to_zero,
                reason="opening",
            )
            continue
        if finding.taken_back and finding.token in leader.windows:
            continue  # with the movement that explains it, lest exposure fall before it rises
        yield from corrected(wallet, condition, finding)
    if marked and leader.incomplete is None:
        yield journal.LeaderMarked(leader=wallet, complete=True, reason="report_agrees")


def corrected(subject: str, condition: Condition, finding: Finding) -> Iterator[Record]:
    """A correction with its evidence before it; an opening and what is taken back are no drift."""
    if not finding.opening and not finding.taken_back:
        yield journal.DriftFound(
            subject=subject,
            token=finding.token,
            low_micro=finding.proof.low_micro,
            high_micro=finding.proof.high_micro,
            reports=finding.reports,
        )
    yield journal.PositionCorrected(
        subject=subject,
        token=finding.token,
        condition=condition,
        shares_micro=finding.proof.nearest_to_zero,
        reports=finding.reports,
        opening=finding.opening,
        taken_back=finding.taken_back,
    )
