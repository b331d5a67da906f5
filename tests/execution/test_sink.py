"""The sink over a tape and a venue in memory: each row of the crash table, values in and out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from connectors.execution.answers import Verdict
from connectors.execution.backend import NotThere, Refusal, Seen, Unclear, Unready
from connectors.execution.sink import VenueForbids, WrongBackend, wait_at_most
from schemas.records.own import OrderAbsent, OrderAnswered, OrderExpired, OrderSigned


class Killed(BaseException):
    """The process died here: nothing after it runs."""


def dies_at(point: str) -> Callable[[str], Awaitable[None]]:
    async def checkpoint(reached: str) -> None:
        if reached == point:
            raise Killed(point)

    return checkpoint


async def run(world: Any, request: Any, checkpoint: Any = None, limit_s: float = 10) -> bool:
    """One executor from start to the intent's end."""
    sink = world.sink(checkpoint) if checkpoint else world.sink()
    async with asyncio.timeout(limit_s):
        return bool(await sink.work(request, asyncio.Event()))


def outcomes(world: Any) -> list[tuple[str, str]]:
    return [(a.outcome, a.proof) for a in world.tape.of(OrderAnswered)]


async def test_an_order_is_signed_appended_posted_and_answered(world: Any, make: Any) -> None:
    assert await run(world, make.request())
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
        await run(world, request, dies_at("signed"))
    assert world.tape.of(OrderSigned) == []
    await run(world, request)
    assert len(world.tape.of(OrderSigned)) == len(world.venue.arrived) == 1


async def test_killed_after_the_append_the_restart_looks_up_and_posts_the_same_bytes(
    world: Any, make: Any
) -> None:
    request = make.request(valid_until_ms=make.t0_ms + 60_000)
    with pytest.raises(Killed):
        await run(world, request, dies_at("appended"))
    assert world.venue.arrived == []
    await run(world, request)
    assert world.venue.lookups >= 1
    assert [s.order for s in world.tape.of(OrderSigned)] == world.venue.arrived
    assert world.venue.signatures == 1


async def test_killed_after_the_append_and_restarted_too_late_it_is_absent_never_sent(
    world: Any, make: Any
) -> None:
    request = make.request()
    with pytest.raises(Killed):
        await run(world, request, dies_at("appended"))
    world.clock.now_ms += 5_000
    await run(world, request)
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
        await run(world, request, dies_at("posted"))
    assert outcomes(world) == []
    await run(world, request)
    assert outcomes(world) == [("accepted", "lookup")]
    assert len(world.venue.arrived) == 1


async def test_killed_after_the_answer_the_restart_skips(world: Any, make: Any) -> None:
    request = make.request()
    with pytest.raises(Killed):
        await run(world, request, dies_at("answered"))
    await run(world, request)
    assert outcomes(world) == [("accepted", "post")]
    assert (len(world.venue.arrived), world.venue.lookups) == (1, 0)


async def test_two_executors_at_once_post_one_order(world: Any, make: Any) -> None:
    request = make.request(valid_until_ms=make.t0_ms + 60_000)
    first, second = world.sink(), world.sink()
    never = asyncio.Event()
    async with asyncio.timeout(20):
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
    async with asyncio.timeout(20):
        sleeping = asyncio.create_task(first.work(request, never))
        await paused.wait()
        await second.work(request, never)
        woken.set()
        await sleeping
    assert len(world.venue.arrived) == 1
    assert len(world.tape.of(OrderSigned)) == 1


async def test_a_lost_answer_is_looked_up_before_anything_is_sent_again(
    world: Any, make: Any
) -> None:
    world.venue.answers = ["lose"]
    await run(world, make.request(valid_until_ms=make.t0_ms + 60_000))
    assert outcomes(world) == [("unknown", "post"), ("accepted", "lookup")]
    assert len(world.venue.arrived) == 1


async def test_an_order_that_never_arrived_is_sent_again_as_it_was(world: Any, make: Any) -> None:
    world.venue.answers = ["drop", "drop", "accept"]
    await run(world, make.request(valid_until_ms=make.t0_ms + 60_000))
    assert [o for o, _ in outcomes(world)] == ["unknown", "unknown", "accepted"]
    assert world.venue.signatures == 1
    assert world.venue.lookups == 2


async def test_a_venue_that_never_answers_ends_in_absence_with_its_evidence(
    world: Any, make: Any
) -> None:
    world.venue.answers = ["drop"] * 100
    await run(world, make.request())
    (absent,) = world.tape.of(OrderAbsent)
    assert absent.last_lookup_ms >= make.t0_ms + 3_000 + 10_000
    assert absent.last_post_ms is not None
    assert absent.last_post_ms <= make.t0_ms + 3_200


async def test_duplicated_means_the_first_attempt_was_accepted(world: Any, make: Any) -> None:
    world.venue.answers = ["lose", "accept"]
    world.venue.sightings = [NotThere()]
    await run(world, make.request(valid_until_ms=make.t0_ms + 60_000))
    statuses = [a.status for a in world.tape.of(OrderAnswered)]
    assert statuses == ["transport", "duplicated", "matched"]
    assert len(world.venue.orders) == 1


async def test_a_refusal_of_the_second_post_is_no_proof_and_ends_by_look_ups(
    world: Any, make: Any
) -> None:
    balance = Verdict(outcome="refused", status="http_400", reason="balance", http_status=400)
    world.venue.answers = ["drop", balance]
    await run(world, make.request())
    assert [a.status for a in world.tape.of(OrderAnswered)] == ["transport", "refused_again"]
    assert len(world.tape.of(OrderAbsent)) == 1


async def test_a_refusal_of_the_only_post_ends_the_intent(world: Any, make: Any) -> None:
    killed = Verdict(outcome="refused", status="http_400", reason="killed", http_status=400)
    world.venue.answers = [killed]
    await run(world, make.request())
    assert outcomes(world) == [("refused", "post")]
    assert world.venue.lookups == 0


@pytest.mark.parametrize("status", ["live", "delayed", "unmatched"])
async def test_a_pending_order_is_looked_up_until_its_amounts_are_final(
    status: str, world: Any, make: Any
) -> None:
    world.venue.answers = [Verdict(outcome="accepted", status=status, http_status=200)]
    final = Seen(status="matched", shares_micro=5, usd_micro=2, trades=("a",))
    world.venue.sightings = [Seen(status="live"), Unclear("http 500"), NotThere(), final]
    await run(world, make.request())
    assert [(a.status, a.shares_micro, a.proof) for a in world.tape.of(OrderAnswered)] == [
        (status, None, "post"),
        ("matched", 5, "lookup"),
    ]
    assert world.venue.arrived == []


async def test_a_pending_order_the_venue_kills_ends_with_nothing(world: Any, make: Any) -> None:
    world.venue.answers = [Verdict(outcome="accepted", status="live", http_status=200)]
    world.venue.sightings = [Seen(status="canceled", shares_micro=0, usd_micro=0)]
    await run(world, make.request())
    last = world.tape.of(OrderAnswered)[-1]
    assert (last.outcome, last.shares_micro, last.usd_micro) == ("accepted", 0, 0)


async def test_an_unknown_order_the_venue_killed_is_refused_with_proof(
    world: Any, make: Any
) -> None:
    world.venue.answers = ["drop"]
    world.venue.sightings = [Seen(status="canceled", shares_micro=0, usd_micro=0)]
    await run(world, make.request())
    last = world.tape.of(OrderAnswered)[-1]
    assert (last.outcome, last.reason, last.proof) == ("refused", "killed", "lookup")


async def test_an_order_past_its_time_is_expired_and_never_signed(world: Any, make: Any) -> None:
    world.clock.now_ms = make.t0_ms + 3_001
    await run(world, make.request())
    (expired,) = world.tape.of(OrderExpired)
    assert (expired.now_ms, expired.valid_until_ms) == (make.t0_ms + 3_001, make.t0_ms + 3_000)
    assert (world.venue.signatures, world.venue.arrived) == (0, [])


@pytest.mark.parametrize("off_ms", [-501, 501, 60_000])
async def test_a_clock_that_is_off_refuses_to_send(off_ms: int, world: Any, make: Any) -> None:
    """Ticks go on beyond the order's time, so it ends expired whichever clock is wrong."""
    sink = world.sink(clock=lambda: (world.tape.mirrors[-1].tick_ms + off_ms) * 1_000_000)
    request = make.request(valid_until_ms=make.t0_ms + 200)

    async with asyncio.timeout(10):
        await sink.work(request, asyncio.Event())
    assert len(world.tape.of(OrderExpired)) == 1
    assert world.venue.signatures == 0


async def test_own_ticks_prove_nothing_about_the_clock(world: Any, make: Any) -> None:
    world.clock.now_ms += 2_000
    world.tape.put(make.tick(world.clock.now_ms, producer="paper"))
    stop = asyncio.Event()
    working = asyncio.create_task(world.sink(pause=wait_at_most).work(make.request(), stop))
    await asyncio.sleep(0.1)
    stop.set()
    async with asyncio.timeout(5):
        assert await working is False
    assert world.venue.signatures == 0


async def test_the_stop_file_holds_everything_until_the_order_expires(
    world: Any, make: Any
) -> None:
    world.stopped = True
    await run(world, make.request())
    assert len(world.tape.of(OrderExpired)) == 1
    assert world.venue.signatures == 0


async def test_the_stop_file_is_looked_at_again_between_signing_and_sending(
    world: Any, make: Any
) -> None:
    async def stop_now(point: str) -> None:
        if point == "appended":
            world.stopped = True

    await run(world, make.request(), stop_now)
    assert len(world.tape.of(OrderSigned)) == 1
    assert world.venue.arrived == []
    assert len(world.tape.of(OrderAbsent)) == 1


async def test_what_cannot_be_built_is_refused_here_and_nothing_is_sent(
    world: Any, make: Any
) -> None:
    world.venue.sign_results = [Refusal("limit is off the grid")]
    await run(world, make.request())
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
    await run(world, make.request(valid_until_ms=make.t0_ms + 60_000))
    assert len(world.venue.arrived) == 1


async def test_401_is_written_down_and_then_nothing_more_is_sent(world: Any, make: Any) -> None:
    world.venue.answers = [
        Verdict(outcome="refused", status="http_401", reason="Unauthorized", http_status=401)
    ]
    with pytest.raises(VenueForbids, match="401"):
        await run(world, make.request())
    assert outcomes(world) == [("refused", "post")]


async def test_an_open_order_of_the_other_backend_is_left_alone_and_named(
    world: Any, make: Any
) -> None:
    world.tape.put(make.signed(backend="paper"))
    world.clock.now_ms += 1_000
    world.tape.put(make.tick(world.clock.now_ms))
    with pytest.raises(WrongBackend, match="signed for paper"):
        await run(world, make.request())


async def test_a_stop_leaves_the_intent_to_the_next_start(world: Any, make: Any) -> None:
    stop = asyncio.Event()
    stop.set()
    assert await world.sink().work(make.request(), stop) is False
    assert world.tape.of(OrderSigned) == []
