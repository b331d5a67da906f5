"""The locally computed order hash is the venue's order id, whichever exchange it is for.

The oracle is py-clob-client-v2's own function; the exchange for a token is written out again here.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_clob_client_v2.config import get_contract_config
from py_clob_client_v2.order_utils.exchange_order_builder_v2 import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderV2
from py_clob_client_v2.order_utils.model.side import Side
from py_clob_client_v2.order_utils.model.signature_type_v2 import SignatureTypeV2
from py_clob_client_v2.signer import Signer

from connectors.execution.order_hash import (
    EXCHANGE,
    EXCHANGE_V3,
    NEG_RISK_EXCHANGE,
    digest,
    exchange_of,
    is_v2_position,
    order_hash,
)

SIGNER = Signer("0x" + "11" * 32, 137)
V1_TOKEN = "107505882767731489358349912513945399560393482969656700824895970500493757150417"
V2_TOKEN = str((1 << 248) | (0xABCDEF << 120) | (7 << 8) | 1)

addresses = st.integers(1, 2**160 - 1).map(lambda n: f"0x{n:040x}")
bytes32 = st.integers(0, 2**256 - 1).map(lambda n: f"0x{n:064x}")
amounts = st.integers(1, 10**15).map(str)
orders = st.fixed_dictionaries(
    {
        "salt": st.integers(0, 2**53 - 1),
        "maker": addresses,
        "signer": addresses,
        "tokenId": st.integers(1, 2**256 - 1).map(str),
        "makerAmount": amounts,
        "takerAmount": amounts,
        "side": st.sampled_from(["BUY", "SELL"]),
        "signatureType": st.sampled_from([0, 1, 2, 3]),
        "timestamp": st.integers(0, 2**41).map(str),
        "metadata": bytes32,
        "builder": bytes32,
    }
)


def oracle_hash(order: dict[str, Any], contract: str, version: str) -> str:
    """The hash as the venue's archived client computes it."""
    builder = ExchangeOrderBuilderV2(contract, 137, SIGNER, domain_version=version)
    theirs = OrderV2(
        **{
            **order,
            "salt": str(order["salt"]),
            "side": Side.BUY if order["side"] == "BUY" else Side.SELL,
            "signatureType": SignatureTypeV2(order["signatureType"]),
        }
    )
    return str(builder.build_order_hash(builder.build_order_typed_data(theirs)))


@settings(max_examples=60, deadline=None)
@given(orders, st.booleans())
def test_the_hash_equals_the_archived_clients_for_every_exchange(
    order: dict[str, Any], neg_risk: bool
) -> None:
    contract, version = exchange_of(order["tokenId"], neg_risk=neg_risk)
    assert order_hash(order, neg_risk=neg_risk) == oracle_hash(order, contract, version)
    assert digest(order, neg_risk=neg_risk).hex() == order_hash(order, neg_risk=neg_risk)[2:]


def test_the_exchange_addresses_are_those_of_the_archived_client() -> None:
    config = get_contract_config(137)
    known = {str(value).lower() for value in vars(config).values()}
    assert {EXCHANGE.lower(), NEG_RISK_EXCHANGE.lower()} <= known


@pytest.mark.parametrize(
    ("token", "neg_risk", "exchange"),
    [
        (V1_TOKEN, False, ("0xE111180000d2663C0091e4f400237545B87B996B", "2")),
        (V1_TOKEN, True, ("0xe2222d279d744050d28e00520010520000310F59", "2")),
        (V2_TOKEN, False, ("0xe3333700cA9d93003F00f0F71f8515005F6c00Aa", "3")),
        (V2_TOKEN, True, ("0xe3333700cA9d93003F00f0F71f8515005F6c00Aa", "3")),
    ],
)
def test_the_exchange_follows_from_the_token_first_and_neg_risk_second(
    token: str, neg_risk: bool, exchange: tuple[str, str]
) -> None:
    assert exchange_of(token, neg_risk=neg_risk) == exchange


@given(st.integers(0, 2**256 - 1))
def test_a_token_is_a_v2_position_exactly_when_bits_40_to_103_are_zero(token: int) -> None:
    bits = f"{token:0256b}"[::-1]
    assert is_v2_position(str(token)) == ("1" not in bits[40:104])
    assert EXCHANGE_V3 in exchange_of(V2_TOKEN, neg_risk=False)
