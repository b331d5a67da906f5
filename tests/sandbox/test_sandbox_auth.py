"""Nobody gets in without a signature that holds, and order ids are the official clients' hashes."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from eth_account import Account
from polymarket import AsyncSecureClient
from polymarket._internal.hmac import build_hmac_signature
from polymarket._internal.l1_auth import sign_api_key_auth
from py_clob_client_v2.order_utils.exchange_order_builder_v2 import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderDataV2
from py_clob_client_v2.order_utils.model.side import Side
from py_clob_client_v2.signer import Signer

from infra.sandbox.auth import Auth, Credentials
from infra.sandbox.hashing import (
    CTF_EXCHANGE,
    NEG_RISK_EXCHANGE,
    SignedOrder,
    order_digest,
    recover_address,
)
from infra.sandbox.matching import Refusal
from infra.sandbox.server import Sandbox

KEY = "0x" + "22" * 32
OpenSandbox = Callable[..., Awaitable[Sandbox]]
OpenClient = Callable[..., Awaitable[AsyncSecureClient]]


def l1_headers(**changes: str) -> dict[str, str]:
    signed = sign_api_key_auth(Account.from_key(KEY), chain_id=137, timestamp=int(time.time()))
    return {
        "POLY_ADDRESS": signed.address,
        "POLY_SIGNATURE": signed.signature,
        "POLY_TIMESTAMP": str(signed.timestamp),
        "POLY_NONCE": "0",
    } | changes


def l2_headers(owner: Credentials, method: str, path: str, body: str | None) -> dict[str, str]:
    now_s = int(time.time())
    signature = build_hmac_signature(
        secret=owner.secret, timestamp=now_s, method=method, path=path, body=body
    )
    return {
        "POLY_ADDRESS": owner.address,
        "POLY_API_KEY": owner.key,
        "POLY_PASSPHRASE": owner.passphrase,
        "POLY_SIGNATURE": signature,
        "POLY_TIMESTAMP": str(now_s),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"POLY_ADDRESS": "0x" + "00" * 20},
        {"POLY_TIMESTAMP": "1"},
        {"POLY_NONCE": "1"},
        {"POLY_SIGNATURE": "0x" + "00" * 65},
        {"POLY_SIGNATURE": "nonsense"},
        {"POLY_ADDRESS": "nonsense"},
    ],
)
def test_a_level_1_request_whose_signature_does_not_hold_is_refused(
    changes: dict[str, str],
) -> None:
    auth, now_s = Auth(7), int(time.time())
    assert isinstance(auth.level_1(l1_headers(), now_s), Credentials)
    refused = auth.level_1(l1_headers(**changes), now_s)
    assert isinstance(refused, Refusal)
    assert refused.status == 401


@pytest.mark.parametrize(
    "header",
    ["POLY_ADDRESS", "POLY_API_KEY", "POLY_PASSPHRASE", "POLY_SIGNATURE", "POLY_TIMESTAMP"],
)
def test_a_level_2_request_with_any_header_changed_is_refused(header: str) -> None:
    auth, now_s = Auth(7), int(time.time())
    owner = auth.level_1(l1_headers(), now_s)
    assert isinstance(owner, Credentials)
    auth.admit(owner)
    headers = l2_headers(owner, "POST", "/order", '{"a":1}')

    def asked(headers: dict[str, str], body: bytes) -> Credentials | Refusal:
        return auth.level_2(headers, method="POST", path="/order", body=body, now_s=now_s)

    assert asked(headers, b'{"a":1}') == owner
    assert asked(headers, b'{"a":2}') == Refusal(401, "Unauthorized/Invalid api key")
    assert isinstance(asked(headers | {header: "0" + headers[header]}, b'{"a":1}'), Refusal)


async def test_private_paths_refuse_the_unsigned_and_forget_a_revoked_key(
    open_sandbox: OpenSandbox, web: aiohttp.ClientSession
) -> None:
    sandbox = await open_sandbox()
    for path in ("/data/orders", "/data/trades", "/balance-allowance", "/auth/api-keys"):
        async with web.get(sandbox.url + path) as response:
            assert response.status == 401
    async with web.post(sandbox.url + "/auth/api-key", headers=l1_headers()) as response:
        made = await response.json()
    async with web.post(sandbox.url + "/auth/api-key", headers=l1_headers()) as response:
        assert response.status == 400
    async with web.get(sandbox.url + "/auth/derive-api-key", headers=l1_headers()) as response:
        assert await response.json() == made
    owner = sandbox.rim.auth.by_key[made["apiKey"]]
    path = "/auth/api-key"
    async with web.delete(
        sandbox.url + path, headers=l2_headers(owner, "DELETE", path, None)
    ) as response:
        assert await response.json() == "OK"
    path = "/auth/api-keys"
    async with web.get(
        sandbox.url + path, headers=l2_headers(owner, "GET", path, None)
    ) as response:
        assert response.status == 401


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"signature": "0x" + "00" * 65}, "invalid signature"),
        ({"makerAmount": "6000000"}, "invalid signature"),
        ({"signatureType": 3}, "invalid signature"),
        ({"signer": "0x" + "00" * 20}, "signer address has to be the address of the API KEY"),
        ({"makerAmount": "many"}, "Invalid order payload"),
        ({"side": "HOLD"}, "Invalid order payload"),
        ({"tokenId": "1"}, "No orderbook exists"),
    ],
)
async def test_an_order_altered_after_signing_is_refused(
    open_sandbox: OpenSandbox,
    open_client: OpenClient,
    web: aiohttp.ClientSession,
    changes: dict[str, Any],
    text: str,
) -> None:
    sandbox = await open_sandbox()
    client = await open_client(sandbox, KEY)
    owner = next(iter(sandbox.rim.auth.by_key.values()))
    signed = await client.create_market_order(
        side="BUY",
        asset_id=sandbox.venue.floor.markets[2].tokens[0],
        amount="5",
        max_price="0.5",
    )
    wire = {
        "builder": signed.builder,
        "expiration": "0",
        "maker": signed.maker,
        "makerAmount": str(signed.maker_amount),
        "metadata": signed.metadata,
        "salt": signed.salt,
        "side": signed.side,
        "signature": signed.signature,
        "signatureType": signed.signature_type,
        "signer": signed.signer,
        "takerAmount": str(signed.taker_amount),
        "timestamp": str(signed.timestamp),
        "tokenId": signed.token_id,
    }
    body = json.dumps({"order": wire | changes, "orderType": "FAK", "owner": owner.key})
    headers = l2_headers(owner, "POST", "/order", body)
    async with web.post(sandbox.url + "/order", data=body, headers=headers) as response:
        assert response.status in (400, 404)
        assert text in (await response.json())["error"]


@pytest.mark.parametrize("neg_risk", [False, True])
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_order_ids_and_signers_are_those_of_the_other_official_client(
    neg_risk: bool, side: Side
) -> None:
    """py-clob-client-v2 hashes and signs; we must arrive at the same id and signer."""
    address = Account.from_key(KEY).address
    contract = NEG_RISK_EXCHANGE if neg_risk else CTF_EXCHANGE
    builder = ExchangeOrderBuilderV2(contract, 137, Signer(KEY, 137))
    order = builder.build_signed_order(
        OrderDataV2(
            maker=address,
            tokenId=str(10**76 + 7),
            makerAmount="5000000",
            takerAmount="10000000",
            side=side,
        )
    )
    ours = SignedOrder(
        salt=int(order.salt),
        maker=order.maker,
        signer=order.signer,
        token_id=order.tokenId,
        maker_amount_micro=int(order.makerAmount),
        taker_amount_micro=int(order.takerAmount),
        side="BUY" if side == Side.BUY else "SELL",
        signature_type=int(order.signatureType),
        timestamp_ms=int(order.timestamp),
        metadata=order.metadata,
        builder=order.builder,
        signature=order.signature,
    )
    digest = order_digest(ours, neg_risk=neg_risk)
    typed = builder.build_order_typed_data(order)
    assert "0x" + digest.hex() == builder.build_order_hash(typed)
    assert recover_address(digest, ours.signature) == address.lower()
    assert order_digest(ours, neg_risk=not neg_risk) != digest
