"""Booking: what the tape says of our fills, reports and cash becomes account state.

A fill is booked once by its identity, reversed exactly if it failed, and booked all the same when
its order had ended. A resolved market's shares are valued at their payout, once.
"""

from collections.abc import Iterable, Iterator

from flows.core.account import AccountState
from flows.core.clock import FoldClock
from flows.core.leaders import corrected
from flows.core.market import Markets
from flows.core.positions import FINAL, Fill, fill_key
from flows.core.progress import alarm, filled
from flows.core.reconcile import is_late
from flows.core.slippage import Fee, taker_fee
from schemas.policy import PolicyDocument
from schemas.records import journal, own
from schemas.records.base import Account, Condition, Intent, OrderHash, Record, Token
from schemas.units import floor_div

FILLS_KEEP_MS = 3_600_000
"""Fills that are final and older leave only their sum."""
DENIED = ("absent", "refused", "expired")
"""Ends by which nothing of an order can rest; a filled one may stand in a report asked before."""


def decide_fill(
    account: AccountState,
    markets: Markets,
    policy: PolicyDocument,
    record: own.OwnFill,
) -> Iterator[Record]:
    """Book a fill at its first sight; confirm or reverse it once, when its settlement ends."""
    key = fill_key(record)
    if key not in account.token_of_fill:
        if _counted_before(account, policy, record):
            yield alarm("old_fill", record.account, key, record.shares_micro)
            return
        booked = _booked(account, markets, record, key)
        yield booked
        if booked.late:
            name = "foreign_fill" if booked.intent is None else "late_fill"
            yield alarm(name, record.account, key, record.shares_micro)
    fill = account.positions[account.token_of_fill[key]].fills.get(key)
    if fill is None:
        return
    if fill.shares_micro != record.shares_micro:
        yield alarm("fill_changed", record.account, key, record.shares_micro - fill.shares_micro)
    if record.status in FINAL and fill.status in FINAL and record.status != fill.status:
        # Both words are terminal (API reference 8.2), so one of them is wrong, and neither the
        # first nor the last is known to be the right one: the later may be old news of another
        # cache, or the chain was reorganised. The booking stays as it is, the word is on the
        # record, and the token is in doubt until reports of what the wallet holds decide.
        if not fill.contradicted:
            signed = fill.signed_micro if record.status == "CONFIRMED" else -fill.signed_micro
            yield alarm("settlement_contradicted", record.account, key, signed)
    elif record.status in FINAL and fill.status not in FINAL:
        yield journal.FillSettled(
            account=record.account,
            trade=key,
            token=account.token_of_fill[key],
            status="FAILED" if record.status == "FAILED" else "CONFIRMED",
            side=fill.side,
            shares_micro=fill.shares_micro,
            recv_ns=record.recv_ns,
        )
    intent = account.intent_of.get(record.order)
    if intent is not None and account.orders[intent].filled:
        yield filled(record.account, account.orders[intent], "fills_complete")


def _counted_before(account: AccountState, policy: PolicyDocument, record: own.OwnFill) -> bool:
    """Whether a fill unknown by its id may stand in the sums already: it is history to us."""
    intent = account.intent_of.get(record.order)
    if intent is not None and not account.orders[intent].ended:
        return False
    position = account.positions.get(record.token)
    if position is not None and record.venue_ms <= position.forgotten_ms:
        return True
    return intent is None and account.audit.opened_with(
        record.venue_ms, policy.account_report_lag_ms
    )


def _booked(
    account: AccountState, markets: Markets, record: own.OwnFill, key: str
) -> journal.FillBooked:
    intent = account.intent_of.get(record.order)
    market = markets.of(record.token)
    fee = 0
    if record.role == "TAKER" and market is not None and record.shares_micro:
        price = floor_div(record.cash_micro, record.shares_micro)
        terms = Fee(market.meta.fee_rate_micro, market.meta.fee_exponent)
        fee = taker_fee(record.shares_micro, price, terms)
    return journal.FillBooked(
        account=record.account,
        intent=intent,
        trade=key,
        order=record.order,
        token=record.token,
        condition=record.condition,
        side=record.side,
        shares_micro=record.shares_micro,
        cash_micro=record.cash_micro,
        fee_micro=fee,
        venue_ms=record.venue_ms,
        recv_ns=record.recv_ns,
        late=intent is None or account.orders[intent].ended,
    )


def decide_settled(
    name: Account, account: AccountState, markets: Markets, condition: Condition
) -> Iterator[Record]:
    """A resolved market's shares leave targets and gaps; they are listed at their payout."""
    market = markets.by_condition.get(condition)
    if market is None or market.payouts is None:
        return
    for token, payout in market.payouts.items():
        position = account.positions.get(token)
        if position is not None and (position.shares_micro or position.unsettled_cost_micro):
            yield journal.PositionSettled(
                account=name,
                condition=condition,
                token=token,
                shares_micro=position.shares_micro,
                payout_micro=payout,
                cost_micro=position.unsettled_cost_micro,
            )


def decide_redeemed(account: AccountState, record: own.OwnRedemption) -> Iterator[Record]:
    """Settle a redemption once: its total counts, told again it is no news."""
    position = account.positions.get(record.token)
    shares, cash = position.redeemed.get(record.tx, (0, 0)) if position is not None else (0, 0)
    if (record.shares_micro, record.cash_micro) == (shares, cash):
        return
    yield journal.PositionRedeemed(
        account=record.account,
        condition=record.condition,
        token=record.token,
        tx=record.tx,
        shares_micro=record.shares_micro - shares,
        cash_micro=record.cash_micro - cash,
    )


def observe_report(
    accounts: dict[Account, AccountState],
    record: own.ReportAsked | own.PositionsReport | own.BalanceReport,
) -> None:
    """Take a question or an answer about one of our accounts in."""
    account = accounts.get(Account(record.subject))
    if account is None:
        return
    match record:
        case own.ReportAsked() if record.about == "positions":
            account.audit.observe_asked(record)
        case own.ReportAsked() if record.about == "balance":
            account.cash.ask(record.report)
        case own.PositionsReport():
            account.audit.observe_report(record)
        case own.BalanceReport():
            account.cash.answer(record)


def observe_open_orders(
    accounts: dict[Account, AccountState], record: own.OpenOrdersReport
) -> None:
    """Orders that rest at the venue and should not keep their tokens from being ordered.

    They are none of ours, or ours that were told to be no more.
    """
    account = accounts.get(record.subject)
    if account is None or not record.complete:
        return
    account.foreign = {
        row.token: row.shares_micro - row.matched_micro
        for row in record.rows
        if _unexpected(account, row.order)
    }


def _unexpected(account: AccountState, order: OrderHash) -> bool:
    intent = account.intent_of.get(order)
    return intent is None or account.orders[intent].state in DENIED


def observe_audit(
    account: AccountState, markets: Markets, clock: FoldClock, policy: PolicyDocument
) -> None:
    """Judge at most one waiting positions report of the account."""
    for waiting in account.audit.due(clock.now_ms, policy.fills_lag_ms)[:1]:
        tokens: Iterable[str] = [*account.audit.rebuilt, *(r.token for r in waiting.report.rows)]
        skip = [token for token in tokens if markets.resolved(token)]  # type: ignore[arg-type]
        account.audit.judge(waiting, clock.now_ms, policy.account_report_lag_ms, skip)  # type: ignore[arg-type]
        for token, position in account.positions.items():
            if token not in account.audit.doubts:
                position.owned.certain()


def decide_audit(name: Account, account: AccountState) -> Iterator[Record]:
    """Corrections of what reports proved, and what is taken back of them, with the evidence."""
    for finding in list(account.audit.findings):
        yield from corrected(name, account.audit.condition_of[finding.token], finding)
    for key, token in list(account.audit.unsettled.items()):
        shares = account.positions[token].fills[key].shares_micro
        yield alarm("fill_unsettled", name, key, shares)


def evolve_alarm(accounts: dict[Account, AccountState], event: journal.Alarm) -> None:
    """What was raised once is not raised again."""
    account = accounts.get(Account(event.subject))
    if event.name == "fill_unsettled" and account is not None:
        account.audit.unsettled.pop(event.detail, None)
        account.audit.raised[event.detail] = None


def evolve_booked(
    account: AccountState, event: journal.FillBooked, now_ms: int, policy: PolicyDocument
) -> None:
    """Enter a fill into position, order, audit and cash."""
    position = account.position(event.token, event.condition)
    if not position.shares_micro:
        position.since_ms = now_ms
    position.book(
        event.trade,
        Fill(
            event.order,
            event.side,
            event.shares_micro,
            event.cash_micro,
            event.fee_micro,
            event.venue_ms,
            "MATCHED",
            own=event.intent is not None,
        ),
    )
    account.token_of_fill[event.trade] = event.token
    account.totals.fills += 1
    signed = event.shares_micro if event.side == "BUY" else -event.shares_micro
    late = is_late(event.venue_ms, now_ms, policy.fills_lag_ms)
    account.audit.booked(
        event.token, event.condition, event.trade, signed, event.venue_ms, late=late
    )
    order = account.orders.get(event.intent or Intent(""))
    answers = order.answers if order is not None else -1  # none: nobody knows when it was made
    account.cash.book(event.trade, event.side, event.cash_micro, event.fee_micro, answers)
    if order is not None:
        order.fills += 1
        order.booked_micro += event.shares_micro
        order.booked_usd_micro += event.cash_micro


def forget_history(account: AccountState, now_ms: int) -> None:
    """Of fills that are final and old only their sum stays, in every token."""
    for position in account.positions.values():
        for key in position.forget(now_ms - FILLS_KEEP_MS):
            del account.token_of_fill[key]


def evolve_settled(account: AccountState, event: journal.FillSettled, now_ms: int) -> None:
    """Confirm a fill, or take it back exactly; its order stays ended either way."""
    position = account.positions[event.token]
    fill = position.fills[event.trade]
    position.settle(event.trade, event.status)
    failed = event.status == "FAILED"
    account.audit.settled(event.token, event.trade, now_ms, failed=failed)
    if failed:
        account.cash.fail(event.trade, fill.side, fill.cash_micro, fill.fee_micro)


def evolve_contradicted(account: AccountState, event: journal.Alarm, now_ms: int) -> Token:
    """The token of a fill that ended both ways is in doubt; told again it is no news."""
    token = account.token_of_fill[event.detail]
    signed = event.numbers["shares_micro"]
    account.positions[token].contradict(event.detail, signed)
    account.audit.doubt(token, signed, now_ms)
    return token


def evolve_position_settled(account: AccountState, event: journal.PositionSettled) -> None:
    """Shares of a resolved market are no position any more; their result is realised."""
    account.positions[event.token].resolve(event.shares_micro, event.cost_micro, event.payout_micro)


def evolve_redeemed(account: AccountState, event: journal.PositionRedeemed) -> None:
    """What was redeemed is owed no more; its dollars come with the next balance report."""
    position = account.position(event.token, event.condition)
    position.redeem(event.tx, event.shares_micro, event.cash_micro)
