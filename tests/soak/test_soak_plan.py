"""What a round of the soak will do is decided beforehand, from its seed alone."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.soak.plan import COSTS_S, KILLS, KILLS_PER_ROUND, REST_S, WARM_S, draw, rounds
from infra.soak.rounds import Asked, Done, ForeignRounds, remember, remembered

SEEDS = st.integers(min_value=0, max_value=10_000)
ASKED = Asked(seed=1, brokers=1, kills=20)


@given(seed=SEEDS, number=SEEDS)
def test_one_round_of_one_seed_is_always_the_same(seed: int, number: int) -> None:
    assert draw(seed, number) == draw(seed, number)


def test_rounds_of_one_seed_differ() -> None:
    assert len({draw(1, number) for number in range(20)}) == 20


@given(seed=SEEDS, number=SEEDS, kills=st.integers(min_value=1, max_value=30))
def test_a_round_has_exactly_the_kills_it_was_asked_for(seed: int, number: int, kills: int) -> None:
    assert draw(seed, number, kills).kills == kills


@given(seed=SEEDS, number=SEEDS)
def test_every_full_round_has_a_stall_a_zombie_a_double_crash_and_broker_and_flow_together(
    seed: int, number: int
) -> None:
    had = Counter(fault.what for fault in draw(seed, number).faults)
    assert all(had[name] == 1 for name in ("stall", "zombie", "flow_twice", "broker_and_flow"))


@given(seed=SEEDS, number=SEEDS)
def test_each_fault_has_the_time_to_come_back_before_the_next_one(seed: int, number: int) -> None:
    plan = draw(seed, number)
    assert plan.faults[0].at_s == WARM_S
    ends = [fault.at_s + COSTS_S[fault.what] for fault in plan.faults]
    begins = [fault.at_s for fault in plan.faults[1:]] + [plan.seconds - REST_S + 1]
    assert all(end <= begin + 0.01 for end, begin in zip(ends, begins, strict=True))


@pytest.mark.parametrize(
    ("kills", "split"), [(10, [10]), (100, [10] * 10), (7, [7]), (23, [10, 10, 3])]
)
def test_kills_are_split_into_rounds_of_ten(kills: int, split: list[int]) -> None:
    assert list(rounds(kills)) == split
    assert KILLS_PER_ROUND == 10


def test_every_fault_has_a_cost_and_a_count() -> None:
    assert COSTS_S.keys() == KILLS.keys()


def done(number: int, asked: Asked = ASKED) -> Done:
    return Done(
        asked=asked,
        number=number,
        seconds=100.0,
        kills=10,
        faults={"flow": 3},
        restarted={},
        tape=5000,
        journal=600,
        signals=150,
        orders=50,
        posts=51,
        fills=52,
        lost=0,
        doubled=0,
        alarms={},
        broken=[],
    )


def test_finished_rounds_are_remembered_and_not_run_again(tmp_path: Path) -> None:
    assert remembered(tmp_path, ASKED) == []
    for number in (0, 1):
        remember(tmp_path, done(number))
    assert remembered(tmp_path, ASKED) == [done(0), done(1)]


def test_rounds_of_another_soak_do_not_count(tmp_path: Path) -> None:
    remember(tmp_path, done(0, Asked(seed=2, brokers=1, kills=20)))
    with pytest.raises(ForeignRounds, match="another --folder"):
        remembered(tmp_path, ASKED)
