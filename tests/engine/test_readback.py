"""Matching a re-emitted tail with what stands: pure, so every interleaving is a table or a draw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.engine.errors import Diverged
from flows.engine.readback import REMEMBERED_MAX, ReadBack, superseded_keys
from flows.engine.rows import OutRow, Standing


def row(number: int, value: bytes | None = None, key: bytes | None = None) -> OutRow:
    return OutRow(number=number, key=key, value=value or b"value %d" % number)


def standing(*numbers: int, first_offset: int = 100) -> list[Standing]:
    return [Standing(offset=first_offset + i, row=row(n)) for i, n in enumerate(numbers)]


def read_back(rows: list[Standing], next_number: int, compacted: bool = False) -> ReadBack:
    return ReadBack(iter(rows), next_number=next_number, where="journal/0", compacted=compacted)


def written(back: ReadBack, numbers: range) -> list[int]:
    return [n for n in numbers if not back.match(row(n))]


def test_what_stands_is_skipped_and_what_does_not_is_written() -> None:
    back = read_back(standing(7, 8, 9), next_number=7)
    assert written(back, range(7, 12)) == [10, 11]
    assert (back.matched, back.repeats) == (3, 0)


def test_a_snapshot_in_the_middle_of_a_replay_keeps_the_first_unmatched_offset() -> None:
    back = read_back(standing(7, 8, 9), next_number=7)
    assert back.unmatched_offset == 100
    assert written(back, range(7, 9)) == []
    assert (back.unmatched_offset, back.next_number) == (102, 9)
    assert written(back, range(9, 10)) == []
    assert back.unmatched_offset is None


@pytest.mark.parametrize(
    ("again", "said"),
    [
        (OutRow(8, None, b"value 9"), r"value byte 6: ...b'value 9' against ...b'value 8'"),
        (OutRow(8, None, b"value 8 and more"), r"value byte 7:"),
        (OutRow(8, b"k", b"value 8"), r"key: b'k' against None"),
        (OutRow(8, None, b"value 8", (("kind", b"X"),)), r"headers byte 1:"),
    ],
)
def test_a_different_byte_under_the_same_number_stops_naming_both(again: OutRow, said: str) -> None:
    back = read_back(standing(7, 8), next_number=7)
    back.match(row(7))
    with pytest.raises(Diverged, match=r"journal/0: record 8 written again .* offset 101.*" + said):
        back.match(again)


@pytest.mark.parametrize("number", [6, 8])
def test_a_number_out_of_turn_stops(number: int) -> None:
    with pytest.raises(Diverged, match=f"record {number} was to be written where 7 was due"):
        read_back([], next_number=7).match(row(number))


def test_a_zombies_identical_repeats_are_passed_over_and_counted() -> None:
    back = read_back(standing(7, 5, 6, 8, 7, 8, 9), next_number=7)
    assert written(back, range(7, 11)) == [10]
    assert back.repeats == 4


def test_a_zombies_different_repeat_stops() -> None:
    rows = [*standing(7, 8), Standing(offset=102, row=row(7, b"other"))]
    back = read_back(rows, next_number=7)
    with pytest.raises(Diverged, match=r"record 7 at offset 102 differs .* at offset 100"):
        written(back, range(7, 9))


def test_a_record_that_no_reader_could_take_in_turn_is_written_again() -> None:
    # 39 and 40 are a zombie's, ahead of their turn behind this snapshot; 37 and 38 stand before it.
    back = read_back(standing(39, 36, 40), next_number=36)
    assert written(back, range(36, 42)) == [37, 38, 39, 40, 41]


def test_a_record_ahead_of_its_turn_must_be_what_is_written_in_its_turn() -> None:
    back = read_back([Standing(offset=9, row=row(38, b"other"))], next_number=37)
    back.match(row(37))
    with pytest.raises(Diverged, match="record 38 written again"):
        back.match(row(38))


def test_in_a_compacted_partition_a_gone_number_below_a_standing_one_is_not_written_again() -> None:
    back = read_back(standing(9, 12), next_number=7, compacted=True)
    assert written(back, range(7, 15)) == [13, 14]
    assert (back.matched, back.compacted_away) == (2, 4)


def test_repeats_older_than_the_memory_are_counted_unchecked() -> None:
    rows = [*standing(*range(REMEMBERED_MAX + 5)), Standing(offset=0, row=row(1, b"other"))]
    back = read_back(rows, next_number=0)
    assert written(back, range(REMEMBERED_MAX + 5)) == []
    assert back.repeats == 1


@pytest.mark.parametrize("zombies", [False, True])
@given(data=st.data())
def test_after_any_crashes_each_number_stands_once_and_despite_zombies_is_read_once(
    zombies: bool, data: st.DataObject
) -> None:
    """A flow dies and resumes from any snapshot it ever took (the last, or a copy of an older one).

    Alone it leaves each number exactly once. With zombies, each deterministic and in order, behind
    it or ahead, a reader that takes the next number only ends with the whole sequence.
    """
    total = data.draw(st.integers(1, 12), label="total")
    log: list[int] = []
    snapshots = [(0, 0)]  # (offset, next number)
    for _ in range(data.draw(st.integers(0, 5), label="crashes")):
        one_life(log, snapshots, data.draw(st.integers(0, total), label="until"), zombies, data)
    one_life(log, snapshots, total, zombies, data)
    assert (taken(log) if zombies else log) == list(range(total))


def one_life(
    log: list[int],
    snapshots: list[tuple[int, int]],
    until: int,
    zombies: bool,
    data: st.DataObject,
) -> None:
    offset, number = data.draw(st.sampled_from(snapshots), label="snapshot")
    rows = [Standing(offset=o, row=row(n)) for o, n in enumerate(log) if o >= offset]
    back = read_back(rows, next_number=number)
    end = len(log)
    for n in range(number, until):
        if not back.match(row(n)):
            log.append(n)
            end = len(log)
        if zombies and data.draw(st.booleans(), label="a zombie writes"):
            first = data.draw(st.integers(0, min(until, len(taken(log)))), label="from")
            log.extend(range(first, data.draw(st.integers(first, until), label="to")))
        if data.draw(st.booleans(), label="the epoch ends"):
            unmatched = back.unmatched_offset
            snapshots.append((end if unmatched is None else unmatched, back.next_number))


def taken(log: list[int]) -> list[int]:
    got: list[int] = []
    for number in log:
        if number == len(got):
            got.append(number)
    return got


def test_the_newest_value_of_a_key_comes_back_after_a_zombies_older_repeat() -> None:
    rows = [
        Standing(offset=0, row=row(0, key=b"a")),
        Standing(offset=1, row=row(1, key=b"b")),
        Standing(offset=2, row=row(2, key=b"a")),
        Standing(offset=3, row=row(3, key=b"b")),
        Standing(offset=4, row=row(0, key=b"a")),  # the zombie
    ]
    assert superseded_keys(iter(rows)) == [row(2, key=b"a")]
    assert superseded_keys(iter(rows[:4])) == []
