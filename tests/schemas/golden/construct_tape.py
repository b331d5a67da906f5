"""Prints golden lines of the tape's kinds: `PYTHONPATH=. python <this file>`. It writes nothing.

A line in tape.jsonl is what once stood on a topic and, from the first release on, stays as it is
for ever. For a new kind or version change or add a record here, read what is printed, and append
that line; never replace one. The values are invented; the shapes are the venue's.
"""

import sys
from typing import Final

from schemas.codec import encode, encode_levels
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.records import leader, market, operator, own, system
from schemas.records.base import (
    Account,
    Condition,
    Intent,
    OrderHash,
    Record,
    Token,
    Wallet,
    group_id,
)

LEADER = Wallet("0x" + "1eade7" * 6 + "0042")
OTHER = Wallet("0x" + "07be" * 10)
OURS = Wallet("0x" + "c0ffee" * 6 + "0001")
MAIN = Account("main")
UP = Token("71321045679252212594626385532706912750332728571942532289631379312455583992563")
DOWN = Token("52114319501245915516055106046884209969926127482827954674443846427813813222426")
MARKET = Condition("0x" + "5e" * 32)
TX = "0x" + "7a" * 32
INTENT = Intent("main:10412:0")
ORDER = OrderHash("0x" + "0d" * 32)
TRADE = "28c4d2eb-bbea-40e7-a9f0-b2fdb56b2c2e"
BOUGHT = group_id(tx=TX, wallet=LEADER, token=UP, side="BUY")
SPLIT = group_id(tx=TX, wallet=LEADER, token=MARKET, side="SPLIT")
NOW_MS = 1_795_046_400_000
NOW_NS = NOW_MS * 1_000_000

TAPE: Final[tuple[Record, ...]] = (
    system.Genesis(tape_id="t-3f9a", schema=1, shard=0, accounts=(MAIN,)),
    system.FlowStarted(shard=0, rules=1),
    system.ConnectorStarted(producer="public", role="public"),
    system.Policy(
        version=3,
        document=PolicyDocument(
            leader_report_lag_ms=30_000,
            account_report_lag_ms=30_000,
            accounts=(
                AccountPolicy(
                    name="main",
                    wallet=OURS,
                    ratio_micro=250_000,
                    foreign="sell",
                    leaders=(LeaderPolicy(wallet=LEADER, name="the quick one", start="converge"),),
                ),
            ),
            quiet_ms=300,
        ),
    ),
    system.Tick(
        producer="account",
        seq=812,
        now_ms=NOW_MS,
        feeds={
            "user": system.FeedState(state="up", last_data_ms=NOW_MS - 40),
            "own_trades": system.FeedState(state="down", last_data_ms=0),
        },
        account=MAIN,
    ),
    market.Depth(
        token=UP,
        epoch="public-2.7",
        as_of_ms=NOW_MS - 60,
        recv_ns=NOW_NS,
        tick_micro=10_000,
        bids=encode_levels([(480_000, 120_000_000), (470_000, 35_500_000)]),
        asks=encode_levels([(500_000, 80_250_000)]),
    ),
    market.BookEpoch(token=UP, epoch="public-2.7", state="ended", reason="hash differs"),
    market.MarketMeta(
        condition=MARKET,
        outcomes=(market.Outcome(token=UP, name="Up"), market.Outcome(token=DOWN, name="Down")),
        tick_micro=10_000,
        min_shares_micro=5_000_000,
        fee_rate_micro=70_000,
        fee_exponent=1,
        neg_risk=False,
        accepting=True,
        title="Will Atlético win?",
        event="btc-updown-15m",
        end_ms=NOW_MS + 600_000,
    ),
    market.MarketClosed(condition=MARKET, reason="accepting_orders is false"),
    market.MarketResolved(condition=MARKET, payouts={UP: 1_000_000, DOWN: 0}, source="gamma"),
    leader.LeaderFills(
        source="feed",
        instance="public-2/activity.1",
        leader=LEADER,
        group=BOUGHT,
        tx=TX,
        token=UP,
        condition=MARKET,
        side="BUY",
        rows=2,
        shares_micro=150_000_000,
        cash_micro=74_250_000,
        venue_ms=NOW_MS - 1_000,
        recv_ns=NOW_NS,
    ),
    leader.LeaderMove(
        instance="public-2/activity-rest.9",
        leader=LEADER,
        group=SPLIT,
        tx=TX,
        move="SPLIT",
        condition=MARKET,
        delta_micro={UP: 25_000_000, DOWN: 25_000_000},
        cash_micro=-25_000_000,
        venue_ms=NOW_MS - 2_000,
        recv_ns=NOW_NS,
    ),
    leader.ReadDone(
        source="trades",
        instance="public-2/trades.31",
        leader=LEADER,
        asked_ms=NOW_MS - 500,
        from_ms=NOW_MS - 60_500,
        upto_ms=NOW_MS - 10_500,
        present=(BOUGHT,),
    ),
    leader.LeaderIncomplete(
        leader=LEADER, instance="public-2/activity-rest.9", reason="row of type CONVERSION"
    ),
    own.OwnFill(
        account=MAIN,
        source="user",
        trade=TRADE,
        order=ORDER,
        role="TAKER",
        token=UP,
        condition=MARKET,
        side="BUY",
        shares_micro=10_000_000,
        cash_micro=5_000_000,
        status="MATCHED",
        tx="",
        venue_ms=NOW_MS,
        recv_ns=NOW_NS + 180_000_000,
    ),
    own.OwnRedemption(
        account=MAIN,
        source="rest",
        tx="0x" + "5e771e" * 10 + "0a0b",
        condition=MARKET,
        token=UP,
        shares_micro=10_000_000,
        cash_micro=10_000_000,
        venue_ms=NOW_MS,
        recv_ns=NOW_NS,
    ),
    own.ReportAsked(report="account-3.4", subject=MAIN, about="positions", asked_ms=NOW_MS),
    own.PositionsReport(
        report="account-3.4",
        subject=MAIN,
        wallet=OURS,
        rows=(own.Holding(token=UP, condition=MARKET, shares_micro=10_000_000),),
        complete=True,
        floor_micro=100_000,
        answered_ms=NOW_MS + 220,
    ),
    own.BalanceReport(
        report="account-3.5", subject=MAIN, usd_micro=1_995_000_000, answered_ms=NOW_MS + 90
    ),
    own.OpenOrdersReport(
        report="account-3.6",
        subject=MAIN,
        rows=(
            own.OpenOrder(
                order=ORDER,
                token=UP,
                side="SELL",
                price_micro=550_000,
                shares_micro=10_000_000,
                matched_micro=2_500_000,
            ),
        ),
        complete=False,
        answered_ms=NOW_MS + 95,
    ),
    own.OrderSigned(
        account=MAIN,
        intent=INTENT,
        order=ORDER,
        backend="live",
        token=UP,
        side="BUY",
        maker_micro=5_000_000,
        taker_micro=10_000_000,
        payload={"salt": 479249096354, "maker": OURS, "tokenId": UP, "makerAmount": "5000000"},
        executor="execution-5",
        signed_ns=NOW_NS + 3_000_000,
    ),
    own.OrderAnswered(
        account=MAIN,
        intent=INTENT,
        order=ORDER,
        outcome="accepted",
        status="matched",
        reason="",
        http_status=200,
        shares_micro=10_000_000,
        usd_micro=5_000_000,
        trades=(TRADE,),
        proof="post",
        sent_ns=NOW_NS + 4_000_000,
        answered_ns=NOW_NS + 96_000_000,
    ),
    own.OrderAnswered(
        account=MAIN,
        intent=INTENT,
        order=ORDER,
        outcome="unknown",
        status="",
        reason="timed out",
        http_status=None,
        shares_micro=None,
        usd_micro=None,
        trades=(),
        proof="post",
        sent_ns=NOW_NS + 4_000_000,
        answered_ns=NOW_NS + 10_004_000_000,
    ),
    own.OrderExpired(
        account=MAIN, intent=INTENT, now_ms=NOW_MS + 3_001, valid_until_ms=NOW_MS + 3_000
    ),
    own.OrderAbsent(
        account=MAIN,
        intent=INTENT,
        order=ORDER,
        lookups=11,
        last_post_ms=NOW_MS + 4,
        first_lookup_ms=NOW_MS + 1_004,
        last_lookup_ms=NOW_MS + 11_004,
    ),
    operator.Follow(
        account=MAIN,
        leader=LEADER,
        name="the quick one",
        ratio_micro=50_000,
        cap_usd_micro=300_000_000,
        start="now",
        pairs="cash",
        reason="good at football",
    ),
    operator.Unfollow(account=MAIN, leader=LEADER, reason="trades against himself"),
    operator.Halt(scope="token", subject=UP, account=MAIN, reason="disputed result"),
    operator.Halt(scope="leader", subject=LEADER, account=None, reason="hacked, they say"),
    operator.Resume(scope="token", subject=UP, reason="the dispute is over"),
)

if __name__ == "__main__":
    for line in map(encode, TAPE):
        sys.stdout.buffer.write(line + b"\n")
