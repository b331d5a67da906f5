"""Three accounts in one shard, and the tapes that they would have had in shards of their own.

`Trio` makes the tape of all three, each with a connector of its own. `alone` takes from it
what one account's shard would hold: every public record, and of the private ones its own. Intents
name tape offsets, so what came of an order is told of the order that takes its place.
"""

from typing import Any

from msgspec.structs import replace

from schemas.records import journal, operator, system
from schemas.records.base import Record
from tests.core.chaos import Chaos
from tests.core.tape import FEEDS, OWN
from tests.core.world import World

ACCOUNTS = {"main": OWN, "second": "0x" + "b" * 40, "third": "0x" + "d" * 40}
PLACES = ("intent", "depth_offset", "word_offset", "count")
"""Fields of an event that name a place on the tape. So does a hold's count of Ticks: every
producer of a shard ticks."""


class Trio(Chaos):
    """Trouble for three accounts. Whom they follow changes for all at once: a shard of one account
    lets go of a leader whom another's would have kept, and knows less of him when he comes back."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, ACCOUNTS)
        mine = {f"account-{name}": FEEDS["account"] for name in ACCOUNTS}
        self.world = World(producers={"public": FEEDS["public"], **mine})
        self.in_policy = 1.0

    def time(self) -> None:
        """A connector may be silent, one account's alone among them."""
        chance, world = self.chance, self.world
        if chance.random() < 0.3:
            world.silent = (chance.choice([*world.producers]),)
        world.wait(chance.choice([100, 300, 500, 2_000, 4_000]))
        world.silent = ()

    def operator(self) -> None:
        """An account is halted, or a token for all or for one; or that is over."""
        chance, world, name = self.chance, self.world, self.chance.choice([*ACCOUNTS])
        scope, subject = chance.choice([("account", name), ("token", "1001")])
        if chance.random() < 0.5:
            world.halt(scope, subject, chance.choice([None, name]) if scope == "token" else None)
        else:
            world.resume(scope, subject)


def alone(shared: World, name: str) -> World:
    """The same account in a shard of its own, told all that concerns it."""
    world = World()
    orders = [request.intent for request in shared.requests() if request.account == name]
    for record in shared.tape:
        told = _concerning(record, name)
        if told is None:
            continue
        intent = getattr(told, "intent", None)
        if intent is not None:
            place, mine = orders.index(intent), world.requests()
            assert place < len(mine), f"{name} alone asks for no order in the place of {intent}"
            told = replace(told, intent=mine[place].intent)
        world.append(told)
    return world


def _concerning(record: Any, name: str) -> Record | None:
    """The record as the account's own shard has it, None if it is another's."""
    match record:
        case system.Genesis():
            return replace(record, accounts=(name,))
        case system.Policy(document=document):
            mine = tuple(each for each in document.accounts if each.name == name)
            return replace(record, document=replace(document, accounts=mine))
        case system.Tick():
            return record if record.producer in ("public", f"account-{name}") else None
        case operator.Halt(scope="account") | operator.Resume(scope="account"):
            return record if record.subject == name else None
    account = getattr(record, "account", None) or getattr(record, "subject", name)
    return record if account == name or account not in ACCOUNTS else None


def told_of(world: World, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Every event about an account, without offsets and numbers."""
    about = [
        e for e in world.events if name in (getattr(e, "account", ""), getattr(e, "subject", ""))
    ]
    return [(type(event).__name__, _placeless(event)) for event in about]


def _placeless(event: Any) -> dict[str, Any]:
    fields = {key: getattr(event, key) for key in event.__struct_fields__ if key not in PLACES}
    if isinstance(event, journal.OrderHeld):
        fields["numbers"] = {k: n for k, n in event.numbers.items() if not k.endswith("_offset")}
    return fields


def end_state(world: World, name: str) -> dict[str, Any]:
    """Where an account has come to."""
    account = world.account(name)
    return {
        "positions": account.positions,
        "holds": {token: hold.reason for token, hold in account.holds.items()},
        "working": list(account.working),
        "targets": {token: world.target(token, name) for token in account.positions},
        "baseline": account.baseline,
        "cash": (account.cash.usd_micro, account.cash.left_micro, account.available_cash_micro()),
        "retries": account.retries,
    }
