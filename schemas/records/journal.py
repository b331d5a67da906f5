"""Events of the journal: every conclusion and every refusal, with the numbers it rested on.

On the topic each event stands inside an envelope (schemas.codec): its number in the partition,
the tape offset that caused it, the rules version that made it and the hash of the record before.
"""

from typing import Literal

from schemas.records.base import (
    Account,
    Condition,
    Group,
    Intent,
    OrderHash,
    Part,
    Record,
    Side,
    Token,
    Wallet,
)
from schemas.records.operator import FollowTerms, Scope


class PolicyAdopted(Record, frozen=True):
    """From here on this policy rules."""

    version: int


class WordAdopted(Record, frozen=True):
    """An operator's word is obeyed from here on; word_offset is where it stands on the tape.

    terms: those of a Follow. account: whom it is for; None is every account.
    """

    word: Literal["Follow", "Unfollow", "Halt", "Resume"]
    word_offset: int
    scope: Scope
    subject: str
    account: Account | None
    terms: FollowTerms | None
    reason: str


class WordRefused(Record, frozen=True):
    """An operator's word changed nothing, because of what `why` names; reason is the operator's."""

    word: Literal["Follow", "Unfollow", "Halt", "Resume"]
    word_offset: int
    scope: Scope
    subject: str
    account: Account | None
    why: str
    reason: str


class LeaderFollowed(Record, frozen=True):
    """A wallet's fills count from here; since_ms is fold time."""

    leader: Wallet
    since_ms: int


class LeaderUnfollowed(Record, frozen=True):
    """No account follows the wallet any longer; its exposure leaves every target."""

    leader: Wallet


class NetDelta(Record, frozen=True):
    """A netting window closed: what a leader's holding of a token moved by, all fills netted.

    bought/sold give the gross sides of his trades (splits, merges, redemptions, and totals that a
    later answer lowers are neither); cash_micro is what he paid for them net; last_venue_ms dates
    the newest fill, which ages the signal.
    """

    leader: Wallet
    token: Token
    condition: Condition
    shares_micro: int
    cash_micro: int
    bought_micro: int
    sold_micro: int
    bought_cash_micro: int
    fills: int
    opened_ms: int
    closed_ms: int
    last_venue_ms: int
    last_recv_ns: int


class ExposureRebased(Record, frozen=True):
    """A leader's holding and baseline moved alike: what he did or had before he was followed."""

    leader: Wallet
    token: Token
    condition: Condition
    shares_micro: int
    reason: Literal["opening", "earlier_fill"]


class BaselineLowered(Record, frozen=True):
    """A leader sold of what he held before he was followed, as REST answers alone prove it."""

    leader: Wallet
    token: Token
    exposure_micro: int


class LeaderFillWithdrawn(Record, frozen=True):
    """A fill that two complete REST answers do not know was no fill; both stand as evidence."""

    leader: Wallet
    group: Group
    token: Token
    side: Side
    shares_micro: int
    answers: tuple[str, str]


class LeaderMarked(Record, frozen=True):
    """A leader's record became incomplete (increases held) or complete again, and why."""

    leader: Wallet
    complete: bool
    reason: str


class DriftFound(Record, frozen=True):
    """Three reports in a row contradict what we rebuilt; the difference lies in [low, high]."""

    subject: str
    token: Token
    low_micro: int
    high_micro: int
    reports: tuple[str, ...]


class PositionCorrected(Record, frozen=True):
    """A difference found by reports was added; a difference, not a level, and never priced.

    opening: what an account held before its first fill on this tape. taken_back: part of an
    earlier correction that these reports prove no longer, since a fill became known which may
    stand in them.
    """

    subject: str
    token: Token
    condition: Condition
    shares_micro: int
    reports: tuple[str, ...]
    opening: bool
    taken_back: bool = False


class Bound(Part, frozen=True):
    """One limit on a size, in shares; the smallest bites."""

    name: str
    shares_micro: int


class OrderRequested(Record, frozen=True):
    """An order to close a gap, with all that it rested on. Also the record on the orders topic.

    BUY: budget_micro is the USD spent at most without fee; shares_micro what the walk expects.
    SELL: shares_micro is sold, budget_micro is what the walk expects to fetch.
    limit_micro is the worst price, on the grid of tick_micro. avg_micro and fee_micro are the
    walk's forecast, touch_micro the best opposite price it began at. kept_micro: shares of the
    position that are foreign; gap = target - (position - kept) - in flight.
    """

    intent: Intent
    account: Account
    token: Token
    condition: Condition
    side: Side
    limit_micro: int
    shares_micro: int
    budget_micro: int
    tick_micro: int
    neg_risk: bool
    valid_until_ms: int
    now_ms: int
    target_micro: int
    position_micro: int
    in_flight_micro: int
    gap_micro: int
    bound: str
    bounds: tuple[Bound, ...]
    touch_micro: int
    avg_micro: int
    fee_micro: int
    epoch: str
    depth_offset: int
    depth_age_ms: int
    signal_age_ms: int | None
    signal_recv_ns: int | None
    kept_micro: int = 0


class OrderHeld(Record, frozen=True):
    """A gap above the band that leads to no order now, and why. Written when the reason changes."""

    account: Account
    token: Token
    reason: str
    target_micro: int
    position_micro: int
    gap_micro: int
    numbers: dict[str, int]
    kept_micro: int = 0


class HoldEnded(Record, frozen=True):
    """The hold is over; count says how many Ticks it outlasted, for_ms how long it stood."""

    account: Account
    token: Token
    reason: str
    count: int
    for_ms: int


class OrderProgress(Record, frozen=True):
    """An order of ours moved along its life table.

    accepted: the venue's final amounts, None while it still works on it. Ended: what it brought.
    """

    account: Account
    intent: Intent
    token: Token
    state: str
    order: OrderHash | None
    reason: str
    shares_micro: int | None
    usd_micro: int | None


class FillBooked(Record, frozen=True):
    """A fill entered the position; fee_micro by the market's formula (API reference 14).

    trade is the fill's identity: the trade id, for a maker fill with the order's hash behind it.
    late: its order had ended, or is none of ours.
    """

    account: Account
    intent: Intent | None
    trade: str
    order: OrderHash
    token: Token
    condition: Condition
    side: Side
    shares_micro: int
    cash_micro: int
    fee_micro: int
    venue_ms: int
    recv_ns: int
    late: bool


class FillSettled(Record, frozen=True):
    """A booked fill was confirmed, or failed and was reversed exactly."""

    account: Account
    trade: str
    token: Token
    status: Literal["CONFIRMED", "FAILED"]
    side: Side
    shares_micro: int
    recv_ns: int


class PositionSettled(Record, frozen=True):
    """A resolved market's shares left targets and gaps; they are worth their payout, redeemable."""

    account: Account
    condition: Condition
    token: Token
    shares_micro: int
    payout_micro: int
    cost_micro: int


class PositionRedeemed(Record, frozen=True):
    """Shares of a resolved market were turned into dollars: they are owed no payout any more.

    shares_micro and cash_micro are what this adds to what was said of the transaction before: its
    whole total the first time, below 0 where a total came down.
    """

    account: Account
    condition: Condition
    token: Token
    tx: str
    shares_micro: int
    cash_micro: int


class Alarm(Record, frozen=True):
    """Something that must not happen, did; trading goes on only where it is safe."""

    name: str
    subject: str
    detail: str
    numbers: dict[str, int]


class Watch(Record, frozen=True):
    """What the decisions need to see; connectors subscribe from this topic and nothing else.

    subject of a wallet is its address, of a token its id. The key on the compacted topic is
    '<what>:<subject>'.
    """

    what: Literal["wallet", "token"]
    subject: str
    on: bool
    why: str


class Cursor(Record, frozen=True):
    """How far a connector has read one feed of one subject; written after the tape has the rows."""

    feed: str
    subject: str
    upto_ms: int


class Undecodable(Record, frozen=True):
    """A frame or row that could not be decoded: quarantined on `dead` with the reason."""

    feed: str
    reason: str
    raw: bytes
    recv_ns: int
