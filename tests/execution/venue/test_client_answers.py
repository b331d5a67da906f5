"""Every answer of the wire, through the real client, is judged as the table says."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

FAK_KILLED = (
    "no orders found to match with FAK order. "
    "FAK orders are partially filled or killed if no match is found."
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answering(serve: Any, backend: Any, secrets: Any, venue_at: Any) -> AsyncIterator[Any]:
    """The same, opened once (opening the client costs most of a test), with its venue."""
    async with serve() as venue, backend(venue_at(venue.url), secrets) as opened:
        yield opened, venue


def accepted(**given: Any) -> tuple[int, dict[str, Any]]:
    body = {
        "success": True, "errorMsg": "", "orderID": "0x1", "status": "matched",
        "makingAmount": "4.9", "takingAmount": "9.8", "tradeIDs": ["t"], "transactionsHashes": [],
    }  # fmt: skip
    return 200, {**body, **given}


ANSWERS: list[tuple[str, Any, str, str]] = [
    ("matched", accepted(), "accepted", "matched"),
    ("live", accepted(status="live", makingAmount="", takingAmount=""), "accepted", "live"),
    ("delayed", accepted(status="delayed", makingAmount="", takingAmount=""), "accepted",
     "delayed"),
    ("unmatched", accepted(status="unmatched", makingAmount="", takingAmount=""), "accepted",
     "unmatched"),
    ("unheard of status", accepted(status="halted"), "unknown", "unknown_status"),
    ("seven decimals", accepted(takingAmount="9.8000001"), "accepted", "matched"),
    ("success false", accepted(success=False, errorMsg="not enough balance / allowance",
     orderID=""), "refused", "not_enough_balance"),
    ("zero fill", (400, {"error": FAK_KILLED}), "refused", "http_400"),
    ("duplicated", (400, {"error": "order 0x1 is invalid. Duplicated."}), "unknown", "duplicated"),
    ("401", (401, {"error": "Unauthorized/Invalid api key"}), "refused", "http_401"),
    ("403", (403, {"error": "Trading restricted in your region"}), "refused", "http_403"),
    ("425", (425, {"error": "restarting"}, {"Retry-After": "5"}), "unknown", "http_425"),
    ("429 signer", (429, {"error": "slow"}, {"Poly-RateLimit-Remaining": "0"}), "refused",
     "http_429"),
    ("429 hop", (429, {"error": "slow"}), "unknown", "http_429"),
    ("503 post-only", (503, {"error": "x", "code": "post_only_mode"}), "refused", "http_503"),
    ("503 cancel-only", (503, {"error": "Trading is cancel-only"}), "refused", "http_503"),
    ("503 disabled", (503, {"error": "Trading is currently disabled"}), "unknown", "http_503"),
    ("500", (500, {"error": "order timed out"}), "unknown", "http_500"),
    ("502", (502, "<html>bad gateway</html>"), "unknown", "http_502"),
    ("not an object", (200, "surprise"), "unknown", "unreadable"),
    ("keys missing", (200, {"success": True, "orderID": "0x1", "status": "matched"}), "unknown",
     "unreadable"),
    ("connection broken", "lose", "unknown", "transport"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "outcome", "status"), [row[1:] for row in ANSWERS],
                         ids=[row[0] for row in ANSWERS])  # fmt: skip
@pytest.mark.asyncio(loop_scope="module")
async def test_each_answer_of_the_wire_is_judged_through_the_real_client(
    act: Any, outcome: str, status: str, answering: Any, make: Any, sign: Any, on_tape: Any
) -> None:
    live, venue = answering
    venue.script = [act]
    verdict = await live.post(on_tape(await sign(live, make.request())))
    assert (verdict.outcome, verdict.status) == (outcome, status)
    assert (verdict.shares_micro is not None) == (act == accepted())


async def test_no_answer_in_time_is_unknown(
    serve: Any, backend: Any, secrets: Any, venue_at: Any, make: Any, sign: Any, on_tape: Any
) -> None:
    async with serve() as venue, backend(venue_at(venue.url), secrets, 0.5) as live:
        venue.script = ["hang"]
        verdict = await live.post(on_tape(await sign(live, make.request())))
    assert (verdict.outcome, verdict.status) == ("unknown", "transport")
    assert verdict.shares_micro is None
