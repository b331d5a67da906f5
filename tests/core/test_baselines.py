"""What a leader held before he was followed is never copied, and only answers lower it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.exposure import excess, lowered
from schemas.policy import AccountPolicy, LeaderPolicy
from schemas.records import journal, system
from schemas.records.summary import Summary
from tests.core.tape import DOWN, LEADER, OWN, UP, micro
from tests.core.world import World


def held_before(holding: dict[str, str], **changes: Any) -> World:
    """A leader who holds something when he is followed; his own fills come later."""
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy(**changes)
    world.meta()
    for token, bid, ask in ((UP, "0.39", "0.40"), (DOWN, "0.60", "0.61")):
        world.epoch(token)
        world.depth([(bid, "1000")], [(ask, "1000")], token=token)
    world.report({})
    world.report(holding, subject=LEADER)
    world.balance()
    world.wait(3_000)
    return world


@pytest.mark.parametrize(
    ("exposure", "baseline", "copied"), [(100, 0, 100), (100, 40, 60), (30, 40, 0), (-5, 0, 0)]
)
def test_only_what_exceeds_the_baseline_is_copied(
    exposure: int, baseline: int, copied: int
) -> None:
    assert excess(exposure, baseline) == copied


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_the_baseline_only_shrinks_and_never_exceeds_the_holding(e: int, b: int) -> None:
    assert lowered(e, b) <= b
    assert lowered(e, b) <= max(e, 0)
    assert excess(e, lowered(e, b)) == excess(e, b) or e < b


def test_what_he_held_before_is_a_baseline_and_is_never_copied() -> None:
    world = held_before({UP: "1000"})
    assert (world.exposure(), world.target()) == (micro("1000"), 0)
    (rebased,) = world.of(journal.ExposureRebased)
    assert (rebased.reason, rebased.shares_micro) == ("opening", micro("1000"))
    world.fills("300")
    world.wait(2_000)
    assert (world.exposure(), world.target()) == (micro("1300"), micro("30"))


def test_converge_makes_his_whole_holding_the_target() -> None:
    world = held_before({UP: "1000"}, leaders=(LeaderPolicy(wallet=LEADER, start="converge"),))
    assert world.target() == micro("100")
    world.fills("300")
    world.wait(2_000)
    assert world.target() == micro("130")


def told(world: World, *fills: tuple[str, str, str], done: bool = True) -> None:
    """One REST answer with (tx, side, size) each, and both of its reads at their end."""
    for tx, side, size in fills:
        world.fills(size, tx=tx, side=side, source="rest", instance="a")
    if done:
        answered(world)
    world.wait(3_000)


def answered(world: World) -> None:
    """Trades and moves were read; nothing is missing from the answers."""
    groups = list(world.state.leaders.leaders[LEADER].groups.groups)
    world.read("a", groups)
    world.read("m", source="activity")


def test_what_he_sold_of_his_baseline_is_gone_from_it() -> None:
    world = held_before({UP: "1000"})
    told(world, ("0xs", "SELL", "600"))
    assert (world.exposure(), world.target()) == (micro("400"), 0)
    (lowered_to,) = world.of(journal.BaselineLowered)
    assert lowered_to.exposure_micro == micro("400")
    told(world, ("0xb", "BUY", "600"))
    assert world.target() == micro("60")


def test_a_sell_that_a_feed_told_twice_takes_nothing_from_the_baseline() -> None:
    """800 on the feed, 400 in truth: for a moment he seems to hold less, and no more than that."""
    world = held_before({UP: "1000"})
    world.fills("800", tx="0xs", side="SELL")
    world.wait(3_000)
    told(world, ("0xs", "SELL", "400"))
    answered(world)
    world.wait(3_000)
    assert (world.exposure(), world.target()) == (micro("600"), 0)
    told(world, ("0xb", "BUY", "100"))
    assert world.target() == micro("10")


def test_a_buy_that_no_feed_told_before_its_sell_is_not_a_sale_of_the_baseline() -> None:
    world = held_before({UP: "1000"})
    world.fills("500", tx="0xs", side="SELL")
    world.wait(3_000)
    told(world, ("0xb", "BUY", "500"), ("0xs", "SELL", "500"))
    answered(world)
    world.wait(3_000)
    assert (world.exposure(), world.target()) == (micro("1000"), 0)
    assert not world.of(journal.BaselineLowered)


def test_shares_that_he_split_and_sold_are_no_sale_of_the_baseline() -> None:
    """The trade is read before the split that it came from: a view on Down, none on Up."""
    world = held_before({UP: "1000"})
    world.fills("500", tx="0xs", side="SELL", source="rest", instance="a")
    world.read("a", [world.group("0xs", "SELL")])
    world.wait(3_000)
    world.move("SPLIT", {UP: "500", DOWN: "500"})
    world.read("m", source="activity")
    world.wait(3_000)
    assert (world.exposure(UP), world.exposure(DOWN)) == (micro("1000"), micro("500"))
    assert (world.target(UP), world.target(DOWN)) == (0, micro("50"))


def test_what_he_sold_before_the_opening_report_was_there_counts_as_sold() -> None:
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy()
    world.meta()
    world.wait(5_000)
    told(world, ("0xs", "SELL", "400"))
    world.wait(3_000)
    world.report({UP: "600"}, subject=LEADER)
    world.wait(3_000)
    assert (world.exposure(), world.target()) == (micro("600"), 0)
    told(world, ("0xb", "BUY", "400"))
    assert world.target() == micro("40")


def test_what_he_sold_before_a_second_account_followed_lowers_nothing_of_that_one() -> None:
    """Sold and bought back before the second one came; the opening report comes after it."""
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy()
    world.meta()
    world.wait(5_000)
    told(world, ("0xs", "SELL", "400"))
    told(world, ("0xb", "BUY", "400"))
    second = AccountPolicy(
        name="second", wallet="0x" + "b" * 40, leaders=(LeaderPolicy(wallet=LEADER),)
    )
    world.policy(accounts=(AccountPolicy(name="main", wallet=OWN, leaders=second.leaders), second))
    world.wait(8_000)
    world.report({UP: "1000"}, subject=LEADER)
    world.wait(3_000)
    answered(world)
    world.wait(3_000)
    assert world.exposure() == micro("1000")
    assert world.target(account="second") == 0


def two(*seconds: LeaderPolicy) -> tuple[AccountPolicy, ...]:
    """An account that follows the leader, and a second one that follows these."""
    return (
        AccountPolicy(name="main", wallet=OWN, leaders=(LeaderPolicy(wallet=LEADER),)),
        AccountPolicy(name="second", wallet="0x" + "b" * 40, leaders=seconds),
    )


@pytest.mark.parametrize("by_word", [False, True])
def test_what_he_sells_after_a_second_account_followed_lowers_its_baseline(by_word: bool) -> None:
    """All that he holds then was bought while the first one followed: a baseline all the same."""
    world = held_before({}, accounts=two())
    told(world, ("0xb", "BUY", "500"))
    if by_word:
        world.follow(account="second")
    else:
        world.policy(accounts=two(LeaderPolicy(wallet=LEADER)))
    world.wait(3_000)
    told(world, ("0xs", "SELL", "300"))
    told(world, ("0xb2", "BUY", "300"))
    assert (world.target(), world.target(account="second")) == (micro("50"), micro("30"))


@given(st.data())
def test_no_feed_frame_changes_what_the_rest_answers_lead_to(data: st.DataObject) -> None:
    """A leader with a baseline buys and sells; feeds lose, double, overstate, reorder."""
    did = data.draw(
        st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 300)), max_size=6)
    )
    answers = data.draw(st.lists(st.booleans(), min_size=len(did), max_size=len(did)))
    ends = []
    for noisy in (False, True):
        world = held_before({UP: "1000"})
        stated = 0
        for n in range(len(did)):
            seen = range(n + 1) if noisy else ()
            for m in data.draw(st.lists(st.sampled_from(seen), max_size=2)) if seen else ():
                doubled = data.draw(st.sampled_from([1, 2]))
                world.fills(str(did[m][1] * doubled), tx=f"0x{m}", side=did[m][0])
            world.wait(data.draw(st.sampled_from([0, 600])) if noisy else 0)
            if answers[n]:
                told(world, *((f"0x{m}", *map(str, did[m])) for m in range(stated, n + 1)))
                stated = n + 1
        told(world, *((f"0x{m}", *map(str, did[m])) for m in range(stated, len(did))))
        world.wait(3_000)
        ends.append((world.exposure(), world.target()))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("start", ["now", "converge"])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize("report_first", [False, True])
def test_earlier_fills_leave_the_end_as_the_report_said(
    start: str, side: str, report_first: bool
) -> None:
    """He traded 200 half a minute before he was followed; REST tells before or after the report."""
    leaders = (LeaderPolicy(wallet=LEADER, start=start),)
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy(leaders=leaders)
    world.meta()

    def tell() -> None:
        world.fills("200", side=side, source="rest", ago_ms=30_000)

    if not report_first:
        tell()
    world.report({UP: "1000"}, subject=LEADER)
    world.wait(3_000)
    if report_first:
        tell()
    for _ in range(4):
        world.report({UP: "1000"}, subject=LEADER)
        world.wait(3_000)
    assert world.exposure() == micro("1000")
    assert world.target() == (0 if start == "now" else micro("100"))
    assert not world.of(journal.DriftFound)


def test_a_fill_before_any_tick_told_the_time_is_not_taken_for_new() -> None:
    """The launcher writes the policy before a connector ticks: nobody is followed since 1970."""
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.policy()
    assert not world.of(journal.LeaderFollowed)
    world.tick()
    (followed,) = world.of(journal.LeaderFollowed)
    assert followed.since_ms == world.now_ms
    world.meta()
    world.fills("500", source="rest", ago_ms=3_600_000)
    world.wait(2_000)
    assert (world.exposure(), world.target()) == (micro("500"), 0)


def test_pairs_of_the_baseline_are_not_his_new_view() -> None:
    """He held pairs before; what he buys of one outcome afterwards is copied in full."""
    world = held_before({UP: "1000", DOWN: "1000"})
    world.fills("300")
    world.wait(2_000)
    assert (world.target(UP), world.target(DOWN)) == (micro("30"), 0)


def test_a_summary_lists_what_could_be_copied_and_not_what_he_held_before() -> None:
    world = held_before({UP: "1000", DOWN: "400"})
    world.fills("300")
    world.wait(12_000)
    found = world.of(Summary)[-1].leaders
    assert [(each.token, each.exposure_micro, each.baseline_micro) for each in found] == [
        (UP, micro("1300"), micro("1000"))
    ]
