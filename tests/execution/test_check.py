"""What the client signed is compared with what was asked, field by field, before it can leave."""

from typing import Any

import pytest
from eth_account import Account as EthAccount
from hypothesis import given
from hypothesis import strategies as st

from connectors.execution.check import wrong_order, wrong_precision, wrong_request
from connectors.execution.order_hash import contents_hash, digest, domain_separator, exchange_of
from connectors.execution.signature import wrong_signature

KEY = "0x" + "22" * 32
SIGNER = EthAccount.from_key(KEY).address


def payload(make: Any, **given: Any) -> dict[str, Any]:
    """A good order for the default request, signed."""
    order = {
        "salt": 1, "maker": SIGNER, "signer": SIGNER, "tokenId": make.token,
        "makerAmount": "5000000", "takerAmount": "10000000", "side": "BUY", "signatureType": 0,
        "timestamp": "1", "metadata": "0x" + "00" * 32, "builder": "0x" + "00" * 32,
        "expiration": "0", "orderType": "FAK", **given,
    }  # fmt: skip
    signed = EthAccount.unsafe_sign_hash(digest(order, neg_risk=False), KEY)
    return {**order, "signature": "0x" + signed.signature.hex()}


def test_exactly_what_was_asked_passes_every_check(make: Any) -> None:
    good = payload(make)
    assert wrong_request(make.request()) == ""
    assert wrong_order(make.request(), good, SIGNER.lower()) == ""
    assert wrong_precision(make.request(), good) == ""
    assert wrong_signature(good, neg_risk=False, signer=SIGNER) == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"side": "SELL"}, "side SELL"),
        ({"tokenId": "1"}, "token 1"),
        ({"orderType": "GTC"}, "order type GTC"),
        ({"maker": "0x" + "1" * 40}, "maker"),
        ({"makerAmount": "0"}, "one is nothing"),
        ({"takerAmount": "0"}, "one is nothing"),
        ({"makerAmount": "5010000"}, "spends 5010000"),
        ({"makerAmount": "4999999"}, "spends 4999999"),
        ({"takerAmount": "9990000"}, "above the limit"),
    ],
)
def test_any_other_order_is_named_and_goes_nowhere(
    changed: dict[str, Any], said: str, make: Any
) -> None:
    assert said in wrong_order(make.request(), payload(make, **changed), SIGNER)


@pytest.mark.parametrize(
    ("maker", "taker", "said"),
    [
        ("10000000", "4300000", ""),
        ("10000000", "4299999", "below the limit"),
        ("10010000", "4304300", "sells 10010000"),
        ("9999999", "4300000", "sells 9999999"),
    ],
)
def test_a_sell_gives_no_more_shares_and_takes_no_less_than_the_limit(
    maker: str, taker: str, said: str, make: Any
) -> None:
    request = make.request(side="SELL", limit_micro=430_000)
    order = payload(make, side="SELL", makerAmount=maker, takerAmount=taker)
    found = wrong_order(request, order, SIGNER)
    assert said in found
    assert bool(said) == bool(found)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_a_buy_that_passes_matches_no_ask_above_its_limit_on_the_finest_grid(
    make_now: Any, maker_cents: int, taker: int
) -> None:
    request = make_now.request(budget_micro=maker_cents * 10_000)
    order = {
        "side": "BUY", "tokenId": make_now.token, "orderType": "FAK", "maker": SIGNER,
        "makerAmount": str(maker_cents * 10_000), "takerAmount": str(taker),
    }  # fmt: skip
    if wrong_order(request, order, SIGNER) == "":
        for dearer in (request.limit_micro + 100, request.limit_micro + 10_000):
            assert maker_cents * 10_000 * 1_000_000 < dearer * taker


def test_an_amount_finer_than_the_tick_allows_is_named(make: Any) -> None:
    assert "multiple" in wrong_precision(make.request(), payload(make, takerAmount="10000010"))
    fine = make.request(tick_micro=1_000)
    assert wrong_precision(fine, payload(make, takerAmount="10000010")) == ""


def test_a_signature_for_another_exchange_or_of_another_key_is_named(make: Any) -> None:
    good = payload(make)
    assert "exchange" in wrong_signature(good, neg_risk=True, signer=SIGNER)
    assert "key" in wrong_signature(good, neg_risk=False, signer="0x" + "1" * 40)
    assert wrong_signature({**good, "takerAmount": "1"}, neg_risk=False, signer=SIGNER) != ""


def test_a_contract_wallets_signature_must_bind_this_order_and_exchange(make: Any) -> None:
    order = payload(make, signatureType=3)
    contract, version = exchange_of(make.token, neg_risk=False)
    bound = (domain_separator(contract, version) + contents_hash(order)).hex()
    wrapped = {**order, "signature": "0x" + "ab" * 65 + bound + "00"}
    assert wrong_signature(wrapped, neg_risk=False, signer=SIGNER) == ""
    assert wrong_signature(wrapped, neg_risk=True, signer=SIGNER) != ""
    assert wrong_signature({**wrapped, "salt": 2}, neg_risk=False, signer=SIGNER) != ""
