"""What one seed draws: the venue's habits, our policy, intervals, and the plan of faults.

Lags and intervals are those of the product divided by about ten, so that a world of a minute sees
what a real quarter of an hour does; their proportions are kept (a report is judged only after the
index's lag, absence is declared only after several look-ups).
"""

import random
from dataclasses import dataclass
from typing import Any

from infra.sandbox.settings import SandboxSettings
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.settings import Settings
from schemas.wiring import (
    AccountWiring,
    ExecutionWiring,
    PublicWiring,
    VenueWiring,
    Wiring,
)
from tests.sim.mischief import Fault, drawn
from tests.sim.town import HOST, OWN_WALLET

TROUBLE_MS = 11_500
CALM_MS = 3_000
CALMS = 17
BEGIN_MS = 2_000
"""Leaders trade and faults strike from BEGIN_MS on, until the trouble ends. All must have come
right after the first calm or, at the latest, after the last: 800 shares at 9 USD an order take
half a minute."""
TICK_MS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that is not chance during the run."""

    seed: int
    sandbox: SandboxSettings
    fine: bool
    odd_books: float
    book_gap_ms: int
    slow_producer_ms: int
    epoch_ms: int
    faults: tuple[Fault, ...]
    terms: dict[str, Any]
    forgetful: bool = False

    def settings(self, leaders: list[str]) -> Settings:
        """Wiring and policy of the product in this world."""
        return Settings(wiring=wiring(), policy=policy(leaders, self.terms))


def draw(seed: int, *, faults: int | None = None) -> Options:
    """The options of a seed; faults: how many, drawn as well if not given."""
    chance = random.Random(f"{seed}:options")
    count = chance.choice((0, 6, 14, 30)) if faults is None else faults
    resolves = chance.random() < 0.35
    sandbox = SandboxSettings(
        seed=seed,
        markets=chance.choice((1, 1, 2)),
        duration_s=120,
        rest_after_s=(BEGIN_MS + TROUBLE_MS) // 1_000,
        resolve_after_s=chance.randint(8, 16) if resolves else 150,
        tick_after_s=chance.randint(4, 12),
        leaders=chance.choice((1, 1, 2)),
        leader_rate_per_s=chance.choice((0.7, 1.5, 3.0)),
        stranger_rate_per_s=chance.choice((0.2, 1.0)),
        latency_ms=chance.choice((5, 40, 150)),
        mined_ms=chance.choice((100, 600, 1_200)),
        confirmed_ms=chance.choice((100, 900, 2_500)),
        activity_delay_ms=chance.choice((50, 300)),
        index_lag_ms=chance.choice((100, 500, 1_200)),
        cache_scale=0,
        rival_every=chance.choice((0, 3)),
        auto_redeem_ms=random.Random(f"{seed}:redeem").choice((0, 300, 2_000)),
    )
    terms = {
        "start": chance.choice(("now", "converge")),
        "pairs": chance.choice(("cash", "cash", "copy")),
        "ratio_micro": chance.choice((100_000, 250_000, 500_000)),
        "cap_usd_micro": chance.choice((1_000_000_000, 1_000_000_000, 12_000_000)),
        "cap_trade_usd_micro": chance.choice((100_000_000, 9_000_000)),
        "cap_market_usd_micro": chance.choice((500_000_000, 30_000_000)),
        "cap_account_usd_micro": chance.choice((2_000_000_000, 25_000_000)),
        "order_ttl_ms": chance.choice((600, 3_000)),
    }
    return Options(
        seed=seed,
        sandbox=sandbox,
        fine=chance.random() < 0.3,
        odd_books=chance.choice((0.0, 0.1)),
        book_gap_ms=chance.choice((500, 1_500)),
        slow_producer_ms=chance.choice((2, 12)),
        epoch_ms=chance.choice((700, 3_000)),
        faults=tuple(drawn(chance, until_ms=TROUBLE_MS, count=count)),
        terms=terms,
    )


def wiring() -> Wiring:
    """Intervals about a tenth of the product's; addresses of the world's venue."""
    return Wiring(
        venue=VenueWiring(
            clob_url=HOST,
            gamma_url=f"{HOST}/gamma",
            data_url=HOST,
            relayer_url=HOST,
            rpc_url=HOST,
            market_ws_url="ws://venue/ws/market",
            user_ws_url="ws://venue/ws/user",
            activity_ws_url="ws://venue/ws/activity",
        ),
        public=PublicWiring(
            tick_ms=TICK_MS,
            depth_levels=6,
            market_silence_ms=4_000,
            activity_sockets=1,
            activity_rotate_ms=20_000,
            activity_silence_ms=5_000,
            trades_poll_ms=1_000,
            activity_poll_ms=1_400,
            positions_poll_ms=1_500,
            overlap_ms=20_000,
            index_lag_ms=2_000,
            books_check_ms=1_000,
            markets_poll_ms=4_000,
            rest_per_second=50,
        ),
        account=AccountWiring(
            account="main",
            tick_ms=TICK_MS,
            wallet=OWN_WALLET,
            trades_poll_ms=700,
            orders_poll_ms=2_000,
            positions_poll_ms=1_500,
            balance_poll_ms=1_200,
            redemptions_poll_ms=1_500,
            overlap_ms=20_000,
            rest_per_second=50,
            silence_ms=6_000,
        ),
        execution=ExecutionWiring(
            backend="live", lookup_every_ms=300, absent_after_ms=1_500, post_timeout_ms=700
        ),
    )


def policy(leaders: list[str], terms: dict[str, Any]) -> PolicyDocument:
    """One account that follows everybody."""
    followed = tuple(
        LeaderPolicy(
            wallet=wallet,
            start=terms["start"],
            pairs=terms["pairs"],
            cap_usd_micro=terms["cap_usd_micro"],
        )
        for wallet in leaders
    )
    account = AccountPolicy(
        name="main",
        wallet=OWN_WALLET,
        ratio_micro=terms["ratio_micro"],
        cap_trade_usd_micro=terms["cap_trade_usd_micro"],
        cap_market_usd_micro=terms["cap_market_usd_micro"],
        cap_account_usd_micro=terms["cap_account_usd_micro"],
        leaders=followed,
    )
    return PolicyDocument(
        accounts=(account,),
        net_window_ms=800,
        quiet_ms=250,
        producer_silence_ms=3 * TICK_MS,
        order_ttl_ms=terms["order_ttl_ms"],
        market_feed_max_age_ms=5_000,
        leader_feed_max_age_ms=5_000,
        account_feed_max_age_ms=5_000,
        fills_lag_ms=3_000,
        leader_report_lag_ms=3_000,
        account_report_lag_ms=3_000,
        reconcile_max_age_ms=60_000,
        withdraw_after_ms=4_000,
        retry_after_ms=500,
        summary_every_ms=10_000,
    )
