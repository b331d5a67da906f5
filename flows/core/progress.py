"""Progress: what became of the orders we asked for, along schemas.order_life and no other way.

The first signature of an intent counts, an end needs proof, and what cannot be is raised, never
obeyed. An order that ends frees its token, with a pause if it brought nothing.
"""

from collections.abc import Iterator

from flows.core.account import AccountState, Retry
from flows.core.market import Markets
from flows.core.orders import Order
from schemas import order_life
from schemas.policy import PolicyDocument
from schemas.records import journal, own
from schemas.records.base import Account, Record

AUTH_STATUSES = (401, 403)
"""Refused credentials or region: nothing more is sent until a new policy says so."""
RETRY_DOUBLINGS_MAX = 5

OrderRecord = own.OrderSigned | own.OrderAnswered | own.OrderExpired | own.OrderAbsent


def decide_order(account: AccountState, record: OrderRecord) -> Iterator[Record]:
    """Move an order along its life; a step no order can take is raised, not obeyed."""
    order = account.orders.get(record.intent)
    if order is None:
        yield alarm("unknown_intent", record.account, record.intent, 0)
        return
    happening = _happening(record)
    if isinstance(record, own.OrderAnswered | own.OrderAbsent) and order.order not in (
        None,
        record.order,
    ):
        yield alarm("answer_to_another_order", record.account, record.order, 0)
        return
    try:
        state = order_life.step(order.state, happening)
        if state == "absent" and not order.ended and _known_to_the_venue(order):
            raise order_life.IllegalStep(order.state, happening)
    except order_life.IllegalStep:
        yield alarm(f"illegal_step:{order.state}:{happening}", record.account, record.intent, 0)
        return
    if state == order.state and not _refines(order, record):
        if state == "expired" and happening == "accepted":
            yield alarm("expired_order_was_accepted", record.account, record.intent, 0)
        return
    if order.ended and state == "accepted":
        yield alarm(f"{order.state}_order_was_accepted", record.account, record.intent, 0)
    yield _moved(order, record, state)
    if order.filled:
        yield filled(record.account, order, order.reason or "fills_complete")


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


def _known_to_the_venue(order: Order) -> bool:
    """Whether it brought something, or its amounts are final: no look-up makes it absent then."""
    return order.accepted_micro is not None or order.fills > 0


def _refines(order: Order, record: OrderRecord) -> bool:
    """Whether a repeated acceptance brings the final amounts that were missing."""
    return (
        order.state == "accepted"
        and isinstance(record, own.OrderAnswered)
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


def filled(account: Account, order: Order, reason: str) -> journal.OrderProgress:
    """The end of an order whose fills are all that the venue accepted."""
    return journal.OrderProgress(
        account=account,
        intent=order.intent,
        token=order.token,
        state="filled",
        order=order.order,
        reason=reason,
        shares_micro=order.booked_micro,
        usd_micro=order.booked_usd_micro,
    )


def alarm(name: str, account: Account, detail: str, shares_micro: int) -> journal.Alarm:
    """Something about our own orders or fills that must not be."""
    return journal.Alarm(
        name=name, subject=account, detail=detail, numbers={"shares_micro": shares_micro}
    )


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
        answers=account.cash.answers,
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
        if account.working.setdefault(event.token, event.intent) != event.intent:
            account.returned[event.intent] = None
    if event.reason.startswith("auth:"):
        account.halted = event.reason
    if not order.ended:
        return
    account.end(order)
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
