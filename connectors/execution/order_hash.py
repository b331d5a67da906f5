"""The EIP-712 hash of an order, which is also the venue's order id: known before anything is sent.

Never signs and never sends. Order struct and domain: CLOB V2 since 2026-04-28, ExchangeV3 for
Protocol V2 positions (API reference 4.2, 6.2); addresses: Polygon, docs of 2026-10 (3.2).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from eth_utils.crypto import keccak

from schemas.records.base import OrderHash

CHAIN_ID: Final = 137
EXCHANGE: Final = "0xE111180000d2663C0091e4f400237545B87B996B"
NEG_RISK_EXCHANGE: Final = "0xe2222d279d744050d28e00520010520000310F59"
EXCHANGE_V3: Final = "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"
SIDES: Final = {"BUY": 0, "SELL": 1}

_NAME: Final = "Polymarket CTF Exchange"
_DOMAIN_TYPE: Final = (
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_ORDER_TYPE: Final = (
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    b"uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    b"bytes32 builder)"
)
_V2_RESERVED_BITS: Final = ((1 << 64) - 1) << 40


def is_v2_position(token: str) -> bool:
    """Whether a token is a Protocol V2 position: bits 40 to 103 are zero (API reference 4.2)."""
    return int(token) & _V2_RESERVED_BITS == 0


def exchange_of(token: str, *, neg_risk: bool) -> tuple[str, str]:
    """(verifying contract, domain version) under which orders for a token are signed."""
    if is_v2_position(token):
        return EXCHANGE_V3, "3"
    return (NEG_RISK_EXCHANGE if neg_risk else EXCHANGE), "2"


def order_hash(order: Mapping[str, Any], *, neg_risk: bool) -> OrderHash:
    """Hash of an order given in the venue's wire form (amounts as decimal strings)."""
    return OrderHash("0x" + digest(order, neg_risk=neg_risk).hex())


def digest(order: Mapping[str, Any], *, neg_risk: bool) -> bytes:
    """The 32 bytes that an EOA signs."""
    contract, version = exchange_of(order["tokenId"], neg_risk=neg_risk)
    hashed: bytes = keccak(b"\x19\x01" + domain_separator(contract, version) + contents_hash(order))
    return hashed


@lru_cache(maxsize=8)
def domain_separator(contract: str, version: str) -> bytes:
    """EIP-712 domain of one exchange contract."""
    words = (
        keccak(_DOMAIN_TYPE),
        keccak(_NAME.encode()),
        keccak(version.encode()),
        _uint(CHAIN_ID),
        _hex_word(contract),
    )
    separator: bytes = keccak(b"".join(words))
    return separator


def contents_hash(order: Mapping[str, Any]) -> bytes:
    """EIP-712 struct hash of the order itself, without the domain."""
    words = (
        keccak(_ORDER_TYPE),
        _uint(int(order["salt"])),
        _hex_word(order["maker"]),
        _hex_word(order["signer"]),
        _uint(int(order["tokenId"])),
        _uint(int(order["makerAmount"])),
        _uint(int(order["takerAmount"])),
        _uint(SIDES[order["side"]]),
        _uint(int(order["signatureType"])),
        _uint(int(order["timestamp"])),
        _hex_word(order["metadata"]),
        _hex_word(order["builder"]),
    )
    contents: bytes = keccak(b"".join(words))
    return contents


def _uint(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _hex_word(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x")).rjust(32, b"\0")
