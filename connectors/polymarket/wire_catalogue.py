"""What CLOB and Gamma tell of a market (API reference 11.1, 11.2, 12): rows to one MarketMeta.

CLOB is the word on tokens, tick, minimum and fee; Gamma on title, event, end and closing. Gamma's
arrays are JSON inside strings and are not used: CLOB has the tokens. A fee that nobody states is no
fee of zero: the market is refused with the reason.
"""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from connectors.polymarket.wire import (
    MALFORMED,
    BadValue,
    Unreadable,
    Wire,
    condition_id,
    token_id,
)
from connectors.polymarket.wire import unreadable as unreadable_because
from schemas.records.base import Condition, Token
from schemas.records.market import MarketMeta, Outcome
from schemas.units import MICRO, UnitError, parse_micro

EXPONENT_MAX = 8
"""The venue's schedules have 1 (API reference 14)."""


class MarketByToken(Wire, frozen=True, kw_only=True):
    """Answer of /markets-by-token/{token}."""

    condition_id: str
    primary_token_id: str = ""
    secondary_token_id: str = ""


class _ClobToken(Wire, frozen=True):
    t: str
    o: str


class _ClobFee(Wire, frozen=True):
    r: Decimal
    e: int = 1


class ClobMarket(Wire, frozen=True, kw_only=True):
    """Answer of /clob-markets/{condition}: tokens, minimum, tick, fee, accepting orders."""

    t: list[_ClobToken]
    mos: Decimal
    mts: Decimal
    nr: bool = False
    fd: _ClobFee | None = None
    ao: bool | None = None


class _GammaFee(Wire, frozen=True, kw_only=True):
    rate: Decimal
    exponent: int = 1


class _GammaEvent(Wire, frozen=True, kw_only=True):
    slug: str = ""
    title: str = ""


class GammaMarket(Wire, frozen=True, kw_only=True, rename="camel"):
    """One market of Gamma's listing."""

    condition_id: str
    question: str = ""
    slug: str = ""
    end_date: str | None = None
    active: bool = True
    closed: bool = False
    archived: bool = False
    accepting_orders: bool | None = None
    enable_order_book: bool | None = None
    fees_enabled: bool | None = None
    fee_schedule: _GammaFee | None = None
    events: tuple[_GammaEvent, ...] = ()


class _Keyset(Wire, frozen=True):
    markets: list[GammaMarket]


_by_token = msgspec.json.Decoder(MarketByToken)
_clob = msgspec.json.Decoder(ClobMarket)
_gamma = msgspec.json.Decoder(_Keyset)


def decode_by_token(raw: bytes) -> MarketByToken | Unreadable:
    """Which market a token belongs to."""
    try:
        return _by_token.decode(raw)
    except MALFORMED as error:
        return unreadable_because(error, raw)


def decode_clob_market(raw: bytes) -> ClobMarket | Unreadable:
    """CLOB's compact market."""
    try:
        return _clob.decode(raw)
    except MALFORMED as error:
        return unreadable_because(error, raw)


def decode_gamma(raw: bytes) -> list[GammaMarket] | Unreadable:
    """Markets of /markets/keyset."""
    try:
        return _gamma.decode(raw).markets
    except MALFORMED as error:
        return unreadable_because(error, raw)


def tokens_of(market: ClobMarket) -> list[Token]:
    """Outcome tokens in the venue's order; raises BadValue."""
    return [Token(token_id(each.t)) for each in market.t]


def market_meta(condition: Condition, clob: ClobMarket, gamma: GammaMarket) -> MarketMeta:
    """The record of a market; raises BadValue naming what is missing or impossible."""
    rate_micro, exponent = _fee(clob, gamma)
    try:
        tick, minimum = parse_micro(clob.mts), parse_micro(clob.mos)
    except UnitError as error:
        raise BadValue(f"market {condition}: {error}") from error
    if not 0 < tick < MICRO or minimum < 0:
        raise BadValue(f"market {condition}: tick {clob.mts}, minimum {clob.mos}")
    event = gamma.events[0] if gamma.events else None
    return MarketMeta(
        condition=condition,
        outcomes=tuple(Outcome(token=Token(token_id(t.t)), name=t.o) for t in clob.t),
        tick_micro=tick,
        min_shares_micro=minimum,
        fee_rate_micro=rate_micro,
        fee_exponent=exponent,
        neg_risk=clob.nr,
        accepting=accepting(clob, gamma),
        title=gamma.question,
        event=(event.slug or event.title) if event else "",
        end_ms=end_ms(gamma.end_date) if gamma.end_date else None,
    )


def accepting(clob: ClobMarket, gamma: GammaMarket) -> bool:
    """Whether orders are taken: every source that says anything must say yes."""
    said = (clob.ao, gamma.active, gamma.accepting_orders, gamma.enable_order_book)
    return False not in said and not gamma.closed and not gamma.archived


def _fee(clob: ClobMarket, gamma: GammaMarket) -> tuple[int, int]:
    """Rate and exponent of the taker fee, CLOB's word first."""
    try:
        if clob.fd is not None:
            return _possible(parse_micro(clob.fd.r), clob.fd.e, gamma)
        if gamma.fees_enabled and gamma.fee_schedule is not None:
            schedule = gamma.fee_schedule
            return _possible(parse_micro(schedule.rate), schedule.exponent, gamma)
    except UnitError as error:
        raise BadValue(f"fee of {gamma.condition_id}: {error}") from error
    if gamma.fees_enabled is False:
        return 0, 1
    raise BadValue(f"fee of {gamma.condition_id}: neither CLOB nor Gamma states it")


def _possible(rate_micro: int, exponent: int, gamma: GammaMarket) -> tuple[int, int]:
    """A negative rate would make caps larger than they are, a huge exponent never be computed."""
    if not (0 <= rate_micro <= MICRO and abs(exponent) <= EXPONENT_MAX):
        told = f"rate {rate_micro} micro, exponent {exponent}"
        raise BadValue(f"fee of {gamma.condition_id}: {told} is no schedule")
    return rate_micro, exponent


def end_ms(text: str) -> int | None:
    """Scheduled end; the formats vary ('2026-11-22 18:00:00+00', ISO with Z), None if unknown."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000


def same_condition(market: GammaMarket, condition: Condition) -> bool:
    """Whether this row is the market asked for, whatever width its id has."""
    try:
        return condition_id(market.condition_id) == condition
    except BadValue:
        return False
