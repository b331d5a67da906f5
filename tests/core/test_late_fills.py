"""A fill of ours that is told later than any bound: never counted twice, never ordered twice.

Reports know it before our feeds do, so three of them prove a difference. Told at last, it takes
that correction back in the same record: nothing is planned in between.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.reconcile import Rebuilt
from flows.core.subjects import Subject
from schemas.records import journal, own
from tests.core.tape import MARKET, OWN, UP, micro
from tests.core.world import World

S = 1_000
START_MS = 1_700_000_000_000


def asked_for(**changes: Any) -> World:
    """The leader bought 500; our order for 50 is at the venue, which has filled it."""
    world = World().begin(**changes)
    world.fills("500")
    world.wait(2 * S)
    world.signed(world.requests()[0])
    world.answered(world.requests()[0], shares="50", usd="20")
    return world


def reported(world: World, holding: str, times: int = 3) -> None:
    for _ in range(times):
        world.report({UP: holding} if holding else {})
        world.wait(5 * S)


def corrections(world: World) -> list[tuple[int, bool]]:
    """Shares, and whether they are taken back."""
    events = [e for e in world.of(journal.PositionCorrected) if not e.opening]
    return [(e.shares_micro // 1_000_000, e.taken_back) for e in events]


def told(world: World, at_ms: int, status: str = "CONFIRMED", **changes: Any) -> None:
    world.own_fill(world.requests()[0], "50", venue_ms=at_ms, status=status, **changes)


@pytest.mark.parametrize("foreign", ["keep", "sell"])
@pytest.mark.parametrize("late_s", [16, 40, 200])
def test_a_fill_told_after_its_correction_takes_it_back_and_nothing_is_ordered(
    foreign: str, late_s: int
) -> None:
    world = asked_for(foreign=foreign)
    at_ms = world.now_ms
    world.wait(1 * S)
    reported(world, "50")
    assert corrections(world) == [(50, False)]
    world.wait(at_ms + late_s * S - world.now_ms)
    told(world, at_ms)
    assert world.held() == micro("50")
    assert corrections(world) == [(50, False), (-50, True)]
    reported(world, "50", times=5)
    assert corrections(world) == [(50, False), (-50, True)]
    assert (world.held(), len(world.requests())) == (micro("50"), 1)
    position = world.account().positions[UP]
    assert (position.sellable_micro, position.foreign_micro) == (micro("50"), 0)


def test_a_sale_told_after_its_correction_is_not_bought_back() -> None:
    """Position 50, half of it sold: with the sale counted twice 25 would be bought again."""
    world = World().begin()
    world.fills("500")
    world.wait(2 * S)
    world.trade_all()
    world.wait(10 * S)
    world.fills("250", tx="0xs", side="SELL")
    world.wait(2 * S)
    sale = world.requests()[1]
    assert (sale.side, sale.shares_micro) == ("SELL", micro("25"))
    world.signed(sale, "0xsale")
    world.answered(sale, order="0xsale", shares="25", usd="10")
    at_ms = world.now_ms
    world.wait(1 * S)
    reported(world, "25")
    assert (world.held(), corrections(world)) == (micro("25"), [(-25, False)])
    world.own_fill(sale, "25", trade="TS", order="0xsale", venue_ms=at_ms, status="CONFIRMED")
    assert (world.held(), corrections(world)) == (micro("25"), [(-25, False), (25, True)])
    world.wait(20 * S)
    assert len(world.requests()) == 2
    assert world.account().positions[UP].sellable_micro == micro("25")


def test_reports_judged_before_a_late_fill_are_judged_again_with_the_next() -> None:
    """Two said 50 while we knew of nothing, the third may hold the fill or not: no three agree."""
    world = asked_for(account_report_lag_ms=60_000)
    at_ms = world.now_ms
    world.wait(1 * S)
    reported(world, "50", times=2)
    told(world, at_ms)
    reported(world, "50", times=6)
    assert not corrections(world)
    assert (world.held(), len(world.requests())) == (micro("50"), 1)


def test_a_fill_in_parts_takes_its_parts_back_and_what_is_left_stands() -> None:
    world = asked_for(foreign="sell")
    at_ms = world.now_ms
    world.wait(1 * S)
    reported(world, "60")
    assert corrections(world) == [(60, False)]
    request = world.requests()[0]
    for trade, shares in (("T1", "20"), ("T2", "30")):
        world.own_fill(request, shares, trade=trade, venue_ms=at_ms, status="CONFIRMED")
        assert world.held() == micro("60")
    assert corrections(world) == [(60, False), (-20, True), (-30, True)]
    reported(world, "60", times=4)
    assert world.held() == micro("60")


def test_a_fill_that_fails_late_gives_back_what_reports_had_taken() -> None:
    """Confirmed fills are what reports speak of; this one was said to be, and was not."""
    world = asked_for()
    at_ms = world.now_ms
    reported(world, "50")
    told(world, at_ms, "MATCHED")
    assert world.held() == micro("50")
    told(world, at_ms, "FAILED")
    assert world.held() == 0
    reported(world, "")
    assert world.held() == 0


@pytest.mark.parametrize("ends", ["CONFIRMED", "FAILED"])
def test_a_fill_that_settles_for_minutes_is_not_bought_a_second_time(ends: str) -> None:
    """RETRYING: no report has it yet, and it may still come."""
    world = asked_for()
    at_ms = world.now_ms
    for status in ("MATCHED", "RETRYING"):
        told(world, at_ms, status)
    world.wait(1 * S)
    reported(world, "", times=20)
    assert not corrections(world)
    assert (world.held(), len(world.requests())) == (micro("50"), 1)
    told(world, at_ms, ends)
    holding = "50" if ends == "CONFIRMED" else ""
    reported(world, "", times=1)  # the index is a little behind
    reported(world, holding, times=5)
    assert not corrections(world)
    assert world.held() == micro(holding or "0")
    orders = [r.shares_micro for r in world.requests()]
    assert orders == [micro("50")] * (1 if ends == "CONFIRMED" else 2)


def test_a_slow_report_speaks_of_any_moment_until_its_answer() -> None:
    """Asked before the fill and answered after it: what it knows more is no difference."""
    world = asked_for(account_report_lag_ms=60_000)
    name = world.asked("positions")
    world.wait(3 * S)
    told(world, world.now_ms)
    world.wait(2 * S)
    world.append(
        own.PositionsReport(
            report=name,
            subject="main",
            wallet=OWN,
            rows=(own.Holding(token=UP, condition=MARKET, shares_micro=micro("50")),),
            complete=True,
            floor_micro=0,
            answered_ms=world.now_ms,
        )
    )
    reported(world, "50", times=6)
    assert not corrections(world)
    assert (world.held(), len(world.requests())) == (micro("50"), 1)


def test_a_fill_made_after_the_reports_takes_nothing_back() -> None:
    """Fifty by hand that no feed told, and fifty more of ours: a hundred."""
    world = asked_for()
    reported(world, "50")
    world.wait(5 * S)
    told(world, world.now_ms)
    assert (world.held(), corrections(world)) == (micro("100"), [(50, False)])
    reported(world, "100", times=5)
    assert world.held() == micro("100")


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(-40, 40).filter(bool)), max_size=4),
    st.lists(st.integers(-60, 60), min_size=3, max_size=3),
    st.lists(st.tuples(st.integers(0, 60), st.integers(-40, 40).filter(bool)), max_size=3),
)
def test_what_is_left_of_a_correction_is_what_its_reports_prove_with_all_that_is_known(
    moves: list[tuple[int, int]], rows: list[int], late: list[tuple[int, int]]
) -> None:
    """However late movements come: the correction is as if they had been known, or less."""
    subject = _judged(moves, rows)
    (finding,) = subject.findings or (None,)
    if finding is None:
        return
    whole = finding.proof.nearest_to_zero
    subject.take(_event(finding, whole))
    known = list(moves)
    for second, shares in late:
        subject.move(UP, MARKET, shares, START_MS + second * S, late=True)
        known.append((second, shares))
        for found in list(subject.findings):
            assert found.taken_back
            subject.take(_event(found, found.proof.nearest_to_zero))
    left = subject.rebuilt[UP].total_micro - sum(shares for _, shares in known)
    assert min(whole, 0) <= left <= max(whole, 0)
    proven = _judged(known, rows).findings
    if not proven:
        assert left == 0
    elif len(late) == 1:
        nearest = proven[0].proof.nearest_to_zero
        assert left == min(max(nearest, min(whole, 0)), max(whole, 0))


def _judged(moves: list[tuple[int, int]], rows: list[int]) -> Subject:
    """Three reports, ten seconds apart from second 20 on, held against these movements."""
    subject = Subject()
    subject.opened_by = "r0"
    subject.rebuilt[UP] = Rebuilt()
    for second, shares in moves:
        subject.move(UP, MARKET, shares, START_MS + second * S)
    for number, row in enumerate(rows):
        name, asked_ms = f"r{number + 1}", START_MS + (20 + 10 * number) * S
        subject.observe_asked(
            own.ReportAsked(report=name, subject="main", about="positions", asked_ms=asked_ms)
        )
        subject.observe_report(
            own.PositionsReport(
                report=name,
                subject="main",
                wallet="0x",
                rows=(own.Holding(token=UP, condition=MARKET, shares_micro=row),),
                complete=True,
                floor_micro=0,
                answered_ms=asked_ms,
            )
        )
        subject.judge(subject.waiting[0], asked_ms, 15 * S, [])
    return subject


def _event(finding: Any, shares_micro: int) -> journal.PositionCorrected:
    return journal.PositionCorrected(
        subject="main",
        token=UP,
        condition=MARKET,
        shares_micro=shares_micro,
        reports=finding.reports,
        opening=False,
        taken_back=finding.taken_back,
    )
