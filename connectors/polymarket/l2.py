"""Headers of a private read: HMAC over timestamp, method and path (API reference 6.1).

The path is signed without its query string; the timestamp is in seconds; POLY_ADDRESS is the
signer's address, also where another wallet holds the funds.
"""

import base64
import binascii
import hashlib
import hmac

from connectors.polymarket.credentials import Credentials, CredentialsError


def l2_headers(
    credentials: Credentials, *, signer: str, method: str, path: str, now_s: int, body: str = ""
) -> dict[str, str]:
    """The five POLY_ headers; raises CredentialsError if the secret is not base64."""
    try:
        key = base64.urlsafe_b64decode(credentials.secret)
    except (binascii.Error, ValueError):
        raise CredentialsError("the API secret is not base64; run `truecopy credentials`") from None
    text = f"{now_s}{method}{path}{body}"
    digest = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return {
        "POLY_ADDRESS": signer,
        "POLY_API_KEY": credentials.api_key,
        "POLY_PASSPHRASE": credentials.passphrase,
        "POLY_SIGNATURE": base64.urlsafe_b64encode(digest).decode(),
        "POLY_TIMESTAMP": str(now_s),
    }
