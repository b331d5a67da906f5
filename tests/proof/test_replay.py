"""Decisions made again: equal to the byte, or the first difference with its cause."""

import shutil

import pytest
from click.testing import CliRunner

from flows.core import RULES
from infra.cli.main import cli
from infra.proof.rebuild import rebuild
from infra.proof.recordings import RecordingBroken
from infra.proof.refold import OURS
from infra.proof.replay import check, replay
from schemas import codec
from tests.proof.conftest import write_archive


def test_what_our_rules_decided_is_decided_again_alike(recording, lines) -> None:
    done = check(recording)
    assert done.divergence is None
    assert done.records == len(lines)
    assert done.compared == len(recording.topics["journal"]) > 100
    assert not done.taken
    assert not done.ahead
    assert done.last_ms - done.first_ms > 60_000


def test_a_plain_replay_counts_the_same_events(recording) -> None:
    assert replay(recording).kinds == check(recording).kinds


def test_one_altered_byte_of_an_event_is_found_with_the_record_that_caused_it(recording) -> None:
    """Without its successors' hashes: the chain would find it one record later."""
    last = len(recording.topics["journal"]) - 1
    row = recording.topics["journal"][last]
    forged = row.value.replace(b'"cause"', b'"reason2":1,"cause"')
    found = check(recording.edited("journal", last, value=forged)).divergence
    assert found is not None
    assert found.number == last
    assert found.cause == codec.unseal(row.value)[0].cause
    assert found.record == codec.decode(recording.topics["tape"][found.cause].value)
    assert "value byte" in found.found


@pytest.mark.parametrize("part", ["key", "headers"])
def test_key_and_headers_are_compared_too(recording, part) -> None:
    changes = {"key": b"other", "headers": {"kind": b"Alarm", "v": b"1", "n": b"5"}}
    found = check(recording.edited("journal", 5, **{part: changes[part]})).divergence
    assert found is not None
    assert (found.topic, found.number) == ("journal", 5)
    assert found.found.startswith(part)


def test_an_altered_tape_record_shows_at_the_first_event_that_it_moves(recording, lines) -> None:
    offset, value = next(
        (n, line)
        for n, line in enumerate(lines)
        if b'"kind":"LeaderFills"' in line and b'"source":"rest"' in line and n > 200
    )
    size = codec.decode(value).shares_micro
    forged = value.replace(b'"shares_micro":%d' % size, b'"shares_micro":%d' % (size + 7))
    found = check(recording.edited("tape", offset, value=forged)).divergence
    assert found is not None
    assert found.cause >= offset


@pytest.mark.parametrize("read", [check, replay, rebuild])
def test_a_tape_record_that_cannot_be_decoded_is_named_by_its_offset(
    recording, lines, read
) -> None:
    spoilt = recording.edited("tape", 207, value=lines[207][:-1])
    with pytest.raises(RecordingBroken, match=r"offset 207 of the tape in .* cannot be decoded"):
        read(spoilt)


def test_an_order_that_differs_from_its_journal_record_is_found(recording) -> None:
    row = recording.topics["orders"][0]
    forged = row.value.replace(b'"side":"BUY"', b'"side":"SELL"')
    assert forged != row.value
    found = check(recording.edited("orders", 0, value=forged)).divergence
    assert found is not None
    assert (found.topic, found.number) == ("orders", 0)


def test_events_that_a_killed_flow_had_not_written_are_counted_not_blamed(recording) -> None:
    done = check(recording.cut("journal", 100))
    assert done.divergence is None
    assert done.compared == 100
    assert done.ahead == len(recording.topics["journal"]) - 100


def test_what_other_rules_decided_is_taken_and_what_followed_is_compared(
    recording, lines, made, going_on, other_rules
) -> None:
    """An older release, a rebuild, then ours: each stretch by its own rules."""
    older = other_rules._replace(version=RULES - 1)
    stood = made(lines[: len(lines) // 2], older)
    taken = len(stood.topics["journal"])
    stood.put("tape", *map(codec.decode, lines[len(lines) // 2 :]))
    again = rebuild(stood)
    stood.write(again.missing)
    mixed = sum(codec.unseal(out.value)[0].rules == RULES for out in again.missing)
    for out in going_on(lines, OURS, again.state, again.next_offset):
        stood.write(out)
    done = check(stood)
    assert done.divergence is None
    assert done.taken[RULES - 1] == taken
    assert done.compared == len(stood.topics["journal"]) - taken - done.taken[RULES]
    assert done.taken[RULES] <= mixed
    assert done.compared > 100


def test_changed_rules_under_the_old_version_diverge_where_they_first_matter(
    recording, other_rules
) -> None:
    found = check(recording, rules=other_rules._replace(version=RULES)).divergence
    assert found is not None
    assert "shares_micro" in found.found


def test_until_ends_the_replay_behind_that_offset(recording) -> None:
    assert check(recording, until=99).records == 100


def test_the_command_says_equal_on_an_archive_and_names_one_altered_byte(
    recording, archive
) -> None:
    words = ["replay", "--check", "--from", str(archive), "--no-tail"]
    equal = CliRunner().invoke(cli, words)
    assert equal.exit_code == 0, equal.output
    assert f"equal: {len(recording.topics['journal']):,} events made again" in equal.output
    at = len(recording.topics["orders"]) - 1
    row = recording.topics["orders"][at]
    forged = row.value.replace(b'"limit_micro":', b'"limit_micro":1')
    shutil.rmtree(archive / "topic=orders")
    write_archive(recording.edited("orders", at, value=forged), archive, "orders")
    differs = CliRunner().invoke(cli, words)
    assert differs.exit_code == 1
    assert f"orders record {at}" in differs.output
    assert "DIFFERS at tape offset" in differs.output
