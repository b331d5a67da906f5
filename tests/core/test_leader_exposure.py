"""From a leader's holding to our target: baselines, pairs, several leaders, several accounts."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flows.core.exposure import target, unpaired
from schemas.policy import AccountPolicy, LeaderPolicy
from schemas.records import journal
from tests.core.tape import DOWN, LEADER, OTHER, OWN, UP, micro
from tests.core.world import World

SECOND_OWN = "0x" + "b" * 40


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=5), st.integers(0, 10**12))
def test_a_split_of_any_size_moves_no_unpaired_part(held: list[int], split: int) -> None:
    if len(held) > 1:
        assert unpaired([h + split for h in held]) == unpaired(held)
        assert min(unpaired(held)) == 0
    else:
        assert unpaired(held) == held


@given(st.integers(0, 10**15), st.integers(1, 10**7), st.integers(0, 10**7))
def test_a_target_is_never_above_the_exact_ratio(e: int, ratio: int, weight: int) -> None:
    found = target(e, ratio, weight)
    assert 0 <= found * 10**12 <= e * ratio * weight
    assert e * ratio * weight - found * 10**12 < 10**12 + weight * 10**6


def test_a_split_and_a_merge_move_no_target(started) -> None:
    world = started()
    world.fills("300")
    world.wait(2_000)
    world.trade_all()
    before = (world.target(UP), world.target(DOWN), len(world.requests()))
    world.move("SPLIT", {UP: "700", DOWN: "700"})
    world.wait(2_000)
    assert world.exposure(UP) == micro("1000")
    assert (world.target(UP), world.target(DOWN), len(world.requests())) == before
    world.move("MERGE", {UP: "-200", DOWN: "-200"}, tx="0xm2")
    world.wait(2_000)
    assert (world.exposure(UP), world.exposure(DOWN)) == (micro("800"), micro("500"))
    assert (world.target(UP), world.target(DOWN), len(world.requests())) == before


def test_a_move_stated_again_changes_nothing_and_stated_anew_replaces(started) -> None:
    world = started()
    for size in ("700", "700", "500"):
        world.move("SPLIT", {UP: size, DOWN: size})
        world.wait(1_000)
    assert (world.exposure(UP), world.exposure(DOWN)) == (micro("500"), micro("500"))


def test_a_split_of_which_he_sells_one_side_is_a_view_on_the_other(started) -> None:
    world = started()
    world.move("SPLIT", {UP: "500", DOWN: "500"})
    world.fills("500", "0.60", side="SELL", token=DOWN)
    world.wait(2_000)
    assert (world.target(UP), world.target(DOWN)) == (micro("50"), 0)


def test_of_both_outcomes_only_the_unpaired_part_counts(started) -> None:
    world = started()
    world.fills("500")
    world.fills("800", "0.60", token=DOWN, tx="0xt2")
    world.wait(2_000)
    assert (world.target(UP), world.target(DOWN)) == (0, micro("30"))
    assert [(r.token, r.shares_micro) for r in world.requests()] == [(DOWN, micro("30"))]


def test_pairs_copy_makes_both_outcomes_targets(started) -> None:
    world = started(leaders=(LeaderPolicy(wallet=LEADER, pairs="copy"),))
    world.fills("500")
    world.fills("800", "0.60", token=DOWN, tx="0xt2")
    world.wait(2_000)
    assert (world.target(UP), world.target(DOWN)) == (micro("50"), micro("80"))


def test_unfollowing_takes_him_out_of_every_target_and_sells(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    world.policy(leaders=())
    assert world.of(journal.LeaderUnfollowed)
    assert world.target() == 0
    world.wait(1_000)
    assert [r.side for r in world.requests()] == ["BUY", "SELL"]
    world.fills("900", tx="0xt2")
    world.wait(2_000)
    assert world.target() == 0


def test_following_again_starts_from_what_he_holds_then(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    world.policy(leaders=())
    world.wait(2_000)
    world.policy()
    world.report({UP: "700"}, subject=LEADER)
    world.wait(3_000)
    assert (world.exposure(), world.target()) == (micro("700"), 0)
    world.fills("200", tx="0xt2")
    world.wait(2_000)
    assert world.target() == micro("20")


def two_accounts(world: World, main: tuple[str, ...], second: tuple[str, ...]) -> None:
    """Which of the two accounts follows whom from here on."""
    world.policy(
        accounts=tuple(
            AccountPolicy(
                name=name,
                wallet=wallet,
                leaders=tuple(LeaderPolicy(wallet=w) for w in wallets),
            )
            for name, wallet, wallets in (("main", OWN, main), ("second", SECOND_OWN, second))
        )
    )


def test_a_second_account_that_follows_later_copies_only_from_then_on(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    two_accounts(world, (LEADER,), (LEADER,))
    assert len(world.of(journal.LeaderFollowed)) == 1
    assert (world.target(), world.target(account="second")) == (micro("50"), 0)
    world.fills("100", tx="0xt2")
    world.wait(2_000)
    assert (world.target(), world.target(account="second")) == (micro("60"), micro("10"))


def test_an_account_that_follows_again_copies_only_from_then_on(started) -> None:
    """The other account followed him all along, so his record never stopped."""
    world = started()
    two_accounts(world, (LEADER,), (LEADER,))
    world.fills("500")
    world.wait(2_000)
    two_accounts(world, (LEADER,), ())
    world.fills("300", tx="0xt2")
    world.wait(2_000)
    two_accounts(world, (LEADER,), (LEADER,))
    assert (world.target(), world.target(account="second")) == (micro("80"), 0)


def test_an_account_that_left_the_policy_only_rests(started) -> None:
    world = started()
    two_accounts(world, (LEADER,), (LEADER,))
    world.policy()
    world.fills("500")
    world.wait(2_000)
    assert {r.account for r in world.requests()} == {"main"}
    two_accounts(world, (LEADER,), (LEADER,))
    world.wait(1_000)
    assert world.target(account="second") == 0


def test_an_account_that_returns_is_planned_at_once(started) -> None:
    """While it was away somebody bought by hand in a token that no leader holds."""
    world = started()
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    order = world.requests()[0]
    world.policy(accounts=())
    world.meta("2001")
    world.own_fill(order, "20", trade="T9", order="0xhand", token="2001", condition="0xd")
    assert world.hold("2001") is None
    again = world.policy(foreign="sell")
    returned = [event for event in again if isinstance(event, journal.OrderHeld)]
    assert [(event.token, event.gap_micro) for event in returned] == [("2001", micro("-20"))]


def test_several_leaders_add_up_by_their_weights(started) -> None:
    world = started(
        leaders=(
            LeaderPolicy(wallet=LEADER, weight_micro=500_000),
            LeaderPolicy(wallet=OTHER, weight_micro=2_000_000),
        )
    )
    world.fills("400")
    world.fills("100", wallet=OTHER)
    world.wait(2_000)
    assert world.target() == micro("20") + micro("20")


def test_leaders_on_opposite_outcomes_are_both_followed(started) -> None:
    """Pairs net per leader, not between leaders: each one's view is his own."""
    world = started(leaders=(LeaderPolicy(wallet=LEADER), LeaderPolicy(wallet=OTHER)))
    world.fills("400")
    world.fills("300", "0.60", wallet=OTHER, token=DOWN)
    world.wait(2_000)
    assert (world.target(UP), world.target(DOWN)) == (micro("40"), micro("30"))


def test_a_new_ratio_moves_targets_at_once(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    world.policy(ratio_micro=200_000)
    assert world.target() == micro("100")
    assert world.requests()[-1].shares_micro == micro("50")


@given(st.data())
def test_feeds_in_any_order_lead_to_the_same_exposure_and_target(data: st.DataObject) -> None:
    """Lost, doubled, overstated, reordered feed records, windows in between; REST comes last."""
    truth = data.draw(
        st.dictionaries(
            st.tuples(st.sampled_from(["0x1", "0x2", "0x3"]), st.sampled_from([UP, DOWN])),
            st.integers(1, 90),
            min_size=1,
        )
    )
    feed = data.draw(
        st.lists(
            st.tuples(st.sampled_from(list(truth)), st.integers(1, 180), st.booleans()), max_size=8
        )
    )
    world = World().begin()
    born_ms = world.now_ms

    def state(key: tuple[str, str], size: int, **more: Any) -> None:
        tx, token = key
        world.fills(str(size), tx=tx, token=token, ago_ms=world.now_ms - born_ms, **more)

    for key, size, pause in feed:
        state(key, size)
        world.wait(600 if pause else 0)
    for key, size in truth.items():
        state(key, size, source="rest", instance="a1")
    world.wait(2_000)
    held = {t: sum(s for (_, k), s in truth.items() if k == t) for t in (UP, DOWN)}
    sets = min(held.values())
    for token, size in held.items():
        assert world.exposure(token) == size * 1_000_000
        assert world.target(token) == (size - sets) * 100_000
