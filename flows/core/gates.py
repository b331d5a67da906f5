"""The refusal ladder: why a gap leads to no order now, in order of precedence.

Every refusal is a value with the numbers behind it. The first part stops any order, the second
only increases: what we hold may always be reduced when its own inputs are sound.
"""

from flows.core.account import AccountState, LeaderView, Share
from flows.core.clock import FoldClock, producer_of
from flows.core.market import Book, Market, Markets
from flows.core.sizing import Held
from flows.core.slippage import Levels
from flows.core.words import Words
from schemas.policy import PolicyDocument
from schemas.records.base import Account, Token, Wallet

LEADER_FEEDS = ("trades", "activity")
OWN_FEED = "own_trades"
BALANCE_FEED = "own_balance"


def halt_gate(
    words: Words,
    name: Account,
    account: AccountState,
    leaders: dict[Wallet, LeaderView],
    token: Token,
) -> Held | None:
    """Whether an operator's word stops this gap, up or down; the numbers are its tape offsets.

    A halted leader stops every token that he has or had something in since he was followed: an
    operator who stops him wants nothing done at his behest, a sale no more than a buy.
    """
    if not words.halts:
        return None
    found = {
        "halt_account_offset": words.halted("account", name, name),
        "halt_token_offset": words.halted("token", token, name),
    }
    for each in account.followed:
        view = leaders.get(each.leader)
        if view is not None and token in view.exposure:
            offset = words.halted("leader", each.leader, name)
            found["halt_leader_offset"] = found.get("halt_leader_offset") or offset
    numbers = {key: offset for key, offset in found.items() if offset is not None}
    return Held("halted", numbers) if numbers else None


def market_gate(market: Market | None) -> Held | None:
    """Whether the market is known and takes orders."""
    if market is None:
        return Held("market_unknown", {})
    if market.closed is not None:
        return Held("market_closed", {})
    if not market.meta.accepting:
        return Held("market_not_accepting", {})
    return None


def fee_gate(market: Market) -> Held | None:
    """Whether a buy's fee stays below rate times cash, which is what caps and cash reserve for it.

    It does for every exponent from 1 on; the venue's schedules have 1 (API reference 14).
    """
    rate, exponent = market.meta.fee_rate_micro, market.meta.fee_exponent
    if rate and exponent < 1:
        return Held("fee_unbounded", {"rate_micro": rate, "exponent": exponent})
    return None


def book_gate(
    clock: FoldClock, policy: PolicyDocument, markets: Markets, token: Token
) -> Book | Held:
    """The book to price with, or why none can be trusted."""
    epochs = markets.epochs.get(token)
    book = epochs.newest() if epochs is not None else None
    if book is None:
        return Held(f"book_{epochs.ended if epochs is not None else 'not_seen'}", {})
    producer = producer_of(book.depth.epoch)
    age_ms = clock.producer_feed_age_ms(producer, "market", policy.producer_silence_ms)
    if age_ms is None:
        return Held("market_feed_down", {})
    if age_ms > policy.market_feed_max_age_ms:
        return Held("market_feed_stale", {"age_ms": age_ms})
    return book


def levels_gate(bids: Levels, asks: Levels) -> Held | None:
    """Whether the book has two sides that do not cross."""
    if not bids or not asks:
        return Held("one_sided", {"bids": len(bids), "asks": len(asks)})
    if bids[0][0] >= asks[0][0]:
        return Held("crossed", {"bid_micro": bids[0][0], "ask_micro": asks[0][0]})
    return None


def account_gate(
    clock: FoldClock, policy: PolicyDocument, name: Account, account: AccountState, token: Token
) -> Held | None:
    """Whether we know our own state well enough to send anything for this token.

    The feed must be this account's: another's in the shard says nothing of our fills.
    """
    if account.halted is not None:
        return Held("account_halted", {})
    age_ms = clock.feed_age_ms(OWN_FEED, policy.producer_silence_ms, name)
    if age_ms is None:
        return Held("account_feed_down", {})
    if age_ms > policy.account_feed_max_age_ms:
        return Held("account_feed_stale", {"age_ms": age_ms})
    if token in account.foreign:
        return Held("foreign_order", {"shares_micro": account.foreign[token]})
    retry = account.retries.get(token)
    if retry is not None and clock.now_ms < retry.until_ms:
        return Held("retry_wait", {"failures": retry.failures})
    return None


def increase_gate(
    clock: FoldClock,
    policy: PolicyDocument,
    name: Account,
    account: AccountState,
    leaders: dict[Wallet, LeaderView],
    shares: list[Share],
    token: Token,
) -> Held | None:
    """What stops only an increase: doubtful time, an unaudited account, a half-read leader."""
    if not clock.agreed(policy.clock_jump_ms):
        return Held("clock_jump", {})
    if account.audit.opened_by is None or token in account.audit.opening:
        return Held("account_unopened", {})
    doubt = account.audit.doubts.get(token)
    if doubt is not None:
        age_ms = clock.now_ms - doubt.since_ms
        return Held(
            "settlement_contradicted", {"shares_micro": doubt.least_micro, "age_ms": age_ms}
        )
    refusal = _balance_gate(clock, policy, name, account)
    if refusal is not None:
        return refusal
    if any(leaders[share.leader].incomplete is not None for share in shares):
        return Held("leader_incomplete", {})
    ages = [clock.feed_age_ms(name, policy.producer_silence_ms) for name in LEADER_FEEDS]
    known = [age for age in ages if age is not None]
    if not known or min(known) > policy.leader_feed_max_age_ms:
        return Held("leader_feed_stale", {"age_ms": min(known)} if known else {})
    return _reconcile_gate(clock, policy, account, token)


def _balance_gate(
    clock: FoldClock, policy: PolicyDocument, name: Account, account: AccountState
) -> Held | None:
    """Whether cash is known, by a feed that is fresh and a value that is: each may be old alone."""
    if account.cash.usd_micro is None:
        return Held("balance_unknown", {})
    value_age_ms = max(clock.now_ms - account.cash.as_of_ms, 0)
    age_ms = clock.feed_age_ms(BALANCE_FEED, policy.producer_silence_ms, name)
    if age_ms is None:
        return Held("balance_feed_down", {"value_age_ms": value_age_ms})
    if max(age_ms, value_age_ms) > policy.account_feed_max_age_ms:
        return Held("balance_stale", {"age_ms": age_ms, "value_age_ms": value_age_ms})
    return None


def _reconcile_gate(
    clock: FoldClock, policy: PolicyDocument, account: AccountState, token: Token
) -> Held | None:
    position = account.positions.get(token)
    if position is None or not position.shares_micro:
        return None
    since_ms = max(account.audit.confirmed_ms.get(token, 0), position.since_ms)
    age_ms = clock.now_ms - since_ms
    return (
        Held("reconcile_due", {"age_ms": age_ms}) if age_ms > policy.reconcile_max_age_ms else None
    )


def signal_gate(
    clock: FoldClock,
    policy: PolicyDocument,
    account: AccountState,
    leaders: dict[Wallet, LeaderView],
    shares: list[Share],
    token: Token,
    price_micro: int,
) -> Held | None:
    """Old news may still be followed, but not at a worse price than his by more than slippage.

    A holding that nobody saw bought has no price. Whoever follows to converge wants it all the
    same: then the touch and the slippage budget are its only bound.
    """
    signals = [s for s in (leaders[x.leader].signals.get(token) for x in shares) if s is not None]
    if not signals:
        followed = [account.follows(share.leader) for share in shares]
        wanted = all(each is not None and each.terms.start == "converge" for each in followed)
        return None if wanted and followed else Held("signal_unpriced", {})
    newest = max(signals, key=lambda signal: signal.venue_ms)
    age_ms = clock.now_ms - newest.venue_ms
    worse = price_micro - newest.price_micro
    if age_ms > policy.max_signal_age_ms and worse > policy.slippage_micro:
        return Held("signal_old", {"age_ms": age_ms, "worse_micro": worse})
    return None
