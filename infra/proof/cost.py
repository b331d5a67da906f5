"""What an order cost against its leader's price, gathered from a recording.

The leader's price is that of the newest netted trade in the order's direction before it, of a
leader whom the account follows; the touch that of the book it was priced on; the fills those that
did not fail. Shares that were not filled are valued five minutes later, at the mid or the payout.
"""

from collections.abc import Iterable

import msgspec

from infra.proof.aftermath import Step
from infra.proof.recordings import Recording, decoded
from infra.proof.shortfall import Shortfall, Trade, shortfall
from infra.proof.subject import links
from schemas import codec
from schemas.order_life import ENDED
from schemas.records import journal
from schemas.records.base import Wallet
from schemas.records.market import Depth, MarketResolved
from schemas.records.system import Tick
from schemas.units import floor_div

HORIZON_MS = 300_000
HORIZON_KINDS = (b'{"kind":"Depth', b'{"kind":"Tick', b'{"kind":"MarketResolved')


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """The parts, what they were counted from, and whether the order is over."""

    trade: Trade
    shortfall: Shortfall
    ended: bool


def cost_of(
    recording: Recording,
    order: journal.OrderRequested,
    number: int,
    followed: Iterable[Wallet],
    steps: list[Step],
) -> Cost | None:
    """None: no leader's price is known, or nothing has come of the order yet.

    number: the order's place in the journal. steps: what happened to it next.
    """
    leader_micro = _leaders_price(recording, order, number, tuple(followed))
    events = [step.record for step in steps]
    fills = _fills(events)
    ended = any(isinstance(e, journal.OrderProgress) and e.state in ENDED for e in events)
    touch = _touch(recording, order)
    if leader_micro is None or touch is None or not (fills or ended):
        return None
    filled = sum(fill.shares_micro for fill in fills)
    trade = Trade(
        side=order.side,
        wanted_micro=order.shares_micro,
        filled_micro=filled,
        cash_micro=sum(fill.cash_micro for fill in fills),
        fees_micro=sum(fill.fee_micro for fill in fills),
        leader_micro=leader_micro,
        bid_micro=touch[0],
        ask_micro=touch[1],
        horizon_micro=None if filled == order.shares_micro else _horizon(recording, order),
    )
    return Cost(trade=trade, shortfall=shortfall(trade), ended=ended)


def _leaders_price(
    recording: Recording, order: journal.OrderRequested, number: int, followed: tuple[Wallet, ...]
) -> int | None:
    """What he paid or fetched for a share, rounded down."""
    found = None
    for link in links(recording):
        if link.envelope.n >= number:
            break
        event = link.event
        if not isinstance(event, journal.NetDelta) or event.token != order.token:
            continue
        if event.leader not in followed:
            continue
        if order.side == "BUY" and event.bought_micro:
            found = floor_div(event.bought_cash_micro, event.bought_micro)
        elif order.side == "SELL" and event.sold_micro:
            found = floor_div(event.bought_cash_micro - event.cash_micro, event.sold_micro)
    return found


def _fills(events: list[object]) -> list[journal.FillBooked]:
    failed = [e.trade for e in events if isinstance(e, journal.FillSettled) if e.status == "FAILED"]
    return [e for e in events if isinstance(e, journal.FillBooked) and e.trade not in failed]


def _touch(recording: Recording, order: journal.OrderRequested) -> tuple[int, int] | None:
    """Best bid and ask of the book that the order was priced on."""
    at = order.depth_offset
    for batch in recording.values("tape", at, at + 1):
        for offset, value in batch:
            return _sides(decoded(recording, offset, value))
    return None


def _sides(record: object) -> tuple[int, int] | None:
    if not isinstance(record, Depth):
        return None
    bids, asks = codec.decode_levels(record.bids), codec.decode_levels(record.asks)
    return (bids[0][0], asks[0][0]) if bids and asks else None


def _horizon(recording: Recording, order: journal.OrderRequested) -> int | None:
    """The mid, rounded down, or the payout at the horizon; None if the tape ends before it."""
    price, until_ms = None, order.now_ms + HORIZON_MS
    for batch in recording.values("tape", order.depth_offset):
        for offset, value in batch:
            if not value.startswith(HORIZON_KINDS):
                continue
            record = decoded(recording, offset, value)
            if isinstance(record, Tick) and record.now_ms >= until_ms:
                return price
            if isinstance(record, MarketResolved) and order.token in record.payouts:
                return record.payouts[order.token]
            if isinstance(record, Depth) and record.token == order.token:
                touch = _sides(record)
                price = sum(touch) // 2 if touch is not None else price
    return None
