"""One line in human units for each kind of the tape; phrases_journal.py has the other kinds. Pure.

`told(record, names)` is all of it: a function for each kind, found by the record's class. The text
is not yet safe for a terminal: names and reasons come from outside (human.printable).
"""

from functools import singledispatch

from infra.inspect.human import (
    amount,
    clock,
    clock_ns,
    moment,
    numbered,
    price_of,
    shares,
    short,
    span,
    usd,
)
from infra.inspect.names import Names
from schemas.codec import decode_levels
from schemas.policy import AccountPolicy, LeaderPolicy
from schemas.records import leader, market, operator, own, system
from schemas.records.base import Record
from schemas.units import MICRO

ROWS_SHOWN = 4


@singledispatch
def told(record: Record, names: Names) -> str:
    """What the record says, without its kind; of a kind without words here, field by field."""
    fields = [name for name in record.__struct_fields__ if name != "v"]
    return ", ".join(_field(name, getattr(record, name), names) for name in fields)


def _field(name: str, value: object, names: Names) -> str:
    match name, value:
        case "token", str():
            return names.token(value)
        case "leader" | "wallet", str():
            return names.wallet(value)
        case "condition", str():
            return names.market(value)
        case _, int():
            return numbered(name, value)
    return f"{name.replace('_', ' ')} {value}"


def some(rows: list[str]) -> str:
    """The first few of a list, and how many more there are."""
    left = len(rows) - ROWS_SHOWN
    return ", ".join(rows[:ROWS_SHOWN]) + (f" and {left} more" if left > 0 else "")


def who(names: Names, subject: str) -> str:
    """A wallet by its name; one of our accounts by its own."""
    return names.wallet(subject) if subject.startswith("0x") else subject


@told.register
def _(r: system.Genesis, names: Names) -> str:
    return f"tape {r.tape_id}, schema {r.schema}, shard {r.shard}, accounts {', '.join(r.accounts)}"


@told.register
def _(r: system.FlowStarted, names: Names) -> str:
    return f"shard {r.shard}, rules {r.rules}"


@told.register
def _(r: system.ConnectorStarted, names: Names) -> str:
    return f"{r.producer}, role {r.role}"


@told.register
def _(r: system.Policy, names: Names) -> str:
    return f"v{r.version}: " + "; ".join(_account(each, names) for each in r.document.accounts)


def _account(account: AccountPolicy, names: Names) -> str:
    caps = (
        account.cap_trade_usd_micro,
        account.cap_market_usd_micro,
        account.cap_account_usd_micro,
    )
    leaders = some([_leader(each, names) for each in account.leaders]) or "nobody"
    foreign = ", foreign shares are sold" if account.foreign == "sell" else ""
    return (
        f"{account.name} follows {leaders} at ratio {amount(account.ratio_micro)}, "
        f"caps {usd(caps[0])} a trade, {usd(caps[1])} a market, {usd(caps[2])} in all{foreign}"
    )


def _leader(each: LeaderPolicy, names: Names) -> str:
    weight = f"weight {amount(each.weight_micro)}, cap {usd(each.cap_usd_micro)}"
    return f"{names.wallet(each.wallet)} ({weight})"


@told.register
def _(r: system.Tick, names: Names) -> str:
    feeds = [f"{name} {_feed(feed, r.now_ms)}" for name, feed in r.feeds.items()]
    return f"{r.producer} #{r.seq} {clock(r.now_ms)}: {', '.join(feeds)}"


def _feed(feed: system.FeedState, now_ms: int) -> str:
    age = span(now_ms - feed.last_data_ms) if feed.last_data_ms else "no data yet"
    return f"{feed.state} ({age})"


@told.register
def _(r: market.Depth, names: Names) -> str:
    bids, asks = decode_levels(r.bids), decode_levels(r.asks)
    return (
        f"{names.token(r.token)} {_level(bids)} / {_level(asks)}, {len(bids)}+{len(asks)} levels, "
        f"{r.epoch} as of {clock(r.as_of_ms)}"
    )


def _level(levels: list[tuple[int, int]]) -> str:
    return f"{amount(levels[0][1])} at {amount(levels[0][0])}" if levels else "nothing"


@told.register
def _(r: market.BookEpoch, names: Names) -> str:
    return f"{names.token(r.token)} {r.epoch} {r.state}: {r.reason}"


@told.register
def _(r: market.MarketMeta, names: Names) -> str:
    outcomes = ", ".join(f"{each.name} [{short(each.token)}]" for each in r.outcomes)
    state = "accepting orders" if r.accepting else "accepts no orders"
    return (
        f"{names.market(r.condition)} {r.event}: {outcomes}; tick {amount(r.tick_micro)}, "
        f"least {amount(r.min_shares_micro)} shares, fee rate {amount(r.fee_rate_micro)} "
        f"^{r.fee_exponent}, {state}{', neg risk' if r.neg_risk else ''}"
        f"{f', ends {moment(r.end_ms)}' if r.end_ms is not None else ''}"
    )


@told.register
def _(r: market.MarketClosed, names: Names) -> str:
    return f"{names.market(r.condition)} {r.reason}"


@told.register
def _(r: market.MarketResolved, names: Names) -> str:
    payouts = [f"{names.outcome(token)} pays {usd(paid)}" for token, paid in r.payouts.items()]
    return f"{names.market(r.condition)} {', '.join(payouts)} by {r.source}"


@told.register
def _(r: leader.LeaderFills, names: Names) -> str:
    return (
        f"{names.wallet(r.leader)} {r.side} {shares(r.shares_micro)} {names.token(r.token)} "
        f"at {price_of(r.cash_micro, r.shares_micro)} for {usd(r.cash_micro)}, {r.rows} rows "
        f"at {clock(r.venue_ms)} by {r.source} {r.instance}, group {r.group}"
    )


@told.register
def _(r: leader.LeaderMove, names: Names) -> str:
    moved = [f"{names.outcome(token)} {shares(delta)}" for token, delta in r.delta_micro.items()]
    return (
        f"{names.wallet(r.leader)} {r.move} {names.market(r.condition)}: {', '.join(moved)}, "
        f"cash {usd(r.cash_micro)} at {clock(r.venue_ms)} by {r.instance}"
    )


@told.register
def _(r: leader.ReadDone, names: Names) -> str:
    return (
        f"{names.wallet(r.leader)} {r.source} from {clock(r.from_ms)} to {clock(r.upto_ms)}, "
        f"{len(r.present)} groups, asked {clock(r.asked_ms)} by {r.instance}"
    )


@told.register
def _(r: leader.LeaderIncomplete, names: Names) -> str:
    return f"{names.wallet(r.leader)} {r.reason} by {r.instance}"


@told.register
def _(r: own.OwnFill, names: Names) -> str:
    return (
        f"{r.account} {r.side} {shares(r.shares_micro)} {names.token(r.token)} "
        f"at {price_of(r.cash_micro, r.shares_micro)} for {usd(r.cash_micro)}, {r.role} {r.status} "
        f"by {r.source}, trade {r.trade}, order {short(r.order)}"
    )


@told.register
def _(r: own.OwnRedemption, names: Names) -> str:
    return (
        f"{r.account} {shares(r.shares_micro)} {names.token(r.token)} for {usd(r.cash_micro)} "
        f"at {clock(r.venue_ms)} by {r.source}, transaction {short(r.tx)}"
    )


@told.register
def _(r: own.ReportAsked, names: Names) -> str:
    return f"{r.report}: {r.about} of {who(names, r.subject)} at {clock(r.asked_ms)}"


@told.register
def _(r: own.PositionsReport, names: Names) -> str:
    held = [f"{shares(each.shares_micro)} {names.token(each.token)}" for each in r.rows]
    state = "complete" if r.complete else "INCOMPLETE"
    return f"{r.report}: {who(names, r.subject)} holds {some(held) or 'nothing'} ({state})"


@told.register
def _(r: own.BalanceReport, names: Names) -> str:
    return f"{r.report}: {r.subject} has {usd(r.usd_micro)}"


@told.register
def _(r: own.OpenOrdersReport, names: Names) -> str:
    rows = [
        f"{each.side} {shares(each.shares_micro - each.matched_micro)} {names.token(each.token)} "
        f"at {amount(each.price_micro)}"
        for each in r.rows
    ]
    state = "complete" if r.complete else "INCOMPLETE"
    return f"{r.report}: {r.subject} has {some(rows) or 'no order'} resting ({state})"


@told.register
def _(r: own.OrderSigned, names: Names) -> str:
    gives, gets = usd(r.maker_micro), shares(r.taker_micro)
    if r.side == "SELL":
        gives, gets = shares(r.maker_micro), usd(r.taker_micro)
    return (
        f"{r.intent} {r.side} {names.token(r.token)}: {gives} for {gets}, order {short(r.order)}, "
        f"{r.backend} by {r.executor} at {clock_ns(r.signed_ns)}"
    )


@told.register
def _(r: own.OrderAnswered, names: Names) -> str:
    final = f", {shares(r.shares_micro)} for {usd(r.usd_micro)}" if r.outcome == "accepted" else ""
    why = f": {r.reason}" if r.reason else ""
    took = span((r.answered_ns - r.sent_ns) // 1_000_000)
    return (
        f"{r.intent} {r.outcome}{final} ({r.status or 'no status'}, by {r.proof} in {took}){why}, "
        f"order {short(r.order)}"
    )


@told.register
def _(r: own.OrderExpired, names: Names) -> str:
    return f"{r.intent} at {clock(r.now_ms)}, valid until {clock(r.valid_until_ms)}"


@told.register
def _(r: own.OrderAbsent, names: Names) -> str:
    looked = f"{r.lookups} look-ups over {span(r.last_lookup_ms - r.first_lookup_ms)}"
    return f"{r.intent} order {short(r.order)}: {looked}, last POST {clock(r.last_post_ms)}"


def about(scope: operator.Scope, subject: str, account: str | None, names: Names) -> str:
    """What an operator's word is about: an account, or a leader or token for one or for all."""
    if scope == "account":
        return f"account {subject}"
    shown = names.token(subject) if scope == "token" else names.wallet(subject)
    return f"{scope} {shown} for {account or 'every account'}"


def terms(r: operator.Follow | operator.FollowTerms) -> str:
    """Terms of a Follow."""
    weight = r.weight_micro if isinstance(r, operator.FollowTerms) else MICRO
    by = f" by weight {amount(weight)}" if weight != MICRO else ""
    return (
        f"ratio {amount(r.ratio_micro)}{by}, cap {usd(r.cap_usd_micro)}, start {r.start}, "
        f"pairs {r.pairs}"
    )


def because(reason: str) -> str:
    """What the operator gave as a reason, if anything."""
    return f": {reason}" if reason else ""


@told.register
def _(r: operator.Follow, names: Names) -> str:
    return f"{r.account} follows {names.wallet(r.leader)}, {terms(r)}{because(r.reason)}"


@told.register
def _(r: operator.Unfollow, names: Names) -> str:
    return f"{r.account} no longer follows {names.wallet(r.leader)}{because(r.reason)}"


@told.register
def _(r: operator.Halt, names: Names) -> str:
    return f"{about(r.scope, r.subject, r.account, names)}{because(r.reason)}"


@told.register
def _(r: operator.Resume, names: Names) -> str:
    return f"{about(r.scope, r.subject, None, names)}{because(r.reason)}"
