"""What the decisions want to see: wallets while followed, tokens until their market is over."""

from schemas.policy import LeaderPolicy
from schemas.records import journal, system
from tests.core.tape import DOWN, LEADER, OTHER, UP, micro
from tests.core.world import World


def watched(world: World) -> list[str]:
    """Subjects that are on after all that was said."""
    on: dict[str, bool] = {}
    for event in world.of(journal.Watch):
        assert on.get(event.subject) != event.on, "said twice"
        on[event.subject] = event.on
    return [subject for subject, wish in on.items() if wish]


def bare(**changes: object) -> World:
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy(**changes)
    return world


def test_a_wallet_is_watched_while_it_is_followed() -> None:
    world = bare(leaders=(LeaderPolicy(wallet=LEADER), LeaderPolicy(wallet=OTHER)))
    assert watched(world) == [LEADER, OTHER]
    world.policy()
    assert watched(world) == [LEADER]
    world.policy(leaders=(LeaderPolicy(wallet=OTHER),))
    assert watched(world) == [OTHER]


def test_a_token_is_watched_from_the_leaders_first_fill_on() -> None:
    """At once, not when the window closes: its book is wanted by then."""
    world = bare()
    (wish,) = [e for e in world.fills("500") if isinstance(e, journal.Watch)]
    assert (wish.what, wish.subject, wish.on, wish.why) == ("token", UP, True, "leader_fill")
    assert not [e for e in world.fills("600", tx="0xt2") if isinstance(e, journal.Watch)]


def test_the_complement_is_watched_as_soon_as_it_is_known() -> None:
    world = bare()
    world.fills("500")
    world.meta()
    assert watched(world) == [LEADER, UP, DOWN]
    world.meta(accepting=False)
    assert watched(world) == [LEADER, UP, DOWN]


def test_tokens_of_a_move_and_of_our_own_holdings_are_watched() -> None:
    world = bare()
    world.move("SPLIT", {UP: "5", DOWN: "5"})
    assert watched(world) == [LEADER, UP, DOWN]
    held = bare(leaders=())
    held.report({UP: "40"})
    held.wait(2_000)
    assert watched(held) == [UP]


def test_a_token_that_only_a_gap_wants_is_watched() -> None:
    """Converging on what he held before: no fill of his will name the token."""
    world = bare(leaders=(LeaderPolicy(wallet=LEADER, start="converge"),))
    world.report({UP: "1000"}, subject=LEADER)
    world.wait(2_000)
    assert world.hold() == "market_unknown"
    assert watched(world) == [LEADER, UP]
    world.meta()
    assert watched(world) == [LEADER, UP, DOWN]


def test_what_he_held_before_and_is_not_copied_is_not_watched() -> None:
    world = bare()
    world.report({UP: "1000"}, subject=LEADER)
    world.wait(2_000)
    assert world.exposure() == micro("1000")
    assert watched(world) == [LEADER]


def test_a_resolved_market_is_watched_no_longer() -> None:
    world = bare()
    world.fills("500")
    world.meta()
    world.resolved()
    assert watched(world) == [LEADER]
    world.fills("900", tx="0xt2")
    world.move("REDEEM", {UP: "-500"})
    world.meta()
    world.wait(2_000)
    assert watched(world) == [LEADER]


def test_a_market_that_is_resolved_before_it_is_known_is_watched_no_longer() -> None:
    world = bare()
    world.resolved()
    world.fills("500")
    assert watched(world) == [LEADER, UP]
    world.meta()
    assert watched(world) == [LEADER]


def test_a_wish_is_said_once_whatever_repeats() -> None:
    world = bare()
    for _ in range(3):
        world.policy()
        world.fills("500")
        world.meta()
        world.wait(1_000)
    assert len(world.of(journal.Watch)) == 3
    assert watched(world) == [LEADER, UP, DOWN]
