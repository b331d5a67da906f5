"""The Summary event: the state of a shard at one fold time, for whoever shows or resumes it."""

from schemas.records.base import (
    Account,
    Condition,
    Intent,
    Part,
    Record,
    Side,
    Token,
    Wallet,
)
from schemas.records.operator import FollowTerms, Scope


class PositionLine(Part, frozen=True):
    """One token in a Summary. settled: shares that a resolution valued at payout;
    redeemed: what of a token was turned into dollars. What is owed is settled less redeemed.

    foreign: of the position, what no order of ours bought. kept: what of it the policy keeps, so
    that gap = target - (position - kept) - in flight.
    """

    account: Account
    token: Token
    condition: Condition
    outcome: str
    title: str
    target_micro: int
    position_micro: int
    confirmed_micro: int
    in_flight_micro: int
    cost_micro: int
    bid_micro: int | None
    bid_as_of_ms: int | None
    hold: str | None
    settled_micro: int
    payout_micro: int | None
    foreign_micro: int = 0
    kept_micro: int = 0
    redeemed_micro: int = 0


class AccountLine(Part, frozen=True):
    """One account in a Summary; cash None until a balance report came."""

    account: Account
    cash_micro: int | None
    cash_as_of_ms: int | None
    invested_micro: int
    reserved_micro: int
    realised_micro: int
    fees_micro: int
    working: int
    orders: int
    fills: int


class LeaderLine(Part, frozen=True):
    """One leader's copyable exposure of one token in a Summary."""

    leader: Wallet
    token: Token
    exposure_micro: int
    baseline_micro: int


class WorkingLine(Part, frozen=True):
    """One order without an end in a Summary."""

    intent: Intent
    account: Account
    token: Token
    side: Side
    shares_micro: int
    limit_micro: int
    state: str


class FeedLine(Part, frozen=True):
    """One feed in a Summary; age_ms None if it never had data."""

    producer: str
    feed: str
    state: str
    age_ms: int | None


class FollowLine(Part, frozen=True):
    """Whom an account follows, since when (fold time), and by which word, None by the policy."""

    account: Account
    leader: Wallet
    terms: FollowTerms
    since_ms: int | None
    word_offset: int | None


class UnfollowLine(Part, frozen=True):
    """A word that keeps an account from following a wallet, whatever the policy says."""

    account: Account
    leader: Wallet
    word_offset: int


class HaltLine(Part, frozen=True):
    """A halt that stands; account None is for all."""

    scope: Scope
    subject: str
    account: Account | None
    word_offset: int


class Summary(Record, frozen=True):
    """Everything `status` and `leaders` show, each summary_every of fold time.

    policy_offset: where the policy in force stands on the tape. With follows, unfollowed and halts
    it is all that later words on the tape build upon.
    """

    now_ms: int
    accounts: tuple[AccountLine, ...]
    positions: tuple[PositionLine, ...]
    working: tuple[WorkingLine, ...]
    leaders: tuple[LeaderLine, ...]
    feeds: tuple[FeedLine, ...]
    counts: dict[str, int]
    policy_version: int | None = None
    policy_offset: int | None = None
    follows: tuple[FollowLine, ...] = ()
    unfollowed: tuple[UnfollowLine, ...] = ()
    halts: tuple[HaltLine, ...] = ()
