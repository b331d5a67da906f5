"""Ids and signatures of the venue: token ids, order hashes, transaction hashes, who signed what.

Every id is derived from its content or from the seed and a counter, never from a clock or from
chance. Order id: EIP-712 hash of the signed struct under the exchange's domain (API reference
6.2). Addresses: 3.2. The book hash stands with the book's wire shape, in wire_market.
"""

import hashlib

import coincurve
import msgspec
from eth_utils.crypto import keccak

CHAIN_ID = 137
CTF_EXCHANGE = "0xE111180000d2663C0091e4f400237545B87B996B"
NEG_RISK_EXCHANGE = "0xe2222d279d744050d28e00520010520000310F59"
CLOB_AUTH_MESSAGE = "This message attests that I control the given wallet"

_ORDER_TYPE = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    "uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    "bytes32 builder)"
)
_EXCHANGE_DOMAIN_TYPE = (
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_AUTH_TYPE = "ClobAuth(address address,string timestamp,uint256 nonce,string message)"
_AUTH_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId)"


class SignedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order struct as signed, with its signature; amounts in micro units."""

    salt: int
    maker: str
    signer: str
    token_id: str
    maker_amount_micro: int
    taker_amount_micro: int
    side: str
    signature_type: int
    timestamp_ms: int
    metadata: str
    builder: str
    signature: str


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address(text: str) -> bytes:
    return bytes(12) + bytes.fromhex(text.removeprefix("0x"))


def _bytes32(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x").rjust(64, "0"))


def _text(value: str) -> bytes:
    return bytes(keccak(text=value))


def _exchange_domain(contract: str) -> bytes:
    return bytes(
        keccak(
            _text(_EXCHANGE_DOMAIN_TYPE)
            + _text("Polymarket CTF Exchange")
            + _text("2")
            + _word(CHAIN_ID)
            + _address(contract)
        )
    )


_ORDER_TYPE_HASH = _text(_ORDER_TYPE)
_DOMAINS = {False: _exchange_domain(CTF_EXCHANGE), True: _exchange_domain(NEG_RISK_EXCHANGE)}
_AUTH_DOMAIN = bytes(
    keccak(_text(_AUTH_DOMAIN_TYPE) + _text("ClobAuthDomain") + _text("1") + _word(CHAIN_ID))
)


def order_digest(order: SignedOrder, *, neg_risk: bool) -> bytes:
    """EIP-712 digest of an order: what is signed, and, in hex, the order's id."""
    struct = keccak(
        _ORDER_TYPE_HASH
        + _word(order.salt)
        + _address(order.maker)
        + _address(order.signer)
        + _word(int(order.token_id))
        + _word(order.maker_amount_micro)
        + _word(order.taker_amount_micro)
        + _word(1 if order.side == "SELL" else 0)
        + _word(order.signature_type)
        + _word(order.timestamp_ms)
        + _bytes32(order.metadata)
        + _bytes32(order.builder)
    )
    return bytes(keccak(b"\x19\x01" + _DOMAINS[neg_risk] + struct))


def auth_digest(*, address: str, timestamp: str, nonce: int) -> bytes:
    """EIP-712 digest of the level-1 authentication message (API reference 6.1)."""
    struct = keccak(
        _text(_AUTH_TYPE)
        + _address(address)
        + _text(timestamp)
        + _word(nonce)
        + _text(CLOB_AUTH_MESSAGE)
    )
    return bytes(keccak(b"\x19\x01" + _AUTH_DOMAIN + struct))


def recover_address(digest: bytes, signature: str) -> str | None:
    """Lower-case address that signed the digest, or None when the signature is malformed."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        if len(raw) != 65:
            return None
        recovery = raw[64] - 27 if raw[64] >= 27 else raw[64]
        public = coincurve.PublicKey.from_signature_and_message(
            raw[:64] + bytes([recovery]), digest, hasher=None
        )
    except ValueError:
        return None
    return "0x" + bytes(keccak(public.format(compressed=False)[1:]))[-20:].hex()


def token_ids(condition_id: str) -> tuple[str, str]:
    """Two 77-digit decimal token ids of a market; bits 40..103 are never all zero (4.2)."""
    return _token_id(condition_id, 0), _token_id(condition_id, 1)


def _token_id(condition_id: str, index: int) -> str:
    attempt = 0
    while True:
        text = f"token:{condition_id}:{index}:{attempt}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
        if 10**76 <= number < 10**77 and (number >> 40) & (2**64 - 1):
            return str(number)
        attempt += 1


def hex_id(*parts: object, size: int = 32) -> str:
    """0x + hex of a hash of the parts: condition ids, transaction hashes, addresses (size 20)."""
    return "0x" + hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[: size * 2]


def uuid_id(*parts: object) -> str:
    """UUID-shaped id of the parts: trade ids, API keys, heartbeat ids."""
    raw = hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:32]}"
