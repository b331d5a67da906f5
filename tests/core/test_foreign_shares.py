"""What no order of ours bought is not ours to sell, and what our orders bought is sold to zero."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core.owned import Owned
from schemas.records import journal, own
from schemas.records.base import Record
from schemas.records.summary import Summary
from schemas.units import format_micro
from tests.core.chaos import ACCOUNTS, TOKENS, Chaos
from tests.core.tape import MARKET, UP, micro
from tests.core.world import World


def opened(holding: str = "100", **changes: Any) -> World:
    """An account that held something before its first fill on this tape."""
    world = World()
    world.tick()
    world.policy(**changes)
    world.meta()
    world.epoch()
    world.depth([("0.39", "5000")], [("0.40", "5000")])
    world.report({UP: holding})
    world.report({}, subject="0x" + "1" * 40)
    world.balance("9000")
    world.wait(3_000)
    return world


def by_hand(
    world: World, side: str, shares: str, status: str = "CONFIRMED", trade: str = ""
) -> str:
    """Somebody trades in our account without us."""
    world.trades += not trade
    name = trade or f"H{world.trades}"
    world.append(
        own.OwnFill(
            account="main",
            source="user",
            trade=name,
            order="0xhand",
            role="TAKER",
            token=UP,
            condition=MARKET,
            side=side,
            shares_micro=micro(shares),
            cash_micro=micro(shares) * 2 // 5,
            status=status,
            tx="",
            venue_ms=world.now_ms // 1_000 * 1_000,
            recv_ns=1,
        )
    )
    world.wait(1_000)
    return name


def copied(world: World, size: str = "500", tx: str = "0xb") -> None:
    """A leader buys, and the venue fills our order."""
    world.fills(size, tx=tx)
    world.wait(2_000)
    world.trade_all()
    world.wait(1_000)


def exited(world: World, size: str = "500") -> None:
    """The leader sells, and whatever we order is filled, until nothing moves."""
    world.fills(size, tx="0xs", side="SELL")
    for _ in range(4):
        world.wait(3_000)
        world.trade_all()


def foreign(world: World) -> int:
    return world.account().positions[UP].foreign_micro


def test_what_an_account_held_before_is_left_alone() -> None:
    world = opened()
    assert (world.held(), foreign(world)) == (micro("100"), micro("100"))
    world.wait(10_000)
    assert not world.requests()
    copied(world)
    assert (world.held(), foreign(world)) == (micro("150"), micro("100"))
    order = world.requests()[0]
    assert (order.kept_micro, order.gap_micro) == (micro("100"), micro("50"))
    exited(world)
    assert [r.shares_micro for r in world.requests()] == [micro("50")] * 2
    assert (world.held(), foreign(world)) == (micro("100"), micro("100"))


def test_a_policy_that_sells_foreign_shares_closes_the_whole_gap() -> None:
    world = opened(foreign="sell")
    (order,) = world.requests()
    assert (order.side, order.shares_micro, order.kept_micro) == ("SELL", micro("100"), 0)


def test_a_policy_may_change_its_mind() -> None:
    world = opened()
    copied(world)
    world.policy(foreign="sell")
    assert world.requests()[-1].side == "SELL"
    assert world.requests()[-1].shares_micro == micro("100")


def test_what_is_bought_by_hand_is_left_alone_and_a_sale_by_hand_takes_it_first() -> None:
    world = opened("0")
    copied(world)
    by_hand(world, "BUY", "30")
    assert (world.held(), foreign(world), len(world.requests())) == (micro("80"), micro("30"), 1)
    by_hand(world, "SELL", "20")
    assert (world.held(), foreign(world), len(world.requests())) == (micro("60"), micro("10"), 1)
    by_hand(world, "SELL", "20")
    assert (world.held(), foreign(world)) == (micro("40"), 0)
    assert [r.shares_micro for r in world.requests()[1:]] == [micro("10")], "ours is bought again"


def test_what_was_sold_of_ours_by_hand_does_not_make_later_purchases_ours() -> None:
    world = opened("0")
    copied(world)
    world.halt("account", "main")
    by_hand(world, "SELL", "50")
    by_hand(world, "BUY", "50")
    assert foreign(world) == micro("50")
    world.unfollow()
    world.resume("account", "main")
    world.wait(3_000)
    assert [r.side for r in world.requests()] == ["BUY"]


def test_a_purchase_by_hand_that_fails_leaves_what_was_there() -> None:
    world = opened("0")
    copied(world)
    trade = by_hand(world, "BUY", "30", "MATCHED")
    by_hand(world, "BUY", "30", "FAILED", trade)
    assert (world.held(), foreign(world), len(world.requests())) == (micro("50"), 0, 1)


def drifted(world: World, holding: str) -> None:
    """Three reports say another number."""
    for _ in range(3):
        world.report({UP: holding})
        world.wait(3_000)


def test_a_drift_upwards_that_no_order_explains_is_foreign() -> None:
    world = opened("0")
    copied(world)
    drifted(world, "70")
    assert (world.held(), foreign(world), len(world.requests())) == (micro("70"), micro("20"), 1)


def test_a_fill_of_ours_that_only_reports_told_is_ours_and_is_sold_when_he_leaves() -> None:
    """The order was accepted; its fill came by no feed, then it did: it is not counted twice."""
    world = opened("100")
    world.fills("500")
    world.wait(2_000)
    (order,) = world.working()
    world.signed(order)
    world.answered(order, shares="50", usd="20")
    drifted(world, "150")
    assert (world.held(), foreign(world)) == (micro("150"), micro("100"))
    told = {"trade": "T9", "price": "0.40"}
    world.own_fill(order, "50", **told)
    world.own_fill(order, "50", status="CONFIRMED", **told)
    world.wait(1_000)
    assert not world.working()
    assert world.account().positions[UP].owned.ours_micro == micro("50")
    drifted(world, "150")
    assert (world.held(), foreign(world)) == (micro("150"), micro("100"))
    exited(world)
    assert (world.held(), foreign(world)) == (micro("100"), micro("100"))


def test_a_drift_that_an_order_was_blamed_for_is_foreign_when_the_order_was_absent() -> None:
    world = opened("0")
    world.fills("500")
    world.wait(2_000)
    (order,) = world.working()
    world.signed(order)
    world.answered(order, "unknown", http_status=None)
    drifted(world, "50")
    assert foreign(world) == 0
    world.wait(10_000)
    world.absent(order)
    assert foreign(world) == micro("50")


def test_an_unconfirmed_buy_that_reports_deny_is_raised_and_not_bought_again() -> None:
    """It may come yet. Its failure, once told, opens the gap, and nothing foreign is touched."""
    world = opened("100")
    world.fills("500")
    world.wait(2_000)
    (order,) = world.working()
    trade = world.trade(order, confirm=False)
    drifted(world, "100")
    assert (world.held(), foreign(world), len(world.requests())) == (micro("150"), micro("100"), 1)
    drifted(world, "100")
    (alarm,) = world.of(journal.Alarm)
    assert (alarm.name, alarm.detail) == ("fill_unsettled", trade)
    name = f"0xo{order.intent}"
    world.own_fill(order, "50", trade=trade, order=name, status="FAILED")
    assert (world.held(), foreign(world)) == (micro("100"), micro("100"))
    assert world.requests()[-1].shares_micro == micro("50")


def test_a_failure_that_is_told_after_reports_found_it_is_not_taken_from_ours_twice() -> None:
    owned = Owned()
    owned.traded(50, 150)
    owned.corrected(-50, coming_micro=0, unconfirmed_micro=50, held_micro=100)
    owned.settled(50, False, 50)
    owned.corrected(50, coming_micro=0, unconfirmed_micro=0, held_micro=100)
    assert (owned.of(100), owned.ours_micro) == (0, 0)
    owned.traded(50, 150)
    assert owned.of(150) == 50


def test_a_fill_told_after_reports_found_it_leaves_ours_alone_when_they_take_it_back() -> None:
    """Before it is confirmed: an unconfirmed buy would else be what the reports deny."""
    owned = Owned()
    owned.corrected(50, coming_micro=50, unconfirmed_micro=0, held_micro=150)
    owned.traded(50, 200)
    owned.corrected(-50, coming_micro=0, unconfirmed_micro=50, held_micro=150)
    assert (owned.of(150), owned.missed_micro, owned.doubled_micro) == (50, 0, 0)


def test_a_sale_of_ours_that_only_reports_told_is_not_taken_from_ours_twice() -> None:
    owned = Owned()
    owned.traded(50, 150)
    owned.settled(50, True, 150)
    owned.corrected(-50, coming_micro=-50, unconfirmed_micro=0, held_micro=100)
    assert (owned.of(100), owned.sellable_micro) == (0, 0)
    owned.traded(-50, 50)
    owned.corrected(50, coming_micro=0, unconfirmed_micro=0, held_micro=100)
    assert (owned.of(100), owned.ours_micro, owned.sellable_micro) == (0, 0, 0)


def test_what_our_order_bought_is_not_sold_out_of_foreign_shares_before_it_is_confirmed() -> None:
    """The venue would take the sale: a hundred confirmed shares are there, and none is ours."""
    world = opened("100")
    world.fills("500")
    world.wait(2_000)
    (order,) = world.working()
    trade = world.trade(order, confirm=False)
    world.fills("500", tx="0xs", side="SELL")
    world.wait(3_000)
    assert (len(world.requests()), world.hold()) == (1, "bound_confirmed")
    world.own_fill(order, "50", trade=trade, order=f"0xo{order.intent}", status="CONFIRMED")
    assert world.requests()[-1].side == "SELL"


def test_a_drift_downwards_takes_foreign_shares_first() -> None:
    world = opened("100")
    copied(world)
    drifted(world, "90")
    assert (world.held(), foreign(world), len(world.requests())) == (micro("90"), micro("40"), 1)


def test_a_summary_names_what_is_foreign_and_what_is_kept() -> None:
    for policy, kept in (("keep", "100"), ("sell", "0")):
        world = opened(foreign=policy)
        world.epoch(state="ended", reason="echo_mismatch")
        world.wait(11_000)
        (line,) = world.of(Summary)[-1].positions
        assert (line.foreign_micro, line.kept_micro) == (micro("100"), micro(kept))


moves = st.lists(
    st.tuples(
        st.sampled_from(["ours", "hand", "fail", "confirm", "drift", "end"]),
        st.integers(-60, 60),
        st.booleans(),
    ),
    max_size=30,
)


@given(moves)
def test_ours_is_never_more_than_is_held_nor_sellable_more_than_was_bought(
    steps: list[tuple[str, int, bool]],
) -> None:
    """Whatever comes in whatever order, drifts without any order in flight included."""
    owned, held, bought, sold = Owned(), 0, 0, 0
    open_fills: list[int] = []
    for what, size, _ in steps:
        if what == "ours":
            held += size
            owned.traded(size, held)
            open_fills.append(size)
            sold += max(-size, 0)
        elif what == "hand":
            held += size
            owned.bound(held)
        elif what in ("fail", "confirm") and open_fills:
            fill = open_fills.pop()
            held -= fill if what == "fail" else 0
            bought += max(fill, 0) if what == "confirm" else 0
            sold -= max(-fill, 0) if what == "fail" else 0
            owned.settled(fill, what == "confirm", held)
        elif what == "drift":
            held += size
            owned.corrected(size, 0, sum(max(f, 0) for f in open_fills), held)
        else:
            owned.concluded(held)
        assert 0 <= owned.of(held) <= max(held, 0)
        assert owned.sellable_micro == max(bought - sold, 0)


class Watchful:
    """Counts what our orders bought and sold, failed fills left out, and stops a sale too many."""

    def __init__(self) -> None:
        self.mine: dict[str, journal.FillBooked] = {}

    def __call__(self, world: World, events: list[Record]) -> None:
        for event in events:
            match event:
                case journal.FillBooked() if event.intent is not None:
                    self.mine[event.trade] = event
                case journal.FillSettled(status="FAILED"):
                    self.mine.pop(event.trade, None)
                case journal.OrderRequested(side="SELL"):
                    left = sum(
                        fill.shares_micro if fill.side == "BUY" else -fill.shares_micro
                        for fill in self.mine.values()
                        if (fill.account, fill.token) == (event.account, event.token)
                    )
                    assert event.shares_micro <= left, "a sale of what no order of ours bought"


@pytest.mark.parametrize("seed", range(40, 46))
def test_in_a_chaotic_world_we_never_sell_a_share_that_we_did_not_buy(seed: int) -> None:
    """Reports, corrections, failed and late fills, trades by hand: the venue's count is obeyed."""
    chaos = Chaos(seed)
    chaos.foreign = ("keep",)
    for account in ACCOUNTS:
        for token in TOKENS:
            chaos.ours[(account, token)] = 70_000_000
    chaos.world.on_append = Watchful()
    chaos.begin().run(150)
    chaos.settle_down()
    assert any(r.kept_micro for r in chaos.world.requests())


sizes = st.integers(10, 150)


@settings(max_examples=15)
@given(
    st.integers(0, 200),
    st.lists(st.tuples(st.sampled_from(["leader", "BUY", "SELL"]), sizes), max_size=6),
)
def test_when_the_leader_leaves_exactly_what_is_foreign_remains(
    opening: int, steps: list[tuple[str, int]]
) -> None:
    caps = dict.fromkeys(("cap_trade_usd_micro", "cap_market_usd_micro"), micro("9000"))
    world = opened(str(opening), **caps, cap_account_usd_micro=micro("9000"))
    theirs, his = opening, 0
    for n, (who, size) in enumerate(steps):
        if who == "leader":
            copied(world, str(10 * size), tx=f"0xb{n}")
            his += 10 * size
        elif who == "BUY":
            by_hand(world, "BUY", str(size))
            theirs += size
        elif theirs:
            by_hand(world, "SELL", str(min(size, theirs)))
            theirs -= min(size, theirs)
    assert world.held() == micro(str(theirs)) + micro(str(his // 10))
    if his:
        exited(world, str(his))
    assert format_micro(world.held()) == str(theirs)
