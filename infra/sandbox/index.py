"""The Data API's view of the world: rows of trades and activity, and positions, behind time.

A row exists from the block that mined it and is visible `index_lag_ms` later; positions are built
from the visible rows only. Two equal rows are two fills. Rows are kept newest last; `seq` breaks
ties and is not exposed (API reference 10.2).
"""

from collections import defaultdict
from dataclasses import dataclass

import msgspec

from infra.sandbox.market import Market
from schemas.units import MICRO

PRICE_NOISE = 1.2e-9
"""The API's prices are doubles such as 0.7400000012 (10.1): never equal to the exact ones."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of /v2/activity; TRADE rows are also lines of /v2/trades. token None: both."""

    seq: int
    ts_s: int
    visible_ms: int
    wallet: str
    kind: str
    market: Market
    token: int | None
    side: str
    shares_micro: int
    usd_micro: int
    tx_hash: str
    is_taker: bool = False
    fee_micro: int = 0

    @property
    def price(self) -> float:
        if self.kind != "TRADE":
            return 0.0
        return round(self.usd_micro / self.shares_micro, 8) + PRICE_NOISE

    @property
    def identity(self) -> tuple[object, ...]:
        """What identical rows share (10.6)."""
        return (
            self.tx_hash,
            self.wallet,
            self.market.condition_id,
            self.token,
            self.side,
            self.shares_micro,
            self.usd_micro,
        )


@dataclass(slots=True)
class Position:
    """A wallet's holding of one token as the index knows it; cost is without fees."""

    market: Market
    token: int
    shares_micro: int = 0
    cost_micro: int = 0
    fees_micro: int = 0
    bought_micro: int = 0
    bought_usd_micro: int = 0
    realized_micro: int = 0
    first_s: int = 0
    last_s: int = 0

    def add(self, shares_micro: int, usd_micro: int, fee_micro: int) -> None:
        self.shares_micro += shares_micro
        self.cost_micro += usd_micro
        self.bought_micro += shares_micro
        self.bought_usd_micro += usd_micro
        self.fees_micro += fee_micro

    def remove(self, shares_micro: int, usd_micro: int) -> None:
        held = self.shares_micro
        cost = self.cost_micro * shares_micro // held if held > 0 else 0
        self.shares_micro -= shares_micro
        self.cost_micro -= cost
        self.realized_micro += usd_micro - cost


class Index:
    """All rows, and those a reader may see by now."""

    def __init__(self, lag_ms: int) -> None:
        self.lag_ms = lag_ms
        self.rows: list[Row] = []
        self.visible: list[Row] = []
        self.visible_by_wallet: dict[str, list[Row]] = defaultdict(list)
        self.positions: dict[str, dict[str, Position]] = defaultdict(dict)

    def add(
        self,
        *,
        block_ms: int,
        wallet: str,
        kind: str,
        market: Market,
        token: int | None,
        side: str,
        shares_micro: int,
        usd_micro: int,
        tx_hash: str,
        is_taker: bool = False,
        fee_micro: int = 0,
    ) -> None:
        """Enter a mined row; it becomes visible after the index's lag."""
        self.rows.append(
            Row(
                seq=len(self.rows) + 1,
                ts_s=block_ms // 1000,
                visible_ms=block_ms + self.lag_ms,
                wallet=wallet,
                kind=kind,
                market=market,
                token=token,
                side=side,
                shares_micro=shares_micro,
                usd_micro=usd_micro,
                tx_hash=tx_hash,
                is_taker=is_taker,
                fee_micro=fee_micro,
            )
        )

    def advance(self, now_ms: int) -> None:
        """Let readers see what the index has caught up with."""
        while len(self.visible) < len(self.rows):
            row = self.rows[len(self.visible)]
            if row.visible_ms > now_ms:
                break
            self.visible.append(row)
            self.visible_by_wallet[row.wallet].append(row)
            self._count(row)

    def _count(self, row: Row) -> None:
        tokens = (0, 1) if row.token is None else (row.token,)
        for token in tokens:
            position = self._position(row, token)
            position.last_s = row.ts_s
            if row.kind == "TRADE" and row.side == "BUY":
                position.add(row.shares_micro, row.usd_micro, row.fee_micro)
            elif row.kind == "SPLIT":
                position.add(row.shares_micro, row.shares_micro // 2, 0)
            elif row.kind == "MERGE":
                position.remove(row.shares_micro, row.shares_micro // 2)
            else:
                position.remove(row.shares_micro, row.usd_micro)

    def _position(self, row: Row, token: int) -> Position:
        held = self.positions[row.wallet]
        token_id = row.market.tokens[token]
        if token_id not in held:
            held[token_id] = Position(market=row.market, token=token, first_s=row.ts_s)
        return held[token_id]


def value_micro(position: Position) -> int:
    """Current value of a position at the market's price."""
    return position.shares_micro * position.market.price_micro(position.token) // MICRO
