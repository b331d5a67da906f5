"""Taking secrets out of text before it leaves the process.

Every owner and API key, ours and other people's, becomes the first 8 hex digits of its SHA-256, so
that rows can still be told apart; our secret and passphrase vanish wherever they stand.
"""

import hashlib
import re

from connectors.polymarket.credentials import Credentials

_OWNERS = re.compile(
    r'("(?:owner|order_owner|trade_owner|apiKey|api_key|maker_owner)"\s*:\s*")([^"]+)(")'
)
GONE = "[redacted]"


def owner_hash(owner: str) -> str:
    """What stands in an owner's place."""
    return hashlib.sha256(owner.encode()).hexdigest()[:8]


def redact(text: str, credentials: Credentials) -> str:
    """The text without any API key, secret or passphrase."""
    text = _OWNERS.sub(_hashed, text)
    text = text.replace(credentials.api_key, owner_hash(credentials.api_key))
    for secret in (credentials.secret, credentials.passphrase):
        text = text.replace(secret, GONE)
    return text


def _hashed(found: re.Match[str]) -> str:
    return found[1] + owner_hash(found[2]) + found[3]
