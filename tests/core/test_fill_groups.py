"""A leader's fills are totals of groups: repeats change nothing, and the REST truth replaces."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.fills import LeaderGroups
from schemas.records import journal
from schemas.records.base import group_id
from schemas.records.leader import LeaderFills, ReadDone
from tests.core.tape import LEADER, MARKET, START_MS, UP, micro
from tests.core.world import World


def stated(
    size: int, *, tx: str = "0xt1", side: str = "BUY", rest: bool = False, ago_ms: int = 0
) -> LeaderFills:
    """A total of `size` whole shares at 0.40."""
    return LeaderFills(
        source="rest" if rest else "feed",
        instance="i",
        leader=LEADER,
        group=group_id(tx=tx, wallet=LEADER, token=UP, side=side),
        tx=tx,
        token=UP,
        condition=MARKET,
        side=side,
        rows=1,
        shares_micro=size * 1_000_000,
        cash_micro=size * 400_000,
        venue_ms=START_MS - ago_ms,
        recv_ns=1,
    )


def total_of(records: list[LeaderFills]) -> tuple[int, int]:
    """(shares, cash) that all deltas add up to, in whole shares and cents."""
    groups = LeaderGroups()
    deltas = [d for d in (groups.observe(record) for record in records) if d is not None]
    return (
        sum(d.shares_micro for d in deltas) // 1_000_000,
        sum(d.cash_micro for d in deltas) // 10_000,
    )


@pytest.mark.parametrize(
    ("why", "records", "shares"),
    [
        ("a repeat changes nothing", [stated(10), stated(10)], 10),
        ("identical rows of one answer are added by its total", [stated(20, rest=True)], 20),
        ("the largest total any feed states counts", [stated(10), stated(30), stated(20)], 30),
        ("REST replaces upwards", [stated(10), stated(30, rest=True)], 30),
        ("REST replaces downwards", [stated(20), stated(10, rest=True)], 10),
        ("a feed says nothing after REST", [stated(10, rest=True), stated(20)], 10),
        ("a newer REST answer replaces", [stated(10, rest=True), stated(7, rest=True)], 7),
        ("groups add up", [stated(10), stated(5, tx="0xt2")], 15),
        ("a sell is its own group", [stated(10), stated(4, side="SELL")], 6),
    ],
)
def test_the_total_in_force(why: str, records: list[LeaderFills], shares: int) -> None:
    assert total_of(records) == (shares, shares * 40), why


@given(st.data())
def test_any_order_and_number_of_feed_records_gives_the_rest_totals(data: st.DataObject) -> None:
    """Whatever feeds said before, between and after, what REST stated last is the total."""
    truth = data.draw(
        st.dictionaries(
            st.tuples(st.sampled_from(["0xt1", "0xt2", "0xt3"]), st.sampled_from(["BUY", "SELL"])),
            st.integers(0, 50),
            min_size=1,
        )
    )
    noise = data.draw(
        st.lists(st.tuples(st.sampled_from(list(truth)), st.integers(0, 99)), max_size=12)
    )
    feed = [stated(size, tx=tx, side=side) for (tx, side), size in noise]
    rest = [stated(size, tx=tx, side=side, rest=True) for (tx, side), size in truth.items()]
    records = data.draw(st.permutations(feed + rest))
    shares = sum(size if side == "BUY" else -size for (_, side), size in truth.items())
    assert total_of(records) == (shares, shares * 40)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_feed_totals_do_not_depend_on_their_order(sizes: list[int], chance: Any) -> None:
    shuffled = list(sizes)
    chance.shuffle(shuffled)
    assert total_of([stated(s) for s in shuffled]) == total_of([stated(max(sizes))])


def test_a_doubled_feed_frame_does_not_survive_rest(started) -> None:
    """One socket sums a doubled frame to twice the fill; the first REST answer sets it right."""
    world = started()
    world.fills("1000")
    world.fills("500", source="rest", instance="a1")
    world.wait(3_000)
    assert world.exposure() == micro("500")
    world.fills("1000")
    world.wait(3_000)
    assert world.exposure() == micro("500")
    assert world.target() == micro("50")


def filled_and_read(*, second_after_ms: int = 61_000) -> World:
    """A fill that only a feed saw, and a first REST answer that lacks it."""
    world = World().begin()
    world.fills("500")
    world.wait(5_000)
    world.read("a1")
    world.wait(second_after_ms - 5_000, step=1_000)
    return world


def test_a_fill_two_answers_do_not_know_is_withdrawn_with_both_as_evidence() -> None:
    world = filled_and_read()
    world.trade_all()
    (withdrawn,) = [e for e in world.read("a2") if isinstance(e, journal.LeaderFillWithdrawn)]
    assert withdrawn.answers == ("a1", "a2")
    assert (withdrawn.shares_micro, withdrawn.side, withdrawn.token) == (micro("500"), "BUY", UP)
    world.wait(2_000)
    assert world.exposure() == 0
    assert world.target() == 0


@pytest.mark.parametrize(
    ("why", "present", "back_ms", "name", "second_after_ms"),
    [
        ("the second answer has it", True, 120_000, "a2", 61_000),
        ("the second answer begins after it", False, 30_000, "a2", 61_000),
        ("the second was asked too early", False, 120_000, "a2", 50_000),
        ("the second is the first once more", False, 120_000, "a1", 61_000),
    ],
)
def test_a_fill_is_withdrawn_only_on_two_answers_that_should_know_it(
    why: str, present: bool, back_ms: int, name: str, second_after_ms: int
) -> None:
    world = filled_and_read(second_after_ms=second_after_ms)
    world.read(name, [world.group("0xt1")] if present else [], back_ms=back_ms)
    world.wait(2_000)
    assert not world.of(journal.LeaderFillWithdrawn), why
    assert world.exposure() == micro("500")


@pytest.mark.parametrize(("late_ms", "withdrawn"), [(59_999, 0), (60_000, 1)])
def test_the_second_answer_is_late_enough_a_minute_after_the_fill(
    late_ms: int, withdrawn: int
) -> None:
    groups = LeaderGroups()
    groups.observe(stated(10))
    for name, asked_ms in (("a1", START_MS + 5_000), ("a2", START_MS + late_ms)):
        read = ReadDone(
            source="trades",
            instance=name,
            leader=LEADER,
            asked_ms=asked_ms,
            from_ms=START_MS - 60_000,
            upto_ms=START_MS + 10_000,
            present=(),
        )
        groups.observe_read(read, forget_after_ms=600_000, withdraw_after_ms=60_000)
    assert len(groups.withdrawable) == withdrawn


def test_an_answer_that_knows_a_fill_clears_what_an_earlier_one_lacked() -> None:
    world = filled_and_read()
    world.read("a2", [world.group("0xt1")])
    world.read("a3")
    assert not world.of(journal.LeaderFillWithdrawn)
    world.read("a4")
    assert len(world.of(journal.LeaderFillWithdrawn)) == 1


def test_a_repeat_on_the_feed_does_not_bring_a_withdrawn_fill_back() -> None:
    world = filled_and_read()
    world.read("a2")
    world.fills("500", ago_ms=61_000)
    world.wait(2_000)
    assert world.exposure() == 0


def test_a_rest_answer_brings_a_withdrawn_fill_back() -> None:
    world = filled_and_read()
    world.read("a2")
    world.fills("500", source="rest", instance="a3", ago_ms=61_000)
    world.wait(2_000)
    assert world.exposure() == micro("500")


def test_an_old_row_never_moves_exposure(started) -> None:
    """Ten minutes behind the leader's own REST cursor his fills are settled history."""
    world = started()
    world.fills("500")
    world.wait(2_000)
    world.read("a1", [world.group("0xt1")], upto_ms=world.now_ms + 700_000)
    world.fills("900", source="rest", instance="a2", ago_ms=3_000)
    world.fills("300", tx="0xt9", ago_ms=3_000)
    world.wait(2_000)
    assert world.exposure() == micro("500")


def test_the_line_of_what_is_forgotten_itself_is_not_forgotten(started) -> None:
    world = started()
    line_ms = world.now_ms // 1_000 * 1_000
    world.fills("500")
    world.read("a1", [world.group("0xt1")], upto_ms=line_ms + 600_000)
    world.fills("700", source="rest", instance="a2")
    world.fills("100", tx="0xt2")
    world.wait(2_000)
    assert world.exposure() == micro("800")


def test_one_answer_may_withdraw_several_fills_each_once() -> None:
    world = World().begin()
    world.fills("500", tx="0xa")
    world.fills("300", tx="0xb")
    world.wait(5_000)
    world.read("a1")
    world.wait(60_000, step=1_000)
    for name in ("a2", "a3", "a4"):
        world.read(name)
    assert [e.shares_micro for e in world.of(journal.LeaderFillWithdrawn)] == [
        micro("500"),
        micro("300"),
    ]
    world.wait(2_000)
    assert world.exposure() == 0


def test_time_alone_forgets_no_group(started) -> None:
    world = started()
    world.fills("500")
    born_ms = world.now_ms
    world.wait(1_200_000, step=20_000)
    world.fills("900", source="rest", instance="a1", ago_ms=world.now_ms - born_ms)
    world.wait(2_000)
    assert world.exposure() == micro("900")


def test_one_long_answer_can_both_withdraw_a_fill_and_pass_it_by() -> None:
    """After an outage one read covers half an hour: the fold goes on, the fill is withdrawn."""
    world = filled_and_read(second_after_ms=1_800_000)
    world.read("a2", back_ms=3_600_000)
    world.wait(2_000)
    assert len(world.of(journal.LeaderFillWithdrawn)) == 1
    assert world.exposure() == 0


def test_a_read_of_moves_proves_nothing_about_trades(started) -> None:
    world = started()
    world.fills("500")
    world.wait(70_000, step=1_000)
    for name in ("m1", "m2"):
        world.append(
            ReadDone(
                source="activity",
                instance=name,
                leader=LEADER,
                asked_ms=world.now_ms,
                from_ms=world.now_ms - 120_000,
                upto_ms=world.now_ms,
                present=(),
            )
        )
    assert not world.of(journal.LeaderFillWithdrawn)


def test_a_withdrawn_fill_of_before_the_follow_moves_exposure_and_baseline_alike(started) -> None:
    world = started()
    world.fills("500", ago_ms=5_000)
    assert world.exposure() == micro("500")
    world.read("a1")
    world.wait(70_000, step=1_000)
    world.read("a2")
    assert len(world.of(journal.LeaderFillWithdrawn)) == 1
    assert world.exposure() == 0
    assert world.target() == 0
