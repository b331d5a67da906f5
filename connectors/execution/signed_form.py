"""A signed order in the venue's wire form, as it stands on the tape, and back: the same bytes."""

from typing import Any, cast

from polymarket.models.clob.orders import SignedOrder
from polymarket.models.types import ClobAssetId
from polymarket.types import EvmAddress, HexString


def payload_of(signed: SignedOrder) -> dict[str, Any]:
    """The venue's wire form of a signed order, without the owner's API key."""
    return {
        "salt": signed.salt,
        "maker": signed.maker,
        "signer": signed.signer,
        "tokenId": signed.token_id,
        "makerAmount": str(signed.maker_amount),
        "takerAmount": str(signed.taker_amount),
        "side": signed.side,
        "signatureType": signed.signature_type,
        "timestamp": str(signed.timestamp),
        "metadata": signed.metadata,
        "builder": signed.builder,
        "expiration": str(signed.expiration),
        "signature": signed.signature,
        "orderType": signed.order_type,
    }


def order_of(payload: dict[str, Any]) -> SignedOrder:
    """The client's signed order from a payload found on the tape: the very same bytes are sent."""
    return SignedOrder(
        builder=HexString(payload["builder"]),
        expiration=int(payload["expiration"]),
        maker=EvmAddress(payload["maker"]),
        maker_amount=int(payload["makerAmount"]),
        metadata=HexString(payload["metadata"]),
        order_type=payload["orderType"],
        salt=int(payload["salt"]),
        side=payload["side"],
        signature=HexString(payload["signature"]),
        signature_type=int(payload["signatureType"]),
        signer=EvmAddress(payload["signer"]),
        taker_amount=int(payload["takerAmount"]),
        timestamp=int(payload["timestamp"]),
        token_id=cast(ClobAssetId, payload["tokenId"]),
    )
