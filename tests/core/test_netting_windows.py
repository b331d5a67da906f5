"""Windows net a leader's fills per token; only Ticks close them, and they order nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.policy import LeaderPolicy
from schemas.records import journal
from tests.core.tape import DOWN, LEADER, OTHER, micro
from tests.core.world import World


def deltas(world: World) -> list[int]:
    return [delta.shares_micro // 1_000_000 for delta in world.of(journal.NetDelta)]


def test_a_split_order_is_one_delta_and_one_order(started) -> None:
    world = started()
    for n in range(5):
        world.fills("100", tx=f"0x{n}")
    world.wait(2_000)
    assert deltas(world) == [500]
    assert [request.shares_micro for request in world.requests()] == [micro("50")]


def test_a_flip_nets_to_zero_and_says_both_gross_sides(started) -> None:
    world = started()
    world.fills("500", "0.40")
    world.fills("500", "0.45", side="SELL")
    world.wait(2_000)
    (delta,) = world.of(journal.NetDelta)
    assert (delta.shares_micro, delta.bought_micro, delta.sold_micro) == (
        0,
        micro("500"),
        micro("500"),
    )
    assert delta.cash_micro == micro("-25")
    assert not world.requests()
    assert world.hold() is None


def test_a_window_closes_after_quiet(started) -> None:
    world = started(quiet_ms=400, net_window_ms=1_500)
    world.fills("500")
    world.wait(300)
    assert not deltas(world)
    world.tick(100)
    (delta,) = world.of(journal.NetDelta)
    assert delta.closed_ms - delta.opened_ms == 400


def test_a_window_closes_at_its_limit_while_fills_go_on(started) -> None:
    world = started(quiet_ms=400, net_window_ms=1_500)
    for n in range(20):
        world.fills("10", tx=f"0x{n}")
        world.tick(100)
    assert deltas(world) == [150]
    (delta,) = world.of(journal.NetDelta)
    assert (delta.closed_ms - delta.opened_ms, delta.fills) == (1_500, 15)


def test_nothing_but_a_tick_closes_a_window(started) -> None:
    world = started()
    world.fills("500")
    world.now_ms += 60_000  # time that no Tick has told
    world.fills("500", tx="0xt2")
    world.depth([("0.39", "1000")], [("0.40", "1000")])
    world.read("a1", [world.group("0xt1"), world.group("0xt2")])
    assert not deltas(world)
    world.tick(100)
    assert deltas(world) == [1000]


def test_a_repeat_neither_opens_nor_lengthens_a_window(started) -> None:
    world = started(quiet_ms=400)
    world.fills("500")
    world.tick(300)
    world.fills("500")
    world.tick(100)
    assert deltas(world) == [500]
    world.fills("500")
    world.wait(2_000)
    assert deltas(world) == [500]


@pytest.mark.parametrize("apart", [{"token": DOWN}, {"wallet": OTHER}])
def test_windows_are_per_leader_and_token(started, apart: dict[str, str]) -> None:
    world = started(leaders=(LeaderPolicy(wallet=LEADER), LeaderPolicy(wallet=OTHER)))
    world.fills("500")
    world.fills("200", side="SELL", tx="0xt2", **apart)
    world.wait(2_000)
    assert sorted(deltas(world)) == [-200, 500]


def test_a_late_fill_moves_exposure_through_a_window_of_its_own(started) -> None:
    world = started()
    world.fills("500")
    world.wait(5_000)
    world.trade_all()
    world.fills("500", tx="0xt2", ago_ms=4_000)
    assert world.exposure() == micro("500")
    world.wait(2_000)
    assert deltas(world) == [500, 500]
    assert world.target() == micro("100")
    assert [r.shares_micro for r in world.requests()] == [micro("50")] * 2


def test_a_late_fill_inside_the_band_makes_no_order(started) -> None:
    """The gap decides, not the fill: 40 more leader's shares are 4 of ours, below the minimum."""
    world = started()
    world.fills("500")
    world.wait(3_000)
    world.trade_all()
    world.fills("40", tx="0xt2", ago_ms=4_000)
    world.wait(3_000)
    assert world.target() == micro("54")
    assert len(world.requests()) == 1
    assert world.hold() is None


def test_a_late_sell_takes_back_what_is_still_a_gap_and_makes_no_order(started) -> None:
    """The buy waits for a book; the late sell closes the gap before any order was made."""
    world = started()
    world.epoch(state="ended", reason="echo_mismatch")
    world.fills("500")
    world.wait(3_000)
    assert world.hold() == "book_echo_mismatch"
    world.fills("500", tx="0xt2", side="SELL", ago_ms=3_000)
    world.wait(3_000)
    world.epoch(n=2)
    world.depth([("0.39", "1000")], [("0.40", "1000")], n=2)
    world.wait(3_000)
    assert not world.requests()
    assert world.hold() is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["BUY", "SELL"]), st.integers(1, 300), st.sampled_from([0, 100, 500])
        ),
        max_size=12,
    )
)
def test_the_deltas_add_up_to_what_the_leader_did(fills: list[tuple[str, int, int]]) -> None:
    world = World().begin()
    for n, (side, size, pause_ms) in enumerate(fills):
        world.fills(str(size), tx=f"0x{n}", side=side)
        world.wait(pause_ms)
    world.wait(2_000)
    truth = sum(size if side == "BUY" else -size for side, size, _ in fills)
    assert sum(deltas(world)) == truth
    assert world.exposure() == truth * 1_000_000
    for delta in world.of(journal.NetDelta):
        assert delta.shares_micro == delta.bought_micro - delta.sold_micro
