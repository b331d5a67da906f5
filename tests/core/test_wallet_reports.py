"""Reports against what we rebuilt: what corrects, what proves nothing, and what follows from it."""

from typing import Any

import pytest

from schemas.records import journal, own
from tests.core.tape import DOWN, LEADER, OWN, UP, micro
from tests.core.world import World


def reported(world: World, rows: dict[str, str], times: int = 3, **more: Any) -> None:
    """The same report several times, five seconds apart, each judged."""
    for _ in range(times):
        world.report(rows, **more)
        world.wait(5_000)


def followed(**changes: Any) -> World:
    """The leader bought 500, we hold 50, and both lie further back than any report's lag."""
    world = World().begin(**changes)
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    world.wait(10_000)
    return world


def corrections(world: World) -> list[tuple[str, str, int]]:
    return [
        (e.subject, e.token, e.shares_micro // 1_000_000)
        for e in world.of(journal.PositionCorrected)
    ]


def test_reports_that_agree_say_nothing() -> None:
    world = followed()
    reported(world, {UP: "50"})
    reported(world, {UP: "500"}, subject=LEADER)
    assert not world.of(journal.DriftFound)
    assert not corrections(world)


def test_three_reports_correct_a_leader_and_the_gap_does_the_rest() -> None:
    """He bought 300 more and no feed ever told it; no price is made up for them."""
    world = followed()
    reported(world, {UP: "800"}, times=2, subject=LEADER)
    assert not corrections(world)
    reported(world, {UP: "800"}, times=1, subject=LEADER)
    assert corrections(world) == [(LEADER, UP, 300)]
    (drift,) = world.of(journal.DriftFound)
    (corrected,) = world.of(journal.PositionCorrected)
    assert drift.reports == corrected.reports
    assert len(set(drift.reports)) == 3
    assert (world.exposure(), world.target()) == (micro("800"), micro("80"))
    assert world.requests()[-1].shares_micro == micro("30")


def test_three_reports_correct_our_own_position_and_the_gap_does_the_rest() -> None:
    """Twenty shares went away outside of the venue's book: they are bought again."""
    world = followed()
    reported(world, {UP: "30"})
    assert corrections(world) == [("main", UP, -20)]
    (drift,) = world.of(journal.DriftFound)
    assert (drift.subject, drift.low_micro, drift.high_micro) == ("main", *[micro("-20")] * 2)
    assert world.held() == micro("30")
    assert world.account().positions[UP].sums.cost_micro == micro("20")
    assert world.requests()[-1].shares_micro == micro("20")


def test_a_correction_is_made_once() -> None:
    world = followed()
    reported(world, {UP: "30"}, times=8)
    assert corrections(world) == [("main", UP, -20)]


def test_a_correction_is_of_one_token_and_no_other() -> None:
    world = followed()
    world.fills("700", "0.60", token=DOWN, tx="0xt2")
    world.wait(10_000)
    reported(world, {UP: "800", DOWN: "700"}, subject=LEADER)
    assert corrections(world) == [(LEADER, UP, 300)]
    assert world.exposure(DOWN) == micro("700")


def test_an_incomplete_report_proves_nothing() -> None:
    world = followed()
    reported(world, {}, times=5, complete=False)
    reported(world, {UP: "9000"}, times=5, subject=LEADER, complete=False)
    assert not world.of(journal.DriftFound)
    assert world.held() == micro("50")


def test_a_complete_report_without_a_row_counts_as_nothing_held() -> None:
    world = followed()
    reported(world, {})
    assert corrections(world) == [("main", UP, -50)]


def test_a_row_below_the_dust_floor_may_be_missing() -> None:
    world = World().begin()
    world.fills("0.09", tx="0xdust")
    world.wait(10_000)
    reported(world, {}, times=5, subject=LEADER, dust="0.1")
    assert not world.of(journal.DriftFound)
    reported(world, {}, times=5, subject=LEADER, dust="0.05")
    assert [e.shares_micro for e in world.of(journal.PositionCorrected)] == [micro("-0.04")]


def test_what_a_settlement_took_is_no_drift() -> None:
    """The redeemed rows are missing from every later report, ours and his."""
    world = followed()
    world.resolved()
    world.wait(5_000)
    reported(world, {}, times=5)
    reported(world, {}, times=5, subject=LEADER)
    assert not world.of(journal.DriftFound)


def test_an_answer_to_no_question_is_not_judged() -> None:
    world = followed()
    for n in range(5):
        world.append(
            own.PositionsReport(
                report=f"never-asked-{n}",
                subject="main",
                wallet=OWN,
                rows=(),
                complete=True,
                floor_micro=0,
                answered_ms=world.now_ms,
            )
        )
        world.wait(5_000)
    assert not world.of(journal.DriftFound)


def test_one_report_many_times_on_the_tape_is_one_report() -> None:
    world = followed()
    world.report({})
    answer = world.tape[-1]
    for _ in range(5):
        world.append(answer)
        world.wait(5_000)
    assert not world.of(journal.DriftFound)


def test_a_report_older_than_our_last_fill_and_its_lag_never_corrects() -> None:
    """The venue's index lags: for half a minute reports still lack the fill (complaint 22)."""
    world = World().begin(account_report_lag_ms=30_000)
    world.wait(40_000)
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    reported(world, {}, times=5)
    assert not world.of(journal.DriftFound)
    reported(world, {UP: "50"}, times=5)
    assert not world.of(journal.DriftFound)
    assert len(world.requests()) == 1


def test_a_report_is_judged_only_when_the_feeds_had_time_to_tell() -> None:
    """The report knows a fill before any feed does; both are right."""
    world = followed(fills_lag_ms=4_000)
    for n in range(4):
        world.report({UP: str(500 + 100 * (n + 1))}, subject=LEADER)
        world.wait(3_000)
        world.fills("100", tx=f"0xlate{n}", ago_ms=3_500)
        world.wait(7_000)
    assert not world.of(journal.DriftFound)
    assert world.exposure() == micro("900")


def test_a_leaders_fill_known_after_its_correction_takes_it_back_with_its_window() -> None:
    """No order comes of it: he is never seen with the 300 twice, nor without them."""
    world = followed()
    lost_ms = world.now_ms
    world.wait(10_000)
    reported(world, {UP: "800"}, subject=LEADER)
    assert world.exposure() == micro("800")
    world.trade_all()
    orders = len(world.requests())
    world.fills("300", tx="0xlost", source="rest", ago_ms=world.now_ms - lost_ms)
    assert world.exposure() == micro("800")
    world.wait(2_000)
    assert world.exposure() == micro("800")
    assert [c[2] for c in corrections(world)] == [300, -300]
    (taken,) = [e for e in world.of(journal.PositionCorrected) if e.taken_back]
    assert taken.reports == world.of(journal.DriftFound)[0].reports
    reported(world, {UP: "800"}, times=4, subject=LEADER)
    assert (world.exposure(), len(world.of(journal.DriftFound))) == (micro("800"), 1)
    assert len(world.requests()) == orders


def test_what_our_account_held_before_is_a_position_without_a_price() -> None:
    world = World()
    world.tick()
    world.policy(leaders=())
    world.report({UP: "40"})
    world.wait(2_000)
    (opened,) = world.of(journal.PositionCorrected)
    assert (opened.opening, opened.shares_micro) == (True, micro("40"))
    position = world.account().positions[UP]
    assert (position.shares_micro, position.sellable_micro) == (micro("40"), micro("40"))
    assert (position.sums.cost_micro, position.sums.realised_micro) == (0, 0)
    assert not world.of(journal.DriftFound)


def test_a_fill_before_the_opening_report_is_not_opened_again() -> None:
    world = World().begin()
    world.fills("500")
    world.wait(2_000)
    fresh = World()
    fresh.tick()
    fresh.policy()
    request = world.requests()[0]
    fresh.now_ms = world.now_ms
    fresh.tick()
    fresh.own_fill(request, "50", order="0xhand", status="CONFIRMED")
    fresh.wait(10_000)
    fresh.report({UP: "60"})
    fresh.wait(5_000)
    assert fresh.held() == micro("60")
    (opened,) = fresh.of(journal.PositionCorrected)
    assert (opened.opening, opened.shares_micro) == (True, micro("10"))


def test_a_token_whose_opening_is_not_known_yet_is_not_increased() -> None:
    """A trade by hand beside the first report: 10 to 60 shares may have been there before."""
    donor = followed()
    world = World()
    world.tick()
    world.policy(foreign="sell")
    world.meta()
    world.epoch()
    world.depth([("0.39", "1000")], [("0.40", "1000")])
    world.balance()
    world.fills("1500")
    world.wait(10_000)
    world.own_fill(donor.requests()[0], "50", order="0xhand", status="CONFIRMED")
    world.report({UP: "60"})
    world.wait(5_000)
    assert (world.held(), world.target()) == (micro("50"), micro("150"))
    assert world.hold() == "account_unopened"
    world.report({UP: "60"})
    world.wait(2_000)
    assert world.held() == micro("60")
    assert [r.shares_micro for r in world.requests()] == [micro("90")]


@pytest.mark.parametrize("rows", [{UP: "50"}, {UP: "50", DOWN: "3"}])
def test_a_token_is_confirmed_by_its_own_row(rows: dict[str, str]) -> None:
    """A stranger in the report does not take away what it says of the others."""
    world = followed()
    world.wait(200_000, step=1_000)
    world.policy(ratio_micro=200_000)
    world.wait(1_000)
    assert world.hold() == "reconcile_due"
    world.report(rows)
    world.wait(2_000)
    assert world.hold() is None


def test_corrections_of_a_failed_feed_and_of_real_trades_do_not_mix() -> None:
    """A lossy leader who goes on trading: the difference is added, not the report's level."""
    world = followed()
    held = 800
    for n in range(4):
        world.report({UP: str(held)}, subject=LEADER)
        world.wait(6_000)
        world.fills("50", tx=f"0xgo{n}")
        held += 50
        world.wait(6_000)
    assert corrections(world) == [(LEADER, UP, 300)]
    assert world.exposure() == held * 1_000_000
