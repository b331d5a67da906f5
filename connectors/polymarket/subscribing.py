"""What the market channel's session sends and puts aside: subscriptions, unreadable bytes. Pure."""

import json

from connectors.polymarket.effects import Effect, Quarantine, Send
from schemas.records.journal import Undecodable


def operation(name: str, tokens: list[str]) -> Send:
    """A later subscribe or unsubscribe frame."""
    body: dict[str, object] = {"operation": name, "assets_ids": tokens}
    if name == "subscribe":
        body["custom_feature_enabled"] = True
    return Send(json.dumps(body))


def resubscribe(token: str) -> list[Effect]:
    """A plain second subscribe is a duplicate without a snapshot: leave first (7.1)."""
    return [operation("unsubscribe", [token]), operation("subscribe", [token])]


def quarantined(reason: str, raw: bytes, recv_ns: int) -> Quarantine:
    """What could not be read of the market channel."""
    return Quarantine(Undecodable(feed="market", reason=reason, raw=raw, recv_ns=recv_ns))
