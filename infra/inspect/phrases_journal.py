"""One line in human units for each kind of journal, orders, watch, cursors and dead. Pure."""

from infra.inspect.human import (
    amount,
    clock,
    clock_ns,
    numbered,
    price_of,
    raw_shown,
    shares,
    short,
    span,
    usd,
)
from infra.inspect.names import Names
from infra.inspect.phrases import about, because, some, terms, told, who
from schemas.records import journal
from schemas.records.summary import Summary

__all__ = ["told"]


@told.register
def _(r: journal.PolicyAdopted, names: Names) -> str:
    return f"v{r.version}"


@told.register
def _(r: journal.WordAdopted, names: Names) -> str:
    on = f" at {terms(r.terms)}" if r.terms is not None else ""
    place = f"word at {r.word_offset}"
    return f"{r.word} {about(r.scope, r.subject, r.account, names)}{on}, {place}{because(r.reason)}"


@told.register
def _(r: journal.WordRefused, names: Names) -> str:
    subject = about(r.scope, r.subject, r.account, names)
    return f"{r.word} {subject}: {r.why}, word at {r.word_offset}{because(r.reason)}"


@told.register
def _(r: journal.LeaderFollowed, names: Names) -> str:
    return f"{names.wallet(r.leader)} since {clock(r.since_ms)}"


@told.register
def _(r: journal.LeaderUnfollowed, names: Names) -> str:
    return names.wallet(r.leader)


@told.register
def _(r: journal.NetDelta, names: Names) -> str:
    return (
        f"{names.wallet(r.leader)} {shares(r.shares_micro)} {names.token(r.token)} "
        f"for {usd(r.cash_micro)}: bought {shares(r.bought_micro)}, sold {shares(r.sold_micro)}, "
        f"{r.fills} fills in {span(r.closed_ms - r.opened_ms)} to {clock(r.closed_ms)}"
    )


@told.register
def _(r: journal.ExposureRebased, names: Names) -> str:
    moved = f"{shares(r.shares_micro)} {names.token(r.token)}"
    return f"{names.wallet(r.leader)} {moved}: {r.reason}"


@told.register
def _(r: journal.BaselineLowered, names: Names) -> str:
    proven = f"baseline at most {shares(r.exposure_micro)}, proven by REST"
    return f"{names.wallet(r.leader)} {names.token(r.token)} {proven}"


@told.register
def _(r: journal.LeaderFillWithdrawn, names: Names) -> str:
    return (
        f"{names.wallet(r.leader)} {r.side} {shares(r.shares_micro)} {names.token(r.token)}, "
        f"group {r.group} absent from {' and '.join(r.answers)}"
    )


@told.register
def _(r: journal.LeaderMarked, names: Names) -> str:
    return f"{names.wallet(r.leader)} {'complete' if r.complete else 'INCOMPLETE'}: {r.reason}"


@told.register
def _(r: journal.DriftFound, names: Names) -> str:
    return (
        f"{who(names, r.subject)} {names.token(r.token)} differs by {shares(r.low_micro)} "
        f"to {shares(r.high_micro)}, reports {', '.join(r.reports)}"
    )


@told.register
def _(r: journal.PositionCorrected, names: Names) -> str:
    why = "held before" if r.opening else "taken back" if r.taken_back else "corrected"
    return (
        f"{who(names, r.subject)} {shares(r.shares_micro)} {names.token(r.token)} {why}, "
        f"reports {', '.join(r.reports)}"
    )


@told.register
def _(r: journal.OrderRequested, names: Names) -> str:
    return (
        f"{r.intent} {r.side} {shares(r.shares_micro)} {names.token(r.token)} at "
        f"{amount(r.limit_micro)} or better ({usd(r.budget_micro)}, "
        f"touch {amount(r.touch_micro)}), gap {shares(r.gap_micro)} = "
        f"target {shares(r.target_micro)} - position {shares(r.position_micro)} - "
        f"in flight {shares(r.in_flight_micro)}{_kept(r.kept_micro)}, bound {r.bound}, "
        f"book {span(r.depth_age_ms)} old at {r.depth_offset}, until {clock(r.valid_until_ms)}"
    )


def _kept(micro: int) -> str:
    """Shares of the position that count for nothing, if there are any."""
    return f" + kept {shares(micro)}" if micro else ""


@told.register
def _(r: journal.OrderHeld, names: Names) -> str:
    numbers = "".join(f", {numbered(name, value)}" for name, value in r.numbers.items())
    rest = f"{_kept(r.kept_micro)}{numbers}"
    return (
        f"{r.account} {r.reason} {names.token(r.token)} gap {shares(r.gap_micro)} = target "
        f"{shares(r.target_micro)} - position {shares(r.position_micro)}{rest}"
    )


@told.register
def _(r: journal.HoldEnded, names: Names) -> str:
    lasted = f"after {span(r.for_ms)}, {r.count} Ticks"
    return f"{r.account} {r.reason} {names.token(r.token)} {lasted}"


@told.register
def _(r: journal.OrderProgress, names: Names) -> str:
    brought = ""
    if r.shares_micro is not None:
        brought = f", {shares(r.shares_micro)} for {usd(r.usd_micro)}"
    order = f", order {short(r.order)}" if r.order else ""
    why = f": {r.reason}" if r.reason else ""
    return f"{r.intent} {r.state}{brought} {names.token(r.token)}{order}{why}"


@told.register
def _(r: journal.FillBooked, names: Names) -> str:
    late = ", LATE" if r.late else ""
    return (
        f"{r.account} {r.side} {shares(r.shares_micro)} {names.token(r.token)} at "
        f"{price_of(r.cash_micro, r.shares_micro)} for {usd(r.cash_micro)}, "
        f"fee {usd(r.fee_micro)}, {r.intent or 'no order of ours'}, trade {r.trade}{late}"
    )


@told.register
def _(r: journal.FillSettled, names: Names) -> str:
    settled = f"{r.side} {shares(r.shares_micro)} {names.token(r.token)}"
    return f"{r.account} {r.status} {settled}, trade {r.trade}"


@told.register
def _(r: journal.PositionSettled, names: Names) -> str:
    return (
        f"{r.account} {shares(r.shares_micro)} {names.token(r.token)} pay {usd(r.payout_micro)} "
        f"each, cost {usd(r.cost_micro)}"
    )


@told.register
def _(r: journal.PositionRedeemed, names: Names) -> str:
    return (
        f"{r.account} {shares(r.shares_micro)} {names.token(r.token)} for {usd(r.cash_micro)}, "
        f"transaction {short(r.tx)}"
    )


@told.register
def _(r: journal.Alarm, names: Names) -> str:
    numbers = "".join(f", {numbered(name, value)}" for name, value in r.numbers.items())
    return f"{r.name} {who(names, r.subject)}: {r.detail}{numbers}"


@told.register
def _(r: Summary, names: Names) -> str:
    cash = [f"{each.account} cash {usd(each.cash_micro)}" for each in r.accounts]
    invested = usd(sum(each.invested_micro for each in r.accounts))
    down = [f"{each.feed} {each.state}" for each in r.feeds if each.state != "up"]
    halts = [about(each.scope, each.subject, each.account, names) for each in r.halts]
    halted = f", HALTED {some(halts)}" if halts else ""
    return (
        f"{clock(r.now_ms)}: {some(cash)}, invested {invested}, {len(r.positions)} tokens, "
        f"{len(r.working)} working orders, {some(down) or 'all feeds up'}{halted}"
    )


@told.register
def _(r: journal.Watch, names: Names) -> str:
    subject = names.token(r.subject) if r.what == "token" else names.wallet(r.subject)
    return f"{'on ' if r.on else 'off'} {r.what} {subject}: {r.why}"


@told.register
def _(r: journal.Cursor, names: Names) -> str:
    return f"{r.feed} of {who(names, r.subject)} read to {clock(r.upto_ms)}"


@told.register
def _(r: journal.Undecodable, names: Names) -> str:
    return f"{r.feed} at {clock_ns(r.recv_ns)}: {r.reason}: {raw_shown(r.raw)}"
