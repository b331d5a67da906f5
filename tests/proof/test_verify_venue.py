"""Our ledger against the venue's: nothing differs, and then each thing that does is named."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from connectors.polymarket.rest import Rest
from infra.cli.main import cli
from infra.proof.against_venue import Difference, differences, lasting
from infra.proof.ledger import Ledger, ledger_of
from infra.proof.venue_view import VenueReader, VenueUnreadable, VenueView
from infra.sandbox.market import Market
from schemas import codec
from schemas.policy import AccountPolicy, PolicyDocument
from schemas.records.market import MarketMeta, MarketResolved, Outcome
from schemas.records.own import OpenOrder, OwnFill, OwnRedemption, PositionsReport
from schemas.records.system import Policy
from tests.connectors.account.conftest import (
    Stage,
    append,
    new_tape,
    recorded_books,
    shared_broker,
    stages,
)
from tests.proof.conftest import recorded
from tests.waiting import WAIT_S

__all__ = ["new_tape", "recorded_books", "shared_broker", "stages"]


async def traded(stages: Callable[..., Any]) -> tuple[Stage, Any]:
    """An account that the connector has watched through buys and a sale, all confirmed."""
    stage = await stages()
    account = stage.settings.wiring.account
    document = PolicyDocument(
        accounts=(AccountPolicy(name=account.account, wallet=account.wallet),), fills_lag_ms=100
    )
    policy = codec.encode(Policy(version=1, document=document))
    market = stage.venue.market()
    append(stage.settings.wiring.kafka, "tape", b"policy", policy)
    append(stage.settings.wiring.kafka, "tape", b"meta", codec.encode(meta_of(market)))
    stage.start()
    await stage.ready()
    stage.venue.buy(market)
    stage.venue.buy(market, usd_micro=45_000_000, token=1)
    await settled(stage)
    stage.venue.sell(market, stage.venue.held(market) // 2 // 10_000 * 10_000)
    await settled(stage)
    return stage, market


def meta_of(market: Market) -> MarketMeta:
    """What the public connector would say of a sandbox market: its fees count."""
    return MarketMeta(
        condition=market.condition_id,
        outcomes=tuple(
            Outcome(token=token, name=name)
            for token, name in zip(market.tokens, market.outcomes, strict=True)
        ),
        tick_micro=market.tick_micro,
        min_shares_micro=market.min_shares_micro,
        fee_rate_micro=market.fee_rate_micro,
        fee_exponent=market.fee_exponent,
        neg_risk=False,
        accepting=True,
        title=market.question,
        event="",
    )


async def settled(stage: Stage) -> None:
    """All that was traded is told as confirmed, and two reports about it have been asked since."""

    def done(fills: list[OwnFill]) -> bool:
        confirmed = {fill.trade for fill in fills if fill.status == "CONFIRMED"}
        return len(confirmed) == stage.venue.trades() > 0

    await stage.topics.until(OwnFill, done)
    asked = len(await stage.topics.tape(PositionsReport))
    await stage.topics.until(PositionsReport, lambda r: len(r) >= asked + 2)


async def compared(stage: Stage, fold_all: Callable[..., Any]) -> tuple[Ledger, VenueView]:
    rows = await stage.topics.rows("tape")
    lines = [row.value for row in rows]
    wiring = stage.settings.wiring
    async with Rest(per_second=50) as rest:
        reader = VenueReader(wiring, rest, since_ms=rows[0].timestamp_ms)
        view = await reader.read()
    return ledger_of(recorded(lines, fold_all(lines)), reader.account), view


async def test_what_the_connector_told_is_what_the_venue_says_and_what_it_missed_is_named(
    stages, going_on
) -> None:
    stage, market = await traded(stages)
    ledger, view = await compared(stage, going_on)
    assert len(view.fills) == len(ledger.fills) == stage.venue.trades() >= 3
    assert view.cash_micro == stage.venue.cash()
    assert differences(ledger, view) == ()
    await stage.started[-1].stopped()
    stage.venue.buy(market)
    stage.venue.rest(market, 10_000, 300_000_000)
    found: dict[str, Difference] = {}
    async with asyncio.timeout(WAIT_S):  # the venue's index lags behind its matching
        while len(found) < 4:
            ledger, view = await compared(stage, going_on)
            found = {each.about: each for each in differences(ledger, view)}
    assert set(found) == {"trade", "order", "position", "balance"}
    assert found["trade"].ours == "not booked"
    assert found["order"].ours == "none of ours"
    assert found["position"].id == market.tokens[0]
    assert f"{stage.venue.cash() / 1e6:.6f}".rstrip("0").rstrip(".") in found["balance"].venue


async def test_a_redeemed_position_is_the_same_on_both_sides_and_its_dollars_are_counted_once(
    stages, going_on
) -> None:
    stage, market = await traded(stages)
    venue = stage.venue.sandbox.venue
    venue.ledger.resolve(market.condition_id, [500_000, 500_000])
    payouts = dict.fromkeys(market.tokens, 500_000)
    end = MarketResolved(condition=market.condition_id, payouts=payouts, source="test")
    append(stage.settings.wiring.kafka, "tape", b"", codec.encode(end))
    ledger, view = await compared(stage, going_on)
    assert ledger.payout_micro(market.tokens[0])
    assert differences(ledger, view) == (), "held until it is redeemed"
    before = stage.venue.cash()
    venue.settlement.redeem(stage.venue.wallet, market)
    assert stage.venue.cash() > before
    told = await stage.topics.until(OwnRedemption, lambda r: r)
    ledger, view = await compared(stage, going_on)
    assert ledger.payout_micro(market.tokens[0]) is None
    assert view.holdings == ()
    assert differences(ledger, view) == ()
    assert [each.cash_micro for each in ledger.redemptions.values()] == [
        each.cash_micro for each in told
    ]
    more = msgspec.structs.replace(told[0], cash_micro=told[0].cash_micro + 20_000)
    append(stage.settings.wiring.kafka, "tape", b"", codec.encode(more))
    ledger, view = await compared(stage, going_on)
    (found,) = differences(ledger, view)
    assert (found.about, "redemptions" in found.evidence) == ("balance", True)


async def test_an_answer_that_cannot_be_believed_is_no_comparison(stages) -> None:
    stage = await stages()
    wiring = stage.settings.wiring
    secrets = stage.venue.secrets
    stage.venue.sandbox.rim.auth.revoke(stage.venue.credentials.key)
    async with Rest(per_second=50) as rest:
        with pytest.raises(VenueUnreadable, match="status 401") as refused:
            await VenueReader(wiring, rest, since_ms=0).read()
    assert not any(secret in str(refused.value) for secret in secrets)


async def test_every_kind_of_difference_has_both_sides_and_a_place(stages, going_on) -> None:
    """One true view, altered one thing at a time."""
    stage, _ = await traded(stages)
    ledger, view = await compared(stage, going_on)
    fill, holding = view.fills[0], view.holdings[0]
    alter = msgspec.structs.replace
    order = OpenOrder(
        order="0xdead", token="1", side="BUY", price_micro=1, shares_micro=1, matched_micro=0
    )
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"fills": view.fills[1:]}, "trade", "not known"),
        (
            {"fills": (alter(fill, shares_micro=fill.shares_micro + 1), *view.fills[1:])},
            "trade",
            "BUY",
        ),
        ({"fills": (alter(fill, status="FAILED"), *view.fills[1:])}, "trade", "FAILED"),
        ({"orders": (order,)}, "order", "rests: BUY"),
        ({"holdings": view.holdings[1:]}, "position", "no row"),
        (
            {"holdings": (alter(holding, shares_micro=1), *view.holdings[1:])},
            "position",
            "0.000001",
        ),
        ({"cash_micro": view.cash_micro - 20_000}, "balance", "USD"),
    ]
    for fields, about, said in cases:
        (found,) = differences(ledger, view._replace(**fields))
        assert found.about == about
        assert said in found.venue
        assert found.ours
        assert "journal record" in found.evidence or "tape offset" in found.evidence
    assert differences(ledger, view) == ()


def difference(about: str, id_: str, venue: str) -> Difference:
    return Difference(about=about, id=id_, ours="1", venue=venue, evidence="x")


def test_only_what_stays_in_every_look_is_a_difference() -> None:
    a, b = difference("trade", "t1", "2"), difference("balance", "main", "3")
    later = difference("balance", "main", "4")
    assert lasting([(a, b), (later,)]) == (later,)
    assert lasting([(a,), ()]) == ()
    assert lasting([]) == ()


def test_a_paper_account_has_no_venue_to_be_compared_with(tmp_path) -> None:
    result = CliRunner().invoke(cli, ["verify"])
    assert result.exit_code == 1
    assert "execution.backend is 'paper'" in result.output
