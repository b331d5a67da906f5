"""Booking: what the tape says of our fills, orders, reports and cash becomes account state.

A fill is booked once by its identity, reversed exactly if it failed, and booked all the same when
its order had ended. An order moves only along schemas.order_life. The first signature counts.
"""

from collections.abc import Iterable, Iterator

from flows.core.account import AccountState, Retry
from flows.core.clock import FoldClock
from flows.core.market import Markets
from flows.core.orders import Order
from flows.core.positions import FINAL, Fill, fill_key
from flows.core.slippage import Fee, taker_fee
from schemas import order_life
from schemas.policy import PolicyDocument
from schemas.records import journal, own
from schemas.records.base import Account, Condition, Intent, Record
from schemas.units import floor_div

AUTH_STATUSES = (401, 403)
"""Refused credentials or region: nothing more is sent until a new policy says so."""
RETRY_DOUBLINGS_MAX = 5
ASKED_MAX = 64
"""Balance reads that may be without an answer; the answer to an older one says nothing."""

OrderRecord = own.OrderSigned | own.OrderAnswered | own.OrderExpired | own.OrderAbsent


def decide_fill(
    account: AccountState,
    markets: Markets,
    clock: FoldClock,
    policy: PolicyDocument,
    record: own.OwnFill,
) -> Iterator[Record]:
    """Book a fill at its first sight; confirm or reverse it once, when its settlement ends."""
    key = fill_key(record)
    if key not in account.token_of_fill:
        if record.venue_ms < clock.now_ms - policy.forget_after_ms:
            yield _alarm("old_fill", record.account, key, record.shares_micro)
            return
        yield _booked(account, markets, record, key)
    fill = account.positions[account.token_of_fill[key]].fills.get(key)
    if fill is None:
        return
    if fill.shares_micro != record.shares_micro:
        yield _alarm("fill_changed", record.account, key, record.shares_micro - fill.shares_micro)
    if record.status in FINAL and fill.status not in FINAL:
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
        yield _progress(record.account, account.orders[intent], "filled", "fills_complete")


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


def decide_order(account: AccountState, record: OrderRecord) -> Iterator[Record]:
    """Move an order along its life; a step no order can take is raised, not obeyed."""
    order = account.orders.get(record.intent)
    if order is None:
        yield _alarm("unknown_intent", record.account, record.intent, 0)
        return
    happening = _happening(record)
    if isinstance(record, own.OrderAnswered | own.OrderAbsent) and order.order not in (
        None,
        record.order,
    ):
        yield _alarm("answer_to_another_order", record.account, record.order, 0)
        return
    try:
        state = order_life.step(order.state, happening)
    except order_life.IllegalStep:
        yield _alarm(f"illegal_step:{order.state}:{happening}", record.account, record.intent, 0)
        return
    if state == order.state and not _refines(order, record):
        return
    if (order.state, state) == ("absent", "accepted"):
        yield _alarm("absent_order_was_accepted", record.account, record.intent, 0)
    yield _moved(order, record, state)
    if order.filled:
        yield _progress(record.account, order, "filled", order.reason or "fills_complete")


def _happening(record: OrderRecord) -> order_life.Happening:
    match record:
        case own.OrderSigned():
            return "signed"
        case own.OrderExpired():
            return "expired"
        case own.OrderAbsent():
            return "absent"
        case own.OrderAnswered():
            return record.outcome


def _refines(order: Order, record: OrderRecord) -> bool:
    """Whether a repeated acceptance brings the final amounts that were missing."""
    return (
        isinstance(record, own.OrderAnswered)
        and record.outcome == "accepted"
        and order.accepted_micro is None
        and record.shares_micro is not None
    )


def _moved(order: Order, record: OrderRecord, state: order_life.State) -> journal.OrderProgress:
    match record:
        case own.OrderAnswered():
            reason = record.reason or record.status
            if record.http_status in AUTH_STATUSES:
                reason = f"auth:{record.http_status}"
            shares, usd = record.shares_micro, record.usd_micro
        case _:
            reason, shares, usd = type(record).__name__, None, None
    return journal.OrderProgress(
        account=record.account,
        intent=order.intent,
        token=order.token,
        state=state,
        order=record.order if not isinstance(record, own.OrderExpired) else None,
        reason=reason,
        shares_micro=shares,
        usd_micro=usd,
    )


def _progress(
    account: Account, order: Order, state: order_life.State, reason: str
) -> journal.OrderProgress:
    return journal.OrderProgress(
        account=account,
        intent=order.intent,
        token=order.token,
        state=state,
        order=order.order,
        reason=reason,
        shares_micro=order.booked_micro,
        usd_micro=order.booked_usd_micro,
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
        if position is not None and position.shares_micro:
            yield journal.PositionSettled(
                account=name,
                condition=condition,
                token=token,
                shares_micro=position.shares_micro,
                payout_micro=payout,
                cost_micro=position.sums.cost_micro,
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
            account.cash_asked[record.report] = account.spent_micro
            while len(account.cash_asked) > ASKED_MAX:
                del account.cash_asked[next(iter(account.cash_asked))]
        case own.PositionsReport():
            account.audit.observe_report(record)
        case own.BalanceReport() if record.report in account.cash_asked:
            # It may not know what was spent between its question and its answer.
            account.spent_before_micro = account.cash_asked.pop(record.report)
            account.cash_micro, account.cash_as_of_ms = record.usd_micro, record.answered_ms


def observe_open_orders(
    accounts: dict[Account, AccountState], record: own.OpenOrdersReport
) -> None:
    """Orders that rest at the venue and are none of ours keep their tokens from being ordered."""
    account = accounts.get(record.subject)
    if account is None or not record.complete:
        return
    account.foreign = {
        row.token: row.shares_micro - row.matched_micro
        for row in record.rows
        if row.order not in account.intent_of
    }


def observe_audit(
    account: AccountState, markets: Markets, clock: FoldClock, policy: PolicyDocument
) -> None:
    """Judge at most one waiting positions report of the account."""
    for waiting in account.audit.due(clock.now_ms, policy.fills_lag_ms)[:1]:
        tokens: Iterable[str] = [*account.audit.rebuilt, *(r.token for r in waiting.report.rows)]
        skip = [token for token in tokens if markets.resolved(token)]  # type: ignore[arg-type]
        account.audit.judge(waiting, clock.now_ms, policy.account_report_lag_ms, skip)  # type: ignore[arg-type]


def evolve_requested(
    account: AccountState, event: journal.OrderRequested, markets: Markets
) -> None:
    """The order is the token's working order until it ends."""
    market = markets.by_condition.get(event.condition)
    account.orders[event.intent] = Order(
        intent=event.intent,
        token=event.token,
        condition=event.condition,
        side=event.side,
        planned_micro=event.shares_micro,
        budget_micro=event.budget_micro,
        limit_micro=event.limit_micro,
        fee_rate_micro=market.meta.fee_rate_micro if market is not None else 0,
        valid_until_ms=event.valid_until_ms,
    )
    account.working[event.token] = event.intent
    account.totals.orders += 1
    account.forget_ended()


def evolve_progress(
    account: AccountState, event: journal.OrderProgress, now_ms: int, policy: PolicyDocument
) -> None:
    """Set an order's state and amounts; one that ends frees its token, with a pause if empty."""
    order = account.orders[event.intent]
    order.state = _state(event.state)
    if event.order is not None and order.order is None:
        order.order = event.order
        account.intent_of[event.order] = event.intent
    if event.state == "accepted":
        order.accepted_micro, order.accepted_usd_micro = event.shares_micro, event.usd_micro
        order.reason = event.reason
        account.working[event.token] = event.intent
    if event.reason.startswith("auth:"):
        account.halted = event.reason
    if not order.ended:
        return
    account.working.pop(event.token, None)
    if order.booked_micro:
        account.retries.pop(event.token, None)
        return
    known = account.retries.get(event.token)
    failures = min(known.failures + 1 if known is not None else 1, RETRY_DOUBLINGS_MAX + 1)
    pause_ms = policy.retry_after_ms << (failures - 1)
    account.retries[event.token] = Retry(now_ms + pause_ms, failures)


def _state(text: str) -> order_life.State:
    for state in ("requested", "signed", "unknown", "accepted"):
        if text == state:
            return state
    for ended in ("filled", "refused", "expired", "absent"):
        if text == ended:
            return ended
    raise ValueError(f"{text!r} is no state of an order")


def evolve_booked(account: AccountState, event: journal.FillBooked, now_ms: int) -> None:
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
        ),
    )
    account.token_of_fill[event.trade] = event.token
    account.totals.fills += 1
    signed = event.shares_micro if event.side == "BUY" else -event.shares_micro
    account.audit.move(event.token, event.condition, signed, event.venue_ms)
    spent = event.cash_micro if event.side == "BUY" else -event.cash_micro
    account.spent_micro += spent + event.fee_micro
    order = account.orders.get(event.intent or Intent(""))
    if order is not None:
        order.booked_micro += event.shares_micro
        order.booked_usd_micro += event.cash_micro


def evolve_settled(account: AccountState, event: journal.FillSettled) -> None:
    """Confirm a fill, or take it back exactly; its order stays ended either way."""
    position = account.positions[event.token]
    fill = position.fills[event.trade]
    position.settle(event.trade, event.status)
    if event.status == "FAILED":
        signed = fill.shares_micro if fill.side == "BUY" else -fill.shares_micro
        account.audit.move(event.token, position.condition, -signed, fill.venue_ms)
        spent = fill.cash_micro if fill.side == "BUY" else -fill.cash_micro
        account.spent_micro -= spent + fill.fee_micro


def evolve_position_settled(account: AccountState, event: journal.PositionSettled) -> None:
    """Shares of a resolved market are no position any more; their result is realised."""
    position = account.positions[event.token]
    worth = event.shares_micro * event.payout_micro // 1_000_000
    position.settled_result_micro += worth - (0 if position.settled_micro else event.cost_micro)
    position.settled_micro += event.shares_micro
    account.holds.pop(event.token, None)


def _alarm(name: str, account: Account, detail: str, shares_micro: int) -> journal.Alarm:
    return journal.Alarm(
        name=name, subject=account, detail=detail, numbers={"shares_micro": shares_micro}
    )
