"""The ledger is a fold of the tape: the first signature counts, steps are those of the table."""

from typing import Any

from connectors.execution.ledger import Ledger, cause_of
from schemas.records.base import Intent, Record
from schemas.records.own import OrderAbsent, OrderExpired

INTENT = Intent("main:7:0")


def folded(*records: Record) -> Ledger:
    ledger = Ledger()
    for offset, record in enumerate(records):
        ledger.fold(offset, record)
    return ledger


def expired() -> OrderExpired:
    return OrderExpired(account="main", intent=INTENT, now_ms=2, valid_until_ms=1)


def test_the_first_signature_of_an_intent_counts_whoever_wrote_it(make: Any) -> None:
    ledger = folded(make.signed(order="0xaa"), make.signed(order="0xbb", executor="second"))
    life = ledger.life(INTENT)
    assert life.signed is not None
    assert (life.signed.order, life.signed_at, life.state) == ("0xaa", 0, "signed")


def test_an_answer_about_a_void_order_changes_nothing_and_is_counted(make: Any) -> None:
    ledger = folded(make.signed(order="0xaa"), make.answered("refused", order="0xbb"))
    assert ledger.life(INTENT).state == "signed"
    assert ledger.void == 1


def test_an_expiry_that_lost_the_race_against_a_signature_is_void(make: Any) -> None:
    assert folded(make.signed(), expired()).life(INTENT).state == "signed"
    assert folded(expired(), make.signed()).life(INTENT).state == "expired"


def test_final_amounts_end_execution_and_fills_end_the_order(make: Any) -> None:
    ledger = folded(make.signed(), make.answered("accepted", status="live"))
    assert not ledger.life(INTENT).done
    ledger.fold(2, make.answered("accepted", status="matched", shares_micro=10, usd_micro=5))
    assert ledger.life(INTENT).done
    assert ledger.life(INTENT).state == "accepted"
    ledger.fold(3, make.fill(trade="a", shares_micro=4))
    ledger.fold(4, make.fill(trade="a", shares_micro=4, status="CONFIRMED"))
    assert ledger.life(INTENT).state == "accepted"
    ledger.fold(5, make.fill(trade="b", shares_micro=6))
    assert ledger.life(INTENT).state == "filled"


def test_fills_before_the_answer_end_the_order_when_the_answer_comes(make: Any) -> None:
    ledger = folded(
        make.signed(),
        make.fill(shares_micro=10),
        make.answered("accepted", status="matched", shares_micro=10, usd_micro=5),
    )
    assert ledger.life(INTENT).state == "filled"


def test_a_fill_of_an_order_that_is_not_ours_is_nobodys(make: Any) -> None:
    assert folded(make.signed()).fold(9, make.fill(order="0xzz")) is None


def test_a_local_refusal_ends_an_intent_before_any_signature_and_never_after(make: Any) -> None:
    local = make.answered("refused", order="", proof="local")
    assert folded(local).life(INTENT).state == "refused"
    assert folded(make.signed(), local).life(INTENT).state == "signed"
    assert folded(make.answered("refused", proof="post")).life(INTENT).state == "requested"


def test_duplicated_and_refused_again_are_remembered_across_restarts(make: Any) -> None:
    for status in ("duplicated", "refused_again"):
        ledger = folded(make.signed(), make.answered("unknown", status=status))
        assert ledger.life(INTENT).barred == status


def test_the_moment_of_the_last_post_comes_from_answers_to_posts_only(make: Any) -> None:
    ledger = folded(
        make.signed(),
        make.answered("unknown", sent_ns=5_000_000),
        make.answered("accepted", status="live", proof="lookup", sent_ns=9_000_000),
    )
    assert ledger.life(INTENT).last_sent_ms == 5


def test_a_refusal_after_an_acceptance_is_no_step_and_is_counted(make: Any) -> None:
    ledger = folded(
        make.signed(), make.answered("accepted", status="live"), make.answered("refused")
    )
    assert ledger.life(INTENT).state == "accepted"
    assert ledger.void == 1


def test_an_order_the_venue_knows_after_all_is_accepted_again(make: Any) -> None:
    absent = OrderAbsent(
        account="main", intent=INTENT, order="0xaa", lookups=9, last_post_ms=1,
        first_lookup_ms=2, last_lookup_ms=3,
    )  # fmt: skip
    ledger = folded(make.signed(), absent)
    assert ledger.life(INTENT).done
    ledger.fold(2, make.answered("accepted", status="matched", shares_micro=1, usd_micro=1))
    assert ledger.life(INTENT).state == "accepted"


def test_what_ended_before_the_oldest_open_cause_is_forgotten(make: Any) -> None:
    ledger = folded(expired(), make.signed(intent=Intent("main:9:0"), order="0xbb"))
    ledger.forget_before(8)
    assert set(ledger.lives) == {"main:9:0"}
    ledger.forget_before(10)
    assert set(ledger.lives) == {"main:9:0"}
    assert cause_of(Intent("my:odd:account:12:3")) == 12
