"""The whole account connector on real sockets: a sandbox on loopback, an embedded broker."""

from schemas.records.journal import Cursor
from schemas.records.own import (
    BalanceReport,
    OpenOrdersReport,
    OwnFill,
    OwnRedemption,
    PositionsReport,
    ReportAsked,
)
from schemas.records.system import ConnectorStarted, Genesis, Tick
from schemas.wiring import KafkaWiring

FEEDS = {
    *("user", "own_trades", "own_orders", "own_positions", "own_balance", "own_redemptions"),
}


# Trades are read once, at the beginning: whatever comes later is the channel's.
BY_CHANNEL = {"trades_poll_ms": 3_600_000}


async def test_a_fill_is_told_from_match_to_confirmation_and_equals_the_ledger(stages) -> None:
    stage = await stages(account=BY_CHANNEL)
    connector = stage.start()
    market = stage.venue.market()
    await stage.ready()
    stage.venue.buy(market)
    fills = await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "CONFIRMED")
    assert [fill.status for fill in fills] == ["MATCHED", "MINED", "CONFIRMED"]
    assert {fill.source for fill in fills} == {"user"}
    assert len({(f.shares_micro, f.cash_micro, f.venue_ms, f.order) for f in fills}) == 1
    assert await stage.positions() == {market.tokens[0]: stage.venue.held(market)}
    await connector.stopped()


async def test_cash_of_our_fills_is_exactly_what_the_ledger_moved_without_the_fee(stages) -> None:
    stage = await stages(fee_rate_micro=0)
    stage.start()
    market = stage.venue.market()
    await stage.ready()
    before = stage.venue.cash()
    for token in (0, 1):
        stage.venue.buy(market, usd_micro=700_000_000, token=token)
    await stage.topics.until(OwnFill, lambda f: len(_confirmed(f)) == stage.venue.trades() >= 2)
    fills = _confirmed(await stage.topics.tape(OwnFill))
    assert sum(fill.cash_micro for fill in fills) == before - stage.venue.cash()
    assert max(len(t.fills) for t in stage.venue.all_trades()) > 1, "several makers in a trade"


async def test_our_own_legs_of_a_strangers_trade_are_maker_fills(stages) -> None:
    stage = await stages()
    stage.start()
    market = stage.venue.market()
    await stage.ready()
    price = market.book.best_bid(0)
    order = stage.venue.rest(market, price, 300_000_000)
    reports = await stage.topics.until(OpenOrdersReport, lambda r: r and r[-1].rows)
    assert [(row.order, row.price_micro, row.shares_micro) for row in reports[-1].rows] == [
        (order.order_id, price, 300_000_000)
    ]
    stage.venue.hit_bids(market, price, 12_000_000)
    # The recorded book may cross the order as well: what the venue itself matched is the truth.
    fills = await stage.topics.until(
        OwnFill,
        lambda f: _shares(_confirmed(f)) == order.matched_shares_micro >= 12_000_000,
    )
    assert {(f.role, f.order, f.side, f.token) for f in fills} == {
        ("MAKER", order.order_id, "BUY", market.tokens[0])
    }
    first = next(f for f in fills if f.shares_micro == 12_000_000)
    assert first.cash_micro == 12 * price
    await stage.topics.until(
        OpenOrdersReport,
        lambda r: [row.matched_micro for row in r[-1].rows] == [order.matched_shares_micro],
    )


async def test_a_match_that_fails_is_told_as_failed_and_leaves_no_position(stages) -> None:
    stage = await stages(
        account=BY_CHANNEL, faults=("failed_trade",), fault_rates={"failed_trade": 1.0}
    )
    stage.start()
    market = stage.venue.market()
    await stage.ready()
    stage.venue.buy(market)
    fills = await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "FAILED")
    assert [fill.status for fill in fills] == ["MATCHED", "FAILED"]
    assert await stage.positions() == {}
    assert stage.venue.held(market) == 0


async def test_reports_are_asked_on_the_tape_before_they_are_answered_and_agree(stages) -> None:
    stage = await stages()
    stage.start()
    market = stage.venue.market()
    await stage.ready()
    stage.venue.buy(market)
    await stage.topics.until(OwnFill, lambda f: len(_confirmed(f)) == 1)
    held = stage.venue.held(market)
    reports = await stage.topics.until(
        PositionsReport, lambda r: r[-1].rows and r[-1].rows[0].shares_micro == held
    )
    assert (reports[-1].subject, reports[-1].wallet) == ("main", stage.venue.wallet)
    assert reports[-1].rows[0].token == market.tokens[0]
    assert reports[-1].rows[0].condition == market.condition_id
    assert all(report.complete for report in reports)
    balances = await stage.topics.until(
        BalanceReport, lambda r: r[-1].usd_micro == stage.venue.cash()
    )
    assert balances[0].usd_micro == 10_000_000_000
    everything = await stage.topics.tape()
    place = {r.report: i for i, r in enumerate(everything) if isinstance(r, ReportAsked)}
    answers = (PositionsReport, BalanceReport, OpenOrdersReport)
    answered = [(i, r) for i, r in enumerate(everything) if isinstance(r, answers)]
    assert all(place[report.report] < i for i, report in answered)
    assert len(place) == len({r.report for r in everything if isinstance(r, ReportAsked)})


async def test_what_is_redeemed_outside_is_told_once_with_what_it_paid(stages) -> None:
    stage = await stages()
    first = stage.start()
    market = stage.venue.market()
    await stage.ready()
    for token in (0, 1):
        stage.venue.buy(market, usd_micro=5_000_000, token=token)
    await stage.topics.until(OwnFill, lambda f: len(_confirmed(f)) == stage.venue.trades() >= 2)
    held = {market.tokens[token]: stage.venue.held(market, token) for token in (0, 1)}
    venue = stage.venue.sandbox.venue
    venue.ledger.resolve(market.condition_id, [1_000_000, 0])
    before = stage.venue.cash()
    assert venue.settlement.redeem(stage.venue.wallet, market) == 2
    told = await stage.topics.until(OwnRedemption, lambda r: len(r) == 2)
    assert {r.token: r.shares_micro for r in told} == held
    assert sum(r.cash_micro for r in told) == stage.venue.cash() - before > 0
    assert len({(r.account, r.condition, r.tx, r.source) for r in told}) == 1
    await first.stopped()
    assert len(await stage.topics.tape(OwnRedemption)) == 2, "said once in a life"
    stage.start()
    again = await stage.topics.until(OwnRedemption, lambda r: len(r) == 4)
    assert {(r.token, r.tx, r.shares_micro, r.cash_micro) for r in again} == {
        (r.token, r.tx, r.shares_micro, r.cash_micro) for r in told
    }, "a restart reads the overlap again and says the same"


async def test_it_announces_itself_after_genesis_and_ticks_all_its_feeds(stages) -> None:
    stage = await stages()
    stage.start()
    await stage.ready()
    fresh_ms = 2_000
    ticks = await stage.topics.until(
        Tick,
        lambda t: (
            len(t) > 20
            and all(t[-1].now_ms - f.last_data_ms < fresh_ms for f in t[-1].feeds.values())
        ),
    )
    records = await stage.topics.tape()
    assert [type(record) for record in records[:2]] == [Genesis, ConnectorStarted]
    assert records[1] == ConnectorStarted(producer="account", role="account")
    assert all(set(tick.feeds) == FEEDS and tick.producer == "account" for tick in ticks)
    assert [tick.seq for tick in ticks] == list(range(len(ticks)))
    assert all(feed.state != "up" for feed in ticks[0].feeds.values()), "nothing was read yet"
    tick_ms = stage.settings.wiring.account.tick_ms
    assert ticks[-1].now_ms - ticks[1].now_ms > tick_ms * (len(ticks) - 3), "no faster than set"


async def test_the_cursor_stands_behind_the_oldest_trade_that_can_still_change(stages) -> None:
    stage = await stages(confirmed_ms=60_000)
    stage.start()
    market = stage.venue.market()
    await stage.ready()
    stage.venue.buy(market)
    fills = await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "MINED")
    late_ms = fills[0].venue_ms + 2_000
    await stage.topics.until(Tick, lambda t: t[-1].feeds["own_trades"].last_data_ms > late_ms)
    cursors = await stage.topics.cursors("own_trades")
    assert cursors[-1].upto_ms < fills[0].venue_ms + 1_000, "it stays in that second"
    assert isinstance(cursors[-1], Cursor)
    assert (cursors[-1].feed, cursors[-1].subject) == ("own_trades", "main")


def _confirmed(fills: list[OwnFill]) -> list[OwnFill]:
    return [fill for fill in fills if fill.status == "CONFIRMED"]


def _shares(fills: list[OwnFill]) -> int:
    return sum(fill.shares_micro for fill in fills)


async def test_it_does_the_same_on_the_sessions_broker(stages, kafka, topics, begin_tape) -> None:
    wiring = KafkaWiring(bootstrap=kafka, prefix=topics.declare(), fetch_wait_ms=5)
    begin_tape(wiring)
    stage = await stages(kafka=wiring)
    connector, market = stage.start(), stage.venue.market()
    await stage.ready()
    stage.venue.buy(market)
    await stage.topics.until(OwnFill, lambda f: len(_confirmed(f)) == 1)
    await connector.killed()
    stage.venue.buy(market, token=1)
    connector = stage.start()
    await stage.topics.until(
        OwnFill, lambda f: {x.token for x in _confirmed(f)} == set(market.tokens)
    )
    assert await stage.positions() == {
        market.tokens[token]: stage.venue.held(market, token) for token in (0, 1)
    }
    await connector.stopped()
