"""The crash table as a function: each state and moment has exactly one next action."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.execution.backend import NotThere, Seen, Unclear
from connectors.execution.ledger import Life
from connectors.execution.plan import (
    CANCEL_AFTER_MS,
    POLL_MS,
    PROOF_MAX_MS,
    Cancel,
    DeclareAbsent,
    Done,
    Expire,
    LookUp,
    Moment,
    Post,
    ReadToEnd,
    Rules,
    Sign,
    Wait,
    Witness,
    plan,
)
from schemas.records.base import Intent
from schemas.records.own import OrderSigned

T0 = 1_795_000_000_000
VALID_MS = T0 + 3_000
RULES = Rules(clock_skew_max_ms=500, lookup_every_ms=1_000, absent_after_ms=10_000)


def life(signed: OrderSigned | None = None, **given: Any) -> Life:
    state = given.pop("state", "signed" if signed else "requested")
    return Life(Intent("main:7:0"), state=state, signed=signed, **given)


def at(ms: int, **given: Any) -> Moment:
    return Moment(**{"now_ms": T0 + ms, "tick_ms": T0 + ms, "stopped": False, **given})


def saw(**given: Any) -> Witness:
    return Witness(**{"met_ms": T0, "proof_ms": T0 + 60_000, **given})


@pytest.fixture
def signed(make: Any) -> OrderSigned:
    record: OrderSigned = make.signed()
    return record


@pytest.mark.parametrize(
    ("moment", "action"),
    [
        (at(0), Sign()),
        (at(3_000), Sign()),
        (at(3_001), Expire(T0 + 3_001)),
        (at(0, tick_ms=T0 + 3_001), Expire(T0 + 3_001)),
        (at(3_001, tick_ms=T0), Expire(T0 + 3_001)),
        (at(0, stopped=True), Wait(T0 + POLL_MS, "stop_file")),
        (at(0, tick_ms=None), Wait(T0 + POLL_MS, "no_tick")),
        (at(0, tick_ms=T0 + 501), Wait(T0 + POLL_MS, "clock_skew")),
        (at(0, tick_ms=T0 - 501), Wait(T0 + POLL_MS, "clock_skew")),
        (at(0, tick_ms=T0 - 500), Sign()),
        (at(3_001, stopped=True), Expire(T0 + 3_001)),
    ],
)
def test_nothing_is_signed_late_with_a_wrong_clock_or_against_the_stop_file(
    moment: Moment, action: Any
) -> None:
    assert plan(life(), VALID_MS, saw(), moment, RULES) == action


def test_a_venue_that_could_not_be_asked_is_asked_again_at_its_pace_or_the_order_expires() -> None:
    unready = saw(not_before_ms=T0 + 1_000)
    assert plan(life(), VALID_MS, unready, at(500), RULES) == Wait(T0 + 1_000, "unready")
    assert plan(life(), VALID_MS, unready, at(1_000), RULES) == Sign()
    late = saw(not_before_ms=T0 + 3_500)
    assert plan(life(), VALID_MS, late, at(2_900), RULES) == Wait(VALID_MS + 1, "unready")


@pytest.mark.parametrize("state", ["filled", "refused", "expired", "absent"])
def test_an_ended_intent_is_skipped(state: str, signed: OrderSigned) -> None:
    assert plan(life(signed, state=state), VALID_MS, saw(), at(0), RULES) == Done()


def test_an_accepted_order_with_final_amounts_needs_nothing_more(signed: OrderSigned) -> None:
    done = life(signed, state="accepted", shares_micro=1, usd_micro=1)
    assert plan(done, VALID_MS, saw(), at(0), RULES) == Done()


@pytest.mark.parametrize(
    ("moment", "action"),
    [
        (at(10), Post()),
        (at(3_000), Post()),
        (at(10, stopped=True), Wait(T0 + 10 + POLL_MS, "stop_file")),
        (at(10, tick_ms=T0 - 20_000), Wait(T0 + 10 + POLL_MS, "clock_skew")),
        (at(3_001), LookUp()),
    ],
)
def test_what_this_process_signed_is_posted_in_time_only_and_every_gate_is_looked_at_again(
    moment: Moment, action: Any, signed: OrderSigned
) -> None:
    assert plan(life(signed), VALID_MS, saw(mine=True), moment, RULES) == action


@pytest.mark.parametrize(
    ("age_ms", "action"),
    [(0, Post()), (PROOF_MAX_MS, Post()), (PROOF_MAX_MS + 1, ReadToEnd()), (1_000, ReadToEnd())],
)
def test_nothing_is_posted_unless_the_tape_was_just_read_to_its_end(
    age_ms: int, action: Any, signed: OrderSigned
) -> None:
    witness = saw(mine=True, proof_ms=T0)
    assert plan(life(signed), VALID_MS, witness, at(age_ms), RULES) == action
    absent = saw(proof_ms=T0).looked(T0, NotThere())
    assert plan(life(signed), VALID_MS, absent, at(age_ms), RULES) == action


def test_an_order_found_signed_is_looked_up_before_it_is_sent(signed: OrderSigned) -> None:
    found = life(signed)
    assert plan(found, VALID_MS, saw(), at(400), RULES) == Wait(T0 + 1_000, "lookup")
    assert plan(found, VALID_MS, saw(), at(1_000), RULES) == LookUp()
    absent = saw().looked(T0 + 1_000, NotThere())
    assert plan(found, VALID_MS, absent, at(1_001), RULES) == Post()
    assert plan(found, VALID_MS, absent, at(1_001, stopped=True), RULES) == Wait(
        T0 + 1_001 + POLL_MS, "stop_file"
    )
    assert plan(found, VALID_MS, absent, at(3_001), RULES) == LookUp()


def test_an_order_signed_long_before_a_restart_is_looked_up_at_once(signed: OrderSigned) -> None:
    met_later = saw(met_ms=T0 + 2_500)
    assert plan(life(signed), VALID_MS, met_later, at(2_500), RULES) == LookUp()


def test_an_unknown_answer_is_looked_up_and_only_then_may_the_same_bytes_go_out_again(
    signed: OrderSigned,
) -> None:
    unknown = life(signed, state="unknown")
    posted = saw(mine=True).posted(T0 + 100)
    assert plan(unknown, VALID_MS, posted, at(200), RULES) == Wait(T0 + 1_100, "lookup")
    assert plan(unknown, VALID_MS, posted, at(1_100), RULES) == LookUp()
    absent = posted.looked(T0 + 1_100, NotThere())
    assert plan(unknown, VALID_MS, absent, at(1_100), RULES) == Post()
    again = absent.posted(T0 + 1_200)
    assert plan(unknown, VALID_MS, again, at(1_300), RULES) == Wait(T0 + 2_200, "lookup")


@pytest.mark.parametrize("barred", ["duplicated", "refused_again"])
def test_bytes_that_may_have_been_accepted_are_never_posted_again(
    barred: str, signed: OrderSigned
) -> None:
    known = life(signed, state="unknown", barred=barred)
    absent = saw(mine=True).posted(T0).looked(T0 + 1_000, NotThere())
    assert plan(known, VALID_MS, absent, at(1_100), RULES) == Wait(T0 + 2_000, "lookup")


def test_a_fill_says_that_the_order_arrived_so_it_is_neither_sent_nor_absent(
    signed: OrderSigned,
) -> None:
    filled = life(signed, state="unknown", fills={"t": 1})
    witness = replace(
        saw(last_lookup_ms=T0 + 60_000),
        absent_first_ms=T0,
        absent_last_ms=T0 + 60_000,
        absent_lookups=60,
    )
    assert plan(filled, VALID_MS, witness, at(10), RULES) == Wait(T0 + 61_000, "lookup")
    assert plan(filled, VALID_MS, witness, at(61_000), RULES) == LookUp()


def test_absence_needs_ten_seconds_of_look_ups_after_the_last_post_and_after_its_time(
    signed: OrderSigned,
) -> None:
    unknown = life(signed, state="unknown")
    witness = saw(mine=True).posted(T0 + 2_900)
    for second in range(4, 14):
        assert plan(unknown, VALID_MS, witness, at(second * 1_000), RULES) == LookUp()
        witness = witness.looked(T0 + second * 1_000, NotThere())
    # Nine seconds of look-ups: the first was a second after valid_until_ms = T0 + 3 s.
    assert plan(unknown, VALID_MS, witness, at(13_001), RULES) == Wait(T0 + 14_000, "lookup")
    witness = witness.looked(T0 + 14_000, NotThere())
    assert plan(unknown, VALID_MS, witness, at(14_000), RULES) == DeclareAbsent()


def test_one_look_up_after_an_outage_of_the_venue_is_no_ten_seconds_of_them(
    signed: OrderSigned,
) -> None:
    """A POST without an answer, a minute of 5xx, and then one 'not there' of a venue just back."""
    unknown = life(signed, state="unknown")
    witness = saw(mine=True).posted(T0 + 100)
    for second in range(2, 60):
        witness = witness.looked(T0 + second * 1_000, Unclear("http 503"))
    witness = witness.looked(T0 + 60_000, NotThere())
    assert plan(unknown, VALID_MS, witness, at(60_001), RULES) == Wait(T0 + 61_000, "lookup")
    witness = witness.looked(T0 + 70_000, NotThere())
    assert plan(unknown, VALID_MS, witness, at(70_000), RULES) == DeclareAbsent()


def test_a_look_up_that_says_nothing_is_no_evidence_and_one_that_sees_ends_the_series() -> None:
    witness = saw().looked(T0, NotThere())
    assert witness.looked(T0 + 1, Unclear("http 500")).absent_lookups == 1
    assert witness.looked(T0 + 1, Unclear("http 500")).absent_last_ms == T0
    assert witness.looked(T0 + 1, Seen(status="live")).absent_lookups == 0
    assert witness.posted(T0 + 1).absent_first_ms is None


def test_an_accepted_order_the_venue_still_works_on_is_looked_up_until_it_is_final(
    signed: OrderSigned,
) -> None:
    pending = life(signed, state="accepted")
    late = saw(mine=True).posted(T0).looked(T0 + 90_000, Seen(status="matched"))
    assert plan(pending, VALID_MS, late, at(90_500), RULES) == Wait(T0 + 91_000, "lookup")
    assert plan(pending, VALID_MS, late, at(91_000), RULES) == LookUp()


@pytest.mark.parametrize("status", ["live", "delayed", "unmatched"])
def test_an_order_that_rests_long_after_its_time_is_cancelled_again_and_again(
    status: str, signed: OrderSigned
) -> None:
    pending, due = life(signed, state="accepted"), 3_000 + CANCEL_AFTER_MS
    seen = saw(mine=True).posted(T0).looked(T0 + due, Seen(status=status))
    assert plan(pending, VALID_MS, seen, at(due), RULES) == Wait(T0 + due + 1_000, "lookup")
    assert plan(pending, VALID_MS, seen, at(due + 1), RULES) == Cancel()
    assert plan(pending, VALID_MS, seen, at(due + 1, stopped=True), RULES) == Cancel()
    asked = replace(seen, last_cancel_ms=T0 + due + 1)
    assert plan(pending, VALID_MS, asked, at(due + 2), RULES) == Wait(T0 + due + 1_000, "lookup")
    assert plan(pending, VALID_MS, asked, at(due + 1_000), RULES) == LookUp()
    later = due + 2 + CANCEL_AFTER_MS
    still = asked.looked(T0 + later, Unclear("http 500"))
    assert plan(pending, VALID_MS, still, at(later), RULES) == Cancel()


def test_a_pending_order_that_the_venue_forgot_is_absent_after_three_times_as_long(
    signed: OrderSigned,
) -> None:
    """Every look-up over 30 s after its time says so; one fill, or one sighting, and it is not."""
    pending = life(signed, state="accepted")
    seen = saw(mine=True).posted(T0).looked(T0 + 4_000, NotThere())
    short, whole = (seen.looked(T0 + ms, NotThere()) for ms in (33_999, 34_000))
    assert plan(pending, VALID_MS, short, at(33_999), RULES) == Wait(T0 + 34_999, "lookup")
    assert plan(pending, VALID_MS, whole, at(34_000), RULES) == DeclareAbsent()
    assert plan(pending, VALID_MS, whole, at(34_000, stopped=True), RULES) == DeclareAbsent()
    filled = life(signed, state="accepted", fills={"t": 1})
    assert plan(filled, VALID_MS, whole, at(34_000), RULES) == Wait(T0 + 35_000, "lookup")
    alive = whole.looked(T0 + 34_000, Seen(status="delayed"))
    again = alive.looked(T0 + 35_000, NotThere())
    assert not isinstance(plan(pending, VALID_MS, again, at(35_000), RULES), DeclareAbsent)


@pytest.mark.parametrize("seen", [Seen(status="matched"), Seen(status="unknown_status")])
def test_only_what_was_seen_alive_is_cancelled(seen: Seen, signed: OrderSigned) -> None:
    known = life(signed, state="accepted")
    restarted = saw(met_ms=T0 + 90_000)
    assert plan(known, VALID_MS, restarted, at(90_000), RULES) == LookUp()
    alive = restarted.looked(T0 + 90_000, Seen(status="live"))
    ended = alive.looked(T0 + 91_000, seen)
    assert plan(known, VALID_MS, ended, at(91_001), RULES) == Wait(T0 + 92_000, "lookup")


@given(
    st.sampled_from(["requested", "signed", "unknown", "accepted", "refused", "absent", "filled"]),
    st.integers(0, 20_000),
    st.none() | st.integers(-20_000, 20_000),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(["", "duplicated"]),
)
def test_whatever_happened_a_post_is_in_time_agreed_by_clocks_unstopped_and_not_blind(
    state: Any,
    now: int,
    skew: int | None,
    stopped: bool,
    mine: bool,
    posts: int,
    absent: int,
    barred: str,
) -> None:
    order = OrderSigned(
        account="main", intent="main:7:0", order="0xaa", backend="live", token="1", side="BUY",
        maker_micro=1, taker_micro=1, payload={}, executor="x", signed_ns=T0 * 1_000_000,
    )  # fmt: skip
    witness = saw(
        mine=mine,
        posts=posts,
        last_post_ms=T0 if posts else None,
        absent_lookups=absent,
        absent_first_ms=T0 if absent else None,
        absent_last_ms=T0 + now if absent else None,
    )
    moment = at(now, tick_ms=None if skew is None else T0 + now + skew, stopped=stopped)
    subject = life(None if state == "requested" else order, state=state, barred=barred)
    action = plan(subject, VALID_MS, witness, moment, RULES)
    if isinstance(action, Post):
        assert state in ("signed", "unknown")
        assert not barred
        assert not stopped
        assert skew is not None
        assert abs(skew) <= RULES.clock_skew_max_ms
        assert T0 + now <= VALID_MS
        assert absent > 0 or (mine and posts == 0)
    if isinstance(action, Sign):
        assert state == "requested"
    if isinstance(action, DeclareAbsent):
        assert absent > 0
        assert now > 3_000 + 10_000 - 1
