"""The paper venue over the tape in memory: markets, books, and a desk that trades."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.execution.backend import Signed
from connectors.execution.mirror import Mirror
from connectors.execution.paper import PaperVenue
from schemas.codec import encode_levels
from schemas.records.base import Account, Token, Wallet
from schemas.records.market import Depth, MarketMeta, Outcome
from schemas.records.own import OrderSigned
from schemas.units import MICRO
from schemas.wiring import PaperWiring

MAIN = Account("main")
OTHER_TOKEN = Token("99")
CASH = 1_000 * MICRO


def market(make: Any, **given: Any) -> MarketMeta:
    values: dict[str, Any] = {
        "condition": make.condition,
        "outcomes": (Outcome(token=make.token, name="Up"), Outcome(token=OTHER_TOKEN, name="Down")),
        "tick_micro": 10_000,
        "min_shares_micro": 5 * MICRO,
        "fee_rate_micro": 70_000,
        "fee_exponent": 1,
        "neg_risk": False,
        "accepting": True,
        "title": "t",
        "event": "e",
    }
    return MarketMeta(**{**values, **given})


def depth(make: Any, bids: Any = (), asks: Any = ()) -> Depth:
    return Depth(
        token=make.token, epoch="public-1.1", as_of_ms=0, recv_ns=0, tick_micro=10_000,
        bids=encode_levels(list(bids)), asks=encode_levels(list(asks)),
    )  # fmt: skip


@dataclass
class Desk:
    """A paper venue over the test's tape."""

    world: Any
    venue: PaperVenue
    mirror: Mirror

    async def order(self, **given: Any) -> tuple[OrderSigned, Any]:
        """Sign and post; the signed order and the verdict."""
        request = self.world.make.request(**given)
        built = await self.venue.sign(request)
        assert isinstance(built, Signed)
        signed: OrderSigned = self.world.make.signed(
            order=built.order, intent=request.intent, side=request.side, backend="paper",
            maker_micro=built.maker_micro, taker_micro=built.taker_micro, payload=built.payload,
        )  # fmt: skip
        return signed, await self.venue.post(signed)


def open_desk(world: Any, cash_micro: int = CASH, **wiring: Any) -> Desk:
    """A venue that has just read the tape to its end, as after a start."""
    paper = PaperWiring(
        **{"latency_ms": 0, "settle_ms": 50, "cash_usd_micro": cash_micro, **wiring}
    )
    venue = PaperVenue(
        paper, {MAIN: Wallet("0x" + "1" * 40)}, tick_ms=20, append=world.tape.append,
        clock_ns=world.clock.ns,
    )  # fmt: skip
    mirror = Mirror("paper", [venue.ledger.observe])
    venue.attach(mirror)
    world.tape.attach(mirror)
    return Desk(world, venue, mirror)


@pytest.fixture(scope="session")
def market_of() -> Callable[..., MarketMeta]:
    """A market of the default token."""
    return market


@pytest.fixture(scope="session")
def depth_of() -> Callable[..., Depth]:
    """A book of the default token."""
    return depth


@pytest.fixture
def desk() -> Callable[..., Desk]:
    """Makes paper venues over a world's tape."""
    return open_desk


@pytest.fixture
def opened(world: Any, make: Any) -> Any:
    """A market with a book of three asks and two bids."""
    world.tape.put(market(make))
    world.tape.put(
        depth(
            make,
            bids=[(480_000, 30 * MICRO), (470_000, 100 * MICRO)],
            asks=[(490_000, 4 * MICRO), (500_000, 100 * MICRO), (510_000, 100 * MICRO)],
        )
    )
    return world
