"""One gap, one answer: an order with all it rested on, or a named hold; never neither.

target - (position - kept) - in flight is the gap; kept is what we hold and is not ours to sell.
Inside the band nothing happens. Outside it the gates are asked in order, then the size is the
least of the bounds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flows.core import gates
from flows.core.account import (
    HOLD_RECHECK_MS,
    AccountState,
    Hold,
    Leaders,
    Share,
    shares_of,
)
from flows.core.clock import FoldClock
from flows.core.market import Book, Market, Markets
from flows.core.sizing import Held, Sized, Terms, band, size_buy, size_sell
from flows.core.slippage import Fee
from flows.core.words import Words
from schemas.codec import decode_levels
from schemas.policy import PolicyDocument
from schemas.records.base import Account, Intent, Record, Token, Wallet
from schemas.records.journal import HoldEnded, OrderHeld, OrderRequested
from schemas.units import ceil_div, floor_mul

MIN_SHARES_UNKNOWN = 5_000_000
"""The venue's usual minimum (API reference 6.5), for judging a gap before its market is known."""


@dataclass(frozen=True, slots=True)
class Question:
    """One account and token to be planned, and everything the answer may rest on."""

    offset: int
    name: Account
    token: Token
    account: AccountState
    clock: FoldClock
    policy: PolicyDocument
    markets: Markets
    leaders: Leaders
    words: Words


@dataclass(frozen=True, slots=True)
class Gap:
    """Where we should be, where we are, and what is missing. kept: held, and not ours to sell."""

    target_micro: int
    position_micro: int
    kept_micro: int
    in_flight_micro: int
    shares: list[Share]

    @property
    def micro(self) -> int:
        """Signed shares to buy (+) or sell (-)."""
        ours = self.position_micro - self.kept_micro
        return self.target_micro - ours - self.in_flight_micro


def gap_of(question: Question) -> Gap:
    """The gap as it stands; a resolved market has none."""
    account, token = question.account, question.token
    shares = shares_of(account, question.leaders, question.markets, token)
    return Gap(
        target_micro=sum(share.shares_micro for share in shares),
        position_micro=account.held_micro(token),
        kept_micro=account.kept_micro(token),
        in_flight_micro=account.in_flight_micro(token),
        shares=shares,
    )


def decide(question: Question) -> Iterator[Record]:
    """Events of one gap: a request, a new or changed hold, the end of a hold, or nothing."""
    gap = gap_of(question)
    answer = _answer(question, gap)
    standing = question.account.holds.get(question.token)
    if isinstance(answer, Held):
        if standing is None or standing.reason != answer.reason:
            if standing is not None:
                yield _hold_ended(question, standing)
            yield OrderHeld(
                account=question.name,
                token=question.token,
                reason=answer.reason,
                target_micro=gap.target_micro,
                position_micro=gap.position_micro,
                gap_micro=gap.micro,
                numbers=answer.numbers,
                kept_micro=gap.kept_micro,
            )
        return
    if standing is not None:
        yield _hold_ended(question, standing)
    if answer is not None:
        yield answer


def evolve_held(account: AccountState, event: OrderHeld, clock: FoldClock) -> None:
    """The hold stands; it is looked at again soon and at every Depth of the token."""
    again_ms = clock.now_ms + HOLD_RECHECK_MS
    account.holds[event.token] = Hold(event.reason, clock.now_ms, clock.ticks, again_ms)


def _hold_ended(question: Question, hold: Hold) -> HoldEnded:
    return HoldEnded(
        account=question.name,
        token=question.token,
        reason=hold.reason,
        count=question.clock.ticks - hold.since_ticks,
        for_ms=question.clock.now_ms - hold.since_ms,
    )


def _answer(question: Question, gap: Gap) -> OrderRequested | Held | None:
    market = question.markets.of(question.token)
    if market is not None and market.payouts is not None:
        return None
    minimum = market.meta.min_shares_micro if market is not None else MIN_SHARES_UNKNOWN
    exit_all = gap.target_micro == 0 and gap.micro < 0
    inside = abs(gap.micro) < band(gap.target_micro, question.policy.band_micro, minimum)
    if not gap.micro or (inside and not exit_all):
        return None
    found = _gated(question, gap, market)
    if isinstance(found, Held):
        return found
    known_market, book = found
    sized = _sized(question, gap, known_market, book)
    return (
        sized if isinstance(sized, Held) else _requested(question, gap, known_market, book, sized)
    )


def _gated(question: Question, gap: Gap, market: Market | None) -> tuple[Market, Book] | Held:
    refusal = gates.halt_gate(
        question.words, question.name, question.account, question.leaders, question.token
    ) or gates.market_gate(market)
    if refusal is not None or market is None:
        return refusal or Held("market_unknown", {})
    book = gates.book_gate(question.clock, question.policy, question.markets, question.token)
    if isinstance(book, Held):
        return book
    refusal = gates.account_gate(
        question.clock, question.policy, question.name, question.account, question.token
    )
    if refusal is None and gap.micro > 0:
        refusal = gates.fee_gate(market) or gates.increase_gate(
            question.clock,
            question.policy,
            question.name,
            question.account,
            question.leaders,
            gap.shares,
            question.token,
        )
    return refusal or (market, book)


def _sized(question: Question, gap: Gap, market: Market, book: Book) -> Sized | Held:
    bids, asks = decode_levels(book.depth.bids), decode_levels(book.depth.asks)
    refusal = gates.levels_gate(bids, asks)
    if refusal is not None:
        return refusal
    terms = _terms(question.policy, market, book)
    if gap.micro < 0:
        sellable = question.account.sellable_micro(question.token)
        return size_sell(-gap.micro, sellable, bids, terms)
    sized = size_buy(gap.micro, asks, terms, _caps_left(question, gap, market))
    if isinstance(sized, Held):
        return _with_unpriced(question.account, sized)
    return (
        gates.signal_gate(
            question.clock,
            question.policy,
            question.account,
            question.leaders,
            gap.shares,
            question.token,
            sized.walk.avg_micro,
        )
        or sized
    )


def _with_unpriced(account: AccountState, held: Held) -> Held:
    """A cap that bites may do so for shares that reports found; then the numbers say so."""
    usd = sum(position.unpriced_usd_micro for position in account.positions.values())
    if not usd or not held.reason.startswith("bound_cap"):
        return held
    return replace(held, numbers={**held.numbers, "unpriced_usd_micro": usd})


def _terms(policy: PolicyDocument, market: Market, book: Book) -> Terms:
    return Terms(
        tick_micro=book.depth.tick_micro,
        min_shares_micro=market.meta.min_shares_micro,
        min_order_usd_micro=policy.min_order_usd_micro,
        slippage_micro=policy.slippage_micro,
        depth_share_micro=policy.depth_share_micro,
        fee=Fee(market.meta.fee_rate_micro, market.meta.fee_exponent),
    )


def _caps_left(question: Question, gap: Gap, market: Market) -> list[tuple[str, int]]:
    """Named dollars, fee included, that each cap still allows this order."""
    account, terms = question.account, question.account.policy
    invested = account.invested()
    in_market = sum(invested.get(outcome.token, 0) for outcome in market.meta.outcomes)
    caps = [
        ("cap_trade", terms.cap_trade_usd_micro),
        ("cap_market", terms.cap_market_usd_micro - in_market),
        ("cap_account", terms.cap_account_usd_micro - sum(invested.values())),
        ("cash", account.available_cash_micro() or 0),
    ]
    used = _invested_by_leader(question, invested, [share.leader for share in gap.shares])
    for share in gap.shares:
        left = max(share.cap_usd_micro - used.get(share.leader, 0), 0)
        # He stands behind his part of the target only, so the whole order may be that much larger.
        caps.append((f"cap_leader:{share.leader}", left * gap.target_micro // share.shares_micro))
    return caps


def _invested_by_leader(
    question: Question, invested: dict[Token, int], wallets: list[Wallet]
) -> dict[Wallet, int]:
    """Dollars at cost and in flight that stand for these leaders, by their part of each target.

    What is held beyond the target (an exit that is held, or under way) was bought for somebody
    who wants it no longer: it stands for everybody who ever moved in that market.
    """
    used = dict.fromkeys(wallets, 0)
    for token in _shared_with(question, invested, wallets):
        usd = invested.get(token, 0)
        if not usd:
            continue
        account = question.account
        shares = shares_of(account, question.leaders, question.markets, token)
        part_of = {share.leader: share.shares_micro for share in shares}
        whole = sum(part_of.values())
        ours = account.held_micro(token) - account.kept_micro(token)
        left = max(ours + account.in_flight_micro(token) - whole, 0)
        movers = question.leaders.movers_of(question.markets.pair(token))
        for wallet in (each for each in wallets if each in movers):
            part = part_of.get(wallet, 0) + left
            used[wallet] += floor_mul(usd, ceil_div(part, whole + left)) if part else 0
    return used


def _shared_with(
    question: Question, invested: dict[Token, int], wallets: list[Wallet]
) -> dict[Token, None]:
    """Tokens of the markets that these leaders moved in, at least those with anything invested.

    Looked for where there are fewer, so that an order does not cost more with every position.
    """
    pair = question.markets.pair
    theirs = [question.leaders[wallet].exposure for wallet in wallets]
    if sum(map(len, theirs)) < len(invested):
        return {each: None for moved in theirs for token in moved for each in pair(token)}
    return {
        token: None
        for token, usd in invested.items()
        if usd and any(each in moved for each in pair(token) for moved in theirs)
    }


def _requested(
    question: Question, gap: Gap, market: Market, book: Book, sized: Sized
) -> OrderRequested:
    now_ms = question.clock.now_ms
    signals = [
        signal
        for share in gap.shares
        if (signal := question.leaders[share.leader].signals.get(question.token)) is not None
    ]
    newest = max(signals, key=lambda signal: signal.venue_ms) if signals else None
    return OrderRequested(
        intent=Intent(f"{question.name}:{question.offset}:{question.account.totals.orders}"),
        account=question.name,
        token=question.token,
        condition=market.meta.condition,
        side=sized.side,
        limit_micro=sized.limit_micro,
        shares_micro=sized.shares_micro,
        budget_micro=sized.budget_micro,
        tick_micro=book.depth.tick_micro,
        neg_risk=market.meta.neg_risk,
        valid_until_ms=now_ms + question.policy.order_ttl_ms,
        now_ms=now_ms,
        target_micro=gap.target_micro,
        position_micro=gap.position_micro,
        in_flight_micro=gap.in_flight_micro,
        gap_micro=gap.micro,
        bound=sized.bound,
        bounds=sized.bounds,
        touch_micro=sized.walk.touch_micro,
        avg_micro=sized.walk.avg_micro,
        fee_micro=sized.walk.fee_micro,
        epoch=book.depth.epoch,
        depth_offset=book.offset,
        depth_age_ms=max(now_ms - book.depth.as_of_ms, 0),
        signal_age_ms=now_ms - newest.venue_ms if newest is not None else None,
        signal_recv_ns=newest.recv_ns if newest is not None else None,
        kept_micro=gap.kept_micro,
    )
