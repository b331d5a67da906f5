"""What a decision about one account and token rested on, as values with age, source and offset.

Read from the state as it was right before the decision; nothing is decided and nothing guessed:
what was not known is left out, and the hold says so.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from flows.core.account import AccountState, shares_of
from flows.core.planning import PlanState
from flows.core.words import Followed
from infra.proof.provenance import Provenance
from schemas.codec import decode_levels
from schemas.records.base import Account, Token, Wallet

Unit = Literal["shares", "usd", "price", "ratio", "ms", "text"]


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One input. value: micro units, milliseconds or text, as unit says. source: the kind of
    record that said it; offset: where that stands on the tape."""

    name: str
    value: int | str
    unit: Unit
    age_ms: int | None = None
    source: str
    offset: int | None = None


def facts_of(state: PlanState, known: Provenance, name: Account, token: Token) -> tuple[Fact, ...]:
    """Everything about this account and token that a decision reads."""
    account = state.accounts.get(name)
    if account is None:
        return ()
    return (
        *_rules(state, known),
        *_market(state, known, token),
        *_book(state, token),
        *(f for each in account.followed for f in _leader(state, known, account, each, token)),
        *_position(state, known, account, name, token),
        *_money(state, known, account, name),
        *_feeds(state, known),
        *_hindrances(state, account, name, token),
    )


def _rules(state: PlanState, known: Provenance) -> Iterator[Fact]:
    clock = state.clock
    newest = max(clock.producers, key=lambda p: clock.producers[p].now_ms, default=None)
    if newest is not None:
        yield Fact(
            name="fold time",
            value=clock.now_ms,
            unit="ms",
            source=f"Tick of {newest}",
            offset=known.newest("Tick", newest),
        )
    if state.policy_offset is not None:
        yield Fact(
            name="policy",
            value=f"v{state.version}",
            unit="text",
            source="Policy",
            offset=state.policy_offset,
        )


def _market(state: PlanState, known: Provenance, token: Token) -> Iterator[Fact]:
    market = state.markets.of(token)
    if market is None:
        return
    meta = market.meta
    at = known.newest("MarketMeta", meta.condition)
    for name, value, unit in (
        ("market", f"{market.outcome(token)} of {meta.title!r}", "text"),
        ("takes orders", "yes" if meta.accepting and market.closed is None else "no", "text"),
        ("least order", meta.min_shares_micro, "shares"),
        ("taker fee rate", meta.fee_rate_micro, "ratio"),
    ):
        yield Fact(name=name, value=value, unit=_unit(unit), source="MarketMeta", offset=at)


def _unit(text: str) -> Unit:
    for unit in ("shares", "usd", "price", "ratio", "ms"):
        if text == unit:
            return unit
    return "text"


def _book(state: PlanState, token: Token) -> Iterator[Fact]:
    epochs = state.markets.epochs.get(token)
    book = epochs.newest() if epochs is not None else None
    if book is None:
        return
    age_ms = max(state.clock.now_ms - book.depth.as_of_ms, 0)
    for name, raw in (("best bid", book.depth.bids), ("best ask", book.depth.asks)):
        levels = decode_levels(raw)
        if levels:
            yield Fact(
                name=name,
                value=levels[0][0],
                unit="price",
                age_ms=age_ms,
                source=f"Depth of epoch {book.depth.epoch}",
                offset=book.offset,
            )


def _leader(
    state: PlanState, known: Provenance, account: AccountState, followed: Followed, token: Token
) -> Iterator[Fact]:
    view = state.leaders.get(followed.leader)
    pair = state.markets.pair(token)
    if view is None or not any(each in view.exposure for each in pair):
        return
    who = known.names.wallet(followed.leader)
    base = account.baseline.get(followed.leader, {})
    for each in pair:
        place = "" if each == token else f" of {known.names.outcome(each)}"
        yield exposure_fact(state, known, followed.leader, each, f"{who}: exposure{place}")
        if base.get(each):
            yield Fact(
                name=f"{who}: baseline{place}",
                value=base[each],
                unit="shares",
                source="held before he was followed",
            )
    yield from _terms(state, known, account, followed, token)
    signal = view.signals.get(token)
    if signal is not None:
        yield Fact(
            name=f"{who}: price he paid",
            value=signal.price_micro,
            unit="price",
            age_ms=state.clock.now_ms - signal.venue_ms,
            source="LeaderFills",
            offset=known.newest("LeaderFills", followed.leader, token),
        )


def exposure_fact(
    state: PlanState, known: Provenance, leader: Wallet, token: Token, name: str
) -> Fact:
    """A leader's holding as we rebuilt it: from his fills, or from the report that opened it."""
    fills = known.newest("LeaderFills", leader, token)
    source = "LeaderFills" if fills is not None else "PositionsReport"
    return Fact(
        name=name,
        value=state.leaders[leader].exposure.get(token, 0),
        unit="shares",
        source=source,
        offset=fills if fills is not None else known.newest("PositionsReport", leader),
    )


def _terms(
    state: PlanState, known: Provenance, account: AccountState, followed: Followed, token: Token
) -> Iterator[Fact]:
    who, terms = known.names.wallet(followed.leader), followed.terms
    said = ("Policy", state.policy_offset)
    if followed.word_offset is not None:
        said = ("Follow", followed.word_offset)
    ratio = terms.ratio_micro * terms.weight_micro // 1_000_000
    parts = shares_of(account, state.leaders, state.markets, token)
    his = sum(part.shares_micro for part in parts if part.leader == followed.leader)
    yield Fact(name=f"{who}: ratio", value=ratio, unit="ratio", source=said[0], offset=said[1])
    yield Fact(
        name=f"{who}: cap", value=terms.cap_usd_micro, unit="usd", source=said[0], offset=said[1]
    )
    yield Fact(
        name=f"{who}: his part of the target",
        value=his,
        unit="shares",
        source=f"exposure, baseline, ratio; pairs {terms.pairs}",
    )


def _position(
    state: PlanState, known: Provenance, account: AccountState, name: Account, token: Token
) -> Iterator[Fact]:
    fill = known.newest("OwnFill", name, token)
    sellable = account.sellable_micro(token) if token in account.positions else 0
    for what, value in (
        ("position", account.held_micro(token)),
        ("kept, not ours to sell", account.kept_micro(token)),
        ("sellable", sellable),
        ("in flight", account.in_flight_micro(token)),
    ):
        yield Fact(name=what, value=value, unit="shares", source="OwnFill", offset=fill)
    confirmed_ms = account.audit.confirmed_ms.get(token)
    if confirmed_ms is not None:
        yield Fact(
            name="position confirmed",
            value="a report agreed",
            unit="text",
            age_ms=state.clock.now_ms - confirmed_ms,
            source="PositionsReport",
            offset=known.newest("PositionsReport", name),
        )


def _money(
    state: PlanState, known: Provenance, account: AccountState, name: Account
) -> Iterator[Fact]:
    invested = sum(account.invested().values())
    if account.cash.usd_micro is not None:
        yield Fact(
            name="cash",
            value=account.available_cash_micro() or 0,
            unit="usd",
            age_ms=state.clock.now_ms - account.cash.as_of_ms,
            source="BalanceReport less spent and reserved since",
            offset=known.newest("BalanceReport", name),
        )
    yield Fact(
        name="invested, orders in flight included",
        value=invested,
        unit="usd",
        source="OwnFill and OrderRequested",
    )
    policy = account.policy
    for what, value in (
        ("cap per trade", policy.cap_trade_usd_micro),
        ("cap per market", policy.cap_market_usd_micro),
        ("cap per account", policy.cap_account_usd_micro),
        ("slippage at most", state.policy.slippage_micro),
    ):
        yield Fact(name=what, value=value, unit="usd", source="Policy", offset=state.policy_offset)


def _feeds(state: PlanState, known: Provenance) -> Iterator[Fact]:
    clock, silence_ms = state.clock, state.policy.producer_silence_ms
    for key, producer in clock.producers.items():
        for name, feed in producer.feeds.items():
            fresh = clock.producer_feed_age_ms(key, name, silence_ms)
            yield Fact(
                name=f"feed {name}",
                value=feed.state if clock.alive(key, silence_ms) else "down",
                unit="text",
                age_ms=fresh,
                source=f"Tick of {key}",
                offset=known.newest("Tick", key),
            )


def _hindrances(
    state: PlanState, account: AccountState, name: Account, token: Token
) -> Iterator[Fact]:
    for (scope, subject, only), offset in state.words.halts.items():
        if only in (None, name):
            yield Fact(
                name=f"halted {scope}", value=subject, unit="text", source="Halt", offset=offset
            )
    retry = account.retries.get(token)
    if retry is not None and retry.until_ms > state.clock.now_ms:
        yield Fact(
            name="pause after orders that brought nothing",
            value=retry.until_ms - state.clock.now_ms,
            unit="ms",
            source="OrderProgress",
        )
    if account.halted is not None:
        yield Fact(name="account halted", value=account.halted, unit="text", source="OrderAnswered")
    hold = account.holds.get(token)
    if hold is not None:
        yield Fact(
            name="held until now",
            value=hold.reason,
            unit="text",
            age_ms=state.clock.now_ms - hold.since_ms,
            source="OrderHeld",
        )
