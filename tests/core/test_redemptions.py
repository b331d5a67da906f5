"""A redemption settles what a resolution owes, once per condition, transaction and outcome."""

import random
from itertools import permutations

import pytest

from infra.status import status_of
from schemas import codec
from schemas.records import journal
from schemas.records.summary import PositionLine, Summary
from tests.core.tape import DOWN, UP, micro
from tests.core.world import World


def owed(**changes: object) -> World:
    """50 Up, bought for 20 USD, whose market has resolved at 1 USD."""
    world = World().begin(**changes)
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    world.resolved()
    return world


def redeemed(world: World) -> list[tuple[int, int]]:
    return [(e.shares_micro, e.cash_micro) for e in world.of(journal.PositionRedeemed)]


def lines(world: World) -> dict[str, PositionLine]:
    world.wait(11_000)
    return {line.token: line for line in world.of(Summary)[-1].positions}


def shown(world: World) -> dict[str, tuple[int, int | None]]:
    """Shares owed and value by token, as status tells them from the journal so far."""
    events = [codec.unseal(each.value) for each in world.sealed if each.topic == "journal"]
    status = status_of((envelope.n, event) for envelope, event in events)
    return {token: (line.owed_micro, line.value_micro) for (_, token), line in status.lines.items()}


def test_a_redeemed_position_is_owed_nothing_and_listed_no_more() -> None:
    world = owed()
    assert lines(world)[UP].redeemed_micro == 0
    assert shown(world)[UP] == (micro("50"), micro("50"))
    world.redeemed("50", "50")
    assert shown(world)[UP] == (0, 0)
    assert redeemed(world) == [(micro("50"), micro("50"))]
    assert UP not in lines(world)
    assert shown(world).get(UP) is None
    position = world.account().positions[UP]
    assert (position.owed_micro, position.settled_result_micro) == (0, micro("30"))


def test_told_again_a_redemption_is_no_news_and_a_corrected_total_replaces() -> None:
    world = owed()
    for _ in range(3):
        world.redeemed("20", "20")
    assert redeemed(world) == [(micro("20"), micro("20"))]
    world.redeemed("30", "30")
    assert redeemed(world)[1:] == [(micro("10"), micro("10"))]
    world.redeemed("20", "20")
    assert redeemed(world)[2:] == [(micro("-10"), micro("-10"))]
    assert world.account().positions[UP].owed_micro == micro("30")
    assert shown(world)[UP][0] == micro("30")
    assert lines(world)[UP].redeemed_micro == micro("20")


def test_each_transaction_and_each_outcome_counts_for_itself() -> None:
    world = owed()
    world.redeemed("20", "20", tx="0xr1")
    world.redeemed("20", "20", tx="0xr2")
    world.redeemed("7", "0", tx="0xr2", token=DOWN)
    assert world.account().positions[UP].owed_micro == micro("10")
    assert world.account().positions[DOWN].owed_micro == 0
    assert [e.token for e in world.of(journal.PositionRedeemed)] == [UP, UP, DOWN]


ORDERS = [*permutations(("resolved", "redeemed", "summary"))]


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_whether_the_resolution_or_the_redemption_is_told_first_makes_no_difference(
    order: tuple[str, ...],
) -> None:
    world = World().begin()
    world.fills("500")
    world.wait(2_000)
    world.trade_all()
    for what in order:
        if what == "resolved":
            world.resolved()
        elif what == "redeemed":
            world.redeemed("50", "50")
        else:
            world.wait(11_000)
    position = world.account().positions[UP]
    assert (position.settled_micro, position.redeemed_micro) == (micro("50"), micro("50"))
    assert position.owed_micro == 0
    assert shown(world).get(UP, (0, 0))[0] == 0
    assert UP not in lines(world)


def test_more_than_we_knew_of_owes_nothing_and_moves_no_position() -> None:
    world = owed()
    world.redeemed("80", "80")
    assert world.account().positions[UP].owed_micro == 0
    assert world.held() == 0
    assert not world.of(journal.PositionCorrected)


def test_a_redemption_of_another_account_is_none_of_ours() -> None:
    world = owed()
    world.redeemed("50", "50", account="second")
    assert not redeemed(world)


def test_a_redemption_moves_no_gap_and_its_dollars_come_with_the_balance() -> None:
    world = owed()
    cash = world.account().cash.left_micro
    orders = len(world.requests())
    world.redeemed("50", "50")
    world.wait(3_000)
    assert len(world.requests()) == orders
    assert world.hold() is None
    assert world.account().cash.left_micro == cash


@pytest.mark.parametrize("seed", range(20))
def test_any_order_and_repetition_of_the_same_redemptions_owes_the_same(seed: int) -> None:
    chance = random.Random(seed)
    told = [("12", "0xr1"), ("5", "0xr2"), ("8", "0xr3")]
    sent = [*told, *chance.choices(told, k=5)]
    chance.shuffle(sent)
    world = owed()
    for shares, tx in sent:
        world.redeemed(shares, shares, tx=tx)
    assert world.account().positions[UP].owed_micro == micro("25")
    assert sum(shares for shares, _ in redeemed(world)) == micro("25")
