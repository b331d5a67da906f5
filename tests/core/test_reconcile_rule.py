"""The interval rule: nothing is corrected in clean feeds, and errors stay bounded in lossy ones."""

import random
from itertools import permutations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.reconcile import (
    AGREEING_REPORTS,
    Interval,
    Rebuilt,
    compare,
    following,
    verdict,
)
from flows.core.subjects import Subject
from schemas.records.own import Holding, PositionsReport, ReportAsked
from tests.core.tape import LEADER, MARKET, UP

START_S = 1_700_000_000


def rebuilt(*moves: tuple[int, int]) -> Rebuilt:
    """(second, shares) each, from START_S."""
    made = Rebuilt()
    for second, shares in moves:
        made.move(shares, (START_S + second) * 1_000)
    return made


def extremes(made: Rebuilt, first: int, last: int) -> tuple[int, int]:
    return made.extremes((START_S + first) * 1_000, (START_S + last) * 1_000)


def test_outside_the_stretch_a_quantity_is_one_number() -> None:
    made = rebuilt((0, 100), (50, 30))
    assert extremes(made, 10, 20) == (100, 100)
    assert extremes(made, 60, 70) == (130, 130)
    assert extremes(made, -20, -10) == (0, 0)


def test_inside_the_stretch_every_moment_is_possible() -> None:
    made = rebuilt((0, 100), (12, 30), (15, -80))
    assert extremes(made, 10, 20) == (50, 130)


def test_inside_one_second_every_order_is_possible() -> None:
    """Bought 40 and sold 40 in one second: it may have been 40 more or 40 less in between."""
    made = rebuilt((0, 100), (12, 40), (12, -40))
    assert extremes(made, 10, 20) == (60, 140)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(-50, 50).filter(bool)), max_size=5),
    st.integers(0, 6),
    st.integers(0, 3),
)
def test_no_order_inside_the_seconds_leaves_the_extremes(
    moves: list[tuple[int, int]], first: int, length: int
) -> None:
    """Every possible path of the quantity stays inside what the rule allows for."""
    low, high = extremes(rebuilt(*moves), first, first + length)
    for path in permutations(moves):
        ordered = sorted(path, key=lambda move: move[0])  # stable: seconds rise, inside any order
        level = sum(shares for second, shares in ordered if second < first - 1)
        assert low <= level <= high
        for second, shares in ordered:
            if first - 1 <= second <= first + length + 1:
                level += shares
                assert low <= level <= high


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-50, 50).filter(bool)), max_size=20),
    st.integers(0, 60),
)
def test_what_is_forgotten_keeps_its_sum(moves: list[tuple[int, int]], cut: int) -> None:
    made = rebuilt(*moves)
    before = extremes(made, cut + 2, 70)
    made.prune((START_S + cut) * 1_000)
    assert extremes(made, cut + 2, 70) == before
    assert made.total_micro == sum(shares for _, shares in moves)


def test_a_fill_that_becomes_known_late_takes_its_place_by_venue_time() -> None:
    assert extremes(rebuilt((0, 10), (30, 5), (10, 7)), 20, 25) == (17, 17)


@pytest.mark.parametrize(
    ("row", "floor", "interval"),
    [(100, 0, (0, 0)), (130, 0, (30, 30)), (None, 0, (-100, -100)), (None, 10, (-100, -90))],
)
def test_an_absent_row_stands_for_anything_below_the_floor(
    row: int | None, floor: int, interval: tuple[int, int]
) -> None:
    found = compare(
        rebuilt((0, 100)),
        row_micro=row,
        floor_micro=floor,
        asked_ms=(START_S + 100) * 1_000,
        lag_ms=5_000,
        report="r",
    )
    assert (found.low_micro, found.high_micro) == interval


def judged(*intervals: tuple[int, int]) -> list[int | None]:
    """What each further report of a row proves."""
    row: tuple[Interval, ...] = ()
    found = []
    for low, high in intervals:
        row = following(row, Interval(low, high, "r"))
        proof = verdict(row)
        found.append(proof.nearest_to_zero if proof is not None else None)
        row = () if proof is not None else row
    return found


@pytest.mark.parametrize(
    ("why", "intervals", "proves"),
    [
        ("two are not enough", [(5, 5), (5, 5)], [None, None]),
        ("three alike", [(5, 5), (5, 5), (5, 5)], [None, None, 5]),
        ("three that overlap: the nearest to nothing", [(3, 9), (-2, 6), (4, 8)], [None, None, 4]),
        ("from below", [(-9, -3), (-6, -1), (-8, -4)], [None, None, -4]),
        ("nothing is possible", [(3, 9), (-2, 6), (-1, 8)], [None, None, 3]),
        ("nothing is possible in common", [(0, 9), (-2, 6), (-1, 8)], [None] * 3),
        ("a contradiction begins the row again", [(5, 5), (5, 5), (7, 7), (7, 7)], [None] * 4),
        ("agreement in between", [(5, 5), (5, 5), (0, 0), (5, 5), (5, 5)], [None] * 5),
        ("after a correction the row begins again", [(5, 5)] * 5, [None, None, 5, None, None]),
    ],
)
def test_three_reports_in_a_row_must_agree_on_a_difference(
    why: str, intervals: list[tuple[int, int]], proves: list[int | None]
) -> None:
    assert judged(*intervals) == proves, why


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_a_proof_is_inside_every_report_it_rests_on(reports: list[tuple[int, int]]) -> None:
    row: tuple[Interval, ...] = ()
    for low, width in reports:
        row = following(row, Interval(low, low + width, "r"))
        proof = verdict(row)
        if proof is not None:
            assert len(row) == AGREEING_REPORTS
            assert proof.nearest_to_zero != 0
            assert all(i.low_micro <= proof.nearest_to_zero <= i.high_micro for i in row)


class Feed:
    """A leader whose fills reach us late and perhaps never, and reports of some moment before."""

    REPORT_EVERY_S = 15.0
    LAG_S = (3.0, 8.0)
    DELAY_S = (1.5, 3.0)
    LENGTH_S = 1_200.0

    def __init__(self, seed: int, per_minute: float, lost: float) -> None:
        chance = self.chance = random.Random(seed)
        self.truth = [(0.0, 0)]
        self.arrivals: list[tuple[float, float, int]] = []
        at, held = 0.0, 0
        while at < self.LENGTH_S - 30:
            at += chance.expovariate(per_minute / 60)
            size = chance.choice([-1, 1, 1]) * chance.randint(1, 40)
            held += size
            self.truth.append((at, held))
            if chance.random() >= lost:
                self.arrivals.append((at + chance.uniform(*self.DELAY_S), at, size))
        self.arrivals.sort()
        self.corrections = 0
        self.errors: list[int] = []

    def held(self, at: float) -> int:
        return next(held for when, held in reversed(self.truth) if when <= at)

    def run(self) -> "Feed":
        subject, asked_s, number = Subject(), 0.0, 0
        while asked_s < self.LENGTH_S:
            judge_s = asked_s + self.DELAY_S[1]
            while self.arrivals and self.arrivals[0][0] <= judge_s:
                _, at, size = self.arrivals.pop(0)
                subject.move(UP, MARKET, size, int((START_S + at) * 1_000))
            number += 1
            said = self.held(asked_s - self.chance.uniform(*self.LAG_S)) if asked_s else 0
            self.judge(subject, f"r{number}", said, asked_s, judge_s)
            self.errors.append(abs(self.held(judge_s) - self.total(subject)))
            asked_s += self.REPORT_EVERY_S
        return self

    def judge(self, subject: Subject, name: str, said: int, asked_s: float, judge_s: float) -> None:
        asked_ms, now_ms = (int((START_S + s) * 1_000) for s in (asked_s, judge_s))
        subject.observe_asked(
            ReportAsked(report=name, subject=LEADER, about="positions", asked_ms=asked_ms)
        )
        rows = (Holding(token=UP, condition=MARKET, shares_micro=said),) if said else ()
        subject.observe_report(
            PositionsReport(
                report=name,
                subject=LEADER,
                wallet=LEADER,
                rows=rows,
                complete=True,
                floor_micro=0,
                answered_ms=asked_ms,
            )
        )
        (waiting,) = subject.due(now_ms, int(self.DELAY_S[1] * 1_000))
        subject.judge(waiting, now_ms, int(self.LAG_S[1] * 1_000), [])
        for finding in list(subject.findings):
            self.corrections += 1
            subject.corrected(finding.token, finding.proof.nearest_to_zero, finding.reports)

    @staticmethod
    def total(subject: Subject) -> int:
        return subject.rebuilt[UP].total_micro if UP in subject.rebuilt else 0


RATES = [6, 20, 60]


@pytest.mark.parametrize("per_minute", RATES)
def test_no_clean_feed_is_ever_corrected(per_minute: int) -> None:
    feeds = [Feed(seed, per_minute, 0.0).run() for seed in range(25)]
    assert [feed.corrections for feed in feeds] == [0] * 25


@pytest.mark.parametrize(("per_minute", "most"), [(6, 12), (20, 20), (60, 45)])
def test_with_two_in_a_hundred_fills_lost_the_error_stays_bounded(
    per_minute: int, most: int
) -> None:
    """Mean error over the second half, in shares; a lost fill has 20 on average."""
    feeds = [Feed(seed, per_minute, 0.02).run() for seed in range(25)]
    assert sum(feed.corrections for feed in feeds) > 0
    late = [mean(feed.errors[len(feed.errors) // 2 :]) for feed in feeds]
    early = [mean(feed.errors[: len(feed.errors) // 2]) for feed in feeds]
    assert mean(late) < most
    assert mean(late) < 3 * mean(early) + 10, "it grows"


def test_a_fill_dated_by_the_feed_may_have_come_after_a_split_dated_a_second_later() -> None:
    """The feed stamps the block less a second: a sell told for 38 s, a split told for 39 s."""
    rebuilt = Rebuilt()
    rebuilt.move(1_275_000_000, 30_000)
    rebuilt.move(-33_606_848, 38_000)
    rebuilt.move(69_689_882, 39_000)
    interval = compare(
        rebuilt,
        row_micro=1_275_000_000 + 69_689_882,
        floor_micro=0,
        asked_ms=40_000,
        lag_ms=6_000,
        report="r",
    )
    assert interval.agrees
