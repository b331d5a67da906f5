"""Settings of a sandbox run. All of chance comes from `seed`; times are wall times, in ms or s.

`speed` shortens only the intervals between recorded books. `duration_s` is what the run is
planned for (which recorded stretches play, when a market resolves, when leaders rest); the
sandbox itself goes on until it is stopped.
"""

import msgspec


class SettingsError(ValueError):
    """A setting that cannot be; the message names it and the fix."""


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every knob of the sandbox.

    rest_after_s: when leaders stop trading. resolve_after_s: when the first market resolves.
    tick_after_s: when one market's tick becomes finer, if a recording allows it. leader_rate_per_s
    and stranger_rate_per_s: orders a second of all leaders, and of everybody else. latency_ms: from
    POST to match. mined_ms, confirmed_ms: from match to MINED, from there to CONFIRMED.
    activity_delay_ms: from match to the activity feed. index_lag_ms: from MINED to the Data API.
    cache_scale divides the documented Cache-Control max-age of the Data API, 0 caches nothing.
    rival_every: before every n-th order of an account somebody else takes most of what it would
    have got; 0 never. auto_redeem_ms: after a resolution the venue redeems accounts; 0 never.
    fault_rates: see faults.py.
    """

    port: int = 0
    seed: int = 7
    speed: float = 1.0
    markets: int = 6
    duration_s: int = 60
    rest_after_s: int | None = None
    resolve_after_s: int | None = None
    tick_after_s: int = 10
    leaders: int = 2
    leader_rate_per_s: float = 3.0
    stranger_rate_per_s: float = 2.0
    latency_ms: int = 40
    mined_ms: int = 200
    confirmed_ms: int = 300
    activity_delay_ms: int = 300
    index_lag_ms: int = 1_000
    cache_scale: int = 20
    rival_every: int = 4
    auto_redeem_ms: int = 0
    account_cash_usd_micro: int = 10_000_000_000
    leader_cash_usd_micro: int = 100_000_000_000
    fee_rate_micro: int = 70_000
    min_shares_micro: int = 5_000_000
    faults: tuple[str, ...] = ()
    fault_rates: dict[str, float] = {}

    def __post_init__(self) -> None:
        if not 1 <= self.markets <= 12:
            raise SettingsError(f"markets {self.markets}: between 1 and 12 play side by side")
        if self.speed <= 0:
            raise SettingsError(f"speed {self.speed}: must be above 0")
        if not 0 <= self.leaders <= 8:
            raise SettingsError(f"leaders {self.leaders}: between 0 and 8")

    @property
    def rest_ms(self) -> int:
        """Leaders rest this long after the start."""
        seconds = self.duration_s - 15 if self.rest_after_s is None else self.rest_after_s
        return max(seconds, 0) * 1000

    @property
    def resolve_ms(self) -> int:
        """The first market resolves this long after the start."""
        seconds = self.resolve_after_s
        return (self.duration_s * 6 // 10 if seconds is None else seconds) * 1000
