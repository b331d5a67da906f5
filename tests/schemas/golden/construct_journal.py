"""Prints golden lines of the journal's and the other topics' kinds, and one sealed event.

`PYTHONPATH=. python <this file>`; the rules are those of construct_tape.py. The sealed line
belongs in sealed.jsonl, the others in journal.jsonl.
"""

import sys
from typing import Final

from construct_tape import (
    BOUGHT,
    INTENT,
    LEADER,
    MAIN,
    MARKET,
    NOW_MS,
    NOW_NS,
    ORDER,
    OTHER,
    TRADE,
    UP,
)

from schemas.codec import Envelope, encode, seal
from schemas.records import journal
from schemas.records.base import Account, Record
from schemas.records.operator import FollowTerms
from schemas.records.summary import (
    AccountLine,
    FeedLine,
    FollowLine,
    HaltLine,
    LeaderLine,
    PositionLine,
    Summary,
    UnfollowLine,
    WorkingLine,
)

REQUESTED: Final = journal.OrderRequested(
    intent=INTENT,
    account=MAIN,
    token=UP,
    condition=MARKET,
    side="BUY",
    limit_micro=510_000,
    shares_micro=10_000_000,
    budget_micro=5_000_000,
    tick_micro=10_000,
    neg_risk=False,
    valid_until_ms=NOW_MS + 3_000,
    now_ms=NOW_MS,
    target_micro=37_500_000,
    position_micro=0,
    in_flight_micro=0,
    gap_micro=37_500_000,
    bound="depth_share",
    bounds=(
        journal.Bound(name="gap", shares_micro=37_500_000),
        journal.Bound(name="depth_share", shares_micro=10_000_000),
    ),
    touch_micro=500_000,
    avg_micro=500_000,
    fee_micro=175_000,
    epoch="public-2.7",
    depth_offset=10_398,
    depth_age_ms=60,
    signal_age_ms=1_000,
    signal_recv_ns=NOW_NS,
    kept_micro=2_000_000,
)

TERMS: Final = FollowTerms(
    name="the quick one",
    ratio_micro=50_000,
    weight_micro=1_000_000,
    cap_usd_micro=300_000_000,
    start="now",
    pairs="cash",
)

JOURNAL: Final[tuple[Record, ...]] = (
    journal.PolicyAdopted(version=3),
    journal.WordAdopted(
        word="Follow",
        word_offset=10_400,
        scope="leader",
        subject=LEADER,
        account=MAIN,
        terms=TERMS,
        reason="good at football",
    ),
    journal.WordAdopted(
        word="Halt",
        word_offset=10_401,
        scope="token",
        subject=UP,
        account=None,
        terms=None,
        reason="disputed result",
    ),
    journal.WordRefused(
        word="Unfollow",
        word_offset=10_402,
        scope="leader",
        subject=LEADER,
        account=Account("nobody"),
        why="unknown_account",
        reason="",
    ),
    journal.LeaderFollowed(leader=LEADER, since_ms=NOW_MS),
    journal.LeaderUnfollowed(leader=LEADER),
    journal.NetDelta(
        leader=LEADER,
        token=UP,
        condition=MARKET,
        shares_micro=150_000_000,
        cash_micro=74_250_000,
        bought_micro=150_000_000,
        sold_micro=0,
        bought_cash_micro=74_250_000,
        fills=1,
        opened_ms=NOW_MS - 400,
        closed_ms=NOW_MS,
        last_venue_ms=NOW_MS - 1_000,
        last_recv_ns=NOW_NS,
    ),
    journal.ExposureRebased(
        leader=LEADER, token=UP, condition=MARKET, shares_micro=-12_000_001, reason="opening"
    ),
    journal.BaselineLowered(leader=LEADER, token=UP, exposure_micro=88_000_000),
    journal.LeaderFillWithdrawn(
        leader=LEADER,
        group=BOUGHT,
        token=UP,
        side="BUY",
        shares_micro=150_000_000,
        answers=("public-2/trades.31", "public-2/trades.46"),
    ),
    journal.LeaderMarked(leader=LEADER, complete=False, reason="row of type CONVERSION"),
    journal.DriftFound(
        subject=MAIN,
        token=UP,
        low_micro=-3_000_000,
        high_micro=-1_000_000,
        reports=("account-3.4", "account-3.7", "account-3.10"),
    ),
    journal.PositionCorrected(
        subject=MAIN,
        token=UP,
        condition=MARKET,
        shares_micro=-1_000_000,
        reports=("account-3.4", "account-3.7", "account-3.10"),
        opening=False,
        taken_back=True,
    ),
    REQUESTED,
    journal.OrderHeld(
        account=MAIN,
        token=UP,
        reason="depth_stale",
        target_micro=37_500_000,
        position_micro=0,
        gap_micro=37_500_000,
        numbers={"age_ms": 12_500},
        kept_micro=2_000_000,
    ),
    journal.HoldEnded(account=MAIN, token=UP, reason="depth_stale", count=17, for_ms=4_300),
    journal.OrderProgress(
        account=MAIN,
        intent=INTENT,
        token=UP,
        state="expired",
        order=None,
        reason="too late to sign",
        shares_micro=0,
        usd_micro=0,
    ),
    journal.FillBooked(
        account=MAIN,
        intent=INTENT,
        trade=TRADE,
        order=ORDER,
        token=UP,
        condition=MARKET,
        side="BUY",
        shares_micro=10_000_000,
        cash_micro=5_000_000,
        fee_micro=175_000,
        venue_ms=NOW_MS,
        recv_ns=NOW_NS,
        late=False,
    ),
    journal.FillSettled(
        account=MAIN,
        trade=TRADE,
        token=UP,
        status="CONFIRMED",
        side="BUY",
        shares_micro=10_000_000,
        recv_ns=NOW_NS,
    ),
    journal.PositionSettled(
        account=MAIN,
        condition=MARKET,
        token=UP,
        shares_micro=10_000_000,
        payout_micro=1_000_000,
        cost_micro=5_175_000,
    ),
    journal.PositionRedeemed(
        account=MAIN,
        condition=MARKET,
        token=UP,
        tx="0x" + "5e771e" * 10 + "0a0b",
        shares_micro=10_000_000,
        cash_micro=10_000_000,
    ),
    journal.Alarm(
        name="late_fill", subject=INTENT, detail="a fill of an ended order", numbers={"late_ms": 9}
    ),
    Summary(
        now_ms=NOW_MS + 10_000,
        accounts=(
            AccountLine(
                account=MAIN,
                cash_micro=1_995_000_000,
                cash_as_of_ms=NOW_MS - 3_000,
                invested_micro=5_175_000,
                reserved_micro=0,
                realised_micro=-250_000,
                fees_micro=175_000,
                working=1,
                orders=4,
                fills=3,
            ),
        ),
        positions=(
            PositionLine(
                account=MAIN,
                token=UP,
                condition=MARKET,
                outcome="Up",
                title="Will Atlético win?",
                target_micro=37_500_000,
                position_micro=10_000_000,
                confirmed_micro=10_000_000,
                in_flight_micro=5_000_000,
                cost_micro=5_175_000,
                bid_micro=480_000,
                bid_as_of_ms=NOW_MS - 60,
                hold="depth_stale",
                settled_micro=0,
                payout_micro=None,
                foreign_micro=2_000_000,
                kept_micro=2_000_000,
                redeemed_micro=0,
            ),
        ),
        working=(
            WorkingLine(
                intent=INTENT,
                account=MAIN,
                token=UP,
                side="BUY",
                shares_micro=5_000_000,
                limit_micro=510_000,
                state="signed",
            ),
        ),
        leaders=(
            LeaderLine(
                leader=LEADER, token=UP, exposure_micro=150_000_000, baseline_micro=-12_000_001
            ),
        ),
        feeds=(
            FeedLine(producer="public", feed="market", state="up", age_ms=40),
            FeedLine(producer="public", feed="activity", state="down", age_ms=None),
        ),
        counts={"orders": 4, "held": 17},
        policy_version=3,
        policy_offset=10_377,
        follows=(
            FollowLine(
                account=MAIN, leader=LEADER, terms=TERMS, since_ms=NOW_MS, word_offset=10_400
            ),
        ),
        unfollowed=(UnfollowLine(account=MAIN, leader=OTHER, word_offset=10_378),),
        halts=(HaltLine(scope="token", subject=UP, account=None, word_offset=10_401),),
    ),
    journal.Watch(what="token", subject=UP, on=True, why="target"),
    journal.Cursor(feed="trades", subject=LEADER, upto_ms=NOW_MS - 10_500),
    journal.Undecodable(
        feed="activity", reason="price is not a number", raw=b'{"price":"\xff"}', recv_ns=NOW_NS
    ),
)
SEALED: Final = seal(REQUESTED, Envelope(n=4_711, cause=10_412, rules=2, prev="9b" * 32))
"""What stands on the journal and the orders topic: the event and its envelope."""

if __name__ == "__main__":
    for line in (*map(encode, JOURNAL), SEALED):
        sys.stdout.buffer.write(line + b"\n")
