"""The golden tape's construction: what a leader does in one telling, then a seeded stretch of all.

Twin rows, a flip from Up to Down, a split that is merged again, a part of an order filled, a fill
that fails on its way to settlement, a word, a fill that REST never knew; then trouble of every
kind, reports, a correction, a resolution and the end.
"""

from schemas import codec
from schemas.records import own, system
from schemas.units import floor_to_lot, format_micro
from tests.core.chaos import ACCOUNTS, TOKENS, Chaos, LeaderFill
from tests.core.tape import DOWN, LEADER, OTHER, UP

SEED = 2
STEPS = 40
RULES_TOLD = 1
"""What the dataflow in this telling calls its rules; any number would do."""
HAND_MADE = own.OpenOrder(
    order="0xhand",
    token="2002",
    side="BUY",
    price_micro=100_000,
    shares_micro=5_000_000,
    matched_micro=0,
)


def golden_tape() -> list[bytes]:
    """The tape of this construction under the rules as they are now, as bytes."""
    chaos = Chaos(SEED).begin()
    _twins(chaos)
    _flip(chaos)
    _sets(chaos)
    _failure(chaos)
    _ghost(chaos)
    _orders_that_bring_nothing(chaos)
    _correction(chaos)
    _words_and_processes(chaos)
    chaos.run(STEPS)
    _the_end(chaos)
    return [codec.encode(record) for record in chaos.world.tape]


def _trade(chaos: Chaos, side: str, token: str, size: int, *, rows: int = 1) -> None:
    """A trade of the leader, told row by row of equal content."""
    world, signed = chaos.world, size if side == "BUY" else -size
    chaos.truth[(LEADER, token)] = chaos.truth.get((LEADER, token), 0) + signed
    fill = LeaderFill(LEADER, chaos.name("l"), token, side, size, chaos.price(token), world.now_ms)
    chaos.fills.append(fill)
    for told in range(1, rows + 1):
        size_told = str(size * told // rows)
        world.fills(size_told, fill.price, tx=fill.tx, side=side, token=token, rows=told)
    world.wait(2_000, step=250)


def _fill(chaos: Chaos, *, part: int = 1, status: str = "CONFIRMED") -> None:
    """The venue fills 1/part of every working order in one trade, which comes to this end."""
    world = chaos.world
    for request in world.working():
        chaos.posted.add(request.intent)
        size = floor_to_lot(request.shares_micro // part)
        trade = world.trade(request, format_micro(size), confirm=False)
        fill = {"trade": trade, "order": f"0xo{request.intent}", "status": status}
        world.own_fill(request, format_micro(size), **fill)
        if status == "CONFIRMED":
            signed = size if request.side == "BUY" else -size
            chaos.ours[(request.account, request.token)] = chaos.owned(request) + signed
    world.wait(2_500, step=250)


def _twins(chaos: Chaos) -> None:
    """Two rows of one transaction that are equal in every field; of our order half is filled."""
    _trade(chaos, "BUY", UP, 600, rows=2)
    _fill(chaos, part=2)
    _fill(chaos)


def _flip(chaos: Chaos) -> None:
    """Out of Up and into Down at once."""
    _trade(chaos, "SELL", UP, chaos.truth[(LEADER, UP)])
    _trade(chaos, "BUY", DOWN, 500)
    _fill(chaos)


def _sets(chaos: Chaos) -> None:
    """A split of dollars into pairs, and a part of the pairs merged again."""
    for move, size in (("SPLIT", 400), ("MERGE", -300)):
        for token in (UP, DOWN):
            chaos.truth[(LEADER, token)] = chaos.truth.get((LEADER, token), 0) + size
        chaos.world.move(move, {UP: str(size), DOWN: str(size)}, tx=chaos.name("m"))
        chaos.world.wait(1_000, step=250)


def _failure(chaos: Chaos) -> None:
    """Our purchase is matched and fails on its way to settlement."""
    _trade(chaos, "BUY", UP, 900)
    _fill(chaos, status="FAILED")


def _ghost(chaos: Chaos) -> None:
    """A fill that the feed told and two REST answers do not know, while an operator halts."""
    world = chaos.world
    world.halt("token", DOWN)
    world.fills("300", tx="0xghost")
    known = [world.group(f.tx, f.side, f.token, f.wallet) for f in chaos.fills]
    for name in ("ghost1", "ghost2"):
        world.wait(4_000, step=1_000)
        world.read(name, known)
        world.wait(60_000, step=5_000)
    world.resume("token", DOWN)


def _orders_that_bring_nothing(chaos: Chaos) -> None:
    """One expires, one is proven absent; the venue lists and fills one made by hand."""
    world = chaos.world
    _books(chaos)
    _trade(chaos, "BUY", UP, 800)
    world.open_orders(HAND_MADE)
    for request, end in zip(world.working(), (world.expired, world.absent), strict=False):
        chaos.posted.add(request.intent)
        if end == world.absent:
            world.signed(request, "0xo1")
        end(request)
    world.wait(3_000, step=500)
    _fill(chaos)
    hand = {"order": "0xhand", "trade": "0xhand1", "token": "2002"}
    world.own_fill(world.requests()[0], "5", "0.10", **hand)


def _books(chaos: Chaos) -> None:
    for token in TOKENS:
        chaos.book(token, plain=True)


def _correction(chaos: Chaos) -> None:
    """Three reports agree on shares that nothing else told of."""
    chaos.ours[("main", "2001")] = chaos.ours.get(("main", "2001"), 0) + 7_000_000
    for _ in range(4):
        chaos.world.wait(3_000, step=1_000)
        chaos.reports()


def _words_and_processes(chaos: Chaos) -> None:
    """A leader is let go by all and followed again, beside starts of flow and connector."""
    world = chaos.world
    for account in ACCOUNTS:
        world.unfollow(OTHER, account)
    world.unfollow(OTHER, "nobody")
    world.append(system.FlowStarted(shard=0, rules=RULES_TOLD))
    world.append(system.ConnectorStarted(producer="public", role="public"))
    chaos.live.clear()
    chaos.incomplete()
    for account in ACCOUNTS:
        world.follow(OTHER, account=account)
    chaos.reports()
    _books(chaos)


def _the_end(chaos: Chaos) -> None:
    """What is known is told, markets end, and everything is reported once more."""
    while chaos.untold:
        chaos.untold.pop(0)()
    chaos.reports()
    chaos.world.closed("2001")
    chaos.world.resolved("1", "0", UP)
    chaos.over.add(UP)
    chaos.redeem()
    chaos.world.redeemed("7", "7", tx="0xlast", account="main")
    chaos.world.wait(12_000, step=2_000)
