"""Follow and unfollow: the newest word about an account and a leader wins over the policy file."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core.words import Words, followed, is_token
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.records import journal, operator, system
from schemas.records.base import Account
from schemas.records.summary import Summary
from tests.core.steps import SECOND_OWN, two_accounts, whys
from tests.core.tape import LEADER, OTHER, OWN, UP, micro
from tests.core.world import World


def test_a_word_follows_a_wallet_that_the_policy_does_not_name(started) -> None:
    world = started(leaders=())
    new = world.follow(OTHER, "0.25", "300")
    assert [type(event).__name__ for event in new] == ["WordAdopted", "LeaderFollowed", "Watch"]
    (adopted, followed_, watch) = new
    assert (adopted.word_offset, adopted.account, adopted.subject) == (
        len(world.tape) - 1,
        "main",
        OTHER,
    )
    assert (followed_.since_ms, watch.subject, watch.on) == (world.now_ms, OTHER, True)
    world.fills("100", wallet=OTHER)
    world.wait(2_000)
    assert world.target() == micro("25")
    (order,) = world.requests()
    assert order.shares_micro == micro("25")


def test_the_ratio_of_a_word_is_our_shares_per_share_of_his_whatever_the_policy_says(
    started,
) -> None:
    world = started(ratio_micro=micro("0.5"), leaders=(LeaderPolicy(wallet=LEADER),))
    world.fills("100")
    world.wait(2_000)
    assert world.target() == micro("50")
    world.follow(LEADER, "0.2")
    assert world.target() == micro("20")
    world.policy(ratio_micro=micro("0.9"))
    assert world.target() == micro("20")


def test_another_word_about_the_same_leader_changes_terms_and_no_baseline(started) -> None:
    """What was copied stays copied: a new ratio is applied to all since he was followed."""
    world = started()
    world.fills("100")
    world.wait(2_000)
    world.follow(LEADER, "0.3")
    assert world.target() == micro("30")
    world.follow(LEADER, "0.4")
    assert world.target() == micro("40")
    assert len(world.of(journal.LeaderFollowed)) == 1


def test_a_word_to_converge_drops_the_baseline_and_one_from_now_on_takes_it() -> None:
    world = World().begin(leaders=())
    world.follow(start="now")
    world.report({UP: "1000"}, subject=LEADER)
    world.wait(3_000)
    assert (world.exposure(), world.target()) == (micro("1000"), 0)
    world.follow(start="converge")
    assert world.target() == micro("100")


def test_a_word_to_follow_starts_from_what_he_holds_then(started) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    world.unfollow()
    world.fills("300", tx="0xt2")
    world.wait(2_000)
    world.follow()
    world.report({UP: "800"}, subject=LEADER)
    world.wait(3_000)
    assert world.target() == 0
    world.fills("200", tx="0xt3")
    world.wait(2_000)
    assert world.target() == micro("20")


def test_unfollowing_sells_what_was_bought_on_his_behalf_and_no_policy_takes_it_back(
    started,
) -> None:
    world = started()
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    world.wait(1_000)
    assert [type(event).__name__ for event in world.unfollow()][:2] == [
        "WordAdopted",
        "LeaderUnfollowed",
    ]
    world.wait(1_000)
    assert [r.side for r in world.requests()] == ["BUY", "SELL"]
    world.trade_all()
    world.policy(quiet_ms=500)
    world.fills("900", tx="0xt2")
    world.wait(3_000)
    assert (world.target(), world.held(), world.working()) == (0, 0, [])
    assert not world.state.leaders.leaders


def test_one_account_unfollows_and_the_other_goes_on(started) -> None:
    world = started()
    two_accounts(world, LEADER)
    world.fills("500")
    world.wait(2_000)
    world.unfollow(account="second")
    assert not world.of(journal.LeaderUnfollowed)
    assert (world.target(), world.target(account="second")) == (micro("50"), 0)
    world.fills("100", tx="0xt2")
    world.wait(2_000)
    world.follow(account="second")
    assert (world.target(), world.target(account="second")) == (micro("60"), 0)
    world.fills("100", tx="0xt3")
    world.wait(2_000)
    assert (world.target(), world.target(account="second")) == (micro("70"), micro("10"))


def test_an_unfollowed_leader_whose_account_returns_stays_unfollowed(started) -> None:
    world = started()
    world.unfollow()
    world.policy(accounts=())
    world.policy()
    assert world.state.plan.accounts["main"].followed == ()
    assert not world.state.leaders.leaders


def test_the_cap_of_a_word_bounds_the_orders_on_his_behalf(started) -> None:
    world = started()
    world.follow(LEADER, "0.1", "8")
    world.fills("500")
    world.wait(2_000)
    (order,) = world.requests()
    assert order.bound == f"cap_leader:{LEADER}"
    assert order.budget_micro <= micro("8")


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ({"account": "nobody"}, "unknown_account"),
        ({"leader": OWN}, "own_wallet"),
        ({"leader": "0xABC"}, "no_wallet"),
        ({"leader": LEADER.upper()}, "no_wallet"),
        ({"ratio": "0"}, "ratio_not_above_zero"),
        ({"ratio": "-0.1"}, "ratio_not_above_zero"),
        ({"cap": "-1"}, "cap_negative"),
    ],
)
def test_a_word_that_cannot_be_obeyed_is_refused_with_its_reason(
    started, word: dict[str, Any], why: str
) -> None:
    world = started()
    (refused,) = world.follow(**word)
    assert (refused.word, refused.why, refused.reason) == ("Follow", why, "by hand")
    assert refused.word_offset == len(world.tape) - 1
    assert list(world.state.leaders.leaders) == [LEADER]
    assert not world.state.plan.words.said


def test_words_before_any_policy_and_about_nobody_are_refused() -> None:
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.follow()
    world.unfollow()
    world.unfollow("0x1", account="main")
    assert whys(world) == [("Follow", "unknown_account")] + [("Unfollow", "unknown_account")] * 2


def test_a_word_before_any_time_follows_from_the_first_tick_on() -> None:
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.policy(leaders=())
    assert [type(event) for event in world.follow()] == [journal.WordAdopted]
    world.tick()
    (begun,) = world.of(journal.LeaderFollowed)
    assert (begun.leader, begun.since_ms) == (LEADER, world.now_ms)


def test_a_followed_wallet_that_becomes_our_own_is_followed_no_longer(started) -> None:
    """Copying ourselves would buy what we buy, for ever."""
    world = started(leaders=())
    world.follow(SECOND_OWN)
    two_accounts(world)
    assert [e.leader for e in world.of(journal.LeaderUnfollowed)] == [SECOND_OWN]


def test_a_summary_says_who_is_followed_since_when_and_by_what(started) -> None:
    world = started()
    since_ms = world.of(journal.LeaderFollowed)[0].since_ms
    world.wait(5_000)
    policy_offset = next(n for n, r in enumerate(world.tape) if isinstance(r, system.Policy))
    world.follow(OTHER, "0.2", "50", start="converge")
    word_offset, word_ms = len(world.tape) - 1, world.now_ms
    world.unfollow("0x" + "3" * 40)
    world.wait(12_000)
    found = world.of(Summary)[-1]
    assert (found.policy_offset, found.policy_version) == (
        policy_offset,
        world.tape[policy_offset].version,
    )
    assert [(f.leader, f.since_ms, f.word_offset) for f in found.follows] == [
        (LEADER, since_ms, None),
        (OTHER, word_ms, word_offset),
    ]
    assert found.follows[1].terms == operator.FollowTerms(
        name="",
        ratio_micro=micro("0.2"),
        weight_micro=micro("1"),
        cap_usd_micro=micro("50"),
        start="converge",
        pairs="cash",
    )
    assert [u.leader for u in found.unfollowed] == ["0x" + "3" * 40]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["follow", "unfollow", "policy"]), st.booleans())))
def test_whoever_was_spoken_of_last_is_as_the_last_word_says(
    steps: list[tuple[str, bool]],
) -> None:
    """Whatever policies come in between: only a word takes a word back."""
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy()
    said: dict[str, bool] = {}
    for step, other in steps:
        wallet = OTHER if other else LEADER
        if step == "policy":
            world.policy(leaders=(LeaderPolicy(wallet=wallet),))
        else:
            getattr(world, step)(wallet)
            said[wallet] = step == "follow"
    policy = world.state.plan.policy
    named = {each.wallet for each in policy.accounts[0].leaders}
    wanted = {w for w in (LEADER, OTHER) if said.get(w, w in named)}
    assert {each.leader for each in world.account().followed} == wanted
    assert set(world.state.leaders.leaders) == wanted
    assert set(world.account().baseline) == wanted


def test_who_is_followed_is_computed_from_the_policy_alone_when_nothing_was_said() -> None:
    account = AccountPolicy(name="main", wallet=OWN, leaders=(LeaderPolicy(wallet=LEADER),))
    policy = PolicyDocument(accounts=(account,))
    (his,) = followed(policy, account, Words())
    assert (his.leader, his.word_offset, his.terms.ratio_micro) == (LEADER, None, 100_000)
    assert Words().halted("account", "main", Account("main")) is None


@pytest.mark.parametrize(
    ("text", "token"),
    [("1001", True), ("", False), ("0x1", False), ("²", False), ("9" * 79, False)],
)
def test_a_token_is_a_decimal_number(text: str, token: bool) -> None:
    assert is_token(text) is token
