"""The venue's side of a chaotic world: orders posted once, matched in parts, told in any order."""

import random
from collections.abc import Callable
from typing import Any

from schemas.records import journal
from schemas.units import floor_to_lot, format_micro
from tests.core.world import World


class Venue:
    """ours: what our accounts really hold. untold: records of what happened that wait."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = World()
        self.ours: dict[tuple[str, str], int] = {}
        self.untold: list[Callable[[], object]] = []
        self.posted: set[str] = set()
        self.names = 0

    def name(self, letter: str) -> str:
        self.names += 1
        return f"0x{letter}{self.names}"

    def by_hand(self) -> None:
        """Somebody trades in our account without us."""
        if not self.world.requests():
            return
        request = self.chance.choice(self.world.requests())
        self.fill(request, 10_000 * self.chance.randint(1, 900), "BUY", order=self.name("h"))

    def orders(self) -> None:
        """One working order goes a step on: signed or expired, then posted once."""
        waiting = [r for r in self.world.working() if r.intent not in self.posted]
        if not waiting:
            return
        request = self.chance.choice(waiting)
        self.posted.add(request.intent)
        if self.chance.random() < 0.15:
            self.world.expired(request)
            return
        order = f"0xo{request.intent}"
        self.world.signed(request, order)
        if self.chance.random() < 0.1:
            self.world.signed(request, self.name("void"))
        self.post(request, order)

    def post(self, request: journal.OrderRequested, order: str) -> None:
        chance, world = self.chance, self.world
        if chance.random() < 0.3:
            world.answered(request, "unknown", order=order, http_status=None, reason="timeout")
        fate = chance.random()
        if request.side == "SELL" and request.shares_micro > self.owned(request):
            fate = 0.2  # the venue knows better what we have
        if fate < 0.1:
            self.later(lambda: world.absent(request, order))
        elif fate < 0.25:
            self.later(lambda: world.answered(request, "refused", order=order, http_status=400))
        else:
            self.match(request, order)

    def owned(self, request: journal.OrderRequested) -> int:
        return self.ours.get((request.account, request.token), 0)

    def match(self, request: journal.OrderRequested, order: str) -> None:
        """The venue fills a part within the budget, in up to three trades."""
        chance = self.chance
        price = request.limit_micro if request.side == "SELL" else request.touch_micro
        most = request.shares_micro
        if request.side == "BUY":
            most = floor_to_lot(request.budget_micro * 1_000_000 // price)
        left = floor_to_lot(int(most * chance.choice([0, 0.3, 0.7, 1, 1, 1])))
        parts = []
        while left > 0:
            part = left if len(parts) == 2 else floor_to_lot(chance.randint(10_000, left))
            parts.append(part)
            left -= part
        cash = sum(part * price // 1_000_000 for part in parts)
        told = {"order": order, "shares": format_micro(sum(parts)), "usd": format_micro(cash)}
        self.later(lambda: self.world.answered(request, **told))
        for part in parts:
            self.fill(request, part, request.side, order=order, price=price)

    def fill(
        self,
        request: journal.OrderRequested,
        shares: int,
        side: str,
        *,
        order: str,
        price: int | None = None,
    ) -> None:
        """A trade: told now or later, in any order, perhaps twice; one in ten fails."""
        chance, key = self.chance, (request.account, request.token)
        end = "FAILED" if chance.random() < 0.1 else "CONFIRMED"
        if end == "CONFIRMED":
            self.ours[key] = self.ours.get(key, 0) + (shares if side == "BUY" else -shares)
        told: dict[str, Any] = {
            "trade": self.name("t"),
            "order": order,
            "side": side,
            "price": format_micro(price or 500_000),
            "venue_ms": self.world.now_ms // 1_000 * 1_000,
        }
        size = format_micro(shares)
        for status in ("MATCHED", *chance.choice([(), ("MINED",), ("RETRYING",)]), end, end):
            self.later(
                lambda status=status: self.world.own_fill(request, size, status=status, **told)
            )

    def later(self, record: Callable[[], object]) -> None:
        if self.chance.random() < 0.5:
            record()
        else:
            self.untold.insert(self.chance.randint(0, len(self.untold)), record)

    def tell(self) -> None:
        """Some of what happened becomes known."""
        for _ in range(min(len(self.untold), self.chance.randint(1, 4))):
            self.untold.pop(0)()

    def answer_plainly(self) -> None:
        """The venue fills every order that was not posted yet, or refuses what we do not have."""
        for request in self.world.working():
            if request.intent in self.posted:
                continue
            self.posted.add(request.intent)
            if request.side == "SELL" and request.shares_micro > self.owned(request):
                self.world.expired(request)
                continue
            signed = request.shares_micro if request.side == "BUY" else -request.shares_micro
            self.ours[(request.account, request.token)] = self.owned(request) + signed
            self.world.trade(request)
