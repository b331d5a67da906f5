"""The chain: each record vouches for the one before it, and the first that does not is named."""

import pytest
from click.testing import CliRunner

from infra.cli.main import cli
from infra.proof.chain import Chain, ChainBroken
from infra.proof.sameness import compared
from schemas import codec
from tests.proof.conftest import Memory, write_archive


def walked(memory, topic: str = "journal") -> Chain:
    chain = Chain(topic)
    for _ in chain.walk(memory.rows(topic)):
        pass
    return chain


def broken(memory, topic: str = "journal") -> ChainBroken:
    with pytest.raises(ChainBroken) as found:
        walked(memory, topic)
    return found.value


def test_an_untouched_journal_holds_to_its_last_hash(recording) -> None:
    chain = walked(recording)
    assert chain.due == len(recording.topics["journal"])
    assert chain.prev == codec.chain_hash(recording.topics["journal"][-1].value)
    assert walked(recording, "orders").due == len(recording.topics["orders"])


def test_an_altered_byte_breaks_the_link_behind_it(recording) -> None:
    row = recording.topics["journal"][40]
    forged = row.value.replace(b'"rules":', b'"rules": ')
    found = broken(recording.edited("journal", 40, value=forged))
    assert (found.number, found.offset) == (41, 41)
    assert found.expected == codec.chain_hash(forged)
    assert found.found == codec.chain_hash(row.value)


def test_a_missing_record_is_named(recording) -> None:
    gone = recording.copy()
    del gone.topics["journal"][17]
    found = broken(gone)
    assert found.number == 17
    assert found.found == "nothing"


def test_an_inserted_record_is_named(recording) -> None:
    forged = recording.copy()
    row = forged.topics["journal"][8]
    forged.topics["journal"].insert(9, row._replace(value=row.value.replace(b"}", b" }"), offset=9))
    assert broken(forged).number == 8


def test_what_cannot_be_read_is_named(recording) -> None:
    found = broken(recording.edited("journal", 3, value=b"{"))
    assert (found.number, found.offset) == (3, 3)
    assert "cannot be read" in str(found)


def test_identical_repeats_of_a_woken_flow_are_passed_over_and_counted(recording) -> None:
    zombie = recording.copy()
    rows = zombie.topics["journal"]
    rows[30:30] = rows[20:30]
    chain = walked(zombie)
    assert chain.repeats == 10
    assert chain.due == len(recording.topics["journal"])


def test_the_command_names_the_link_on_an_archive(recording, archive) -> None:
    words = ["verify", "--journal", "--from", str(archive), "--no-tail"]
    holds = CliRunner().invoke(cli, words)
    assert holds.exit_code == 0, holds.output
    assert codec.chain_hash(recording.topics["journal"][-1].value) in holds.output
    row = recording.topics["journal"][40]
    forged = recording.edited("journal", 40, value=row.value.replace(b'"v":1', b'"v": 1'))
    write_archive(forged, archive, "journal")
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert "BROKEN record 41 at offset 41" in result.output


def test_two_recordings_are_compared_where_both_have_records(recording) -> None:
    old = Memory({topic: rows[:100] for topic, rows in recording.topics.items()})
    new = Memory({topic: rows[10:] for topic, rows in recording.topics.items()})
    found = {each.topic: each for each in compared(old, new)}
    assert found["tape"].same == 90
    assert found["tape"].only_archive == 10
    assert found["tape"].only_kafka == len(recording.topics["tape"]) - 100
    assert not any(each.difference for each in found.values())
    forged = next(
        each.difference
        for each in compared(old, new.edited("tape", 5, timestamp_ms=1))
        if each.topic == "tape"
    )
    assert forged.startswith("offset 15, timestamp_ms")
