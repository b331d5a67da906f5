"""Cash: the newest balance less what it may not know of; what a sale fetched counts once."""

import pytest

from flows.core.cash import Cash
from schemas.records import journal
from schemas.records.own import BalanceReport
from tests.core.steps import holding
from tests.core.tape import micro
from tests.core.world import World


def asked_for_a_sale(world: World) -> journal.OrderRequested:
    """He sells half of it, and so do we: 25 shares at 0.39."""
    world.fills("250", side="SELL", tx="0xsold")
    world.wait(2_000)
    order = world.requests()[-1]
    assert order.side == "SELL"
    return order


def available(world: World) -> int:
    found = world.account().available_cash_micro()
    assert found is not None
    return found


def proceeds(world: World) -> int:
    """What the only sale fetched, its fee off."""
    (sold,) = [e for e in world.of(journal.FillBooked) if e.side == "SELL"]
    return sold.cash_micro - sold.fee_micro


def test_a_sale_after_the_balance_is_added_and_not_again_when_the_next_one_shows_it() -> None:
    world = holding()
    world.balance("100")
    world.trade(asked_for_a_sale(world))
    gained = proceeds(world)
    assert gained > micro("9")
    assert available(world) == micro("100") + gained
    world.append(_balance(world, world.asked("balance"), micro("100") + gained))
    assert available(world) == micro("100") + gained


@pytest.mark.parametrize("told", ["between question and answer", "after the answer"])
def test_a_sale_that_the_balance_may_show_is_not_added_to_it(told: str) -> None:
    """The venue filled it before it answered; its fill reaches us before or after the answer."""
    world = holding()
    world.balance("100")
    order = asked_for_a_sale(world)
    report = world.asked("balance")
    if told.startswith("between"):
        world.trade(order)
        world.balance("109.6", report=report)
    else:
        world.balance("109.6", report=report)
        world.trade(order)
    assert available(world) == micro("109.6")


def test_a_sale_by_hand_counts_when_a_balance_shows_it() -> None:
    world = holding()
    world.balance("100")
    order = world.requests()[0]
    world.own_fill(order, "10", side="SELL", trade="hand", order="0xhand", token="2001")
    assert available(world) == micro("100")
    world.balance("104")
    assert available(world) == micro("104")


def answered(cash: Cash, report: str, usd: str) -> None:
    cash.answer(BalanceReport(report=report, subject="main", usd_micro=micro(usd), answered_ms=1))


def _balance(world: World, report: str, usd_micro: int) -> BalanceReport:
    return BalanceReport(
        report=report, subject="main", usd_micro=usd_micro, answered_ms=world.now_ms
    )


def begun() -> Cash:
    cash = Cash()
    cash.ask("a")
    answered(cash, "a", "100")
    return cash


def test_what_was_bought_and_failed_is_given_back_only_if_it_was_taken_off() -> None:
    cash = begun()
    cash.book("T1", "BUY", micro("20"), micro("1"), 1)
    assert cash.left_micro == micro("79")
    cash.fail("T1", "BUY", micro("20"), micro("1"))
    assert cash.left_micro == micro("100")
    cash.book("T2", "BUY", micro("20"), 0, 1)
    cash.ask("b")
    answered(cash, "b", "80")
    cash.fail("T2", "BUY", micro("20"), 0)
    assert cash.left_micro == micro("80"), "the next balance has it, if it came back"


def test_what_a_failed_sale_fetched_is_taken_off_until_a_balance_asked_later() -> None:
    cash = begun()
    cash.book("T1", "SELL", micro("20"), micro("1"), 1)
    cash.fail("T1", "SELL", micro("20"), micro("1"))
    assert cash.left_micro == micro("100")
    cash.book("T2", "SELL", micro("20"), micro("1"), 1)
    cash.ask("b")
    answered(cash, "b", "119")
    cash.fail("T2", "SELL", micro("20"), micro("1"))
    assert cash.left_micro == micro("100")
    cash.ask("c")
    answered(cash, "c", "100")
    assert cash.left_micro == micro("100")


def test_an_answer_to_an_older_question_is_no_news() -> None:
    cash = begun()
    cash.ask("b")
    cash.ask("c")
    answered(cash, "c", "70")
    answered(cash, "b", "100")
    assert (cash.usd_micro, cash.asked) == (micro("70"), {})


@pytest.mark.parametrize(
    ("what", "reason"),
    [("stale", "balance_stale"), ("down", "balance_feed_down"), ("value", "balance_stale")],
)
def test_nothing_is_bought_on_an_old_balance_and_sales_go_on(what: str, reason: str) -> None:
    """Its feed is old, or down, or fresh while no answer of it reached the tape for an hour."""
    world = holding()

    def on(ms: int) -> None:
        state = "down" if what == "down" else "up"
        feeds = None if what == "value" else world.stale("own_balance", state=state)
        for _ in range(ms // 100):
            world.tick(100, feeds=feeds)

    world.reads_balance = what != "value"
    on(31_000)
    world.fills("500", tx="0xmore")
    on(2_000)
    assert world.hold() == reason
    numbers = world.of(journal.OrderHeld)[-1].numbers
    assert (numbers["value_age_ms"] > 30_000) == (what == "value")
    world.fills("1000", side="SELL", tx="0xall")
    on(2_000)
    assert world.requests()[-1].side == "SELL"
