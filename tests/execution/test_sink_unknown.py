"""The sink when answers are lost, late, doubtful or pending: looked up, never guessed."""

from typing import Any

import pytest

from connectors.execution.answers import Verdict
from connectors.execution.backend import NotThere, Seen, Unclear
from schemas.records.own import OrderAbsent, OrderAnswered


async def test_a_lost_answer_is_looked_up_before_anything_is_sent_again(
    world: Any, make: Any
) -> None:
    world.venue.answers = ["lose"]
    await world.run(make.request(valid_until_ms=make.t0_ms + 60_000))
    assert world.outcomes() == [("unknown", "post"), ("accepted", "lookup")]
    assert len(world.venue.arrived) == 1


async def test_an_order_that_never_arrived_is_sent_again_as_it_was(world: Any, make: Any) -> None:
    world.venue.answers = ["drop", "drop", "accept"]
    await world.run(make.request(valid_until_ms=make.t0_ms + 60_000))
    assert [o for o, _ in world.outcomes()] == ["unknown", "unknown", "accepted"]
    assert world.venue.signatures == 1
    assert world.venue.lookups == 2


async def test_a_venue_that_never_answers_ends_in_absence_with_its_evidence(
    world: Any, make: Any
) -> None:
    world.venue.answers = ["drop"] * 100
    await world.run(make.request())
    (absent,) = world.tape.of(OrderAbsent)
    assert absent.last_lookup_ms >= make.t0_ms + 3_000 + 10_000
    assert absent.last_post_ms is not None
    assert absent.last_post_ms <= make.t0_ms + 3_200


async def test_duplicated_means_the_first_attempt_was_accepted(world: Any, make: Any) -> None:
    world.venue.answers = ["lose", "accept"]
    world.venue.sightings = [NotThere()]
    await world.run(make.request(valid_until_ms=make.t0_ms + 60_000))
    statuses = [a.status for a in world.tape.of(OrderAnswered)]
    assert statuses == ["transport", "duplicated", "matched"]
    assert len(world.venue.orders) == 1


async def test_a_refusal_of_the_second_post_is_no_proof_and_ends_by_look_ups(
    world: Any, make: Any
) -> None:
    balance = Verdict(outcome="refused", status="http_400", reason="balance", http_status=400)
    world.venue.answers = ["drop", balance]
    await world.run(make.request())
    assert [a.status for a in world.tape.of(OrderAnswered)] == ["transport", "refused_again"]
    assert len(world.tape.of(OrderAbsent)) == 1


async def test_a_refusal_of_the_only_post_ends_the_intent(world: Any, make: Any) -> None:
    killed = Verdict(outcome="refused", status="http_400", reason="killed", http_status=400)
    world.venue.answers = [killed]
    await world.run(make.request())
    assert world.outcomes() == [("refused", "post")]
    assert world.venue.lookups == 0


@pytest.mark.parametrize("status", ["live", "delayed", "unmatched"])
async def test_a_pending_order_is_looked_up_until_its_amounts_are_final(
    status: str, world: Any, make: Any
) -> None:
    world.venue.answers = [Verdict(outcome="accepted", status=status, http_status=200)]
    final = Seen(status="matched", shares_micro=5, usd_micro=2, trades=("a",))
    world.venue.sightings = [Seen(status="live"), Unclear("http 500"), NotThere(), final]
    await world.run(make.request())
    assert [(a.status, a.shares_micro, a.proof) for a in world.tape.of(OrderAnswered)] == [
        (status, None, "post"),
        ("matched", 5, "lookup"),
    ]
    assert world.venue.arrived == []


@pytest.mark.parametrize("stop_file", [False, True])
async def test_an_order_that_rests_is_cancelled_until_a_look_up_shows_its_end(
    stop_file: bool, world: Any, make: Any
) -> None:
    """No answer to a cancel is believed, and none is held back: it only takes away."""
    world.venue.answers = [Verdict(outcome="accepted", status="live", http_status=200)]
    world.venue.resting = 2

    async def checkpoint(point: str) -> None:
        world.stopped = stop_file and point == "answered"

    assert await world.run(make.request(), checkpoint)
    first, second = world.venue.cancels
    assert first >= 7, "looked up each second until 5 s after its 3 s were over"
    assert 4 <= second - first <= 6
    last = world.tape.of(OrderAnswered)[-1]
    assert (last.status, last.shares_micro, last.proof) == ("canceled", 0, "lookup")
    assert world.venue.lookups == second + 1


async def test_a_pending_order_the_venue_kills_ends_with_nothing(world: Any, make: Any) -> None:
    world.venue.answers = [Verdict(outcome="accepted", status="live", http_status=200)]
    world.venue.sightings = [Seen(status="canceled", shares_micro=0, usd_micro=0)]
    await world.run(make.request())
    last = world.tape.of(OrderAnswered)[-1]
    assert (last.outcome, last.shares_micro, last.usd_micro) == ("accepted", 0, 0)


async def test_a_pending_order_the_venue_forgot_ends_in_absence_with_its_evidence(
    world: Any, make: Any
) -> None:
    world.venue.answers = [Verdict(outcome="accepted", status="delayed", http_status=200)]
    world.venue.sightings = [NotThere()] * 60
    assert await world.run(make.request())
    (absent,) = world.tape.of(OrderAbsent)
    assert absent.lookups >= 30
    assert absent.last_lookup_ms - absent.last_post_ms >= 30_000


async def test_an_unknown_order_the_venue_killed_is_refused_with_proof(
    world: Any, make: Any
) -> None:
    world.venue.answers = ["drop"]
    world.venue.sightings = [Seen(status="canceled", shares_micro=0, usd_micro=0)]
    await world.run(make.request())
    last = world.tape.of(OrderAnswered)[-1]
    assert (last.outcome, last.reason, last.proof) == ("refused", "killed", "lookup")
