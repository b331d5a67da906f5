"""Fills as totals: identical rows, repeated rows, rows of others, rows that cannot be read."""

import csv
import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.polymarket.fills import FeedTotals, StatedTotals, answer_totals
from connectors.polymarket.wire import Unreadable
from connectors.polymarket.wire_activity import Fill, decode_activity
from connectors.polymarket.wire_data import decode_page, decode_trade, transaction_of

WALLET = "0x" + "1f" * 20
OTHER = "0x" + "2e" * 20
CONDITION = "0x" + "cd" * 32
TX = "0x" + "9f" * 32


def row(**changed: Any) -> dict[str, Any]:
    return {
        "proxy_wallet": WALLET,
        "side": "BUY",
        "token_id": "77",
        "condition_id": CONDITION,
        "size": 10,
        "price": 0.42,
        "timestamp": 1_790_619_864,
        "transaction_hash": TX,
        **changed,
    }


def fill(**changed: Any) -> Fill:
    decoded = decode_trade(json.dumps(row(**changed)).encode())
    assert isinstance(decoded, Fill)
    return decoded


def message(kind: str = "trades", **changed: Any) -> bytes:
    """An activity message; its payload is camelCase and its token is called asset."""
    names = {
        "proxy_wallet": "proxyWallet",
        "token_id": "asset",
        "condition_id": "conditionId",
        "transaction_hash": "transactionHash",
    }
    payload = {names.get(key, key): value for key, value in row(**changed).items()}
    outer = {"topic": "activity", "type": kind, "timestamp": 1_790_619_866_123}
    return json.dumps({**outer, "payload": payload}).encode()


def test_identical_rows_of_one_answer_are_two_fills() -> None:
    """Trap 1: a maker was hit twice for the same size at the same price."""
    (total,) = answer_totals([fill(), fill(), fill(size=71.135592)], []).values()
    assert total.sums == (3, 91_135_592, 38_276_949)


def test_rows_read_twice_by_two_answers_stay_one_fill_each() -> None:
    """Trap 2: the same rows in the next answer say the same total, and nothing is appended."""
    stated = StatedTotals()
    totals = answer_totals([fill(), fill()], [])
    first = stated.changed("a", totals, 1)
    stated.note(totals, 0)
    assert [record.shares_micro for record in first] == [20_000_000]
    assert stated.changed("b", answer_totals([fill(), fill()], []), 2) == []


def test_a_total_that_shrank_is_stated_again_since_rest_replaces_down_too() -> None:
    stated = StatedTotals()
    stated.note(answer_totals([fill(), fill()], []), 0)
    (again,) = stated.changed("b", answer_totals([fill()], []), 2)
    assert (again.rows, again.shares_micro, again.source) == (1, 10_000_000, "rest")


def test_price_is_never_part_of_a_fills_identity() -> None:
    """Trap 8: prices are size-weighted doubles, off the tick grid."""
    totals = answer_totals([fill(price=0.5878054646), fill(price=0.42)], [])
    assert [total.sums for total in totals.values()] == [(2, 20_000_000, 10_078_055)]


def test_one_transaction_holds_several_wallets_and_both_outcomes() -> None:
    """Trap 7: a BUY of Up at .59 against a BUY of Down at .41 is one match."""
    rows = [
        fill(token_id="1", price=0.59),
        fill(token_id="2", price=0.41),
        fill(token_id="1", price=0.59, proxy_wallet=OTHER),
        fill(token_id="1", price=0.59, side="SELL"),
    ]
    assert len(answer_totals(rows, [])) == 4


def test_seconds_of_feed_and_rest_differ_and_are_no_part_of_the_group() -> None:
    assert fill(timestamp=1_790_619_863).group == fill(timestamp=1_790_619_864).group


def test_upper_case_addresses_and_hashes_are_the_same_ones() -> None:
    shouted = fill(proxy_wallet="0x" + "1F" * 20, transaction_hash=TX.upper().replace("X", "x"))
    assert shouted == fill()


@pytest.mark.parametrize(
    ("size", "micro"),
    [
        (0.7400000012, 740_000),
        (84.115385, 84_115_385),
        (0.0000005, 0),
        (0.0000015, 2),
        (7, 7 * 10**6),
    ],
)
def test_sizes_are_rounded_half_even_to_six_places(size: float, micro: int) -> None:
    assert fill(size=size).shares_micro == micro


@pytest.mark.parametrize(
    "changed",
    [
        {"side": ""},
        {"side": "buy"},
        {"size": "many"},
        {"size": -1},
        {"size": "NaN"},
        {"price": 1.5},
        {"token_id": ""},
        {"token_id": 77},
        {"condition_id": "0x12"},
        {"transaction_hash": ""},
        {"proxy_wallet": "0x12"},
        {"timestamp": "soon"},
    ],
)
def test_an_impossible_row_is_a_value_with_a_reason(changed: dict[str, Any]) -> None:
    decoded = decode_trade(json.dumps(row(**changed)).encode())
    assert isinstance(decoded, Unreadable)
    assert decoded.reason


def test_a_bad_row_keeps_its_own_transaction_back_and_no_other() -> None:
    raw = json.dumps(row(size="many")).encode()
    other = "0x" + "77" * 32
    totals = answer_totals([fill(), fill(transaction_hash=other)], [transaction_of(raw) or ""])
    assert [total.first.tx for total in totals.values()] == [other]


def test_combos_are_no_trades_on_the_book_and_are_left_out() -> None:
    combo = fill(token_id=str((3 << 248) | (7 << 120)))
    assert answer_totals([combo], []) == {}
    assert FeedTotals("a").add(combo, 1) is None


def test_each_row_of_the_feed_raises_the_total_of_its_own_connection() -> None:
    one, two = FeedTotals("one"), FeedTotals("two")
    stated = [one.add(fill(), 1), one.add(fill(size=5), 2), two.add(fill(size=5), 3)]
    assert [(r.instance, r.rows, r.shares_micro) for r in stated if r] == [
        ("one", 1, 10_000_000),
        ("one", 2, 15_000_000),
        ("two", 1, 5_000_000),
    ]


def test_feed_and_rest_agree_on_what_a_fill_is() -> None:
    decoded = decode_activity(message(size=84.115385))
    assert decoded == ("trades", fill(size=84.115385))


def test_an_empty_page_with_a_cursor_is_not_the_last_one() -> None:
    page = decode_page(b'{"data":[],"pagination":{"has_more":true,"next_cursor":"x"}}')
    assert not isinstance(page, Unreadable)
    assert (page.rows, page.cursor) == ([], "x")
    broken = decode_page(b'{"data":[],"pagination":{"has_more":true}}')
    assert isinstance(broken, Unreadable)


@given(
    sizes=st.lists(st.decimals("0.01", "5000", places=6), min_size=1, max_size=30),
    cut=st.integers(0, 30),
)
def test_a_total_does_not_depend_on_where_pages_were_cut(sizes: list[Decimal], cut: int) -> None:
    rows = [fill(size=float(size)) for size in sizes]
    whole = answer_totals(rows, [])
    assert {g: t.sums for g, t in answer_totals(rows[cut:] + rows[:cut], []).items()} == {
        g: t.sums for g, t in whole.items()
    }


def test_the_recorded_transaction_with_two_identical_fills_adds_up(recorded: Path) -> None:
    """Trap 1 as recorded: the taker's 91.135592 is 71.135592 + 10 + 10."""
    session = json.loads((recorded / "activity-feed" / "session.json").read_text())
    legs = [leg for leg in session["events"] if leg["tx_hash"].startswith("0x9f91347d")]
    totals = FeedTotals("recorded")
    newest = {}
    for leg in legs:
        record = totals.add(
            fill(
                proxy_wallet=leg["trader"],
                token_id=leg["token_id"],
                condition_id=leg["market_id"],
                side=leg["side"],
                size=leg["size"],
                price=leg["price"],
                transaction_hash=leg["tx_hash"],
            ),
            1,
        )
        assert record is not None
        newest[record.group] = record
    twins = [record for record in newest.values() if record.rows == 2]
    assert [record.shares_micro for record in twins] == [20_000_000]
    assert max(record.shares_micro for record in newest.values()) == 91_135_592


def test_the_recorded_pages_that_overlap_by_26_rows_state_nothing_twice(recorded: Path) -> None:
    """Trap 2 as recorded: new trades pushed the offset, so 26 rows came twice."""
    pages = [
        json.loads((recorded / "wallet-trades" / f"trades_page{n}.json").read_text())
        for n in (0, 1)
    ]
    assert pages[0][-26:] == pages[1][:26]
    names = {
        "proxyWallet": "proxy_wallet",
        "asset": "token_id",
        "conditionId": "condition_id",
        "transactionHash": "transaction_hash",
    }
    rows = [
        fill(**{names.get(k, k): v for k, v in each.items() if names.get(k, k) in row()})
        for each in pages[0] + pages[1][26:]
    ]
    stated = StatedTotals()
    totals = answer_totals(rows, [])
    first = stated.changed("a", totals, 1)
    stated.note(totals, 0)
    assert sum(record.rows for record in first) == len(rows) == 1_974
    again = answer_totals(rows[500:], [])
    boundary = {rows[499].group} & {rows[500].group}
    assert {record.group for record in stated.changed("b", again, 2)} <= boundary


def test_the_recorded_wallet_nets_to_what_its_rows_say(recorded: Path) -> None:
    """3,085 real trades: totals per group add up to the rows, to the last micro-share."""
    shares: dict[tuple[str, str], int] = defaultdict(int)
    rows, kinds = [], Counter[str]()
    for path in sorted((recorded / "wallet-activity").glob("*.csv")):
        for each in csv.DictReader(path.open()):
            kinds[each["type"]] += 1
            if each["type"] != "TRADE":
                continue
            one = fill(
                proxy_wallet=each["proxyWallet"],
                token_id=each["asset"],
                condition_id=each["conditionId"],
                side=each["side"],
                size=float(each["size"]),
                price=float(each["price"]),
                transaction_hash=each["transactionHash"],
            )
            rows.append(one)
            shares[one.token, one.side] += one.shares_micro
    found: dict[tuple[str, str], int] = defaultdict(int)
    for total in answer_totals(rows, []).values():
        found[total.first.token, total.first.side] += total.shares_micro
    assert kinds == {"TRADE": 3_085, "MERGE": 2}
    assert found == shares
