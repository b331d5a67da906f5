"""The recordings' traps that concern the fold, on rows of our own and on the recording itself.

Numbers are those of the data folder's README: what real wallets did, and what it did to others.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.core.fold import Entry, window
from flows.core.leaders import LeadersState
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.records import journal, leader, system
from schemas.records.base import Record, group_id
from schemas.units import parse_micro_half_even
from tests.core.tape import DOWN, LEADER, OTHER, OWN, UP, micro

ACTIVITY = Path(__file__).parents[2].parent / "shared" / "data" / "wallet-activity"


def test_trap_1_two_identical_rows_of_one_answer_are_two_fills(started) -> None:
    """A maker's two rows BUY 10 at .42 in one transaction: his total is 20, rows are 2."""
    world = started(leaders=(LeaderPolicy(wallet=LEADER), LeaderPolicy(wallet=OTHER)))
    for source, instance in (("feed", "s1"), ("rest", "a1")):
        world.fills("20", "0.42", rows=2, tx="0x9f91", source=source, instance=instance)
        world.fills("91.135592", "0.42", tx="0x9f91", side="SELL", wallet=OTHER, source=source)
    world.wait(2_000)
    assert world.exposure() == micro("20")
    assert world.exposure(wallet=OTHER) == micro("-91.135592")


def test_trap_2_a_row_read_twice_is_one_fill(started) -> None:
    """The second answer overlaps the first: it states the same totals, and nothing moves."""
    world = started()
    for instance in ("page0", "page1", "page0"):
        for n in range(26):
            world.fills("10", "0.42", tx=f"0x{n}", source="rest", instance=instance)
        world.wait(1_000)
    assert world.exposure() == micro("260")
    assert len(world.of(journal.NetDelta)) == 1


def test_trap_7_one_transaction_holds_several_wallets_and_both_outcomes(started) -> None:
    """A buy of Up at .59 against a buy of Down at .41 is one match and two groups."""
    world = started(leaders=(LeaderPolicy(wallet=LEADER), LeaderPolicy(wallet=OTHER)))
    world.fills("300", "0.59", tx="0xmint")
    world.fills("300", "0.41", tx="0xmint", token=DOWN, wallet=OTHER)
    world.fills("50", "0.41", tx="0xmint", token=DOWN)
    world.wait(2_000)
    assert (world.exposure(UP), world.exposure(DOWN)) == (micro("300"), micro("50"))
    assert (world.exposure(UP, OTHER), world.exposure(DOWN, OTHER)) == (0, micro("300"))
    assert world.target(UP) == micro("25")
    assert world.target(DOWN) == micro("30")


def test_trap_9_a_merge_has_no_side_and_takes_from_both_outcomes(started) -> None:
    world = started()
    world.fills("400", "0.59")
    world.fills("400", "0.41", token=DOWN, tx="0xt2")
    world.wait(2_000)
    world.move("MERGE", {UP: "-374.75512", DOWN: "-374.75512"})
    world.wait(2_000)
    assert (world.exposure(UP), world.exposure(DOWN)) == (micro("25.24488"), micro("25.24488"))
    assert (world.target(UP), world.target(DOWN)) == (0, 0)
    assert not world.requests()


def test_trap_10_a_wallet_that_buys_both_outcomes_is_copied_for_its_unpaired_part(started) -> None:
    """Up and Down alternate inside the same windows, as in nearly every market recorded."""
    world = started()
    up = down = 0
    for n in range(12):
        size = 60 + 10 * (n % 3)
        token = (UP, DOWN)[n % 2]
        up, down = up + size * (token == UP), down + size * (token == DOWN)
        world.fills(str(size), "0.50", tx=f"0x{n}", token=token)
        world.wait(500)
    world.wait(2_000)
    assert (world.exposure(UP), world.exposure(DOWN)) == (micro(up), micro(down))
    assert world.target(UP) == max(up - down, 0) * 100_000
    assert world.target(DOWN) == max(down - up, 0) * 100_000


def trades_folded(rows: list[tuple[int, str, int, int]], window_ms: int) -> list[journal.NetDelta]:
    """Net deltas of (second, token, shares_micro, cash_micro) buys, with a Tick every second."""
    state, offset, deltas = LeadersState(), 0, []

    def put(record: Record) -> None:
        nonlocal offset
        events = window(state, Entry(offset, record)).events
        deltas.extend(e for e in events if isinstance(e, journal.NetDelta))
        offset += 1

    policy = PolicyDocument(
        accounts=(AccountPolicy(name="m", wallet=OWN, leaders=(LeaderPolicy(wallet=LEADER),)),),
        net_window_ms=window_ms,
        quiet_ms=window_ms,
        clock_jump_ms=10**9,  # one producer ticks, and only when somebody trades
    )
    put(system.Tick(producer="p", seq=0, now_ms=rows[0][0] * 1_000 - 1_000, feeds={}))
    put(system.Policy(version=1, document=policy))
    for tick in ticks(sorted({row[0] for row in rows}), window_ms):
        put(system.Tick(producer="p", seq=0, now_ms=tick * 1_000, feeds={}))
        for n, (second, token, shares, cash) in enumerate(rows):
            if second == tick:
                put(fill(f"0x{n}", second, token, shares, cash))
    return deltas


def ticks(seconds: list[int], window_ms: int) -> Iterator[int]:
    """Seconds worth a Tick: those with a fill, and those in which a window may close."""
    last = seconds[0]
    for second in seconds:
        yield from range(last + 1, min(last + window_ms // 1_000 + 1, second))
        yield second
        last = second
    yield from range(last + 1, last + window_ms // 1_000 + 1)


def fill(tx: str, second: int, token: str, shares: int, cash: int) -> leader.LeaderFills:
    return leader.LeaderFills(
        source="rest",
        instance="a",
        leader=LEADER,
        group=group_id(tx=tx, wallet=LEADER, token=token, side="BUY"),
        tx=tx,
        token=token,
        condition="c",
        side="BUY",
        rows=1,
        shares_micro=shares,
        cash_micro=cash,
        venue_ms=second * 1_000,
        recv_ns=second * 1_000_000_000,
    )


def sessions(rows: list[tuple[int, str, int, int]], length: int) -> int:
    """Windows counted another way: the first trade of a token opens one for `length` seconds."""
    opened: dict[str, int] = {}
    count = 0
    for second, token, _, _ in rows:
        if second - opened.get(token, -length) >= length:
            opened[token] = second
            count += 1
    return count


def check_netting(rows: list[tuple[int, str, int, int]], length: int) -> list[journal.NetDelta]:
    """Netting loses nothing: counts, shares and cash add up."""
    deltas = trades_folded(rows, length * 1_000)
    assert len(deltas) == sessions(rows, length)
    assert sum(delta.fills for delta in deltas) == len(rows)
    assert sum(delta.shares_micro for delta in deltas) == sum(row[2] for row in rows)
    assert sum(delta.cash_micro for delta in deltas) == sum(row[3] for row in rows)
    return deltas


def test_trap_11_netting_makes_few_deltas_of_many_trades() -> None:
    """Bursts of trades a second apart, two tokens in turns: 90 trades, a handful of deltas."""
    start = 1_767_556_000
    rows = [
        (start + 60 * burst + n // 3, (UP, DOWN)[n % 2], micro(5 + n), micro(2))
        for burst in range(5)
        for n in range(18)
    ]
    assert len(check_netting(rows, 5)) == 20
    assert len(check_netting(rows, 60)) == 10


@pytest.mark.parametrize(("length", "buckets"), [(5, 1_021), (60, 260)])
def test_trap_11_netting_on_the_recording(length: int, buckets: int) -> None:
    """3,085 real trades: at most as many deltas as fixed buckets of the same length would make."""
    if not ACTIVITY.is_dir():
        pytest.skip(f"the recording {'/'.join(ACTIVITY.parts[-3:])} is not beside the project")
    rows = []
    for path in sorted(ACTIVITY.glob("*.csv")):
        with path.open(newline="") as text:
            rows += [
                (
                    int(row["timestamp"]),
                    row["asset"],
                    parse_micro_half_even(row["size"]),
                    parse_micro_half_even(row["usdcSize"]),
                )
                for row in csv.DictReader(text)
                if row["type"] == "TRADE"
            ]
    assert len(rows) == 3_085
    assert len({(second // length, token) for second, token, _, _ in rows}) == buckets
    deltas = check_netting(sorted(rows), length)
    assert len(deltas) <= buckets
    assert max(delta.fills for delta in deltas) >= 23
