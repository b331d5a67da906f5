"""Execution as processes on real brokers: two at once, wrong clocks, stop file, contradictions."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from connectors.kafka.offsets import GroupOffsets
from schemas.records.own import OrderAnswered, OrderExpired, OrderSigned


def ended(count: int) -> Callable[[list[Any]], bool]:
    """So many intents have final amounts."""
    return lambda answers: len({a.intent for a in answers if a.shares_micro is not None}) == count


async def test_two_executors_one_stopped_between_append_and_post_send_one_order(
    rig: Any, secrets: Any, http_venue: Any
) -> None:
    config = rig.config(secrets)
    await rig.start_clock()
    sleeper = rig.start(config, "--live", at="appended", do="stop")
    await sleeper.ready()
    await rig.order()
    await sleeper.stopped()
    waker = rig.start(config, "--live")
    (answer,) = await rig.until(OrderAnswered)
    assert answer.outcome == "accepted"
    sleeper.send(signal.SIGCONT)
    await rig.order()
    await rig.until(OrderAnswered, ended(2))
    for child in (sleeper, waker):
        child.send(signal.SIGTERM)
        assert await child.died() == 0, child.said
    first_signed = {s.intent: s.order for s in reversed(rig.of(OrderSigned))}
    assert set(http_venue.posted) == set(first_signed.values())
    assert len(http_venue.orders) == 2
    assert http_venue.posted.count(answer.order) == 1


async def test_two_executors_at_once_send_each_order_of_many_once(
    rig: Any, secrets: Any, http_venue: Any
) -> None:
    config = rig.config(secrets)
    await rig.start_clock()
    both = [rig.start(config, "--live") for _ in range(2)]
    for child in both:
        await child.ready()
    for _ in range(12):
        await rig.order()
    await rig.until(OrderAnswered, ended(12))
    counting: dict[str, str] = {}
    for signed in rig.of(OrderSigned):
        counting.setdefault(signed.intent, signed.order)
    assert set(http_venue.posted) == set(counting.values())
    assert len(http_venue.orders) == 12


@pytest.mark.parametrize("off_ms", [-2_000, 2_000])
async def test_a_process_whose_clock_disagrees_with_the_ticks_sends_nothing(
    off_ms: int, rig: Any, secrets: Any, http_venue: Any
) -> None:
    config = rig.config(secrets)
    await rig.start_clock(step_ms=off_ms)
    rig.start(config, "--live")
    await rig.order(ttl_ms=1_500)
    await rig.until(OrderExpired)
    assert rig.of(OrderSigned) == []
    assert http_venue.posted == []


async def test_without_ticks_nothing_is_sent_and_with_them_again_it_is(
    rig: Any, secrets: Any, http_venue: Any
) -> None:
    config = rig.config(secrets)
    await rig.start_clock()
    await rig.stop_clock()
    child = rig.start(config, "--live")
    await child.ready()
    await asyncio.sleep(0.6)
    await rig.order()
    await child.until(lambda c: "held reason=clock_skew" in c.said)
    assert http_venue.posted == []
    await rig.start_clock()
    await rig.until(OrderAnswered)
    assert len(http_venue.orders) == 1


async def test_the_stop_file_stops_sending_and_its_end_resumes_it(
    rig: Any, secrets: Any, http_venue: Any
) -> None:
    config = rig.config(secrets)
    rig.stop_file.touch()
    await rig.start_clock()
    rig.start(config, "--live")
    await rig.order(ttl_ms=1_000)
    await rig.until(OrderExpired)
    assert http_venue.posted == []
    rig.stop_file.unlink()
    await rig.order()
    await rig.until(OrderAnswered)
    assert len(http_venue.orders) == 1


async def test_a_zombies_repeats_are_passed_over_and_a_contradiction_stops_the_process(
    rig: Any, secrets: Any, http_venue: Any
) -> None:
    config = rig.config(secrets)
    await rig.start_clock()
    child = rig.start(config, "--live")
    first = await rig.order()
    await rig.put(first, 0, int(first.intent.split(":")[1]))
    await rig.order()
    await rig.until(OrderAnswered, ended(2))
    assert len(http_venue.posted) == 2
    other = msgspec.structs.replace(first, limit_micro=first.limit_micro + 10_000)
    await rig.put(other, 0, int(first.intent.split(":")[1]))
    assert await child.died() == 1
    assert "OrdersDiverged" in child.said
    assert "number 0 stands twice with different bytes" in child.said


async def test_401_ends_the_process_with_its_own_code_and_without_a_secret(
    rig: Any, secrets: Any, http_venue: Any
) -> None:
    http_venue.script = [(401, {"error": "Unauthorized/Invalid api key"})]
    config = rig.config(secrets)
    await rig.start_clock()
    child = rig.start(config, "--live")
    await rig.order()
    assert await child.died() == 3
    assert "VenueForbids" in child.said
    (answer,) = await rig.until(OrderAnswered)
    assert (answer.outcome, answer.http_status) == ("refused", 401)
    assert secrets.leaked(child.said + repr(rig.records())) == []


async def test_the_commit_stays_at_the_oldest_order_without_an_end_and_notes_its_cause(
    rig: Any, secrets: Any, http_venue: Any
) -> None:
    resting = {
        "success": True, "errorMsg": "", "orderID": "0x1", "status": "live", "makingAmount": "",
        "takingAmount": "", "tradeIDs": [], "transactionsHashes": [],
    }  # fmt: skip
    config = rig.config(secrets)
    await rig.start_clock()
    child = rig.start(config, "--live")
    await child.ready()
    await rig.order()
    await rig.until(OrderAnswered)
    http_venue.script = [(200, resting)]
    pending = await rig.order()
    await rig.until(OrderAnswered, lambda found: found[-1].status == "live")
    await rig.order()
    await rig.until(OrderAnswered, ended(2))
    child.send(signal.SIGTERM)
    assert await child.died() == 0, child.said
    offsets = GroupOffsets(rig.bootstrap, "truecopy-execution")
    committed = offsets.committed(rig.orders, 0)
    offsets.close()
    assert committed is not None
    assert committed.offset == 1
    cause = int(pending.intent.split(":")[1])
    noted = {"n": 1, "tape": cause, "tape_id": ""}  # the rig begins its tape without a Genesis
    assert msgspec.json.decode(committed.metadata) == noted
    posted = len(http_venue.posted)
    order = next(s.order for s in rig.of(OrderSigned) if s.intent == pending.intent)
    http_venue.orders[order] = http_venue.order_row(order, "BUY", 0, status="CANCELED")
    rig.start(config, "--live")
    answers = await rig.until(OrderAnswered, lambda found: found[-1].proof == "lookup")
    assert (answers[-1].intent, answers[-1].shares_micro) == (pending.intent, 0)
    assert len(http_venue.posted) == posted
