"""Records about our own accounts: fills, reports, and what became of the orders we signed."""

from typing import Any, Literal

from schemas.records.base import (
    Account,
    Condition,
    Intent,
    OrderHash,
    Part,
    Record,
    Side,
    Token,
    Wallet,
)

FillStatus = Literal["MATCHED", "MINED", "CONFIRMED", "RETRYING", "FAILED"]


class OwnFill(Record, frozen=True):
    """One fill of ours and how far its settlement is; sent again for every transition.

    Identity: trade for a taker fill, (trade, order) for a maker fill (API reference 8.2).
    cash_micro is shares times price of the fill without the fee. token and side are our own leg's.
    """

    account: Account
    source: Literal["user", "rest", "paper"]
    trade: str
    order: OrderHash
    role: Literal["TAKER", "MAKER"]
    token: Token
    condition: Condition
    side: Side
    shares_micro: int
    cash_micro: int
    status: FillStatus
    tx: str
    venue_ms: int
    recv_ns: int


class OwnRedemption(Record, frozen=True):
    """Total that one transaction redeemed of one outcome for our wallet, as its source states it.

    Identity: (condition, tx, token); sent again it replaces, so repeating it changes nothing.
    cash_micro is what it paid. By hand or by the venue, it looks the same (API reference 10.3).
    """

    account: Account
    source: Literal["rest", "paper"]
    tx: str
    condition: Condition
    token: Token
    shares_micro: int
    cash_micro: int
    venue_ms: int
    recv_ns: int


class ReportAsked(Record, frozen=True):
    """A read is about to be asked; acknowledged on the tape before the request leaves.

    subject is a leader's wallet or one of our account names. report is unique for ever:
    '<connector instance>.<number>'.
    """

    report: str
    subject: str
    about: Literal["positions", "orders", "balance"]
    asked_ms: int


class Holding(Part, frozen=True):
    """One row of a positions report."""

    token: Token
    condition: Condition
    shares_micro: int


class PositionsReport(Record, frozen=True):
    """What the venue says a wallet holds. Complete: every page was read and every row parsed.

    floor_micro: holdings below it may be missing from the answer (API reference 10.4).
    """

    report: str
    subject: str
    wallet: Wallet
    rows: tuple[Holding, ...]
    complete: bool
    floor_micro: int
    answered_ms: int


class BalanceReport(Record, frozen=True):
    """Collateral of one of our accounts as the venue's cache states it (API reference 6.10)."""

    report: str
    subject: Account
    usd_micro: int
    answered_ms: int


class OpenOrder(Part, frozen=True):
    """One resting order of ours."""

    order: OrderHash
    token: Token
    side: Side
    price_micro: int
    shares_micro: int
    matched_micro: int


class OpenOrdersReport(Record, frozen=True):
    """Orders of ours that rest at the venue; an order missing here is no proof of anything."""

    report: str
    subject: Account
    rows: tuple[OpenOrder, ...]
    complete: bool
    answered_ms: int


class OrderSigned(Record, frozen=True):
    """A signed order, on the tape before it is sent. The first one of an intent counts, for ever.

    order is its EIP-712 hash. payload is the exact signed order without any credential; whoever
    finds it here may send these bytes and no others for this intent.
    """

    account: Account
    intent: Intent
    order: OrderHash
    backend: Literal["live", "paper"]
    token: Token
    side: Side
    maker_micro: int
    taker_micro: int
    payload: dict[str, Any]
    executor: str
    signed_ns: int


class OrderAnswered(Record, frozen=True):
    """What we know of a signed order's fate: accepted, refused or unknown.

    accepted: shares_micro and usd_micro are the final matched amounts once status is terminal
    ('matched' or a look-up); None while the venue still works on it ('live', 'delayed').
    proof says how we know: the POST's own answer, a look-up, or a refusal before anything was sent.
    """

    account: Account
    intent: Intent
    order: OrderHash
    outcome: Literal["accepted", "refused", "unknown"]
    status: str
    reason: str
    http_status: int | None
    shares_micro: int | None
    usd_micro: int | None
    trades: tuple[str, ...]
    proof: Literal["post", "lookup", "local", "paper"]
    sent_ns: int
    answered_ns: int


class OrderExpired(Record, frozen=True):
    """The intent's time was over before anything was signed for it."""

    account: Account
    intent: Intent
    now_ms: int
    valid_until_ms: int


class OrderAbsent(Record, frozen=True):
    """Proven absence: every look-up since the last POST said so, for at least ten seconds."""

    account: Account
    intent: Intent
    order: OrderHash
    lookups: int
    last_post_ms: int | None
    first_lookup_ms: int
    last_lookup_ms: int
