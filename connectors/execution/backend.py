"""What the sink asks of a venue, whichever it is: sign, post, look up. Values in, values out.

Two implementations: `live` (the official client) and `paper` (a venue inside this process).
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from connectors.execution.answers import Verdict
from schemas.records.base import Account, OrderHash
from schemas.records.journal import OrderRequested
from schemas.records.own import OrderSigned


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed order that is not yet on the tape; payload is the exact order, no credential."""

    order: OrderHash
    maker_micro: int
    taker_micro: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """This order will never be built: refused here, nothing was sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unready:
    """Nothing was signed because something needed for it did not answer; may be tried again."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The venue knows the order. Amounts None: it still works on it, or states them not yet."""

    status: str
    shares_micro: int | None = None
    usd_micro: int | None = None
    trades: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NotThere:
    """Order and trades were both asked for, both answered, neither knows the order."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """A look-up that says nothing, and why."""

    reason: str


Sighting = Seen | NotThere | Unclear


class Backend(Protocol):
    """A venue as the sink sees it."""

    @property
    def name(self) -> Literal["live", "paper"]:
        """Goes into OrderSigned: an order signed for one backend is never posted to another."""

    @property
    def accounts(self) -> frozenset[Account]:
        """The accounts it can sign for."""

    async def sign(self, request: OrderRequested) -> Signed | Refusal | Unready:
        """Build exactly the requested order, or say why not. Sends nothing."""

    async def post(self, signed: OrderSigned) -> Verdict:
        """Send the payload that stands on the tape, once."""

    async def look_up(self, signed: OrderSigned, request: OrderRequested) -> Sighting:
        """Ask what became of it: the order by its hash, then the trades that name it."""

    async def cancel(self, signed: OrderSigned) -> str:
        """Ask for its end, and what was said, for the log: a look-up alone proves an end."""
