"""Shares and money are conserved whatever happens, and a failed trade leaves no trace."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from infra.sandbox.ledger import Ledger, LedgerError, Leg

WALLETS = ("0xa", "0xb", "0xc")
CONDITION = "0xmarket"
shares_of = st.integers(1, 5_000_000_000)
price_of = st.integers(1, 999).map(lambda mill: mill * 1_000)


def pair(
    taker: str, maker: str, *, side: str, crossed: bool, shares: int, usd: int, fee: int
) -> tuple[Leg, Leg]:
    """A taker's leg and its maker's, in the same book or the other outcome's."""
    opposite = {"BUY": "SELL", "SELL": "BUY"}[side]
    mine = Leg(
        wallet=taker,
        condition_id=CONDITION,
        token=0,
        side=side,
        shares_micro=shares,
        usd_micro=usd,
        fee_micro=fee,
    )
    theirs = Leg(
        wallet=maker,
        condition_id=CONDITION,
        token=1 if crossed else 0,
        side=side if crossed else opposite,
        shares_micro=shares,
        usd_micro=shares - usd if crossed else usd,
    )
    return mine, theirs


class Economy(RuleBasedStateMachine):
    """Deposits, splits, trades, settlements, failures and redemptions in any order."""

    @initialize()
    def fund(self) -> None:
        self.ledger = Ledger()
        self.open: list[tuple[Leg, Leg]] = []
        for wallet in WALLETS:
            self.ledger.deposit(wallet, 10**12)
            self.ledger.split(wallet, CONDITION, 10**11)

    @rule(wallet=st.sampled_from(WALLETS), shares=shares_of)
    def split(self, wallet: str, shares: int) -> None:
        self.ledger.split(wallet, CONDITION, shares)

    @rule(wallet=st.sampled_from(WALLETS), part=st.integers(1, 100))
    def merge(self, wallet: str, part: int) -> None:
        pairs = min(self.ledger.shares_micro[wallet, CONDITION, token] for token in (0, 1))
        if pairs > 0:
            self.ledger.split(wallet, CONDITION, -(pairs * part // 100))

    @rule(
        wallets=st.permutations(WALLETS),
        side=st.sampled_from(("BUY", "SELL")),
        crossed=st.booleans(),
        shares=shares_of,
        price=price_of,
        fee=st.integers(0, 10_000),
    )
    def trade(
        self, wallets: list[str], side: str, crossed: bool, shares: int, price: int, fee: int
    ) -> None:
        usd = shares * price // 1_000_000
        legs = pair(
            wallets[0], wallets[1], side=side, crossed=crossed, shares=shares, usd=usd, fee=fee
        )
        sold = [leg for leg in legs if leg.side == "SELL"]
        held = [self.ledger.shares_micro[leg.wallet, CONDITION, leg.token] for leg in sold]
        if any(have < leg.shares_micro for have, leg in zip(held, sold, strict=True)):
            return
        self.ledger.book(legs)
        self.open.append(legs)

    @rule(confirmed=st.booleans())
    def settle(self, confirmed: bool) -> None:
        if self.open:
            legs = self.open.pop(0)
            (self.ledger.confirm if confirmed else self.ledger.reverse)(legs)

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        self.ledger.check()

    def teardown(self) -> None:
        for legs in self.open:
            self.ledger.confirm(legs)
        self.ledger.resolve(CONDITION, (1_000_000, 0))
        for wallet in WALLETS:
            self.ledger.redeem(wallet, CONDITION)
        self.ledger.check()
        assert self.ledger.collateral_micro[CONDITION] == 0


Economy.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestSharesAndMoneyAreConserved = Economy.TestCase


@given(shares=shares_of, price=price_of, fee=st.integers(0, 10_000), crossed=st.booleans())
def test_a_failed_trade_is_reversed_exactly(
    shares: int, price: int, fee: int, crossed: bool
) -> None:
    ledger = Ledger()
    for wallet in WALLETS:
        ledger.deposit(wallet, 10**12)
        ledger.split(wallet, CONDITION, 10**10)
    before = dict(ledger.cash_micro), dict(ledger.shares_micro), dict(ledger.collateral_micro)
    usd = shares * price // 1_000_000
    legs = pair("0xa", "0xb", side="BUY", crossed=crossed, shares=shares, usd=usd, fee=fee)
    ledger.book(legs)
    ledger.reverse(legs)
    assert before == (
        dict(ledger.cash_micro),
        dict(ledger.shares_micro),
        dict(ledger.collateral_micro),
    )
    assert not any(ledger.pending_shares_micro.values())
    assert ledger.fees_micro == 0


def test_what_a_trade_brings_is_pending_until_it_is_confirmed() -> None:
    ledger = Ledger()
    for wallet in WALLETS:
        ledger.deposit(wallet, 10**6)
    legs = pair("0xa", "0xb", side="BUY", crossed=True, shares=10**6, usd=400_000, fee=0)
    ledger.book(legs)
    key = ("0xa", CONDITION, 0)
    assert (ledger.shares_micro[key], ledger.holding(key)) == (0, 10**6)
    ledger.confirm(legs)
    assert (ledger.shares_micro[key], ledger.holding(key)) == (10**6, 10**6)


def test_a_trade_whose_legs_do_not_balance_is_an_error() -> None:
    mine, theirs = pair("0xa", "0xb", side="BUY", crossed=True, shares=10, usd=4, fee=0)
    with pytest.raises(LedgerError, match="does not balance"):
        Ledger().book((mine, mine, theirs))


def test_nobody_sells_what_it_does_not_hold_nor_spends_what_it_has_not() -> None:
    legs = pair("0xa", "0xb", side="SELL", crossed=False, shares=10, usd=4, fee=0)
    with pytest.raises(LedgerError, match="sells more"):
        Ledger().book(legs)
    legs = pair("0xa", "0xb", side="BUY", crossed=True, shares=10, usd=4, fee=0)
    with pytest.raises(LedgerError, match="spends more"):
        Ledger().book(legs)


def test_merging_more_than_one_holds_is_an_error() -> None:
    with pytest.raises(LedgerError, match="merges more"):
        Ledger().split("0xa", CONDITION, -1)
