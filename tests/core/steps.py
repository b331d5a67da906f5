"""Steps that several tests take: how far a world has come, and what is asked of it then."""

from typing import Any

from schemas.policy import AccountPolicy, LeaderPolicy
from schemas.records import journal, system
from tests.core.tape import OWN, UP
from tests.core.world import World

SECOND_OWN = "0x" + "b" * 40


def worlds_beginning(**changes: Any) -> World:
    """Policy and ticks, nothing known of accounts, markets or books, a leader who buys."""
    world = World()
    world.append(system.Genesis(tape_id="t", schema=1, shard=0, accounts=("main",)))
    world.tick()
    world.policy(**changes)
    world.fills("500")
    world.wait(2_000)
    return world


def holding(**changes: Any) -> World:
    """We hold 50 shares, all confirmed and reconciled."""
    world = World().begin(**changes)
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    world.wait(3_000)
    world.report({UP: "50"})
    world.wait(1_500)
    return world


def ordered(world: World, size: str = "500") -> journal.OrderRequested:
    """The order that a leader's buy leads to: 50 shares for 20 USD."""
    world.fills(size)
    world.wait(2_000)
    return world.requests()[0]


def reserved(world: World) -> tuple[str | None, int, int]:
    """State of the token's working order, shares in flight, dollars reserved."""
    account = world.account()
    intent = account.working.get(UP)
    state = account.orders[intent].state if intent is not None else None
    return state, account.in_flight_micro(UP), account.reserved_micro()


def progress(world: World) -> list[tuple[str, str]]:
    return [(e.state, e.reason) for e in world.of(journal.OrderProgress)]


def alarms(world: World) -> list[str]:
    return [alarm.name for alarm in world.of(journal.Alarm)]


def two_accounts(world: World, *leaders: str) -> None:
    """The policy from here on: two accounts that follow the same wallets."""
    named = tuple(LeaderPolicy(wallet=wallet) for wallet in leaders)
    world.policy(
        accounts=tuple(
            AccountPolicy(name=name, wallet=wallet, leaders=named)
            for name, wallet in (("main", OWN), ("second", SECOND_OWN))
        )
    )


def whys(world: World) -> list[tuple[str, str]]:
    """Words that were refused, and why."""
    return [(e.word, e.why) for e in world.of(journal.WordRefused)]
