"""The Summary event: everything `status` shows, computed from planning state each ten seconds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flows.core.account import AccountState, Leaders, Share, shares_of
from flows.core.clock import FoldClock
from flows.core.market import Markets
from flows.core.words import Followed, Words
from schemas.codec import decode_levels
from schemas.policy import PolicyDocument
from schemas.records.base import Account, Condition, Intent, Token, Wallet
from schemas.records.summary import (
    AccountLine,
    FeedLine,
    FollowLine,
    HaltLine,
    LeaderLine,
    PositionLine,
    Summary,
    UnfollowLine,
    WorkingLine,
)


@dataclass(frozen=True, slots=True)
class InForce:
    """What rules beside the world: the policy, by version and tape offset, and the words."""

    version: int | None
    offset: int | None
    words: Words


def summarise(
    clock: FoldClock,
    policy: PolicyDocument,
    markets: Markets,
    leaders: Leaders,
    accounts: dict[Account, AccountState],
    in_force: InForce,
) -> Summary:
    """State of a shard at this fold time, one line a position, account, leader's token, feed."""
    words = in_force.words
    return Summary(
        now_ms=clock.now_ms,
        accounts=tuple(_account_line(name, account) for name, account in accounts.items()),
        positions=tuple(
            line
            for name, account in accounts.items()
            for line in _position_lines(name, account, leaders, markets)
        ),
        working=tuple(
            _working_line(name, account, intent)
            for name, account in accounts.items()
            for intent in account.working.values()
        ),
        leaders=tuple(
            LeaderLine(
                leader=wallet,
                token=token,
                exposure_micro=exposure,
                baseline_micro=max(_baselines(accounts.values(), wallet, token)),
            )
            for wallet, view in leaders.items()
            for token, exposure in view.exposure.items()
            # What he held before and nobody copies may be thousands of rows each ten seconds.
            if exposure > min(_baselines(accounts.values(), wallet, token))
            and not markets.resolved(token)
        ),
        feeds=_feeds(clock, policy),
        counts={"ticks": clock.ticks, "markets": len(markets.by_condition)},
        policy_version=in_force.version,
        policy_offset=in_force.offset,
        follows=tuple(
            _follow_line(name, account, each)
            for name, account in accounts.items()
            for each in account.followed
        ),
        unfollowed=tuple(
            UnfollowLine(account=name, leader=wallet, word_offset=said.offset)
            for (name, wallet), said in words.said.items()
            if said.terms is None
        ),
        halts=tuple(
            HaltLine(scope=scope, subject=subject, account=name, word_offset=offset)
            for (scope, subject, name), offset in words.halts.items()
        ),
    )


def _position_lines(
    name: Account, account: AccountState, leaders: Leaders, markets: Markets
) -> Iterator[PositionLine]:
    """Tokens with a position, a payout that is owed, a hold, a working order or a target."""
    seen = {**dict.fromkeys(account.positions), **dict.fromkeys(account.holds)}
    seen.update(dict.fromkeys(account.working))
    for view in leaders.values():
        seen.update(dict.fromkeys(view.exposure))
    for token in seen:
        targets = [] if markets.resolved(token) else shares_of(account, leaders, markets, token)
        position = account.positions.get(token)
        listed = position is not None and (position.shares_micro or position.owed_micro)
        if listed or targets or token in account.holds or token in account.working:
            yield _position_line(name, account, markets, token, targets)


def _follow_line(name: Account, account: AccountState, followed: Followed) -> FollowLine:
    return FollowLine(
        account=name,
        leader=followed.leader,
        terms=followed.terms,
        since_ms=account.since_ms.get(followed.leader),
        word_offset=followed.word_offset,
    )


def _working_line(name: Account, account: AccountState, intent: Intent) -> WorkingLine:
    order = account.orders[intent]
    return WorkingLine(
        intent=intent,
        account=name,
        token=order.token,
        side=order.side,
        shares_micro=order.planned_micro,
        limit_micro=order.limit_micro,
        state=order.state,
    )


def _account_line(name: Account, account: AccountState) -> AccountLine:
    positions = account.positions.values()
    return AccountLine(
        account=name,
        cash_micro=account.cash.usd_micro,
        cash_as_of_ms=account.cash.as_of_ms if account.cash.usd_micro is not None else None,
        invested_micro=sum(p.unsettled_cost_micro for p in positions),
        reserved_micro=account.reserved_micro(),
        realised_micro=sum(p.sums.realised_micro + p.settled_result_micro for p in positions),
        fees_micro=sum(p.sums.fees_micro for p in positions),
        working=len(account.working),
        orders=account.totals.orders,
        fills=account.totals.fills,
    )


def _position_line(
    name: Account,
    account: AccountState,
    markets: Markets,
    token: Token,
    targets: list[Share],
) -> PositionLine:
    position = account.positions.get(token)
    market = markets.of(token)
    payouts = market.payouts if market is not None else None
    epochs = markets.epochs.get(token)
    book = epochs.newest() if epochs is not None else None
    bids = decode_levels(book.depth.bids) if book is not None else []
    hold = account.holds.get(token)
    return PositionLine(
        account=name,
        token=token,
        condition=market.meta.condition if market is not None else Condition(""),
        outcome=market.outcome(token) if market is not None else "",
        title=market.meta.title if market is not None else "",
        target_micro=sum(share.shares_micro for share in targets),
        position_micro=account.held_micro(token),
        confirmed_micro=position.sellable_micro if position is not None else 0,
        in_flight_micro=account.in_flight_micro(token),
        cost_micro=position.sums.cost_micro if position is not None else 0,
        bid_micro=bids[0][0] if bids else None,
        bid_as_of_ms=book.depth.as_of_ms if book is not None else None,
        hold=hold.reason if hold is not None else None,
        settled_micro=position.settled_micro if position is not None else 0,
        payout_micro=payouts.get(token) if payouts is not None else None,
        foreign_micro=position.foreign_micro if position is not None else 0,
        kept_micro=account.kept_micro(token),
        redeemed_micro=position.redeemed_micro if position is not None else 0,
    )


def _baselines(accounts: Iterable[AccountState], wallet: Wallet, token: Token) -> list[int]:
    bases = [a.baseline[wallet].get(token, 0) for a in accounts if wallet in a.baseline]
    return bases or [0]


def _feeds(clock: FoldClock, policy: PolicyDocument) -> tuple[FeedLine, ...]:
    return tuple(
        FeedLine(
            producer=key,
            feed=name,
            state=feed.state if clock.alive(key, policy.producer_silence_ms) else "down",
            age_ms=max(clock.now_ms - feed.last_data_ms, 0) if feed.last_data_ms else None,
        )
        for key, producer in clock.producers.items()
        for name, feed in producer.feeds.items()
    )
