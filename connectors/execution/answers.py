"""What an answer to POST /order proves: accepted, refused or unknown. Pure; never asks anybody.

The HTTP status decides, not the client's exception names: the official SDK calls a 500 after an
applied order "rejected" (API reference 5.5, every row of which is a row of the tests). Texts only
refine a 200 or a 400 (13.3). What is not known to be a refusal is unknown, and is looked up.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

PENDING: Final = frozenset({"live", "delayed", "unmatched"})
"""Accepted, and the venue still works on it: no fill yet, and no kill (complaints 2 and 10)."""
DUPLICATED: Final = "duplicated"
REFUSED_AGAIN: Final = "refused_again"
BARRED: Final = frozenset({DUPLICATED, REFUSED_AGAIN})
"""Statuses after which the same bytes are never posted again: an earlier POST may have worked."""

_KILLED: Final = ("no orders found to match with fak order", "order couldn't be fully filled")
_REASONS: Final = (
    ("invalid order payload", "payload"),
    ("signer address has to be the address of the api key", "signer"),
    ("maker address not allowed", "maker"),
    ("order_version_mismatch", "order_version"),
    ("invalid order version", "order_version"),
    ("breaks minimum tick size rule", "tick"),
    ("lower than the minimum", "min_size"),
    ("invalid amount for a marketable buy", "min_usd"),
    ("invalid amounts", "amounts"),
    ("balance is not enough", "balance"),
    ("allowance is not enough", "allowance"),
    ("not enough balance", "balance"),
    ("market is not yet ready", "market_not_ready"),
    ("closed only mode", "closed_only"),
    ("banned", "banned"),
    ("invalid expiration", "expiration"),
    ("no orderbook exists", "no_orderbook"),
    ("post-only", "post_only_mode"),
)
_TEXT_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back for one POST, freed of the client's types.

    http_status None: no HTTP answer at all. status is the venue's order status of a 200, text its
    error text. readable False: a body that is no order answer. limited: a 429 that carries the
    signer's own rate-limit headers. Amounts are None unless the venue stated them exactly.
    """

    http_status: int | None
    status: str = ""
    text: str = ""
    code: str = ""
    readable: bool = True
    limited: bool = False
    order: str = ""
    shares_micro: int | None = None
    usd_micro: int | None = None
    trades: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is known of a signed order. Amounts None: accepted, but the venue still works on it."""

    outcome: Literal["accepted", "refused", "unknown"]
    status: str
    reason: str = ""
    http_status: int | None = None
    shares_micro: int | None = None
    usd_micro: int | None = None
    trades: tuple[str, ...] = ()


def classify(reply: Reply) -> Verdict:
    """Verdict on one reply; total, and unknown wherever a refusal is not proven."""
    if reply.http_status is None:
        return _verdict(reply, "unknown", "transport", reply.text)
    if not reply.readable:
        return _verdict(reply, "unknown", "unreadable", reply.text)
    if _is_duplicate(reply.text):
        return _verdict(reply, "unknown", DUPLICATED, "an earlier POST of it was accepted")
    if 200 <= reply.http_status < 300:
        return _of_success(reply)
    if reply.http_status in (400, 401, 403, 404):
        return _verdict(reply, "refused", f"http_{reply.http_status}", _reason(reply))
    if reply.http_status == 429 and reply.limited:
        return _verdict(reply, "refused", "http_429", "rate_limited")
    if reply.http_status == 503 and (restriction := _restriction(reply)):
        return _verdict(reply, "refused", "http_503", restriction)
    return _verdict(reply, "unknown", f"http_{reply.http_status}", reply.text)


def believe(verdict: Verdict, *, only_post: bool) -> Verdict:
    """The verdict, given whether no earlier POST of the same bytes can have reached the venue.

    A refusal of a repeated POST proves nothing about the first: "not enough balance" may well mean
    that the first one spent it. It is looked up instead, and not posted a third time.
    """
    if verdict.outcome != "refused" or only_post:
        return verdict
    return replace(verdict, outcome="unknown", status=REFUSED_AGAIN)


def must_stop(verdict: Verdict) -> bool:
    """Whether the venue forbids this account to trade (401, 403): no further order may be sent."""
    return verdict.http_status in (401, 403)


def _of_success(reply: Reply) -> Verdict:
    if reply.status == "matched":
        if reply.shares_micro and reply.usd_micro:
            return _verdict(reply, "accepted", "matched", "", amounts=True)
        return _verdict(reply, "accepted", "matched", "amounts not stated yet")
    if reply.status in PENDING:
        return _verdict(reply, "accepted", reply.status, "")
    if reply.text:
        return _verdict(reply, "refused", reply.code or "rejected", _reason(reply))
    return _verdict(reply, "unknown", "unknown_status", f"alarm: status {reply.status!r}")


def _verdict(
    reply: Reply,
    outcome: Literal["accepted", "refused", "unknown"],
    status: str,
    reason: str,
    *,
    amounts: bool = False,
) -> Verdict:
    return Verdict(
        outcome=outcome,
        status=status,
        reason=" ".join(reason.split())[:_TEXT_MAX],
        http_status=reply.http_status,
        shares_micro=reply.shares_micro if amounts else None,
        usd_micro=reply.usd_micro if amounts else None,
        trades=reply.trades if outcome == "accepted" else (),
    )


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def _is_duplicate(text: str) -> bool:
    return "duplicated" in _normal(text)


def _reason(reply: Reply) -> str:
    text = _normal(reply.text)
    if any(killed in text for killed in _KILLED):
        return "killed"
    found = next((name for part, name in _REASONS if part in text), "")
    return f"{found}: {reply.text}" if found else reply.text or f"http {reply.http_status}"


def _restriction(reply: Reply) -> str:
    if reply.code == "post_only_mode":
        return "post_only_mode"
    return "cancel_only" if "cancel-only" in _normal(reply.text) else ""
