"""The official client behind its one door: what it signs, what it sends, how answers come back."""

import dataclasses
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polymarket._internal import environment as private

from connectors.execution import client_open
from connectors.execution.backend import NotThere, Refusal, Seen, Signed, Unclear, Unready
from connectors.execution.client_open import address_of, environment_for, open_client
from connectors.execution.live import LiveBackend
from connectors.execution.opening import ClientMismatch, ClientRefused
from connectors.execution.order_hash import digest
from connectors.execution.signed_form import order_of, payload_of
from schemas.records.base import Token
from schemas.units import MICRO

FAK_KILLED = (
    "no orders found to match with FAK order. "
    "FAK orders are partially filled or killed if no match is found."
)


async def test_a_buy_is_signed_for_its_budget_and_limit_and_recovers_to_the_signer(
    live: LiveBackend, make: Any, secrets: Any, sign: Any
) -> None:
    built = await sign(live, make.request())
    assert (built.maker_micro, built.taker_micro) == (5_000_000, 10_000_000)
    hashed = digest(built.payload, neg_risk=False)
    assert built.order == "0x" + hashed.hex()
    signature = built.payload["signature"]
    assert EthAccount._recover_hash(hashed, signature=signature) == secrets.wallet


async def test_a_sell_is_signed_for_its_shares_and_limit(
    live: LiveBackend, make: Any, sign: Any
) -> None:
    built = await sign(live, make.request(side="SELL", shares_micro=7_129_000, limit_micro=430_000))
    assert (built.maker_micro, built.taker_micro) == (7_120_000, 3_061_600)


async def test_neg_risk_orders_are_signed_for_the_neg_risk_exchange(
    live: LiveBackend, make: Any, http_venue: Any, sign: Any, on_tape: Any
) -> None:
    http_venue.neg_risk = True
    built = await sign(live, make.request(neg_risk=True))
    await live.post(on_tape(built))
    assert http_venue.posted == [built.order]


async def test_a_market_that_is_neg_risk_only_by_our_own_record_is_not_traded(
    live: LiveBackend, make: Any, http_venue: Any
) -> None:
    refused = await live.sign(make.request(neg_risk=True))
    assert isinstance(refused, Refusal)
    assert "exchange" in refused.reason
    assert http_venue.posted == []


async def test_the_venue_gets_exactly_the_bytes_of_the_tape_and_the_key_only_in_the_envelope(
    live: LiveBackend, make: Any, http_venue: Any, secrets: Any, sign: Any, on_tape: Any
) -> None:
    built = await sign(live, make.request())
    verdict = await live.post(on_tape(built))
    (body,) = http_venue.bodies
    assert body["owner"] == secrets.api_key
    assert body["orderType"] == "FAK"
    assert {**body["order"], "orderType": "FAK"} == built.payload
    assert secrets.leaked(repr(built.payload)) == []
    assert (verdict.outcome, verdict.shares_micro, verdict.usd_micro, verdict.trades) == (
        "accepted",
        10_000_000,
        5_000_000,
        ("trade-0",),
    )


async def test_a_payload_survives_the_tape_and_back(
    live: LiveBackend, make: Any, sign: Any
) -> None:
    built = await sign(live, make.request())
    assert payload_of(order_of(built.payload)) == built.payload


async def test_posting_twice_sends_the_same_bytes_and_the_venue_says_duplicated(
    live: LiveBackend, make: Any, http_venue: Any, sign: Any, on_tape: Any
) -> None:
    signed = on_tape(await sign(live, make.request()))
    await live.post(signed)
    again = await live.post(signed)
    assert (again.outcome, again.status) == ("unknown", "duplicated")
    assert http_venue.bodies[0] == http_venue.bodies[1]
    assert len(http_venue.orders) == 1


async def test_after_a_tick_change_the_amounts_follow_the_requests_tick(
    live: LiveBackend, make: Any, http_venue: Any, sign: Any
) -> None:
    """Fine to coarse: a client whose cache is stale signs five decimals (API reference 6.4)."""
    http_venue.tick = 0.001
    fine = await sign(live, make.request(tick_micro=1_000, limit_micro=333_000))
    assert fine.taker_micro % 100 != 0
    http_venue.tick = 0.01
    coarse = await sign(live, make.request(tick_micro=10_000, limit_micro=330_000))
    assert coarse.taker_micro % 100 == 0


async def test_a_stale_cache_of_the_same_tick_is_thrown_away_once(
    live: LiveBackend, make: Any, http_venue: Any
) -> None:
    http_venue.tick = 0.001
    first = await live.sign(make.request(limit_micro=330_000))
    assert isinstance(first, Refusal)
    assert "multiple" in first.reason
    http_venue.tick = 0.01
    assert isinstance(await live.sign(make.request(limit_micro=330_000)), Signed)


async def test_a_market_that_was_asked_for_ahead_is_not_asked_for_by_the_order(
    live: LiveBackend, make: Any, http_venue: Any
) -> None:
    await live.know(make.request().token)
    asked = list(http_venue.asked)
    assert isinstance(await live.sign(make.request()), Signed)
    assert asked == ["markets-by-token", "clob-markets"] == http_venue.asked


async def test_asking_ahead_takes_the_venues_newest_tick(
    live: LiveBackend, make: Any, http_venue: Any, sign: Any
) -> None:
    http_venue.tick = 0.001
    await live.know(make.request().token)
    http_venue.tick = 0.01
    await live.know(make.request().token)
    built = await sign(live, make.request(tick_micro=10_000, limit_micro=330_000))
    assert built.taker_micro % 100 == 0
    assert http_venue.asked == ["markets-by-token", "clob-markets", "clob-markets"]


async def test_a_market_that_could_not_be_learnt_ahead_is_asked_for_by_the_order(
    live: LiveBackend, make: Any, http_venue: Any
) -> None:
    await live.know(Token("4040"))
    assert isinstance(await live.sign(make.request()), Signed)


@pytest.mark.parametrize(
    "given",
    [
        {"limit_micro": 495_000},
        {"limit_micro": 1_000_000},
        {"limit_micro": 0},
        {"tick_micro": 7},
        {"budget_micro": 9_999},
        {"side": "SELL", "shares_micro": 9_999},
    ],
)
async def test_a_request_that_is_no_order_is_refused_before_the_venue_is_asked(
    given: dict[str, Any], live: LiveBackend, make: Any, http_venue: Any
) -> None:
    assert isinstance(await live.sign(make.request(**given)), Refusal)
    assert http_venue.asked == []


async def test_a_venue_that_does_not_know_the_market_yet_is_no_refusal(
    live: LiveBackend, make: Any
) -> None:
    assert isinstance(await live.sign(make.request(token="123456")), Unready)


async def test_a_lost_order_is_found_by_its_hash_with_amounts_from_its_trades(
    live: LiveBackend, make: Any, http_venue: Any, sign: Any, on_tape: Any
) -> None:
    signed = on_tape(await sign(live, make.request()))
    assert await live.look_up(signed, make.request()) == NotThere()
    http_venue.script = ["lose"]
    assert (await live.post(signed)).outcome == "unknown"
    seen = await live.look_up(signed, make.request())
    assert seen == Seen(
        status="matched", shares_micro=10_000_000, usd_micro=5_000_000, trades=("trade-0",)
    )
    assert f"trades after={make.t0_ms // 1000 - 60}" in http_venue.asked


async def test_an_empty_order_answer_falls_through_to_the_list_and_the_trades(
    live: LiveBackend, make: Any, http_venue: Any, sign: Any, on_tape: Any
) -> None:
    """Complaint 9: get_order is empty for a filled order."""
    signed = on_tape(await sign(live, make.request()))
    http_venue.order_answers = [(200, None)]
    assert await live.look_up(signed, make.request()) == NotThere()
    assert "orders" in http_venue.asked
    await live.post(signed)
    http_venue.orders.clear()
    http_venue.order_answers = [(200, None)]
    seen = await live.look_up(signed, make.request())
    assert isinstance(seen, Seen)
    assert seen.shares_micro == 10_000_000


async def test_a_cancel_names_the_order_and_whatever_comes_back_is_only_told(
    live: LiveBackend, make: Any, http_venue: Any, on_tape: Any, sign: Any
) -> None:
    signed = on_tape(await sign(live, make.request()))
    assert await live.cancel(signed) == "canceled"
    assert http_venue.asked[-1] == f"cancel {signed.order}"
    gone = "order not found or already canceled"
    http_venue.cancel_answers = [
        (200, {"canceled": [], "not_canceled": {signed.order: gone}}),
        (503, {"error": "Trading is currently disabled"}),
        (200, {"strange": True}),
    ]
    assert await live.cancel(signed) == gone
    assert "RejectedError" in await live.cancel(signed)
    assert "UnexpectedResponseError" in await live.cancel(signed)


async def test_a_look_up_the_venue_does_not_answer_proves_nothing(
    live: LiveBackend, make: Any, http_venue: Any, sign: Any, on_tape: Any
) -> None:
    signed = on_tape(await sign(live, make.request()))
    http_venue.order_answers = [(500, {"error": "x"})]
    assert isinstance(await live.look_up(signed, make.request()), Unclear)


@pytest.mark.parametrize("status", [400, 500])
async def test_a_venue_that_echoes_our_credentials_puts_none_of_them_on_the_tape(
    status: int,
    live: LiveBackend,
    make: Any,
    http_venue: Any,
    sign: Any,
    on_tape: Any,
    secrets: Any,
) -> None:
    """The key is in the envelope that the venue gets; its error text goes to tape and log."""
    ours = secrets.credentials
    echo = f"owner {ours.api_key} {ours.secret} {ours.passphrase} may not trade"
    http_venue.script = [(status, {"error": echo})]
    verdict = await live.post(on_tape(await sign(live, make.request())))
    assert "may not trade" in verdict.reason
    for secret in (ours.api_key, ours.secret, ours.passphrase):
        assert secret not in repr(verdict)
    http_venue.cancel_answers = [(status, {"error": echo})]
    assert ours.api_key not in await live.cancel(on_tape(await sign(live, make.request())))


async def test_a_matched_size_of_too_many_digits_is_no_nothing(
    live: LiveBackend, make: Any, http_venue: Any, sign: Any, on_tape: Any
) -> None:
    """Cancelled with nothing matched is a proof of nothing bought; this order did match."""
    signed = on_tape(await sign(live, make.request()))
    row = http_venue.order_row(signed.order, "BUY", 9_800_000, status="CANCELED")
    http_venue.orders[signed.order] = {**row, "size_matched": "9.8000001"}
    found = await live.look_up(signed, make.request())
    assert isinstance(found, Unclear)
    assert "9.8000001" in found.reason


async def test_makers_on_the_other_outcome_cost_one_minus_their_price(
    live: LiveBackend, make: Any, http_venue: Any, sign: Any, on_tape: Any
) -> None:
    signed = on_tape(await sign(live, make.request()))
    leg = {"order_id": "0xee", "maker_address": "m", "owner": "o", "side": "BUY", "outcome": "x"}
    row = http_venue.trade_row("t", signed.order, "BUY", 10 * MICRO, 4_900_000)
    row["maker_orders"] = [
        {**leg, "asset_id": "77", "price": "0.52", "matched_amount": "6"},
        {**leg, "asset_id": make.token, "price": "0.5", "matched_amount": "4"},
    ]
    http_venue.trades = [row]
    http_venue.orders[signed.order] = http_venue.order_row(signed.order, "BUY", 10 * MICRO, "t")
    seen = await live.look_up(signed, make.request())
    assert isinstance(seen, Seen)
    assert seen.usd_micro == 6 * 480_000 + 4 * 500_000


TICKS = {100_000: 10, 10_000: 100, 5_000: 200, 2_500: 400, 1_000: 1_000, 100: 10_000}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tick=st.sampled_from(sorted(TICKS)),
    share=st.floats(0.0001, 0.9999),
    cents=st.integers(100, 5_000_000),
    buy=st.booleans(),
)
async def test_whatever_is_signed_can_match_at_the_limit_and_never_beyond_it(
    live: LiveBackend, make: Any, http_venue: Any, tick: int, share: float, cents: int, buy: bool
) -> None:
    """Complaint 20: the signed price reaches an ask at the limit, and no dearer one on any grid."""
    steps = TICKS[tick]
    limit = max(1, min(steps - 1, round(share * steps))) * tick
    http_venue.tick = float(Decimal(tick) / MICRO)
    request = make.request(
        tick_micro=tick, limit_micro=limit, side="BUY" if buy else "SELL",
        budget_micro=cents * 10_000, shares_micro=cents * 10_000,
    )  # fmt: skip
    built = await live.sign(request)
    if isinstance(built, Refusal):
        assert "Cannot preserve" in built.reason or "zero" in built.reason
        return
    assert isinstance(built, Signed)
    maker, taker = built.maker_micro, built.taker_micro
    assert 0 < maker <= cents * 10_000
    if buy:
        assert limit * taker <= maker * MICRO < (limit + 100) * taker
    else:
        assert taker * MICRO >= limit * maker


def test_another_version_of_the_client_is_named(venue_at: Any) -> None:
    assert client_open.VERSION == "0.14.0"
    config = environment_for(venue_at("http://127.0.0.1:1"))
    assert private.get_environment_config(config).clob_url == "http://127.0.0.1:1"


def test_a_changed_shape_of_the_private_environment_is_named(venue_at: Any) -> None:
    @dataclasses.dataclass
    class Other:
        clob: str = ""

    venue = venue_at("http://127.0.0.1:1")
    with pytest.raises(ClientMismatch, match="clob_url"):
        client_open.environment_of(venue, installed="0.14.0", config=Other())
    with pytest.raises(ClientMismatch, match=r"0\.15\.0 is installed"):
        client_open.environment_of(venue, installed="0.15.0", config=private.PRODUCTION_CONFIG)


@pytest.mark.parametrize("key", ["", "0x12", "0x" + "zz" * 32, "0x" + "00" * 32, "0x" + "ab" * 33])
def test_a_bad_key_is_refused_without_a_word_of_it(key: str) -> None:
    with pytest.raises(ClientRefused) as refused:
        address_of(key)
    assert key == "" or key not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


async def test_wrong_credentials_or_no_venue_are_named_without_a_secret(
    venue_at: Any, secrets: Any, http_venue: Any
) -> None:
    other = client_open.ApiCredentials(api_key="other-key", secret="s", passphrase="p")
    with pytest.raises(ClientRefused) as refused:
        await open_client(venue_at(http_venue.url), secrets.key, secrets.wallet, other)
    assert "other-key" not in str(refused.value)
    with pytest.raises(ClientRefused, match="did not answer"):
        await open_client(
            venue_at("http://127.0.0.1:1"), secrets.key, secrets.wallet, secrets.credentials
        )
    assert repr(secrets.credentials) == "ApiCredentials()"


def test_only_its_three_modules_touch_the_client_and_none_places_orders_behind_our_back() -> None:
    folder = Path(client_open.__file__).parent
    importers = set()
    for path in folder.parent.parent.glob("*/**/*.py"):
        text = path.read_text()
        if ".venv" in path.parts or "tests" in path.parts or "sandbox" in path.parts:
            continue
        if re.search(r"^\s*(from|import) polymarket\b", text, re.MULTILINE):
            importers.add(path.name)
            assert not re.search(r"\.place_\w+\(", text), path
    assert importers == {"client.py", "client_open.py", "signed_form.py"}
