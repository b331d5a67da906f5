"""The life of an order, every pair spelled out: where it goes, that it stays, that it cannot."""

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.order_life import ENDED, TRANSITIONS, Happening, IllegalStep, State, step

STATES: tuple[State, ...] = get_args(State)
HAPPENINGS: tuple[Happening, ...] = get_args(Happening)

# "=": stays as it is; "-": no order can do that; else the next state.
EXPECTED = """
            signed    accepted  unknown   refused   expired   absent    filled
requested   signed    -         -         refused   expired   -         -
signed      =         accepted  unknown   refused   =         absent    -
unknown     =         accepted  =         refused   =         absent    -
accepted    =         =         =         -         =         absent    filled
filled      =         =         =         =         =         =         =
refused     =         accepted  =         =         =         =         =
expired     =         =         =         =         =         =         =
absent      =         accepted  =         =         =         =         =
"""


def table() -> list[tuple[str, str, str]]:
    """(state, happening, expected) of every cell."""
    head, *rows = [line.split() for line in EXPECTED.strip().splitlines()]
    return [
        (state, happening, state if cell == "=" else cell)
        for state, *cells in rows
        for happening, cell in zip(head, cells, strict=True)
    ]


def test_the_table_has_every_state_and_every_happening() -> None:
    pairs = [(state, happening) for state, happening, _ in table()]
    assert len(pairs) == 8 * 7
    assert set(pairs) == {(s, h) for s in STATES for h in HAPPENINGS}


@pytest.mark.parametrize(("state", "happening", "expected"), table())
def test_each_pair_ends_where_the_table_says(
    state: State, happening: Happening, expected: str
) -> None:
    if expected == "-":
        with pytest.raises(IllegalStep, match=f"{state} cannot become {happening}"):
            step(state, happening)
    else:
        assert step(state, happening) == expected


def lived(happenings: list[Happening]) -> list[State]:
    """The states an order goes through; what no order can do is left out."""
    states: list[State] = ["requested"]
    for happening in happenings:
        try:
            states.append(step(states[-1], happening))
        except IllegalStep:
            continue
    return states


@given(st.lists(st.sampled_from(HAPPENINGS), max_size=30))
def test_an_ended_order_never_leaves_its_end_unless_the_venue_accepted_it_after_all(
    happenings: list[Happening],
) -> None:
    states = lived(happenings)
    for before, after in pairwise(states):
        if before in ENDED and after != before:
            assert (before, after) in (("absent", "accepted"), ("refused", "accepted"))


@given(st.lists(st.sampled_from(HAPPENINGS), max_size=30))
def test_what_is_repeated_at_once_changes_nothing_more(happenings: list[Happening]) -> None:
    for state in lived(happenings):
        for happening in HAPPENINGS:
            if (state, happening) in TRANSITIONS:
                once = step(state, happening)
                assert step(once, happening) == once


def test_every_state_can_be_reached_from_requested() -> None:
    reached: set[State] = {"requested"}
    while more := {after for (s, _), after in TRANSITIONS.items() if s in reached} - reached:
        reached |= more
    assert reached == set(STATES)


def test_nothing_ends_an_order_that_was_signed_by_time_alone() -> None:
    for state in STATES:
        if state != "requested" and state not in ENDED:
            assert step(state, "expired") == state
