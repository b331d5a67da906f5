"""A rebuild takes the journal's word for what was decided, and lands where the flow was."""

import pytest

from flows.core.fold import FoldState
from flows.engine.errors import Diverged
from infra.proof.digest import state_digest
from infra.proof.rebuild import RebuildRefused, rebuild
from infra.proof.recordings import RecordingBroken
from infra.proof.refold import OURS, decide, sealed
from schemas import codec
from schemas.records import journal

CUTS = [0.1, 0.37, 0.5, 0.83, 1.0]


def state_at(lines: list[bytes], count: int) -> FoldState:
    state = FoldState()
    for offset, line in enumerate(lines[:count]):
        sealed(state, offset, decide(state, offset, codec.decode(line)))
    return state


def after_journal(recording, lines: list[bytes], count: int):
    """The recording as it was when so many tape records were folded, the whole tape there."""
    out = recording.copy()
    for topic in ("journal", "orders", "watch"):
        rows = out.topics[topic]
        out.topics[topic] = [r for r in rows if codec.unseal(r.value)[0].cause < count]
    return out


@pytest.mark.parametrize("share", CUTS)
def test_a_rebuild_lands_in_the_flows_own_state_and_goes_on_with_the_same_bytes(
    recording, lines, going_on, share
) -> None:
    stood = after_journal(recording, lines, int(len(lines) * share))
    made = rebuild(stood)
    assert not made.missing
    assert state_digest(made.state) == state_digest(state_at(lines, made.next_offset))
    for out in going_on(lines, state=made.state, first=made.next_offset):
        stood.write(out)
    for topic in ("journal", "orders", "watch"):
        assert stood.topics[topic] == recording.topics[topic]


def test_the_digest_tells_two_states_apart(recording, lines) -> None:
    digests = {state_digest(rebuild(recording, until=n).state) for n in (40, 80, 120, 160)}
    assert len(digests) == 4
    assert all(len(digest) == 64 for digest in digests)


def test_the_state_as_of_an_offset_is_the_folds(recording, lines) -> None:
    for until in (0, 57, len(lines) - 1):
        found = rebuild(recording, until=until)
        assert found.next_offset == until + 1
        assert state_digest(found.state) == state_digest(state_at(lines, until + 1))


@pytest.mark.parametrize("lost", [1, 2, 3, 7])
def test_a_journal_cut_among_the_events_of_a_record_is_completed_to_the_byte(
    recording, lines, lost
) -> None:
    """Killed between two sends: journal and orders each end where they happened to."""
    stood = recording.cut("journal", len(recording.topics["journal"]) - lost)
    made = rebuild(stood)
    stood.write([out for out in made.missing if out.topic == "journal"])
    assert stood.topics["journal"] == recording.topics["journal"][: len(stood.topics["journal"])]
    assert [out for out in made.missing if out.topic == "orders"] == []


def test_an_order_that_did_not_reach_its_topic_is_made_from_the_journal(recording) -> None:
    stood = recording.cut("orders", len(recording.topics["orders"]) - 2)
    made = rebuild(stood)
    assert [out.topic for out in made.missing] == ["orders", "orders"]
    assert stood.write(made.missing).topics["orders"] == recording.topics["orders"]


def test_orders_ahead_of_their_journal_are_decided_again_alike(recording) -> None:
    """All of the journal behind the last two orders was lost, the orders were not."""
    last = codec.unseal(recording.topics["orders"][-2].value)[0].cause
    journal_rows = recording.topics["journal"]
    kept = sum(codec.unseal(row.value)[0].cause < last for row in journal_rows)
    made = rebuild(recording.cut("journal", kept))
    stood = recording.cut("journal", kept).write(made.missing)
    assert stood.topics["orders"] == recording.topics["orders"]
    assert stood.topics["journal"] == journal_rows[: len(stood.topics["journal"])]


@pytest.mark.parametrize("share", CUTS)
def test_other_rules_take_over_without_changing_a_byte_that_stands(
    recording, lines, going_on, other_rules, share
) -> None:
    """The rules change, the flow is rebuilt: what was sent stays, numbers and chain go on."""
    stood = after_journal(recording, lines, int(len(lines) * share))
    before = {topic: list(rows) for topic, rows in stood.topics.items()}
    made = rebuild(stood, rules=other_rules)
    stood.write(made.missing)
    for out in going_on(lines, other_rules, made.state, made.next_offset):
        stood.write(out)
    for topic, rows in before.items():
        assert stood.topics[topic][: len(rows)] == rows
    numbers = [codec.unseal(row.value)[0].n for row in stood.topics["orders"]]
    assert numbers == list(range(len(numbers)))
    decided_by = {codec.unseal(row.value)[0].rules for row in stood.topics["journal"]}
    assert decided_by <= {OURS.version, other_rules.version}
    again = rebuild(stood, rules=other_rules)
    assert sum(again.taken.values()) == len(stood.topics["journal"])
    assert not again.missing


@pytest.mark.parametrize("share", CUTS)
def test_a_rebuild_that_was_killed_while_it_appended_is_done_again_alike(
    recording, lines, other_rules, share
) -> None:
    """The record at which the rules change has events of both; each cut of the rest is tried."""
    stood = after_journal(recording, lines, int(len(lines) * share))
    stood = stood.cut("journal", len(stood.topics["journal"]) - 1)
    whole = rebuild(stood.copy(), rules=other_rules)
    for count in range(len(whole.missing) + 1):
        again = rebuild(stood.copy().write(whole.missing[:count]), rules=other_rules)
        assert again.missing == whole.missing[count:]
        assert state_digest(again.state) == state_digest(whole.state)


def test_the_other_rules_would_have_decided_otherwise(recording, made, lines, other_rules) -> None:
    ours = [row.value for row in recording.topics["orders"]]
    theirs = [row.value for row in made(lines, other_rules).topics["orders"]]
    assert ours != theirs


def test_orders_without_their_journal_are_refused_by_other_rules(recording, other_rules) -> None:
    last = codec.unseal(recording.topics["orders"][-2].value)[0].cause
    kept = sum(codec.unseal(r.value)[0].cause < last for r in recording.topics["journal"])
    with pytest.raises(RebuildRefused, match=f"a release with rules {OURS.version} first"):
        rebuild(recording.cut("journal", kept), rules=other_rules)


def test_an_order_that_is_not_the_journals_is_named(recording) -> None:
    row = recording.topics["orders"][1]
    forged = recording.edited(
        "orders", 1, value=row.value.replace(b'"budget_micro":', b'"budget_micro":9')
    )
    with pytest.raises(Diverged, match="orders record 1 at offset 1"):
        rebuild(forged)


def test_a_rule_changed_under_the_same_version_is_found(recording, other_rules) -> None:
    """The journal ends at an order; the same version of the rules now decides another size."""
    orders = [codec.unseal(r.value) for r in recording.topics["orders"]]
    big = next(e.cause for e, event in orders if event.shares_micro > 20_000_000)
    rows = recording.topics["journal"]
    stood = recording.copy()
    for topic in ("journal", "orders"):
        kept = [r for r in stood.topics[topic] if codec.unseal(r.value)[0].cause <= big]
        stood.topics[topic] = kept
    assert len(stood.topics["journal"]) < len(rows)
    with pytest.raises(Diverged, match="is not what is made again"):
        rebuild(stood, rules=other_rules._replace(version=OURS.version))


def test_a_tape_shorter_than_its_journal_is_refused(recording) -> None:
    with pytest.raises(RecordingBroken, match="but the tape in memory ends at 50"):
        rebuild(recording.cut("tape", 50))


def test_watch_records_that_were_lost_are_said_again_under_higher_numbers(recording) -> None:
    made = rebuild(recording.cut("watch", 1))
    said = [codec.unseal(out.value) for out in made.missing]
    assert said
    assert all(isinstance(event, journal.Watch) for _, event in said)
    kept = recording.cut("watch", 1).write(made.missing)
    assert not rebuild(kept).missing
