"""The sink over a tape and a venue in memory: each row of the crash table, values in and out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from connectors.execution.answers import Verdict
from connectors.execution.backend import Refusal, Unready
from connectors.execution.sink import VenueForbids, WrongBackend, wait_at_most
from schemas.records.own import OrderAbsent, OrderAnswered, OrderExpired, OrderSigned


async def turns() -> None:
    """Let everybody go on until they wait for somebody else: nothing here waits for time."""
    for _ in range(1_000):
        await asyncio.sleep(0)


class Killed(BaseException):
    """The process died here: nothing after it runs."""


def dies_at(point: str) -> Callable[[str], Awaitable[None]]:
    async def checkpoint(reached: str) -> None:
        if reached == point:
            raise Killed(point)

    return checkpoint


async def test_an_order_is_signed_appended_posted_and_answered(world: Any, make: Any) -> None:
    assert await world.run(make.request())
    kinds = [type(record).__name__ for record in world.tape.records]
    assert kinds == ["Tick", "OrderSigned", "OrderAnswered"]
    signed, answered = world.tape.records[1:]
    assert signed.order == answered.order == world.venue.arrived[0]
    assert (answered.outcome, answered.shares_micro, answered.usd_micro, answered.proof) == (
        "accepted",
        10_000_000,
        4_900_000,
        "post",
    )


async def test_killed_after_reading_the_intent_the_restart_signs(world: Any, make: Any) -> None:
    request = make.request(valid_until_ms=make.t0_ms + 60_000)
    with pytest.raises(Killed):
        await world.run(request, dies_at("signed"))
    assert world.tape.of(OrderSigned) == []
    await world.run(request)
    assert len(world.tape.of(OrderSigned)) == len(world.venue.arrived) == 1


async def test_killed_after_the_append_the_restart_looks_up_and_posts_the_same_bytes(
    world: Any, make: Any
) -> None:
    request = make.request(valid_until_ms=make.t0_ms + 60_000)
    with pytest.raises(Killed):
        await world.run(request, dies_at("appended"))
    assert world.venue.arrived == []
    await world.run(request)
    assert world.venue.lookups >= 1
    assert [s.order for s in world.tape.of(OrderSigned)] == world.venue.arrived
    assert world.venue.signatures == 1


async def test_killed_after_the_append_and_restarted_too_late_it_is_absent_never_sent(
    world: Any, make: Any
) -> None:
    request = make.request()
    with pytest.raises(Killed):
        await world.run(request, dies_at("appended"))
    world.clock.now_ms += 5_000
    await world.run(request)
    assert world.venue.arrived == []
    (absent,) = world.tape.of(OrderAbsent)
    assert absent.last_lookup_ms - absent.first_lookup_ms >= 10_000
    assert absent.lookups >= 10
    assert absent.last_post_ms is None


async def test_killed_after_the_post_the_restart_finds_it_by_looking_up(
    world: Any, make: Any
) -> None:
    request = make.request(valid_until_ms=make.t0_ms + 60_000)
    with pytest.raises(Killed):
        await world.run(request, dies_at("posted"))
    assert world.outcomes() == []
    await world.run(request)
    assert world.outcomes() == [("accepted", "lookup")]
    assert len(world.venue.arrived) == 1


async def test_killed_after_the_answer_the_restart_skips(world: Any, make: Any) -> None:
    request = make.request()
    with pytest.raises(Killed):
        await world.run(request, dies_at("answered"))
    await world.run(request)
    assert world.outcomes() == [("accepted", "post")]
    assert (len(world.venue.arrived), world.venue.lookups) == (1, 0)


async def test_two_executors_at_once_post_one_order(world: Any, make: Any) -> None:
    request = make.request(valid_until_ms=make.t0_ms + 60_000)
    first, second = world.sink(), world.sink()
    never = asyncio.Event()
    async with asyncio.timeout(60):
        await asyncio.gather(first.work(request, never), second.work(request, never))
    assert len(world.venue.orders) == 1
    counting = world.tape.of(OrderSigned)[0].order
    assert set(world.venue.arrived) == {counting}


async def test_a_process_stopped_between_append_and_post_reads_on_before_it_sends(
    world: Any, make: Any
) -> None:
    request = make.request(valid_until_ms=make.t0_ms + 60_000)
    paused, woken = asyncio.Event(), asyncio.Event()

    async def pause(point: str) -> None:
        if point == "appended":
            paused.set()
            await woken.wait()

    first, second = world.sink(pause), world.sink()
    never = asyncio.Event()
    async with asyncio.timeout(60):
        sleeping = asyncio.create_task(first.work(request, never))
        await paused.wait()
        await second.work(request, never)
        woken.set()
        await sleeping
    assert len(world.venue.arrived) == 1
    assert len(world.tape.of(OrderSigned)) == 1


async def test_an_order_past_its_time_is_expired_and_never_signed(world: Any, make: Any) -> None:
    world.clock.now_ms = make.t0_ms + 3_001
    await world.run(make.request())
    (expired,) = world.tape.of(OrderExpired)
    assert (expired.now_ms, expired.valid_until_ms) == (make.t0_ms + 3_001, make.t0_ms + 3_000)
    assert (world.venue.signatures, world.venue.arrived) == (0, [])


@pytest.mark.parametrize("off_ms", [-501, 501, 60_000])
async def test_a_clock_that_is_off_refuses_to_send(off_ms: int, world: Any, make: Any) -> None:
    """Ticks go on beyond the order's time, so it ends expired whichever clock is wrong."""
    sink = world.sink(clock=lambda: (world.tape.mirrors[-1].tick_ms + off_ms) * 1_000_000)
    request = make.request(valid_until_ms=make.t0_ms + 200)

    async with asyncio.timeout(60):
        await sink.work(request, asyncio.Event())
    assert len(world.tape.of(OrderExpired)) == 1
    assert world.venue.signatures == 0


async def test_own_ticks_prove_nothing_about_the_clock(world: Any, make: Any) -> None:
    world.clock.now_ms += 2_000
    world.tape.put(make.tick(world.clock.now_ms, producer="paper"))
    stop = asyncio.Event()
    working = asyncio.create_task(world.sink(pause=wait_at_most).work(make.request(), stop))
    await turns()
    stop.set()
    async with asyncio.timeout(60):
        assert await working is False
    assert world.venue.signatures == 0


async def test_the_stop_file_holds_everything_until_the_order_expires(
    world: Any, make: Any
) -> None:
    world.stopped = True
    await world.run(make.request())
    assert len(world.tape.of(OrderExpired)) == 1
    assert world.venue.signatures == 0


async def test_the_stop_file_is_looked_at_again_between_signing_and_sending(
    world: Any, make: Any
) -> None:
    async def stop_now(point: str) -> None:
        if point == "appended":
            world.stopped = True

    await world.run(make.request(), stop_now)
    assert len(world.tape.of(OrderSigned)) == 1
    assert world.venue.arrived == []
    assert len(world.tape.of(OrderAbsent)) == 1


async def test_a_process_paused_for_less_than_the_clocks_may_differ_still_reads_on_before_it_sends(
    world: Any, make: Any
) -> None:
    """It sleeps 300 ms after the append; another executor's answer stands on the tape, unread."""
    request = make.request(valid_until_ms=make.t0_ms + 60_000)
    unread: list[Any] = []
    woken = asyncio.Event()

    async def sleep_through_it(point: str) -> None:
        if point != "appended":
            return
        (signed,) = world.tape.of(OrderSigned)
        world.clock.now_ms += 300
        answer = make.answered(
            "accepted", status="matched", shares_micro=1, usd_micro=1, order=signed.order
        )
        (mirror,), world.tape.mirrors = world.tape.mirrors, []
        unread.append((mirror, world.tape.put(answer), answer))
        woken.set()

    running = asyncio.create_task(world.run(request, sleep_through_it))
    await asyncio.wait_for(woken.wait(), 60)
    await turns()
    assert world.venue.arrived == []
    ((mirror, offset, answer),) = unread
    mirror.take([(offset, answer)], offset + 1)
    assert await running
    assert world.venue.arrived == []


async def test_what_cannot_be_built_is_refused_here_and_nothing_is_sent(
    world: Any, make: Any
) -> None:
    world.venue.sign_results = [Refusal("limit is off the grid")]
    await world.run(make.request())
    (refused,) = world.tape.of(OrderAnswered)
    assert (refused.outcome, refused.proof, refused.reason) == (
        "refused",
        "local",
        "limit is off the grid",
    )
    assert world.tape.of(OrderSigned) == []


async def test_a_venue_that_cannot_be_asked_before_signing_is_asked_again(
    world: Any, make: Any
) -> None:
    world.venue.sign_results = [Unready("markets-by-token: http 500")]
    await world.run(make.request(valid_until_ms=make.t0_ms + 60_000))
    assert len(world.venue.arrived) == 1


async def test_401_is_written_down_and_then_nothing_more_is_sent(world: Any, make: Any) -> None:
    world.venue.answers = [
        Verdict(outcome="refused", status="http_401", reason="Unauthorized", http_status=401)
    ]
    with pytest.raises(VenueForbids, match="401"):
        await world.run(make.request())
    assert world.outcomes() == [("refused", "post")]


async def test_an_open_order_of_the_other_backend_is_left_alone_and_named(
    world: Any, make: Any
) -> None:
    world.tape.put(make.signed(backend="paper"))
    world.clock.now_ms += 1_000
    world.tape.put(make.tick(world.clock.now_ms))
    with pytest.raises(WrongBackend, match="signed for paper"):
        await world.run(make.request())


async def test_a_slow_answer_holds_up_no_other_intent_but_never_more_than_workers_are_out(
    world: Any, make: Any
) -> None:
    requests = [make.request(intent=f"main:{k}:0") for k in range(6)]
    slow = [request.intent for request in requests[:4]]
    world.venue.holding = {intent: asyncio.Event() for intent in slow}
    sink, never = world.sink(), asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for request in requests[:3]:
            group.create_task(sink.work(request, never))
        await turns()
        assert world.venue.held == slow[:3]
        assert await sink.work(requests[4], never)
        group.create_task(sink.work(requests[3], never))
        await turns()
        assert world.venue.held == slow
        last = group.create_task(sink.work(requests[5], never))
        await turns()
        assert not last.done()
        assert requests[5].intent not in {s.intent for s in world.tape.of(OrderSigned)}
        for event in world.venue.holding.values():
            event.set()
    assert len(world.venue.orders) == 6


def held_back(
    world: Any, until: asyncio.Event, late: Callable[[Any], bool]
) -> Callable[[Any], Awaitable[int]]:
    """An append to the tape whose acknowledgement comes late for some records."""

    async def append(record: Any) -> int:
        if late(record):
            await until.wait()
        return int(await world.tape.append(record))

    return append


async def test_a_record_on_its_way_to_the_tape_holds_no_slot(world: Any, make: Any) -> None:
    requests = [make.request(intent=f"main:{k}:0") for k in range(5)]
    acknowledged, never = asyncio.Event(), asyncio.Event()
    last = requests[4].intent
    sink = world.sink(append=held_back(world, acknowledged, lambda r: r.intent != last))
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for request in requests[:4]:
            group.create_task(sink.work(request, never))
        assert await sink.work(requests[4], never)
        assert len(world.venue.arrived) == 1
        acknowledged.set()
    assert len(world.venue.orders) == 5


async def test_once_the_venue_forbids_nothing_is_sent_while_that_answer_is_being_written(
    world: Any, make: Any
) -> None:
    forbidden, next_one = make.request(), make.request(intent="main:8:0")
    answering, written, never = asyncio.Event(), asyncio.Event(), asyncio.Event()
    answer = Verdict(outcome="refused", status="http_403", reason="region", http_status=403)
    world.venue.answers = [answer]

    def is_answer(record: Any) -> bool:
        if isinstance(record, OrderAnswered):
            answering.set()
        return isinstance(record, OrderAnswered)

    sink = world.sink(append=held_back(world, written, is_answer))
    async with asyncio.timeout(60):
        first = asyncio.create_task(sink.work(forbidden, never))
        await answering.wait()
        assert await sink.work(next_one, never) is False
        written.set()
        with pytest.raises(VenueForbids, match="403"):
            await first
    assert world.venue.arrived == []
    assert len(world.tape.of(OrderSigned)) == 1


async def test_a_stop_leaves_the_intent_to_the_next_start(world: Any, make: Any) -> None:
    stop = asyncio.Event()
    stop.set()
    assert await world.sink().work(make.request(), stop) is False
    assert world.tape.of(OrderSigned) == []
