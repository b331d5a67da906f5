"""The verdict on a token: within the band, or what the venue's own book cannot close."""

from typing import Any

import pytest

from infra.demo.token_lines import TokenLine, _untradable
from tests.core.tape import UP, micro
from tests.core.world import World

DEEP = ([("0.39", "1000")], [("0.40", "1000")])


def side(levels: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"price": price, "size": size} for price, size in levels]


@pytest.mark.parametrize(
    ("bids", "asks", "gap", "why"),
    [
        (*DEEP, "50", None),
        (*DEEP, "-50", None),
        (*DEEP, "0", None),
        (*DEEP, "4", "below_minimum"),
        (*DEEP, "-4", "dust"),
        ([], DEEP[1], "50", "one_sided"),
        ([("0.41", "10")], DEEP[1], "50", "crossed"),
        (DEEP[0], [("0.40", "4"), ("0.60", "900")], "50", "bound_depth_share"),
        ([("0.39", "4"), ("0.10", "900")], DEEP[1], "-50", "bound_depth"),
    ],
)
def test_what_the_venues_own_book_would_not_trade_is_named(
    bids: Any, asks: Any, gap: str, why: str | None
) -> None:
    plan = World().begin().state.plan
    book = {"bids": side(bids), "asks": side(asks), "tick_size": "0.01"}
    assert _untradable(book, micro(gap), plan.markets.of(UP), plan.policy) == why


@pytest.mark.parametrize(
    ("position", "hold", "untradable", "met"),
    [
        ("46", None, None, True),
        ("10", None, None, False),
        ("10", "bound_cap_account", None, False),
        ("10", "bound_depth_share", None, False),
        ("10", "bound_depth_share", "bound_depth_share", True),
        ("10", "book_echo_bid", "one_sided", True),
        ("10", None, "one_sided", False),
    ],
)
def test_a_hold_alone_excuses_no_gap(
    position: str, hold: str | None, untradable: str | None, met: bool
) -> None:
    line = TokenLine(
        token=UP,
        title="Up or down",
        outcome="Up",
        leaders_micro=micro("500"),
        target_micro=micro("50"),
        position_micro=micro(position),
        band_micro=micro("5"),
        hold=hold,
        ended=False,
        untradable=untradable,
    )
    assert line.met is met
