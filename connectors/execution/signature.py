"""Whether a signature is the signer's over exactly this order; the hash is computed here. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from eth_account import Account as EthAccount

from connectors.execution.order_hash import (
    contents_hash,
    digest,
    domain_separator,
    exchange_of,
)

CONTRACT_WALLET: Final = 3
"""Signature type of a deposit wallet: the signature is an ERC-7739 wrapper (API reference 6.2)."""


def wrong_signature(payload: Mapping[str, Any], *, neg_risk: bool, signer: str) -> str:
    """Whether the signature is not the signer's over exactly this order and exchange, or ''."""
    if int(payload["signatureType"]) == CONTRACT_WALLET:
        contract, version = exchange_of(payload["tokenId"], neg_risk=neg_risk)
        bound = domain_separator(contract, version) + contents_hash(payload)
        return "" if bound.hex() in payload["signature"] else "signed for another order or exchange"
    hashed = digest(payload, neg_risk=neg_risk)
    recovered = EthAccount._recover_hash(hashed, signature=payload["signature"])
    if str(recovered).lower() != signer.lower():
        return "signed for another order or exchange, or by another key"
    return ""
