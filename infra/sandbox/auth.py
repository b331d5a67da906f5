"""Who may ask: level-1 signatures, level-2 HMACs, and the API keys they lead to.

Level 1 is an EIP-712 `ClobAuth` message signed by the wallet; it creates or derives credentials.
Level 2 signs each private request with HMAC-SHA256 over timestamp, method, path without query, and
body (API reference 6.1). Credentials are derived from the seed, address and nonce, so a derived key
equals the created one. Secrets are compared in constant time and never logged.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from infra.sandbox.hashing import auth_digest, recover_address, uuid_id
from infra.sandbox.matching import Refusal

CLOCK_SKEW_S = 300
BAD_L1 = Refusal(401, "Invalid L1 Request headers")
BAD_L2 = Refusal(401, "Unauthorized/Invalid api key")


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, its secret and passphrase, and the (lower-case) address it belongs to."""

    key: str
    secret: str
    passphrase: str
    address: str


class Auth:
    """All API keys handed out."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.by_key: dict[str, Credentials] = {}

    def credentials(self, address: str, nonce: int) -> Credentials:
        """The credentials of a wallet, the same at every call."""
        wallet = address.lower()
        raw = hashlib.sha256(f"{self._seed}:secret:{wallet}:{nonce}".encode()).digest()
        return Credentials(
            key=uuid_id(self._seed, "key", wallet, nonce),
            secret=base64.urlsafe_b64encode(raw).decode(),
            passphrase=hashlib.sha256(raw).hexdigest(),
            address=wallet,
        )

    def admit(self, credentials: Credentials) -> None:
        self.by_key[credentials.key] = credentials

    def revoke(self, key: str) -> None:
        self.by_key.pop(key, None)

    def level_1(self, headers: Mapping[str, str], now_s: int) -> Credentials | Refusal:
        """The credentials that a correctly signed level-1 request is entitled to."""
        address, timestamp = headers.get("POLY_ADDRESS", ""), headers.get("POLY_TIMESTAMP", "")
        nonce = headers.get("POLY_NONCE", "0")
        if not (timestamp.isdecimal() and nonce.isdecimal() and _is_address(address)):
            return BAD_L1
        if abs(int(timestamp) - now_s) > CLOCK_SKEW_S:
            return BAD_L1
        digest = auth_digest(address=address, timestamp=timestamp, nonce=int(nonce))
        if recover_address(digest, headers.get("POLY_SIGNATURE", "")) != address.lower():
            return BAD_L1
        return self.credentials(address, int(nonce))

    def level_2(
        self, headers: Mapping[str, str], *, method: str, path: str, body: bytes, now_s: int
    ) -> Credentials | Refusal:
        """The owner of a correctly signed private request."""
        owner = self.by_key.get(headers.get("POLY_API_KEY", ""))
        timestamp = headers.get("POLY_TIMESTAMP", "")
        if owner is None or not timestamp.isdecimal():
            return BAD_L2
        if abs(int(timestamp) - now_s) > CLOCK_SKEW_S:
            return BAD_L2
        signed = f"{timestamp}{method}{path}".encode() + body
        proofs = (
            (headers.get("POLY_SIGNATURE", ""), l2_signature(owner.secret, signed)),
            (headers.get("POLY_PASSPHRASE", ""), owner.passphrase),
            (headers.get("POLY_ADDRESS", "").lower(), owner.address),
        )
        proven = all(hmac.compare_digest(a.encode(), b.encode()) for a, b in proofs)
        return owner if proven else BAD_L2

    def socket(self, key: str, secret: str, passphrase: str) -> Credentials | None:
        """The owner of the credentials in a user socket's first frame."""
        owner = self.by_key.get(key)
        if owner is None:
            return None
        given, known = f"{secret}:{passphrase}", f"{owner.secret}:{owner.passphrase}"
        return owner if hmac.compare_digest(given.encode(), known.encode()) else None


def l2_signature(secret: str, message: bytes) -> str:
    digest = hmac.new(base64.urlsafe_b64decode(secret), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()


def _is_address(text: str) -> bool:
    try:
        return len(binascii.unhexlify(text.removeprefix("0x"))) == 20
    except (binascii.Error, ValueError):
        return False
