"""Shares and dollars are conserved: whatever fills, failures, corrections and ends there are, in
whatever order they are told, what the fold holds and has spent is what a plain sum of them says.
"""

from types import SimpleNamespace
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from flows.core import planning
from schemas.records import journal
from schemas.units import format_micro
from tests.core.costs import MICRO, Fill, spent_on, taker_fee
from tests.core.tape import DOWN, UP, condition_of
from tests.core.world import World

LOT = 10_000
PAYOUTS = {UP: 700_000, DOWN: 300_000}
TOKENS = st.sampled_from([UP, DOWN])


class Drawn(NamedTuple):
    """A fill as the venue made it, and the end of its settlement, '' while it has none."""

    token: str
    side: str
    lots: int
    cents: int
    role: str
    end: str

    @property
    def cash_micro(self) -> int:
        return self.lots * LOT * self.cents // 100

    def counted(self) -> Fill:
        signed = self.lots * LOT if self.side == "BUY" else -self.lots * LOT
        fee = taker_fee(self.lots * LOT, self.cash_micro, 70_000, 1) if self.role == "TAKER" else 0
        return Fill(signed, self.cash_micro, fee)


FILLS = st.lists(
    st.builds(
        Drawn,
        token=TOKENS,
        side=st.sampled_from(["BUY", "BUY", "SELL"]),
        lots=st.integers(1, 90_000),
        cents=st.integers(1, 99),
        role=st.sampled_from(["TAKER", "MAKER"]),
        end=st.sampled_from(["CONFIRMED", "CONFIRMED", "FAILED", ""]),
    ),
    max_size=8,
)
CORRECTIONS = st.lists(st.tuples(TOKENS, st.integers(-3_000, 3_000)), max_size=3)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Drawn], list[tuple[str, int]], list[Any]]:
    """Fills and corrections, and an order in which all of it becomes known, repeats included."""
    fills, corrections = draw(FILLS), draw(CORRECTIONS)
    told = []
    for number, fill in enumerate(fills):
        early = draw(st.sampled_from([[], ["MATCHED"], ["MATCHED", "RETRYING"]]))
        ends = [fill.end] * draw(st.integers(1, 2)) if fill.end else ["MINED"]
        told += [(number, status) for status in (*early, *ends)]
    return fills, corrections, draw(st.permutations([*told, *corrections]))


def tell(world: World, fills: list[Drawn], what: tuple[Any, Any]) -> None:
    """One telling of a fill, or a correction as the journal has it."""
    if isinstance(what[0], str):
        token, lots = what
        event = journal.PositionCorrected(
            subject="main",
            token=token,
            condition=condition_of(UP),
            shares_micro=lots * LOT,
            reports=("r1", "r2", "r3"),
            opening=False,
        )
        planning.evolve(world.state.plan, event)
        return
    number, status = what
    fill = fills[number]
    whose = SimpleNamespace(
        account="main", token=fill.token, condition=condition_of(UP), side=fill.side
    )
    world.own_fill(
        whose,  # type: ignore[arg-type]
        format_micro(fill.lots * LOT),
        f"0.{fill.cents:02d}",
        trade=f"T{number}",
        order=f"0xo{number}",
        role=fill.role,
        status=status,
    )


def begun() -> World:
    """An account that was opened long enough ago for any fill to be news."""
    world = World().begin()
    world.wait(5_000, step=1_000)
    return world


def shares(token: str, fills: list[Drawn], corrections: list[tuple[str, int]]) -> int:
    counted = sum(f.counted().signed_micro for f in lasting(fills) if f.token == token)
    return counted + sum(lots * LOT for where, lots in corrections if where == token)


def lasting(fills: list[Drawn]) -> list[Drawn]:
    return [fill for fill in fills if fill.end != "FAILED"]


def result(world: World) -> int:
    """Dollars the fold says were made, less what its open positions cost."""
    positions = world.account().positions.values()
    made = sum(p.sums.realised_micro + p.settled_result_micro for p in positions)
    return made - sum(p.unsettled_cost_micro for p in positions)


def proceeds(fills: list[Drawn]) -> int:
    """Dollars that sales fetched less what purchases took, without fees."""
    return sum(f.cash_micro if f.side == "SELL" else -f.cash_micro for f in lasting(fills))


@given(stories())
def test_a_position_is_fills_that_did_not_fail_and_corrections(story: Any) -> None:
    fills, corrections, order = story
    world = begun()
    for what in order:
        tell(world, fills, what)
    for token in (UP, DOWN):
        assert world.held(token) == shares(token, fills, corrections)


@given(stories())
def test_dollars_are_those_of_fills_that_did_not_fail(story: Any) -> None:
    """Cash, fees and result, each against sums of the model's own; cash is never thought more."""
    fills, _, order = story
    world = begun()
    begun_with = world.account().cash.left_micro
    assert begun_with is not None
    for what in order:
        tell(world, fills, what)
    counted = [fill.counted() for fill in lasting(fills)]
    left = world.account().cash.left_micro
    assert left is not None
    assert left <= begun_with - spent_on(counted)
    if all(fill.side == "BUY" for fill in fills):
        assert left == begun_with - spent_on(counted)
    fees = sum(p.sums.fees_micro for p in world.account().positions.values())
    assert fees == sum(fill.fee_micro for fill in counted)
    assert result(world) == proceeds(fills)


@given(stories(), st.data())
def test_a_resolution_pays_every_share_once_whenever_it_comes(story: Any, data: Any) -> None:
    """Fills and failures that are told after the end are paid, or taken back, as if before."""
    fills, corrections, order = story
    before = data.draw(st.integers(0, len(order)))
    world = begun()
    late = [what for what in order[before:] if not isinstance(what[0], str)]
    known = [what for what in order[before:] if isinstance(what[0], str)]
    for what in (*order[:before], *known):
        tell(world, fills, what)
    world.resolved(*map(format_micro, PAYOUTS.values()))
    for what in late:
        tell(world, fills, what)
    paid = 0
    for token, payout in PAYOUTS.items():
        assert world.held(token) == 0
        paid += shares(token, fills, corrections) * payout // MICRO
    assert result(world) == proceeds(fills) + paid
    assert all(p.unsettled_cost_micro == 0 for p in world.account().positions.values())
