"""The exchange as a machine: latency, rivals, resting orders, expiry, the end of a market."""

from collections.abc import Callable
from typing import Any

from infra.sandbox.matching import Refusal, Terms
from infra.sandbox.records import Answer

World = Any
Make = Callable[..., World]
Limit = Callable[[str, int, int], Terms]
Buy = Callable[[int, int], Terms]


def test_an_order_meets_the_book_as_it_is_after_the_latency(world: Make, buy: Buy) -> None:
    run = world(latency_ms=200)
    market = run.lasting()
    answers: list[Any] = []
    run.venue.exchange.submit(run.order(market, 0, buy(990_000, 10_000_000)), answers.append)
    run.run(199)
    assert answers == []
    run.run(1)
    assert isinstance(answers[0], Answer)


def test_a_sweep_hits_several_makers_at_several_prices(world: Make, buy: Buy) -> None:
    books = set()
    for seed in range(4):
        run = world(seed=seed)
        answer = run.submit(run.order(run.lasting(), 0, buy(990_000, 2_000_000_000)))
        trades = [run.venue.settlement.trades[trade] for trade in answer.trade_ids]
        fills = [fill for trade in trades for fill in trade.fills]
        assert len({fill.price_micro for fill in fills}) > 1
        assert len({fill.maker.wallet for fill in fills}) > 2
        assert answer.taking_micro == sum(fill.shares_micro for fill in fills)
        books |= {fill.maker.token for fill in fills}
        run.venue.ledger.check()
    assert books == {0, 1}


def test_orders_may_become_several_trades(world: Make, buy: Buy) -> None:
    counts = set()
    for seed in range(6):
        run = world(seed=seed)
        answer = run.submit(run.order(run.lasting(), 0, buy(990_000, 900_000_000)))
        counts.add(min(len(answer.trade_ids), 3))
    assert counts >= {1, 2}


def test_a_rival_takes_most_of_the_liquidity_before_every_nth_order(world: Make, buy: Buy) -> None:
    run = world(rival_every=3)
    wallet, _ = run.account()
    market = run.lasting()
    whole = []
    for _ in range(6):
        answer = run.submit(run.order(market, 0, buy(950_000, 10_000_000)))
        whole.append(isinstance(answer, Answer) and answer.making_micro > 9_900_000)
        run.run(4_000)
    assert whole == [True, True, False, True, True, False]
    assert run.venue.exchange.partial_fills[wallet] == 2


def test_what_trades_take_is_refreshed_by_the_next_recorded_book(world: Make, buy: Buy) -> None:
    run = world()
    market = run.lasting()
    ask = market.book.best_ask(0)
    shown = market.book.levels[0][1][ask]
    run.submit(run.order(market, 0, buy(ask, 10_000_000)))
    assert market.book.levels[0][1].get(ask, 0) < shown
    played = market.played
    while market.played < played + 2:
        run.run(100)
    assert market.book.levels[0] == market.books[market.played - 1].sides[0]


def test_a_resting_order_shows_in_both_books_and_reserves_its_cash(
    world: Make, limit: Limit
) -> None:
    run = world(speed=0.001)
    market = run.lasting()
    wallet, _ = run.account()
    admission = run.venue.exchange.admission
    before = admission.free_cash_micro(wallet)
    bid = market.book.best_bid(0)
    shown = market.book.levels[0][0][bid], market.book.levels[1][1][1_000_000 - bid]
    order = run.order(market, 0, limit("BUY", bid, 50_000_000))
    answer = run.submit(order)
    assert answer.status == "live"
    after = market.book.levels[0][0][bid], market.book.levels[1][1][1_000_000 - bid]
    assert after == (shown[0] + 50_000_000, shown[1] + 50_000_000)
    assert admission.free_cash_micro(wallet) == before - bid * 50
    assert run.venue.exchange.end(order, "CANCELED")
    assert admission.free_cash_micro(wallet) == before
    assert market.book.levels[0][0][bid] == shown[0]


def test_a_recorded_book_that_crosses_a_resting_order_fills_it_at_its_price(
    world: Make, limit: Limit
) -> None:
    filled = 0
    for seed in range(3):
        run = world(seed=seed, speed=12.0, duration_s=20, latency_ms=0)
        market = run.lasting()
        orders = []
        for token in (0, 1):
            price = market.book.best_bid(token)
            orders.append(run.order(market, token, limit("BUY", price, 20_000_000)))
            run.submit(orders[-1])
        run.run(6_000)
        for order in orders:
            if order.status == "MATCHED":
                filled += 1
                assert order.matched_usd_micro == order.terms.usd_micro
        run.venue.ledger.check()
    assert filled >= 2


def test_an_account_never_trades_with_itself(world: Make, limit: Limit, buy: Buy) -> None:
    run = world(speed=0.001)
    market = run.lasting()
    ask = market.book.best_ask(0)
    mine = run.order(market, 1, limit("BUY", 1_000_000 - ask, 10_000_000))
    run.submit(mine)
    run.submit(run.order(market, 0, buy(ask, 5_000_000)))
    assert mine.matched_shares_micro == 0
    other = run.order(market, 0, buy(ask, 5_000_000), name="other")
    run.submit(other)
    assert mine.matched_shares_micro > 0


def test_a_good_till_date_order_expires_a_minute_early(world: Make, limit: Limit) -> None:
    run = world()
    market = run.lasting()
    order = run.order(market, 0, limit("BUY", 20_000, 10_000_000))
    order.terms = Terms(
        side="BUY", order_type="GTD", usd_micro=200_000, shares_micro=10_000_000, price_micro=20_000
    )
    order.expiration_s = run.now_ms // 1000 + 65
    assert isinstance(run.submit(order), Answer)
    run.run(4_000)
    assert order.status == "LIVE"
    run.run(1_500)
    assert order.status == "CANCELED_EXPIRED_ORDER"


def test_a_date_too_near_is_refused(world: Make, limit: Limit) -> None:
    run = world()
    order = run.order(run.lasting(), 0, limit("BUY", 20_000, 10_000_000))
    order.terms = Terms(
        side="BUY", order_type="GTD", usd_micro=200_000, shares_micro=10_000_000, price_micro=20_000
    )
    order.expiration_s = run.now_ms // 1000 + 30
    answers: list[Any] = []
    run.venue.exchange.submit(order, answers.append)
    assert answers == [Refusal(400, "invalid expiration")]


def test_a_closed_market_takes_no_orders_and_ends_those_that_rest(
    world: Make, limit: Limit
) -> None:
    run = world(duration_s=20, resolve_after_s=6)
    market = run.venue.floor.markets[0]
    resting = run.order(market, 0, limit("BUY", 10_000, 10_000_000))
    assert isinstance(run.submit(resting), Answer)
    run.run(4_000)
    assert market.status == "closed"
    assert resting.status == "CANCELED_MARKET_RESOLVED"
    answers: list[Any] = []
    run.venue.exchange.submit(
        run.order(market, 0, limit("BUY", 10_000, 10_000_000)), answers.append
    )
    assert answers == [Refusal(404, "No orderbook exists for the requested token id")]
    run.run(4_000)
    assert market.is_resolved


def test_an_account_can_be_redeemed_by_the_venue_after_a_resolution(world: Make, buy: Buy) -> None:
    run = world(duration_s=30, resolve_after_s=8, auto_redeem_ms=1_000)
    market = run.venue.floor.markets[0]
    token = next(t for t in (0, 1) if market.book.best_ask(t) is not None)
    wallet, _ = run.account()
    answer = run.submit(run.order(market, token, buy(990_000, 20_000_000)))
    assert isinstance(answer, Answer)
    run.run(11_000)
    assert market.is_resolved
    (row,) = [row for row in run.venue.index.rows if row.kind == "REDEEM"]
    assert (row.wallet, row.token, row.shares_micro) == (wallet, token, answer.taking_micro)
    assert run.venue.ledger.holding((wallet, market.condition_id, token)) == 0
    run.venue.ledger.check()


def test_a_refused_order_is_forgotten_and_an_accepted_one_is_a_duplicate(
    world: Make, buy: Buy
) -> None:
    run = world(speed=0.001)
    market = run.lasting()
    miss = run.order(market, 0, buy(10_000, 20_000_000))
    refusal = run.submit(miss)
    assert isinstance(refusal, Refusal)
    assert "no orders found to match with FAK order" in refusal.text
    assert miss.order_id not in run.venue.exchange.orders
    hit = run.order(market, 0, buy(950_000, 20_000_000))
    assert isinstance(run.submit(hit), Answer)
    again: list[Any] = []
    run.venue.exchange.submit(hit, again.append)
    assert again == [Refusal(400, f"order {hit.order_id} is invalid. Duplicated.")]
