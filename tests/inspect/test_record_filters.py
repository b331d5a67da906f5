"""Filters: a record matches if it mentions what is asked for, in whatever field."""

import pytest

from infra.inspect.filters import Filter
from infra.inspect.names import Names
from schemas.records.base import Record

UP = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
DOWN = "52114319501245915516055106046884209969926127482827954674443846427813813222426"
LEADER = "0x1eade71eade71eade71eade71eade71eade70042"
MARKET_KINDS = {
    *("Depth", "BookEpoch", "MarketMeta", "MarketClosed", "MarketResolved", "LeaderFills"),
    *("LeaderMove", "OwnFill", "PositionsReport", "OpenOrdersReport", "OrderSigned", "NetDelta"),
    *("ExposureRebased", "BaselineLowered", "LeaderFillWithdrawn", "DriftFound"),
    "PositionCorrected",
    *("OrderRequested", "OrderHeld", "HoldEnded", "OrderProgress", "FillBooked", "FillSettled"),
    *(
        "OwnRedemption",
        "PositionSettled",
        "PositionRedeemed",
        "Summary",
        "Watch",
        "Halt",
        "Resume",
        "WordAdopted",
    ),
}
LEADER_KINDS = {
    *("Policy", "LeaderFills", "LeaderMove", "ReadDone", "LeaderIncomplete", "LeaderFollowed"),
    *("LeaderUnfollowed", "NetDelta", "ExposureRebased", "BaselineLowered"),
    *("LeaderFillWithdrawn", "LeaderMarked"),
    *("Summary", "Cursor", "Follow", "Unfollow", "Halt", "WordAdopted", "WordRefused"),
}
ACCOUNT_KINDS = {
    *("Genesis", "Policy", "OwnFill", "ReportAsked", "PositionsReport", "BalanceReport"),
    *("OpenOrdersReport", "OrderSigned", "OrderAnswered", "OrderExpired", "OrderAbsent"),
    *("DriftFound", "PositionCorrected", "OrderRequested", "OrderHeld", "HoldEnded"),
    *("OrderProgress", "FillBooked", "FillSettled", "PositionSettled", "Summary"),
    *("OwnRedemption", "PositionRedeemed"),
    *("Follow", "Unfollow", "Halt", "WordAdopted", "Tick"),
}


@pytest.fixture
def names(golden: list[Record]) -> Names:
    known = Names()
    for record in golden:
        known.learn(record)
    return known


def kinds(wanted: Filter, golden: list[Record], names: Names) -> set[str]:
    return {type(r).__name__ for r in golden if wanted.admits(r, names)}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(kinds=frozenset({"Tick", "Alarm"})), {"Tick", "Alarm"}),
        (Filter(token="71321045"), MARKET_KINDS - {"MarketClosed"}),
        (Filter(token=UP), MARKET_KINDS - {"MarketClosed"}),
        (Filter(market="atlético"), MARKET_KINDS),
        (Filter(market="0x5e5e5e5e"), MARKET_KINDS),
        (Filter(market="0X5E5E"), MARKET_KINDS),
        (Filter(leader="0x1eade71e"), LEADER_KINDS),
        (Filter(leader="0x1EADE71E"), LEADER_KINDS),
        (Filter(leader="The Quick One"), LEADER_KINDS),
        (Filter(account="main"), ACCOUNT_KINDS),
        (Filter(account="main", token="71321045", kinds=frozenset({"OwnFill"})), {"OwnFill"}),
        (Filter(token="999"), set()),
        (Filter(market="no such"), set()),
        (Filter(leader="the quick"), set()),
        (Filter(account="mai"), set()),
    ],
)
def test_a_filter_finds_every_kind_that_mentions_what_it_asks_for(
    wanted: Filter, found: set[str], golden: list[Record], names: Names
) -> None:
    assert kinds(wanted, golden, names) == found


def test_without_a_filter_every_record_is_shown(golden: list[Record], names: Names) -> None:
    assert all(Filter().admits(record, names) for record in golden)


def test_a_second_outcome_is_found_where_it_is_mentioned(
    golden: list[Record], names: Names
) -> None:
    found = kinds(Filter(token=DOWN), golden, names)
    assert {"MarketMeta", "MarketResolved", "LeaderMove"} <= found
    assert "OwnFill" not in found


def test_a_title_finds_records_that_name_only_the_token(golden: list[Record]) -> None:
    only = Filter(market="atlético", kinds=frozenset({"Depth"}))
    assert kinds(only, golden, Names()) == set()
    known = Names()
    known.learn(next(r for r in golden if type(r).__name__ == "MarketMeta"))
    assert kinds(only, golden, known) == {"Depth"}


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(), True),
        (Filter(token="7132"), True),
        (Filter(market="0xABCD"), True),
        (Filter(leader="0xno"), False),
        (Filter(token="7132", market="0xno"), False),
        (Filter(kinds=frozenset({"Tick"})), False),
    ],
)
def test_frames_match_by_their_text(wanted: Filter, matches: bool) -> None:
    assert wanted.admits_raw(b'{"market":"0xabcd","asset_id":"7132"}') is matches


def test_names_come_from_markets_the_policy_and_summaries(golden: list[Record]) -> None:
    names = Names()
    assert (names.token(UP), names.wallet(LEADER)) == ("[71321045]", "0x1eade71e")
    names.learn(next(r for r in golden if type(r).__name__ == "Summary"))
    assert names.token(UP).startswith("[71321045 Up · ")
    for record in golden:
        names.learn(record)
    assert names.token(DOWN) == "[52114319 Down · Will Atlético win?]"
    assert names.wallet(LEADER) == "the quick one (0x1eade71e)"
    assert names.conditions("ATLÉTICO") == {"0x" + "5e" * 32}
