"""What look-ups prove: order and trades joined, final only when nothing can still come."""

from typing import Any

import pytest

from connectors.execution.backend import NotThere, Seen
from connectors.execution.sightings import OrderView, TradeView, sighting

NOW = 1_795_000_000_000


def order(status: str, matched: int = 0, *trades: str) -> OrderView:
    return OrderView(status=status, matched_micro=matched, trades=trades)


def trade(name: str, shares: int, usd: int, age_ms: int = 0) -> TradeView:
    return TradeView(trade=name, shares_micro=shares, usd_micro=usd, matched_ms=NOW - age_ms)


A, B = trade("a", 6, 3), trade("b", 4, 2)
WORKING = "still working"

ROWS: list[tuple[str, OrderView | None, list[TradeView], Any]] = [
    ("nothing anywhere", None, [], NotThere()),
    ("matched with all its trades", order("MATCHED", 10, "a", "b"), [A, B], (10, 5)),
    ("matched, one trade not listed yet", order("MATCHED", 10, "a", "b"), [A], WORKING),
    ("matched, no trades listed yet", order("MATCHED", 10, "a"), [], WORKING),
    ("matched, ids unknown, sizes agree", order("MATCHED", 10), [A, B], (10, 5)),
    ("matched, size counted in dollars", order("MATCHED", 5), [A, B], (10, 5)),
    ("matched, ids unknown, sizes differ", order("MATCHED", 10), [A], WORKING),
    ("matched with nothing is not believed", order("MATCHED"), [], WORKING),
    ("partial and the rest killed", order("CANCELED", 6, "a"), [A], (6, 3)),
    ("killed with nothing", order("CANCELED"), [], (0, 0)),
    ("killed at resolution", order("CANCELED_MARKET_RESOLVED"), [], (0, 0)),
    ("invalid", order("INVALID"), [], (0, 0)),
    ("killed, but a trade names it", order("CANCELED"), [A], WORKING),
    ("resting", order("LIVE"), [], WORKING),
    ("resting with a part", order("LIVE", 6, "a"), [A], WORKING),
    ("delayed", order("DELAYED"), [], WORKING),
    ("unmatched, now resting", order("UNMATCHED"), [], WORKING),
    ("prefixed and lower case", order("order_status_matched", 6, "a"), [A], (6, 3)),
    ("a status nobody knows", order("HALTED", 6, "a"), [A], WORKING),
    ("trades without their order, just now", None, [A], WORKING),
    ("trades without their order, old", None, [trade("a", 6, 3, 10_000)], (6, 3)),
    ("one of them just now", None, [trade("a", 6, 3, 10_000), B], WORKING),
]


@pytest.mark.parametrize(("found", "trades", "proves"), [r[1:] for r in ROWS],
                         ids=[r[0] for r in ROWS])  # fmt: skip
def test_a_look_up_proves_what_both_answers_together_say(
    found: OrderView | None, trades: list[TradeView], proves: Any
) -> None:
    seen = sighting(found, trades, now_ms=NOW, old_ms=10_000)
    if isinstance(proves, NotThere):
        assert seen == NotThere()
        return
    assert isinstance(seen, Seen)
    amounts = (seen.shares_micro, seen.usd_micro)
    assert amounts == ((None, None) if proves == WORKING else proves)
    assert seen.trades == tuple(t.trade for t in trades)


def test_an_unknown_status_raises_an_alarm_by_name() -> None:
    seen = sighting(order("HALTED"), [], now_ms=NOW, old_ms=10_000)
    assert isinstance(seen, Seen)
    assert seen.reason == "alarm: order status 'HALTED'"
