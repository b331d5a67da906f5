"""An explanation shows what the decision read, where it came from, and what came of it."""

import msgspec
import pytest
from click.testing import CliRunner

from infra.cli.main import cli
from infra.proof.explain import explain
from infra.proof.explained import as_json, lines_of
from infra.proof.subject import NotFound
from schemas import codec
from schemas.records import journal, leader, own


def events(recording, kind: type) -> list:
    """Numbered events of a kind."""
    pairs = [codec.unseal(row.value) for row in recording.topics["journal"]]
    return [(around, event) for around, event in pairs if isinstance(event, kind)]


def filled_order(recording):
    filled = [e.intent for _, e in events(recording, journal.OrderProgress) if e.state == "filled"]
    wanted = events(recording, journal.OrderRequested)
    return next((a, e) for a, e in wanted if e.intent in filled and e.side == "BUY")


def facts(found) -> dict[str, object]:
    return {fact.name: fact for fact in found.explanation.facts}


def test_an_orders_inputs_are_those_that_it_names_itself(recording) -> None:
    """The state right before the decision must add up to the numbers in the order."""
    around, order = filled_order(recording)
    found = explain(recording, order.intent)
    known = facts(found)
    assert known["fold time"].value == order.now_ms
    assert known["position"].value == order.position_micro
    assert known["in flight"].value == order.in_flight_micro
    parts = [fact.value for name, fact in known.items() if name.endswith("part of the target")]
    assert sum(parts) == order.target_micro
    ask = known["best ask"]
    assert (ask.value, ask.offset, ask.age_ms) == (
        order.touch_micro,
        order.depth_offset,
        order.depth_age_ms,
    )
    assert found.explanation.bit == order.bound
    assert found.explanation.bounds == order.bounds
    assert found.explanation.cause.tape == around.cause
    ages = [fact.age_ms for name, fact in known.items() if name.endswith("price he paid")]
    assert order.signal_age_ms in ages


def test_every_offset_that_is_named_holds_a_record_of_the_kind_that_is_named(recording) -> None:
    _, order = filled_order(recording)
    named = [fact for fact in explain(recording, order.intent).explanation.facts if fact.offset]
    assert len(named) > 15
    for fact in named:
        record = codec.decode(recording.topics["tape"][fact.offset].value)
        kinds = {type(record).__name__, "LeaderFills" if "Leader" in fact.source else ""}
        assert fact.source.split()[0] in kinds, fact


def test_what_happened_next_goes_from_the_signature_to_the_end(recording) -> None:
    _, order = filled_order(recording)
    steps = explain(recording, order.intent).explanation.next
    kinds = [type(step.record).__name__ for step in steps]
    for kind in ("OrderSigned", "OrderAnswered", "OwnFill", "FillBooked", "FillSettled"):
        assert kind in kinds
    assert kinds.index("OrderSigned") < kinds.index("OrderAnswered") < kinds.index("FillBooked")
    places = [step.tape for step in steps]
    assert places == sorted(places)
    intents = {getattr(step.record, "intent", order.intent) for step in steps}
    assert intents == {order.intent}


def test_an_orders_hash_names_the_same_order(recording, lines, made) -> None:
    """Hashes of this tape are short names; a real one stands in the place of one."""
    _, order = filled_order(recording)
    progress = [e for _, e in events(recording, journal.OrderProgress) if e.order]
    short = next(e.order for e in progress if e.intent == order.intent)
    whole = "0x" + "ab" * 32
    told = made([line.replace(f'"{short}"'.encode(), f'"{whole}"'.encode()) for line in lines])
    assert explain(told, whole).explanation.event.intent == order.intent


def test_a_hold_says_why_and_what_ended_it(recording) -> None:
    around, held = next(
        (a, e)
        for a, e in events(recording, journal.OrderHeld)
        if any(
            a2.n > a.n and (e2.account, e2.token) == (e.account, e.token)
            for a2, e2 in events(recording, journal.HoldEnded)
        )
    )
    found = explain(recording, f"journal:{around.n}").explanation
    assert found.what == "hold"
    assert found.event == held
    assert isinstance(found.next[0].record, journal.HoldEnded)
    assert found.next[0].record.reason == held.reason


def test_the_newest_hold_of_a_token_is_found_by_account_and_token(recording) -> None:
    around, held = events(recording, journal.OrderHeld)[-1]
    found = explain(recording, f"{held.account}:{held.token}").explanation
    assert found.number == around.n


def test_a_correction_shows_its_reports_and_the_proven_difference(recording) -> None:
    around, event = next(
        (a, e) for a, e in events(recording, journal.PositionCorrected) if not e.opening
    )
    found = explain(recording, str(around.n))
    asked = [p.record.report for p in found.explanation.evidence]
    assert set(asked) == set(event.reports)
    assert {type(p.record) for p in found.explanation.evidence} == {
        own.ReportAsked,
        own.PositionsReport,
    }
    known = facts(found)
    low = known["least difference that all reports allow"].value
    high = known["greatest difference that all reports allow"].value
    assert low <= event.shares_micro <= high
    assert "rebuilt before" in known


def test_a_leaders_trade_leads_to_its_window_and_to_what_was_asked_for(recording) -> None:
    delta, first = events(recording, journal.NetDelta)[0]
    tape = [codec.decode(row.value) for row in recording.topics["tape"][: delta.cause]]
    fill = next(
        r
        for r in reversed(tape)
        if isinstance(r, leader.LeaderFills) and (r.leader, r.token) == (first.leader, first.token)
    )
    found = explain(recording, fill.group).explanation
    assert all(p.record.group == fill.group for p in found.evidence)
    assert delta.n in [step.number for step in found.next]


@pytest.mark.parametrize(
    "text", ["main:999999:0", "nobody:1001", "99999", "0x" + "e" * 64, "f" * 16, "what?"]
)
def test_what_names_nothing_is_said_to_name_nothing(recording, text) -> None:
    with pytest.raises(NotFound, match="an ID is"):
        explain(recording, text)


def test_every_journal_record_can_be_explained(recording) -> None:
    """No kind is forgotten: one of each, as text and as JSON."""
    seen: dict[str, int] = {}
    for number, row in enumerate(recording.topics["journal"]):
        seen.setdefault(row.headers["kind"].decode(), number)
    assert len(seen) > 12
    for kind, number in seen.items():
        found = explain(recording, str(number))
        assert kind in "\n".join(lines_of(found))
        assert msgspec.json.decode(as_json(found))["number"] == number


def test_the_command_explains_from_an_archive(recording, archive) -> None:
    _, order = filled_order(recording)
    words = ["explain", order.intent, "--from", str(archive), "--no-tail"]
    told = CliRunner().invoke(cli, words)
    assert told.exit_code == 0, told.output
    assert "<- bit" in told.output
    assert "what happened next" in told.output
    as_data = CliRunner().invoke(cli, [*words, "--json"])
    data = msgspec.json.decode(as_data.output)
    assert data["event"]["intent"] == order.intent
    assert data["bit"] == order.bound
