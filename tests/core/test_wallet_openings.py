"""What a wallet held before we knew it: adopted only when one value is left, never guessed."""

from schemas.records import journal, system
from schemas.units import parse_micro
from tests.core.conftest import LEADER, UP, World


def begun() -> World:
    """A world whose leader's first report is yet to come."""
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy()
    world.report({})
    world.balance()
    world.meta()
    return world


def openings(world: World) -> list[str]:
    events = world.of(journal.ExposureRebased)
    return [e.shares_micro for e in events if e.reason == "opening"]


def test_a_quiet_token_is_opened_by_the_first_report() -> None:
    world = begun()
    world.report({UP: "320"}, subject=LEADER)
    world.wait(2_000)
    assert openings(world) == [parse_micro("320")]


def test_fills_around_the_first_report_leave_it_open_until_one_value_is_left() -> None:
    """The report holds the buy, not yet the sell of the same second: three values are possible."""
    world = begun()
    world.wait(5_000)
    world.fills("80", tx="0xt1")
    world.fills("80", tx="0xt2", side="SELL")
    world.report({UP: "400"}, subject=LEADER)
    world.wait(2_000)
    assert openings(world) == []
    world.wait(6_000)
    world.report({UP: "320"}, subject=LEADER)
    world.wait(2_000)
    assert openings(world) == [parse_micro("320")]
    for _ in range(4):
        world.wait(5_000)
        world.report({UP: "320"}, subject=LEADER)
    world.wait(3_000)
    assert not world.of(journal.DriftFound)


def test_an_opening_narrowed_in_steps_moves_no_target() -> None:
    world = begun()
    world.wait(5_000)
    world.fills("80", tx="0xt1")
    world.report({UP: "400"}, subject=LEADER)
    for step in range(4):
        world.fills("100", tx=f"0xb{step}")
        world.report({UP: str(400 + 100 * (step + 1))}, subject=LEADER)
        world.wait(5_000)
    world.wait(6_000)
    world.report({UP: "800"}, subject=LEADER)
    world.wait(3_000)
    assert openings(world) == [parse_micro("320")]
    view = world.state.plan.leaders[LEADER]
    base = world.state.plan.accounts["main"].baseline[LEADER]
    assert (view.exposure[UP], base[UP]) == (parse_micro("800"), parse_micro("320"))


def test_a_holding_below_the_dust_floor_opens_nothing() -> None:
    world = begun()
    world.wait(5_000)
    world.fills("80", tx="0xt1")
    world.wait(5_000)
    world.report({UP: "80"}, subject=LEADER, dust="0.1")
    world.wait(2_000)
    assert openings(world) == []
    assert not world.state.leaders.leaders[LEADER].audit.opening


def test_what_the_first_report_says_less_than_our_record_needs_three_reports() -> None:
    world = begun()
    world.wait(5_000)
    world.fills("80", tx="0xt1")
    world.wait(6_000)
    for n in range(3):
        assert not world.of(journal.DriftFound), n
        world.report({UP: "50"}, subject=LEADER)
        world.wait(5_000)
    (drift,) = world.of(journal.DriftFound)
    assert (drift.low_micro, drift.high_micro) == (parse_micro("-30"), parse_micro("-30"))
    assert openings(world) == []
