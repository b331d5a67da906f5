"""What should not happen to an order: raised, never obeyed, and nothing about it is lost."""

import copy

import pytest

from schemas.policy import LeaderPolicy
from schemas.records import journal, own
from tests.core.steps import alarms, ordered, progress, reserved
from tests.core.tape import DOWN, LEADER, UP, micro


def test_a_fill_of_an_ended_order_is_booked_and_raised(started) -> None:
    world = started()
    order = ordered(world)
    world.signed(order)
    world.absent(order)
    world.own_fill(order, "50")
    (booked,) = world.of(journal.FillBooked)
    assert booked.late
    assert booked.intent == order.intent
    assert alarms(world) == ["late_fill"]
    assert world.held() == micro("50")


def test_an_order_called_refused_and_accepted_after_all_is_reserved_for(started) -> None:
    """A second executor's answer, or a look-up, knows better than the first refusal."""
    world = started()
    order = ordered(world)
    world.signed(order)
    world.answered(order, "refused", reason="no", http_status=400)
    world.answered(order, shares="50", usd="20", proof="lookup")
    assert alarms(world) == ["refused_order_was_accepted"]
    assert world.account().in_flight_micro(UP) == micro("50")
    world.own_fill(order, "50")
    assert (world.held(), world.account().in_flight_micro(UP)) == (micro("50"), 0)


def test_an_order_that_comes_back_from_absence_is_reserved_for_beside_a_newer_one(started) -> None:
    """Two orders of one token at once are a misfortune; forgetting either would be a second."""
    world = started()
    order = ordered(world)
    world.signed(order)
    world.absent(order)
    world.wait(3_000)
    second = world.requests()[1]
    world.signed(second, "0xo2")
    world.answered(order, shares="50", usd="20", proof="lookup")
    assert "absent_order_was_accepted" in alarms(world)
    account = world.account()
    assert account.in_flight_micro(UP) == micro("100")
    assert account.reserved_micro() == 2 * micro("21.4")
    world.own_fill(order, "50")
    assert account.in_flight_micro(UP) == micro("50")
    assert len(world.requests()) == 2
    world.answered(second, "refused", order="0xo2", reason="killed", http_status=400)
    assert (account.in_flight_micro(UP), account.reserved_micro()) == (0, 0)
    assert not account.working
    assert world.held() == micro("50")


def test_the_newer_order_may_end_before_the_one_that_came_back(started) -> None:
    world = started()
    order = ordered(world)
    world.signed(order)
    world.absent(order)
    world.wait(3_000)
    second = world.requests()[1]
    world.answered(order, status="live")
    world.expired(second)
    world.wait(10_000)
    assert reserved(world)[:2] == ("accepted", micro("50"))
    assert len(world.requests()) == 2
    world.answered(order, shares="50", usd="20", proof="lookup")
    world.own_fill(order, "50")
    assert not world.account().working


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_halt_the_account_until_a_new_policy(started, status: int) -> None:
    world = started()
    order = ordered(world)
    world.signed(order)
    world.answered(order, "refused", reason="Unauthorized", http_status=status)
    world.wait(60_000)
    assert world.hold() == "account_halted"
    assert len(world.requests()) == 1
    world.policy()
    world.wait(2_000)
    assert len(world.requests()) == 2


def test_the_first_signature_counts_and_a_second_one_says_nothing(started) -> None:
    world = started()
    order = ordered(world)
    world.signed(order, "0xo1")
    world.signed(order, "0xo2")
    assert world.account().orders[order.intent].order == "0xo1"
    assert len(world.of(journal.OrderProgress)) == 1


@pytest.mark.parametrize("record", ["answered", "absent"])
def test_what_is_said_of_a_void_signature_is_raised_and_ends_nothing(started, record: str) -> None:
    world = started()
    order = ordered(world)
    world.signed(order, "0xo1")
    world.signed(order, "0xo2")
    if record == "answered":
        world.answered(order, "refused", order="0xo2", http_status=400)
    else:
        world.absent(order, "0xo2")
    assert alarms(world) == ["answer_to_another_order"]
    assert reserved(world)[0] == "signed"


@pytest.mark.parametrize(
    ("why", "steps", "name"),
    [
        ("accepted before it was signed", ["accept"], "illegal_step:requested:accepted"),
        (
            "absent after it was accepted",
            ["sign", "accept", "absent"],
            "illegal_step:accepted:absent",
        ),
        (
            "refused after it was accepted",
            ["sign", "accept", "refuse"],
            "illegal_step:accepted:refused",
        ),
        ("accepted after it expired", ["expire", "accept"], "expired_order_was_accepted"),
    ],
)
def test_a_contradiction_is_raised_and_not_obeyed(
    started, why: str, steps: list[str], name: str
) -> None:
    world = started()
    order = ordered(world)
    take = {
        "sign": lambda: world.signed(order),
        "accept": lambda: world.answered(order, shares="50", usd="20"),
        "refuse": lambda: world.answered(order, "refused", reason="no", http_status=400),
        "absent": lambda: world.absent(order),
        "expire": lambda: world.expired(order),
    }
    for step in steps[:-1]:
        take[step]()
    before = world.account().orders[order.intent].state
    count = len(world.of(journal.OrderProgress))
    take[steps[-1]]()
    assert alarms(world) == [name], why
    assert world.account().orders[order.intent].state == before
    assert len(world.of(journal.OrderProgress)) == count


def test_repeats_of_an_end_change_nothing(started) -> None:
    world = started()
    order = ordered(world)
    world.signed(order)
    for _ in range(3):
        world.answered(order, shares="50", usd="20")
        world.own_fill(order, "50")
    assert [state for state, _ in progress(world)] == ["signed", "accepted", "filled"]
    assert not alarms(world)


def test_an_answer_to_an_intent_nobody_knows_is_raised(started) -> None:
    world = started()
    order = ordered(world)
    other = type(order)(
        **{**{f: getattr(order, f) for f in order.__struct_fields__}, "intent": "main:1:9"}
    )
    world.answered(other, shares="50", usd="20")
    assert alarms(world) == ["unknown_intent"]


def test_an_order_rested_by_somebody_else_holds_its_token(started) -> None:
    world = started()
    foreign = own.OpenOrder(
        order="0xhand",
        token=UP,
        side="BUY",
        price_micro=micro("0.30"),
        shares_micro=micro("10"),
        matched_micro=micro("4"),
    )
    world.open_orders(foreign)
    world.fills("500")
    world.wait(2_000)
    (held,) = world.of(journal.OrderHeld)
    assert (held.reason, held.numbers) == ("foreign_order", {"shares_micro": micro("6")})
    world.open_orders(complete=False)
    world.wait(1_000)
    assert world.hold() == "foreign_order"
    world.open_orders()
    world.wait(1_000)
    assert len(world.requests()) == 1


def test_an_order_of_ours_that_rests_is_not_foreign(started) -> None:
    world = started()
    order = ordered(world)
    world.signed(order)
    resting = own.OpenOrder(
        order="0xo1",
        token=UP,
        side="BUY",
        price_micro=order.limit_micro,
        shares_micro=micro("50"),
        matched_micro=0,
    )
    world.open_orders(resting)
    assert not world.account().foreign


def test_there_is_never_a_second_order_for_a_token_that_works_one(started) -> None:
    world = started()
    order = ordered(world)
    world.signed(order)
    for n in range(5):
        world.fills("300", tx=f"0x{n}")
        world.wait(2_000)
        world.depth([("0.39", "1000")], [("0.40", "1000")])
    assert len(world.requests()) == 1
    world.answered(order, shares="50", usd="20")
    world.own_fill(order, "50")
    assert [r.shares_micro for r in world.requests()] == [micro("50"), micro("150")]


def test_many_ended_orders_are_forgotten_and_working_ones_never(started) -> None:
    """A new order drops the oldest ended ones, and with them the way from their hashes."""
    world = started(leaders=(LeaderPolicy(wallet=LEADER, pairs="copy"),))
    order = ordered(world)
    world.signed(order)
    account = world.account()
    for n in range(2_100):
        old = copy.copy(account.orders[order.intent])
        old.intent, old.order, old.state = f"main:x:{n}", f"0xold{n}", "expired"
        account.orders[old.intent] = old
        account.intent_of[old.order] = old.intent
    world.fills("500", "0.60", token=DOWN, tx="0xt2")
    world.wait(2_000)
    assert len(world.requests()) == 2
    assert len(account.orders) == 2_002
    assert {order.intent, world.requests()[1].intent, "main:x:2099"} <= set(account.orders)
    assert "main:x:0" not in account.orders
    assert "0xold0" not in account.intent_of
    assert "0xold2099" in account.intent_of


@pytest.mark.parametrize("end", ["absent", "refused"])
def test_an_order_of_ours_that_rests_though_it_was_ended_holds_its_token(started, end: str) -> None:
    """It may still fill, so a second one beside it could buy twice."""
    world = started()
    order = ordered(world)
    world.signed(order)
    if end == "absent":
        world.answered(order, "unknown", http_status=None, status="transport")
        world.absent(order)
    else:
        world.answered(order, "refused", http_status=400)
    world.open_orders(resting("0xo1"))
    world.wait(10_000)
    assert world.hold() == "foreign_order"
    assert world.requests() == [order]
    world.open_orders()
    world.wait(1_000)
    assert len(world.requests()) == 2


def test_a_filled_order_in_a_report_that_was_asked_before_holds_nothing(started) -> None:
    world = started()
    world.trade(ordered(world))
    world.open_orders(resting(f"0xo{world.requests()[0].intent}"))
    assert world.account().foreign == {}


def resting(order: str) -> own.OpenOrder:
    return own.OpenOrder(
        order=order, token=UP, side="BUY", price_micro=420_000, shares_micro=micro("47"),
        matched_micro=0,
    )  # fmt: skip
