"""Halt and resume: no order either way while a halt stands, and levels stay true meanwhile."""

import pytest

from schemas.policy import LeaderPolicy
from schemas.records import journal
from schemas.records.summary import Summary
from tests.core.steps import holding, two_accounts, whys
from tests.core.tape import DOWN, LEADER, OTHER, UP, micro
from tests.core.world import World

SUBJECTS = {"account": "main", "leader": LEADER, "token": UP}


@pytest.mark.parametrize("scope", SUBJECTS)
def test_a_halt_holds_an_increase_and_its_end_lets_it_through(started, scope: str) -> None:
    world = started()
    world.fills("100")
    world.wait(2_000)
    world.trade_all()
    (adopted,) = world.halt(scope, SUBJECTS[scope])
    assert isinstance(adopted, journal.WordAdopted)
    world.fills("300", tx="0xt2")
    world.wait(5_000)
    assert (world.hold(), len(world.requests())) == ("halted", 1)
    held = world.of(journal.OrderHeld)[-1]
    assert held.numbers == {f"halt_{scope}_offset": adopted.word_offset}
    assert (held.target_micro, world.exposure()) == (micro("40"), micro("400"))
    world.depth([("0.39", "1000")], [("0.40", "1000")])
    new = world.resume(scope, SUBJECTS[scope])
    assert [type(event).__name__ for event in new] == [
        "WordAdopted",
        "HoldEnded",
        "OrderRequested",
    ]
    assert world.requests()[-1].shares_micro == micro("30")


@pytest.mark.parametrize("scope", SUBJECTS)
def test_a_halt_holds_a_decrease_too(scope: str) -> None:
    world = holding()
    world.halt(scope, SUBJECTS[scope])
    world.fills("500", side="SELL", tx="0xs")
    world.wait(3_000)
    assert (world.hold(), world.target()) == ("halted", 0)
    world.resume(scope, SUBJECTS[scope])
    assert world.requests()[-1].side == "SELL"


def test_a_gap_that_stands_is_held_in_the_word_itself(started) -> None:
    """A hold for another reason gives way to the halt at once, and comes back after it."""
    world = started()
    world.epoch(state="ended", reason="echo_mismatch")
    world.fills("500")
    world.wait(2_000)
    assert world.hold() == "book_echo_mismatch"
    world.halt("account", "main")
    assert world.hold() == "halted"
    world.resume("account", "main")
    assert world.hold() == "book_echo_mismatch"


def test_reports_and_corrections_go_on_under_a_halt() -> None:
    world = holding()
    world.halt("account", "main")
    for _ in range(3):
        world.report({UP: "20"})
        world.wait(3_000)
    assert world.of(journal.DriftFound)
    assert (world.held(), world.hold()) == (micro("20"), "halted")


def test_a_fill_of_an_order_that_was_on_its_way_is_booked_under_a_halt(started) -> None:
    """The halt stops decisions; an order that was already asked for may still go."""
    world = started()
    world.fills("500")
    world.wait(2_000)
    world.halt("account", "main")
    world.trade_all()
    assert world.held() == micro("50")
    assert world.hold() is None


def test_a_halted_leader_stops_only_the_tokens_he_was_in(started) -> None:
    world = started(leaders=(LeaderPolicy(wallet=LEADER), LeaderPolicy(wallet=OTHER)))
    world.fills("400")
    world.wait(2_000)
    world.trade_all()
    world.halt("leader", LEADER)
    world.fills("300", "0.60", wallet=OTHER, token=DOWN)
    world.wait(2_000)
    assert [(r.token, r.shares_micro) for r in world.requests()] == [
        (UP, micro("40")),
        (DOWN, micro("30")),
    ]
    world.trade_all()
    world.fills("500", wallet=OTHER, tx="0xt2")
    world.wait(2_000)
    assert (world.target(UP), world.target(DOWN)) == (micro("60"), 0)
    assert world.hold(UP) == "halted", "the other's buy of the same token waits too"
    assert (world.requests()[-1].token, world.requests()[-1].side) == (DOWN, "SELL")


def test_a_token_that_a_halted_leader_left_is_still_held() -> None:
    """He sold everything before the halt: what is left of it is not sold at his behest either."""
    world = holding()
    world.fills("500", side="SELL", tx="0xs")
    world.halt("leader", LEADER)
    world.wait(3_000)
    assert (world.exposure(), world.hold()) == (0, "halted")


def test_whoever_unfollows_a_halted_leader_sells(started) -> None:
    world = holding()
    world.halt("leader", LEADER)
    world.unfollow()
    world.wait(1_000)
    assert world.requests()[-1].side == "SELL"


@pytest.mark.parametrize(("scope", "subject"), [("token", UP), ("leader", LEADER)])
def test_a_halt_for_one_account_leaves_the_other_alone(started, scope: str, subject: str) -> None:
    world = started()
    two_accounts(world, LEADER)
    world.report({}, subject="second")
    world.balance(subject="second")
    world.wait(3_000)
    world.halt(scope, subject, "second")
    world.fills("500")
    world.wait(2_000)
    assert (world.hold(), world.hold(account="second")) == (None, "halted")
    world.resume(scope, subject)
    world.wait(1_000)
    assert {r.account for r in world.requests()} == {"main", "second"}


def test_a_new_policy_ends_no_halt_and_a_resume_ends_every_halt_of_its_subject(started) -> None:
    world = started()
    world.halt("token", UP)
    world.halt("token", UP, "main")
    world.policy(quiet_ms=500)
    world.fills("500")
    world.wait(2_000)
    assert world.hold() == "halted"
    world.resume("token", UP)
    world.resume("token", UP)
    assert whys(world) == [("Resume", "not_halted")]
    assert len(world.requests()) == 1


def test_each_halt_that_stands_keeps_the_hold(started) -> None:
    world = started()
    world.halt("account", "main")
    world.halt("token", UP)
    world.halt("leader", LEADER)
    world.fills("500")
    world.wait(2_000)
    for scope in ("account", "token"):
        world.resume(scope, SUBJECTS[scope])
        assert world.hold() == "halted"
    world.resume("leader", LEADER)
    assert len(world.requests()) == 1


@pytest.mark.parametrize(
    ("scope", "subject", "account", "why"),
    [
        ("account", "nobody", None, "unknown_account"),
        ("account", "main", "second", "unknown_account"),
        ("leader", "0xabc", None, "no_wallet"),
        ("token", "Up", None, "no_token"),
        ("token", UP, "nobody", "unknown_account"),
    ],
)
def test_a_halt_of_nothing_is_refused(
    started, scope: str, subject: str, account: str | None, why: str
) -> None:
    world = started()
    world.halt(scope, subject, account)
    assert whys(world) == [("Halt", why)]
    assert not world.state.plan.words.halts


def test_a_halt_of_an_account_names_no_other(started) -> None:
    world = started()
    two_accounts(world, LEADER)
    world.halt("account", "main", "second")
    world.halt("account", "main", "main")
    assert whys(world) == [("Halt", "two_accounts")]
    assert list(world.state.plan.words.halts) == [("account", "main", None)]


def test_a_summary_lists_the_halts_that_stand(started) -> None:
    world: World = started()
    world.halt("token", UP, "main")
    offset = len(world.tape) - 1
    world.wait(12_000)
    (line,) = world.of(Summary)[-1].halts
    assert (line.scope, line.subject, line.account, line.word_offset) == (
        "token",
        UP,
        "main",
        offset,
    )
