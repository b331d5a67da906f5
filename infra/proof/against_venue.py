"""Our ledger against the venue's word: every difference, to the share and the cent. Pure.

What cannot be a difference is not one: an order that is still working, a trade not yet settled, a
holding below what a positions answer may leave out, a redeemed market. What is left is stated with
both sides and where ours comes from. One look may catch a trade between two reads, so the command
looks again and believes only what stays.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from flows.core.positions import FINAL, fill_key
from infra.proof.ledger import Ledger
from infra.proof.venue_view import DUST_MICRO, VenueView
from schemas.records.base import Token
from schemas.records.journal import FillBooked
from schemas.records.own import OwnFill
from schemas.units import CENT_MICRO, format_micro

About = Literal["trade", "order", "position", "balance"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not the same. evidence: where ours stands."""

    about: About
    id: str
    ours: str
    venue: str
    evidence: str


def differences(ledger: Ledger, view: VenueView) -> tuple[Difference, ...]:
    """All of them, in the order trades, orders, positions, balance."""
    return (
        *_trades(ledger, view),
        *_orders(ledger, view),
        *_positions(ledger, view),
        *_balance(ledger, view),
    )


def _trades(ledger: Ledger, view: VenueView) -> Iterator[Difference]:
    told = {fill_key(fill): fill for fill in view.fills}
    for key, fill in told.items():
        booked = ledger.fills.get(key)
        if booked is None:
            if not _before(ledger, fill):
                yield Difference(
                    about="trade",
                    id=key,
                    ours="not booked",
                    venue=_said(fill),
                    evidence=f"no FillBooked in the journal up to tape offset {ledger.offset}",
                )
            continue
        event = booked.event
        ours = (event.token, event.side, event.shares_micro, event.cash_micro)
        if ours != (fill.token, fill.side, fill.shares_micro, fill.cash_micro):
            yield _trade(key, _booked(event), _said(fill), booked.number)
        elif fill.status in FINAL and booked.status != fill.status:
            status = booked.status or "not settled"
            yield _trade(key, status, fill.status, booked.settled_number or booked.number)
    for key, booked in ledger.fills.items():
        if key not in told:
            yield _trade(key, _booked(booked.event), "not known", booked.number)


def _before(ledger: Ledger, fill: OwnFill) -> bool:
    """Whether the trade is from before our record of the account began."""
    lag_ms = ledger.plan.policy.account_report_lag_ms
    return ledger.mine.audit.opened_with(fill.venue_ms, lag_ms)


def _trade(key: str, ours: str, venue: str, number: int) -> Difference:
    return Difference(
        about="trade", id=key, ours=ours, venue=venue, evidence=f"journal record {number}"
    )


def _said(fill: OwnFill) -> str:
    return _line(fill.side, fill.shares_micro, fill.cash_micro, fill.token)


def _booked(event: FillBooked) -> str:
    return _line(event.side, event.shares_micro, event.cash_micro, event.token)


def _line(side: str, shares_micro: int, cash_micro: int, token: str) -> str:
    return f"{side} {format_micro(shares_micro)} for {format_micro(cash_micro)} USD of {token}"


def _orders(ledger: Ledger, view: VenueView) -> Iterator[Difference]:
    """Every order that rests must be one that we still wait for."""
    working = ledger.working()
    for order in view.orders:
        if order.order not in working:
            left = order.shares_micro - order.matched_micro
            intent = ledger.mine.intent_of.get(order.order)
            yield Difference(
                about="order",
                id=order.order,
                ours="none of ours" if intent is None else f"{intent} has ended",
                venue=f"rests: {order.side} {format_micro(left)} at "
                f"{format_micro(order.price_micro)} of {order.token}",
                evidence=f"orders without an end at tape offset {ledger.offset}: {len(working)}",
            )


def _positions(ledger: Ledger, view: VenueView) -> Iterator[Difference]:
    told = {row.token: row.shares_micro for row in view.holdings}
    for token in {**dict.fromkeys(ledger.mine.positions), **told}:
        ours, venue = ledger.shares_micro(token), told.get(token)
        if venue == ours or (venue is None and _may_be_missing(ledger, token, ours)):
            continue
        position = ledger.mine.positions.get(token)
        corrected = format_micro(position.corrected_micro if position is not None else 0)
        yield Difference(
            about="position",
            id=token,
            ours=format_micro(ours),
            venue="no row" if venue is None else format_micro(venue),
            evidence=f"fills up to tape offset {ledger.offset}, corrected by {corrected}",
        )


def _may_be_missing(ledger: Ledger, token: Token, ours_micro: int) -> bool:
    """Dust, and what was redeemed while no read has told it yet."""
    return abs(ours_micro) < DUST_MICRO or ledger.payout_micro(token) is not None


def _balance(ledger: Ledger, view: VenueView) -> Iterator[Difference]:
    told = {row.token: None for row in view.holdings}
    untold = [t for t in ledger.mine.positions if ledger.payout_micro(t) and t not in told]
    ours = ledger.cash_micro(untold)
    redeemed = len(ledger.redemptions) + len(untold)
    if ours is None or ledger.opening is None:
        yield Difference(
            about="balance",
            id=ledger.account,
            ours="not known",
            venue=f"{format_micro(view.cash_micro)} USD",
            evidence="no balance was ever reported to the tape",
        )
    elif abs(ours - view.cash_micro) >= CENT_MICRO:
        yield Difference(
            about="balance",
            id=ledger.account,
            ours=f"{format_micro(ours)} USD",
            venue=f"{format_micro(view.cash_micro)} USD",
            evidence=f"{format_micro(ledger.opening.usd_micro)} USD at tape offset "
            f"{ledger.opening.offset}, {len(ledger.fills)} fills since, fees of "
            f"{format_micro(ledger.fees_micro())} USD by each market's formula, {redeemed} "
            "redemptions; deposits and withdrawals are not on the tape",
        )


def lasting(looks: list[tuple[Difference, ...]]) -> tuple[Difference, ...]:
    """Those of the newest look that every earlier one had too, whatever their numbers."""
    if not looks:
        return ()
    known = [{(each.about, each.id) for each in look} for look in looks]
    return tuple(d for d in looks[-1] if all((d.about, d.id) in look for look in known))
