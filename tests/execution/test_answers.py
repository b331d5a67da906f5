"""Every answer to POST /order is judged as the API reference's table 5.5 says, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.execution.answers import (
    BARRED,
    DUPLICATED,
    REFUSED_AGAIN,
    Reply,
    Verdict,
    believe,
    classify,
    must_stop,
)

FAK_KILLED = (
    "no orders found to match with FAK order. "
    "FAK orders are partially filled or killed if no match is found."
)
FOK_KILLED = "order couldn't be fully filled. FOK orders are fully filled or killed."
MATCHED = Reply(
    http_status=200, status="matched", shares_micro=9_800_000, usd_micro=4_900_000, trades=("t",)
)

ROWS = [
    ("matched", MATCHED, "accepted", "matched", ""),
    ("matched without amounts", Reply(http_status=200, status="matched"), "accepted", "matched",
     "amounts not stated yet"),
    ("live", Reply(http_status=200, status="live"), "accepted", "live", ""),
    ("delayed", Reply(http_status=200, status="delayed"), "accepted", "delayed", ""),
    ("unmatched", Reply(http_status=200, status="unmatched", text="x"), "accepted", "unmatched",
     ""),
    ("success false", Reply(http_status=200, text="not enough balance / allowance",
     code="not_enough_balance"), "refused", "not_enough_balance",
     "balance: not enough balance / allowance"),
    ("200 zero fill", Reply(http_status=200, text=FAK_KILLED, code="fak_not_filled"), "refused",
     "fak_not_filled", "killed"),
    ("unknown status text", Reply(http_status=200, code="unknown"), "unknown", "unknown_status",
     "alarm: status ''"),
    ("FAK zero fill", Reply(http_status=400, text=FAK_KILLED), "refused", "http_400", "killed"),
    ("FOK zero fill", Reply(http_status=400, text=FOK_KILLED), "refused", "http_400", "killed"),
    ("balance", Reply(http_status=400, text="the balance is not enough -> balance: 1"), "refused",
     "http_400", "balance: the balance is not enough -> balance: 1"),
    ("version", Reply(http_status=400, text="order_version_mismatch"), "refused", "http_400",
     "order_version: order_version_mismatch"),
    ("tick", Reply(http_status=400, text="0.005 breaks minimum tick size rule: 0.01"), "refused",
     "http_400", "tick: 0.005 breaks minimum tick size rule: 0.01"),
    ("unheard of 400", Reply(http_status=400, text="no such thing"), "refused", "http_400",
     "no such thing"),
    ("duplicated", Reply(http_status=400, text="order 0xab is invalid.  DUPLICATED."), "unknown",
     DUPLICATED, "an earlier POST of it was accepted"),
    ("duplicated in a 200", Reply(http_status=200, text="order 0xab is invalid. Duplicated."),
     "unknown", DUPLICATED, "an earlier POST of it was accepted"),
    ("401", Reply(http_status=401, text="Unauthorized"), "refused", "http_401", "Unauthorized"),
    ("403", Reply(http_status=403, text="Trading restricted in your region"), "refused",
     "http_403", "Trading restricted in your region"),
    ("404", Reply(http_status=404, text="No orderbook exists for the requested token id"),
     "refused", "http_404",
     "no_orderbook: No orderbook exists for the requested token id"),
    ("425", Reply(http_status=425, text="too early"), "unknown", "http_425", "too early"),
    ("429 of the signer", Reply(http_status=429, limited=True), "refused", "http_429",
     "rate_limited"),
    ("429 of anybody", Reply(http_status=429), "unknown", "http_429", ""),
    ("503 post-only", Reply(http_status=503, code="post_only_mode"), "refused", "http_503",
     "post_only_mode"),
    ("503 cancel-only", Reply(http_status=503, text="Trading is in cancel-only mode"), "refused",
     "http_503", "cancel_only"),
    ("503 other", Reply(http_status=503, text="Trading is currently disabled"), "unknown",
     "http_503", "Trading is currently disabled"),
    ("500", Reply(http_status=500, text="order timed out"), "unknown", "http_500",
     "order timed out"),
    ("502 html", Reply(http_status=502, text="<html>Bad gateway"), "unknown", "http_502",
     "<html>Bad gateway"),
    ("504", Reply(http_status=504), "unknown", "http_504", ""),
    ("bad JSON", Reply(http_status=200, readable=False, text="not json"), "unknown", "unreadable",
     "not json"),
    ("no answer", Reply(http_status=None, text="no answer in 10 s"), "unknown", "transport",
     "no answer in 10 s"),
    ("408", Reply(http_status=408), "unknown", "http_408", ""),
    ("redirect", Reply(http_status=302), "unknown", "http_302", ""),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "outcome", "status", "reason"), [r[1:] for r in ROWS],
                         ids=[r[0] for r in ROWS])  # fmt: skip
def test_each_row_of_the_table_has_its_verdict(
    reply: Reply, outcome: str, status: str, reason: str
) -> None:
    verdict = classify(reply)
    assert (verdict.outcome, verdict.status, verdict.reason) == (outcome, status, reason)
    assert verdict.http_status == reply.http_status


def test_only_a_match_with_both_amounts_states_final_amounts() -> None:
    verdict = classify(MATCHED)
    assert (verdict.shares_micro, verdict.usd_micro) == (9_800_000, 4_900_000)
    assert verdict.trades == ("t",)
    for reply in (row[1] for row in ROWS[1:]):
        assert classify(reply).shares_micro is None
        assert classify(reply).usd_micro is None


def test_only_401_and_403_forbid_all_further_trading() -> None:
    stops = {row[0] for row in ROWS if must_stop(classify(row[1]))}
    assert stops == {"401", "403"}


@given(
    st.builds(
        Reply,
        http_status=st.none() | st.integers(100, 599),
        status=st.sampled_from(["", "live", "matched", "delayed", "unmatched", "surprise"]),
        text=st.text(max_size=30),
        code=st.sampled_from(["", "unknown", "post_only_mode"]),
        readable=st.booleans(),
        limited=st.booleans(),
        shares_micro=st.none() | st.integers(0, 10**9),
        usd_micro=st.none() | st.integers(0, 10**9),
    )
)
def test_every_reply_has_a_verdict_and_no_server_error_is_ever_a_refusal(reply: Reply) -> None:
    verdict = classify(reply)
    server_error = reply.http_status is None or reply.http_status in (425, 500, 502, 504)
    if server_error or not reply.readable:
        assert verdict.outcome == "unknown"
    if verdict.outcome == "accepted":
        assert 200 <= (reply.http_status or 0) < 300


def test_a_refusal_of_a_repeated_post_is_not_believed() -> None:
    refused = Verdict(outcome="refused", status="http_400", reason="balance: not enough")
    assert believe(refused, only_post=True) == refused
    doubted = believe(refused, only_post=False)
    assert (doubted.outcome, doubted.status, doubted.reason) == (
        "unknown",
        REFUSED_AGAIN,
        refused.reason,
    )
    assert doubted.status in BARRED


@pytest.mark.parametrize("outcome", ["accepted", "unknown"])
def test_what_is_no_refusal_is_believed_however_often_it_was_posted(outcome: str) -> None:
    verdict = Verdict(outcome=outcome, status="x")  # type: ignore[arg-type]
    assert believe(verdict, only_post=False) == verdict
