"""What goes wrong around the account connector: sockets, venue, broker, and itself."""

import asyncio
import functools
import threading

import pytest

from connectors.account.start import begun
from connectors.kafka.config import consumer_config
from connectors.kafka.consumer import WaitEnded
from connectors.kafka.errors import UndeliveredRecord
from connectors.polymarket.user import STAMP_MS
from infra.embedded import EmbeddedBroker
from infra.tape import TapeWriter
from schemas.records.own import OwnFill
from schemas.records.system import ConnectorStarted, Genesis, Tick
from schemas.settings import SettingsError
from tests.waiting import WAIT_S, until, until_answered

NOBODY = "ws://127.0.0.1:9"
EVERYTHING = {
    "faults": ("drop", "double", "swap", "cut", "failed_trade"),
    "fault_rates": {"drop": 0.3, "double": 0.3, "swap": 0.3, "cut": 60.0, "failed_trade": 0.3},
}


async def test_without_a_user_channel_rest_tells_every_fill_and_the_feed_says_down(stages) -> None:
    stage = await stages(venue={"user_ws_url": NOBODY})
    stage.start()
    market = stage.venue.market()
    await stage.topics.until(Tick, lambda t: t and t[-1].feeds["own_trades"].state == "up")
    stage.venue.buy(market)
    fills = await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "CONFIRMED")
    assert {fill.source for fill in fills} == {"rest"}
    assert await stage.positions() == {market.tokens[0]: stage.venue.held(market)}
    assert {tick.feeds["user"].state for tick in await stage.topics.tape(Tick)} == {"down"}


async def test_fills_made_while_the_socket_is_cut_arrive_after_it(stages) -> None:
    stage = await stages(account={"trades_poll_ms": 60_000})
    stage.start()
    market = stage.venue.market()
    await stage.ready()
    stage.venue.cut()
    stage.venue.buy(market)
    await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "CONFIRMED")
    assert stage.venue.sandbox.hub.accepted["user"] >= 2
    assert await stage.positions() == {market.tokens[0]: stage.venue.held(market)}


async def test_a_cut_is_visible_in_ticks(stages) -> None:
    stage = await stages()
    stage.start()
    await stage.ready()

    async def visible() -> bool:
        stage.venue.cut()  # again and again: one that is back before the next Tick is none
        states = [tick.feeds["user"].state for tick in await stage.topics.tape(Tick)]
        return "down" in states[states.index("up") :]

    await until_answered(visible)


async def test_with_frames_lost_doubled_swapped_and_sockets_cut_fills_equal_the_ledger(
    stages,
) -> None:
    stage = await stages(**EVERYTHING)
    stage.start()
    await stage.ready()
    markets = [m for m in stage.venue.sandbox.venue.floor.markets if m.is_open][:5]
    for number in range(20):
        stage.venue.buy(markets[number % 5], usd_micro=5_000_000, token=number % 2)
        await asyncio.sleep(0.05)
    ledger = {
        market.tokens[token]: lambda market=market, token=token: stage.venue.held(market, token)
        for market in markets
        for token in (0, 1)
    }

    def settled(fills: list[OwnFill]) -> bool:
        newest = {fill.trade: fill.status for fill in fills}
        final = set(newest.values()) <= {"CONFIRMED", "FAILED"}
        return final and len(newest) == stage.venue.trades()

    await stage.topics.until(OwnFill, settled)
    held = {token: look() for token, look in ledger.items() if look()}
    assert {token: n for token, n in (await stage.positions()).items() if n} == held
    counts = stage.venue.sandbox.venue.faults.counts
    assert min(counts[name] for name in ("drop", "double", "swap", "failed_trade")) > 0


async def test_a_channel_that_answers_ping_and_tells_nothing_is_left_once_rest_knows_more(
    stages, dull_channels
) -> None:
    channel = await dull_channels(pongs=True)
    stage = await stages(venue={"user_ws_url": channel.url}, mined_ms=60_000)
    stage.start()
    await stage.ready()
    # Fills of the connection's first seconds prove nothing against it.
    (since_ms,) = {t.now_ms for t in (await stage.topics.tape(Tick))[-1:]}
    await stage.topics.until(Tick, lambda t: t[-1].now_ms > since_ms + STAMP_MS + 1_000)
    assert channel.opened == 1
    stage.venue.buy(stage.venue.market())
    await stage.topics.until(OwnFill, lambda f: f and f[-1].source == "rest")
    await until(lambda: channel.opened >= 2)


async def test_a_channel_without_any_sign_of_life_is_left(stages, dull_channels) -> None:
    channel = await dull_channels(pongs=False)
    stage = await stages(venue={"user_ws_url": channel.url}, account={"silence_ms": 900})
    stage.start()
    await until(lambda: channel.opened >= 2)
    lively = await dull_channels(pongs=True)
    other = await stages(venue={"user_ws_url": lively.url}, account={"silence_ms": 3_000})
    other.start()
    await other.ready()
    await until(lambda: lively.pinged >= 5)  # three times within its patience
    assert lively.opened == 1, "one that answers PING stays"


async def test_refused_credentials_hold_the_feeds_down_until_they_are_accepted(stages) -> None:
    stage = await stages()
    auth = stage.venue.sandbox.rim.auth
    auth.revoke(stage.venue.credentials.key)
    connector = stage.start()
    await stage.topics.until(Tick, lambda t: t and t[-1].feeds["own_positions"].state == "up")
    ticks = await stage.topics.tape(Tick)
    for name in ("own_trades", "own_orders", "own_balance"):
        assert {tick.feeds[name].state for tick in ticks} == {"down"}
    assert not connector.task.done()
    auth.admit(stage.venue.credentials)
    await stage.ready()


async def test_a_killed_connector_is_replaced_and_what_happened_between_is_read(stages) -> None:
    stage = await stages()
    first, market = stage.start(), stage.venue.market()
    await stage.ready()
    stage.venue.buy(market)
    await stage.topics.until(OwnFill, bool)
    await first.killed()
    known = stage.venue.trades()
    stage.venue.buy(market, token=1)
    await until(
        lambda: (
            stage.venue.trades() > known
            and all(trade.status == "CONFIRMED" for trade in stage.venue.all_trades())
        )
    )
    stage.start()
    await stage.topics.until(
        OwnFill, lambda f: {x.token for x in f if x.status == "CONFIRMED"} == set(market.tokens)
    )
    assert await stage.positions() == {
        market.tokens[token]: stage.venue.held(market, token) for token in (0, 1)
    }
    assert len(await stage.topics.tape(ConnectorStarted)) == 2


async def test_a_restart_reads_from_its_cursor_and_without_one_from_the_tapes_beginning(
    stages, append
) -> None:
    stage = await stages(account={"overlap_ms": 0})
    first, market = stage.start(), stage.venue.market()
    await stage.ready()
    stage.venue.buy(market)
    fills = await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "CONFIRMED")

    async def passed() -> bool:
        cursors = await stage.topics.cursors("own_trades")
        return bool(cursors) and cursors[-1].upto_ms > fills[-1].venue_ms + 2_000

    await until_answered(passed)
    await first.stopped()
    second = stage.start()
    await _second_up(stage)
    assert await stage.topics.tape(OwnFill) == fills, "nothing of it was asked for again"
    await second.stopped()
    append(stage.settings.wiring.kafka, "cursors", b"own_trades:main", None)
    third = stage.start()
    again = await stage.topics.until(OwnFill, lambda f: len(f) > len(fills))
    assert again[-1].trade == fills[-1].trade
    assert (again[-1].source, again[-1].status) == ("rest", "CONFIRMED")
    await third.stopped()


async def test_the_first_record_that_is_not_delivered_ends_the_process(stages, new_tape) -> None:
    # Of sixteen partitions that raw.user ought to have there is one: the second frame has no home.
    stage = await stages(kafka=new_tape(raw_user=1))
    connector = stage.start()
    with pytest.raises(UndeliveredRecord, match=r"raw\.user/1"):
        await asyncio.wait_for(connector.task, WAIT_S)


async def test_a_broker_that_is_away_for_a_while_costs_no_fill(stages, new_tape) -> None:
    with EmbeddedBroker() as broker:
        stage = await stages(kafka=new_tape(broker), account={"trades_poll_ms": 3_600_000})
        connector, market = stage.start(), stage.venue.market()
        await stage.ready()
        broker.down()
        stage.venue.buy(market)
        await asyncio.sleep(1)
        broker.up()
        fills = await stage.topics.until(OwnFill, lambda f: f and f[-1].status == "CONFIRMED")
        assert [fill.status for fill in fills] == ["MATCHED", "MINED", "CONFIRMED"]
        await connector.stopped()
        stage.topics.close()


async def test_asked_to_stop_while_the_broker_is_away_it_stops_and_says_what_is_missing(
    stages, new_tape
) -> None:
    with EmbeddedBroker() as broker:
        stage = await stages(kafka=new_tape(broker))
        connector = stage.start()
        await stage.ready()
        stage.topics.close()
        broker.down()
        await asyncio.sleep(0.3)
        with pytest.raises(UndeliveredRecord, match="no acknowledgement"):
            await connector.stopped()


async def test_an_empty_tape_is_waited_for_and_never_begun(stages, new_tape, begin_tape) -> None:
    kafka = new_tape(begun=False)
    stage = await stages(kafka=kafka)
    waiting = stage.start()
    await asyncio.sleep(0.7)
    assert await stage.topics.tape() == []
    await waiting.stopped()
    stage.start()
    await asyncio.sleep(0.3)
    begin_tape(kafka)
    await stage.ready()
    assert isinstance((await stage.topics.tape())[0], Genesis)


async def test_waiting_for_a_tape_leaves_no_thread_behind(new_tape) -> None:
    kafka, halt = new_tape(begun=False), threading.Event()
    config = consumer_config(kafka.bootstrap, fetch_wait_ms=5)
    waiting = asyncio.create_task(asyncio.to_thread(begun, config, kafka, "main", halt))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    halt.set()
    with pytest.raises(WaitEnded, match="tape"):
        await asyncio.wait_for(waiting, WAIT_S)


async def test_real_fills_are_not_put_on_a_tape_of_paper_fills(new_tape) -> None:
    kafka = new_tape()
    config = consumer_config(kafka.bootstrap, fetch_wait_ms=5)
    look = functools.partial(begun, config, kafka, "main", threading.Event())
    tape = TapeWriter(kafka, "test")
    tape.append(ConnectorStarted(producer="public", role="public"), "public")
    assert (await asyncio.to_thread(look)).upto_ms == {}
    tape.append(ConnectorStarted(producer="paper", role="paper"), "paper")
    with pytest.raises(SettingsError, match="has paper fills, which would count as live ones"):
        await asyncio.to_thread(look)


async def _second_up(stage) -> None:
    """Wait until the newest instance has read its trades."""
    records = await stage.topics.until(
        object,
        lambda r: (
            isinstance(r[-1], Tick)
            and r[-1].feeds["own_trades"].state == "up"
            and r[-1].seq < 1_000
            and sum(isinstance(x, ConnectorStarted) for x in r) == 2
            and any(isinstance(x, Tick) and x.seq == 0 for x in r[_last_start(r) :])
        ),
    )
    assert records


def _last_start(records: list) -> int:
    return max(i for i, record in enumerate(records) if isinstance(record, ConnectorStarted))
