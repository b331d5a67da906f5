"""The proof of honesty: the unmodified official SDK trades against the sandbox, from end to end."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from polymarket import AsyncSecureClient
from polymarket.errors import OrderHeartbeatMismatchError, RequestRejectedError, TransportError
from polymarket.models.clob.order_response import AcceptedOrder

from infra.sandbox.market import Market
from infra.sandbox.server import Sandbox, system_clock_ms
from schemas.units import format_micro
from tests.waiting import WAIT_S, until

OpenSandbox = Callable[..., Awaitable[Sandbox]]
OpenClient = Callable[..., Awaitable[AsyncSecureClient]]


def liquid(sandbox: Sandbox) -> Market:
    """A lasting market with both sides shown."""
    for market in sandbox.venue.floor.markets[2:]:
        bid, ask = market.book.best_bid(0), market.book.best_ask(0)
        if bid is not None and ask is not None and 100_000 < ask < 900_000:
            return market
    raise AssertionError("no liquid market in this seed")


async def settled(sandbox: Sandbox) -> None:
    """All trades so far are confirmed, and the Data API shows them."""
    index = sandbox.venue.index

    def done() -> bool:
        trades = sandbox.venue.settlement.trades.values()
        return all(t.status in ("CONFIRMED", "FAILED") for t in trades) and len(
            index.visible
        ) == len(index.rows)

    await until(done)


async def bought(
    client: AsyncSecureClient, market: Market, usd: str, *, slip: int = 20_000
) -> AcceptedOrder:
    """A FAK BUY through the touch that must be accepted."""
    ask = market.book.best_ask(0)
    assert ask is not None
    order = await client.create_market_order(
        side="BUY", asset_id=market.tokens[0], amount=usd, max_price=format_micro(ask + slip)
    )
    answer = await client.post_order(order)
    assert isinstance(answer, AcceptedOrder)
    return answer


async def all_of(pages: Any) -> list[Any]:
    return [item async for page in pages for item in page.items]


async def test_the_sdk_derives_credentials_and_finds_an_account_with_cash(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    client = await open_client(await open_sandbox())
    cash = await client.get_balance_allowance(asset_type="COLLATERAL")
    assert cash.balance == 10_000_000_000
    assert await client.get_closed_only_mode() is False
    again = await open_client(await open_sandbox())
    assert again.wallet == client.wallet


async def test_the_sdk_buys_sells_and_reads_its_trades_balances_and_positions(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox(index_lag_ms=100)
    client, market = await open_client(sandbox), liquid(sandbox)
    answer = await bought(client, market, "20")
    assert answer.status == "matched"
    assert answer.making_amount <= Decimal(20)
    assert answer.transactions_hashes == ()
    hashes = await client.wait_for_order_fill_settlement(answer, timeout_s=WAIT_S)
    assert hashes
    trades = await all_of(client.list_account_trades())
    assert sum(trade.size for trade in trades) == answer.taking_amount
    spent = sum(
        m.matched_amount * m.price for t in trades for m in t.maker_orders if m.side == "SELL"
    )
    minted = sum(
        m.matched_amount * (1 - m.price) for t in trades for m in t.maker_orders if m.side == "BUY"
    )
    assert 0 <= answer.making_amount - spent - minted < Decimal("0.00001")
    held = await client.get_balance_allowance(asset_type="CONDITIONAL", asset_id=market.tokens[0])
    assert held.balance == int(answer.taking_amount * 1_000_000)
    await settled(sandbox)
    (position,) = await all_of(client.list_positions(user=client.wallet))
    assert position.current_size == answer.taking_amount
    bid = market.book.best_bid(0)
    assert bid is not None
    order = await client.create_market_order(
        side="SELL", asset_id=market.tokens[0], shares="10", min_price=format_micro(bid - 10_000)
    )
    sale = await client.post_order(order)
    assert isinstance(sale, AcceptedOrder)
    assert sale.making_amount == Decimal(10)


async def test_money_moves_by_the_amounts_answered_and_the_fee(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    client, market = await open_client(sandbox), liquid(sandbox)
    answer = await bought(client, market, "15")
    left = (await client.get_balance_allowance(asset_type="COLLATERAL")).balance
    fees = sum(trade.fee_micro for trade in sandbox.venue.settlement.trades.values())
    assert fees > 0
    assert left == 10_000_000_000 - int(answer.making_amount * 1_000_000) - fees


async def test_a_thin_book_fills_a_fak_partly_and_the_rest_is_killed(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox(rival_every=1)
    client, market = await open_client(sandbox), liquid(sandbox)
    answer = await bought(client, market, "40")
    assert Decimal(0) < answer.making_amount < Decimal(40)
    assert await all_of(client.list_open_orders()) == []


@pytest.mark.parametrize(
    ("side", "amount", "price", "text"),
    [
        ("BUY", "20", "0.01", "no orders found to match with FAK order"),
        ("BUY", "2", "0.9", "lower than the minimum: 5"),
        ("SELL", "20", "0.01", "not enough balance / allowance"),
        ("BUY", "9999", "0.99", "not enough balance / allowance"),
    ],
)
async def test_refusals_carry_the_venues_status_and_text(
    open_sandbox: OpenSandbox,
    open_client: OpenClient,
    side: str,
    amount: str,
    price: str,
    text: str,
) -> None:
    sandbox = await open_sandbox(account_cash_usd_micro=9_000_000_000)
    client, market = await open_client(sandbox), liquid(sandbox)
    sized = {"amount": amount, "max_price": price} if side == "BUY" else {"shares": amount}
    limits = {} if side == "BUY" else {"min_price": price}
    order = await client.create_market_order(
        side=side,  # type: ignore[call-overload]
        asset_id=market.tokens[0],
        **sized,
        **limits,
    )
    with pytest.raises(RequestRejectedError) as refused:
        await client.post_order(order)
    assert refused.value.status == 400
    assert text in str(refused.value)


async def test_a_marketable_buy_below_a_dollar_is_refused(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    client, market = await open_client(sandbox := await open_sandbox()), liquid(sandbox)
    order = await client.create_market_order(
        side="BUY", asset_id=market.tokens[0], amount="0.98", max_price="0.1"
    )
    with pytest.raises(RequestRejectedError, match=r"marketable BUY order \(\$0.98\), min size"):
        await client.post_order(order)


async def test_a_fill_or_kill_that_cannot_fill_leaves_nothing_behind(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    client, market = await open_client(sandbox := await open_sandbox()), liquid(sandbox)
    ask = market.book.best_ask(0)
    assert ask is not None
    order = await client.create_market_order(
        side="BUY",
        asset_id=market.tokens[0],
        amount="9000",
        max_price=format_micro(ask),
        order_type="FOK",
    )
    with pytest.raises(RequestRejectedError, match="couldn't be fully filled"):
        await client.post_order(order)
    assert await all_of(client.list_account_trades()) == []


async def test_the_same_signed_order_again_is_a_duplicate_and_fills_once(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    client, market = await open_client(sandbox), liquid(sandbox)
    order = await client.create_market_order(
        side="BUY", asset_id=market.tokens[0], amount="10", max_price="0.95"
    )
    answers = await asyncio.gather(
        *(client.post_order(order) for _ in range(3)), return_exceptions=True
    )
    accepted = [answer for answer in answers if isinstance(answer, AcceptedOrder)]
    refused = [answer for answer in answers if isinstance(answer, RequestRejectedError)]
    assert (len(accepted), len(refused)) == (1, 2)
    expected = f"order {accepted[0].order_id} is invalid. Duplicated."
    assert all(expected in str(refusal) for refusal in refused)
    assert len(await all_of(client.list_account_trades())) == len(accepted[0].trade_ids)


async def test_limit_orders_rest_are_listed_looked_up_and_cancelled(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    client, market = await open_client(sandbox), liquid(sandbox)
    placed = []
    for price in ("0.02", "0.03"):
        order = await client.create_limit_order(
            asset_id=market.tokens[0], price=price, size="10", side="BUY"
        )
        answer = await client.post_order(order)
        assert isinstance(answer, AcceptedOrder)
        assert answer.status == "live"
        placed.append(str(answer.order_id))
    book = await client.get_order_book(asset_id=market.tokens[0])
    assert Decimal("0.03") in {level.price for level in book.bids}
    assert [order.id for order in await all_of(client.list_open_orders())] == placed
    found = await client.get_order(order_id=placed[0])
    assert (found.status, found.original_size) == ("LIVE", Decimal(10))
    cancelled = await client.cancel_orders(order_ids=[placed[0], "0xunknown"])
    assert list(cancelled.canceled) == [placed[0]]
    assert list(cancelled.not_canceled) == ["0xunknown"]
    assert (await client.get_order(order_id=placed[0])).status == "CANCELED"
    assert list((await client.cancel_all()).canceled) == [placed[1]]
    assert await all_of(client.list_open_orders()) == []


async def test_cancelling_by_market_leaves_other_markets_orders(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    client = await open_client(sandbox)
    ids = []
    for market in sandbox.venue.floor.markets[2:4]:
        order = await client.create_limit_order(
            asset_id=market.tokens[0], price="0.02", size="10", side="BUY"
        )
        answer = await client.post_order(order)
        assert isinstance(answer, AcceptedOrder)
        ids.append(str(answer.order_id))
    first = sandbox.venue.floor.markets[2].condition_id
    assert list((await client.cancel_market_orders(market=first)).canceled) == ids[:1]
    assert [order.id for order in await all_of(client.list_open_orders())] == ids[1:]


async def test_a_batch_answers_each_order_and_a_failed_leg_does_not_fail_the_rest(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    client, market = await open_client(sandbox), liquid(sandbox)
    orders = [
        await client.create_limit_order(
            asset_id=market.tokens[0], price="0.02", size=size, side="BUY"
        )
        for size in ("10", "1")
    ]
    good, bad = await client.post_orders(orders)
    assert good.ok
    assert not bad.ok
    assert "lower than the minimum" in bad.message


async def test_a_post_only_order_that_crosses_is_refused(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    client, market = await open_client(sandbox := await open_sandbox()), liquid(sandbox)
    order = await client.create_limit_order(
        asset_id=market.tokens[0], price="0.95", size="10", side="BUY", post_only=True
    )
    with pytest.raises(RequestRejectedError, match="order crosses book"):
        await client.post_order(order)


async def test_bought_shares_cannot_be_sold_before_they_are_confirmed(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    skipped_ms, confirmed_ms = 0, 200_000
    sandbox = await open_sandbox(
        clock=lambda: system_clock_ms() + skipped_ms, confirmed_ms=confirmed_ms
    )
    client, market = await open_client(sandbox), liquid(sandbox)
    answer = await bought(client, market, "20")
    order = await client.create_market_order(
        side="SELL", asset_id=market.tokens[0], shares="10", min_price="0.01"
    )
    with pytest.raises(RequestRejectedError, match="not enough balance"):
        await client.post_order(order)
    skipped_ms = confirmed_ms  # less than the venue allows a signature's clock to be off
    await client.wait_for_order_fill_settlement(answer, timeout_s=WAIT_S)
    assert (await client.post_order(order)).ok


async def test_the_heartbeat_wants_the_id_it_gave_last(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    client = await open_client(await open_sandbox())
    first = await client.send_order_heartbeat(heartbeat_id="")
    second = await client.send_order_heartbeat(heartbeat_id=first.heartbeat_id)
    assert second.heartbeat_id != first.heartbeat_id
    with pytest.raises(OrderHeartbeatMismatchError):
        await client.send_order_heartbeat(heartbeat_id="stale")


async def test_public_reads_of_the_sdk_work(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox()
    client, market = await open_client(sandbox), liquid(sandbox)
    token = market.tokens[0]
    books = await client.get_order_books(asset_ids=list(market.tokens))
    assert {book.asset_id for book in books} == set(market.tokens)
    bid, ask = market.book.best_bid(0), market.book.best_ask(0)
    assert bid is not None
    assert ask is not None
    assert await client.get_midpoint(asset_id=token) == Decimal(bid + ask) / 2_000_000
    assert await client.get_price(asset_id=token, side="BUY") == Decimal(bid) / 1_000_000
    assert await client.get_spread(asset_id=token) == Decimal(ask - bid) / 1_000_000
    listed = await all_of(client.list_markets())
    assert [row.condition_id for row in listed] == [
        m.condition_id for m in sandbox.venue.floor.markets
    ]
    one = await client.get_market(slug=market.slug)
    assert one.outcomes.yes.token_id == token
    (resolution,) = await client.get_resolutions(condition_ids=market.condition_id)
    assert resolution.payouts is None
    references = await client.get_token_references(asset_ids=list(market.tokens))
    assert [row.outcome for row in references] == ["Up", "Down"]
    assert (await client.get_portfolio_value(user=client.wallet)).value == 0


async def test_a_lost_answer_is_a_transport_error_for_an_order_that_stands(
    open_sandbox: OpenSandbox, open_client: OpenClient
) -> None:
    sandbox = await open_sandbox(faults=("lost_answer",), fault_rates={"lost_answer": 1.0}, seed=2)
    client, market = await open_client(sandbox), liquid(sandbox)
    order = await client.create_market_order(
        side="BUY", asset_id=market.tokens[0], amount="10", max_price="0.95"
    )
    with pytest.raises(TransportError):
        await client.post_order(order)
    sandbox.venue.faults.switch(())
    with pytest.raises(RequestRejectedError, match="Duplicated"):
        await client.post_order(order)
    assert await all_of(client.list_account_trades())
