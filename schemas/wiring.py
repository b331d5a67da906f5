"""Wiring: addresses, files and intervals, read by each process for itself; decisions never see it.

Every venue address, broker address and account is a setting, so another program can stand in
Polymarket's place without a change of code. Secrets are never settings: files hold them, settings
name the files.
"""

from math import inf
from typing import Literal

import msgspec


class WiringError(ValueError):
    """Wiring that no process could run on; the message names the key and the permitted range."""


class _Wiring(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class KafkaWiring(_Wiring, frozen=True):
    """bootstrap: host:port list. prefix goes before every topic name. shard: tape partition.

    linger_ms: how long a connector's producer waits for company; flow and execution do not wait.
    fetch_wait_ms: longest wait of a fetch. The embedded broker wants 5 of both: it looks at every
    request ever made, and never wakes a waiting fetch.
    """

    bootstrap: str = "127.0.0.1:9092"
    prefix: str = ""
    shard: int = 0
    linger_ms: int = 0
    fetch_wait_ms: int = 100


class VenueWiring(_Wiring, frozen=True):
    """The venue's addresses (API reference 3.1)."""

    clob_url: str = "https://clob.polymarket.com"
    gamma_url: str = "https://gamma-api.polymarket.com"
    data_url: str = "https://data-api.polymarket.com"
    relayer_url: str = "https://relayer-v2.polymarket.com"
    rpc_url: str = "https://polygon.drpc.org"
    market_ws_url: str = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    user_ws_url: str = "wss://ws-subscriptions-clob.polymarket.com/ws/user"
    activity_ws_url: str = "wss://ws-live-data.polymarket.com"


class PublicWiring(_Wiring, frozen=True):
    """The public connector: sockets, poll intervals and budgets.

    tick_ms: interval of Tick records. depth_levels: levels a side in a Depth. depth_interval_ms:
    least time between two Depths of a token. activity_sockets: connections to the activity feed.
    *_poll_ms: interval of each leader's read; one at rest is read up to rest_factor times more
    rarely, of which trades_poll_ms times it should stay below policy.leader_feed_max_age_ms.
    overlap_ms: how far behind its cursor a read begins. index_lag_ms: how far behind its asking a
    trades answer is trusted to be complete. books_check_ms: interval of the rotating comparison
    with REST books, books_check_size tokens a time. rest_per_second: most REST requests of the
    process. hash_budget_us_per_s: CPU for book hashes. silence_ms: no data at all on a socket for
    so long means frozen: reconnect.
    markets_poll_ms: interval of reading watched markets' metadata, closing and resolution again.
    parts, part: of so many public connectors this one mirrors the tokens whose id leaves part when
    divided by parts; each follows all wallets, for a leader told twice is told once.
    """

    producer: str = "public"
    parts: int = 1
    part: int = 0
    tick_ms: int = 100
    depth_levels: int = 20
    depth_interval_ms: int = 250
    tokens_per_socket: int = 200
    activity_sockets: int = 2
    activity_rotate_ms: int = 600_000
    market_silence_ms: int = 30_000
    activity_silence_ms: int = 15_000
    trades_poll_ms: int = 4_000
    activity_poll_ms: int = 5_000
    positions_poll_ms: int = 15_000
    rest_factor: int = 4
    overlap_ms: int = 60_000
    index_lag_ms: int = 10_000
    books_check_ms: int = 5_000
    books_check_size: int = 100
    markets_poll_ms: int = 20_000
    rest_per_second: int = 20
    hash_budget_us_per_s: int = 50_000


class AccountWiring(_Wiring, frozen=True):
    """The account connector: one account of ours, read with API credentials, never the key.

    account: its name in the policy. wallet holds the funds, signer owns the API credentials (the
    same address for a plain EOA).
    """

    producer: str = "account"
    account: str = "main"
    wallet: str = ""
    signer: str = ""
    credentials_file: str = ""
    signature_type: int = 0
    tick_ms: int = 100
    trades_poll_ms: int = 3_000
    orders_poll_ms: int = 10_000
    positions_poll_ms: int = 15_000
    balance_poll_ms: int = 10_000
    redemptions_poll_ms: int = 30_000
    overlap_ms: int = 60_000
    rest_per_second: int = 10
    silence_ms: int = 30_000


class PaperWiring(_Wiring, frozen=True):
    """The paper venue inside execution: its latency and the collateral it starts with."""

    latency_ms: int = 100
    settle_ms: int = 2_000
    cash_usd_micro: int = 10_000_000_000
    positions_every_ms: int = 15_000


class ExecutionWiring(_Wiring, frozen=True):
    """The execution sink. backend 'live' needs three yeses: this, the flag --live, the key file.

    clock_skew_max_ms: no sending while the clock differs more from the newest Tick. workers: most
    orders in the air at once. lookup_every_ms, absent_after_ms: pace of look-ups of an unknown
    order, and how long they must all say absent. post_timeout_ms: longest wait for an answer.
    """

    producer: str = "execution"
    backend: Literal["live", "paper"] = "paper"
    key_file: str = ""
    credentials_file: str = ""
    workers: int = 8
    clock_skew_max_ms: int = 500
    lookup_every_ms: int = 1_000
    absent_after_ms: int = 10_000
    post_timeout_ms: int = 10_000
    stop_file: str = "var/STOP"
    paper: PaperWiring = PaperWiring()


class FlowWiring(_Wiring, frozen=True):
    """The dataflow: where it keeps its snapshots and how often it makes one."""

    recovery_dir: str = "var/recovery"
    epoch_s: float = 10.0
    group: str = "truecopy-flow"


class HealthWiring(_Wiring, frozen=True):
    """Where each process answers /healthz, /readyz and /metrics. Port 0: any free one, logged.

    Loopback unless something outside the machine (a container's neighbour) has to ask.
    """

    host: str = "127.0.0.1"
    public_port: int = 0
    account_port: int = 0
    flow_port: int = 0
    execution_port: int = 0
    export_port: int = 0


class Wiring(_Wiring, frozen=True):
    """All of it, by process."""

    kafka: KafkaWiring = KafkaWiring()
    venue: VenueWiring = VenueWiring()
    public: PublicWiring = PublicWiring()
    account: AccountWiring = AccountWiring()
    execution: ExecutionWiring = ExecutionWiring()
    flow: FlowWiring = FlowWiring()
    health: HealthWiring = HealthWiring()


_MAY_BE_ZERO = frozenset(
    [
        "shard",
        "part",
        "public_port",
        "account_port",
        "flow_port",
        "execution_port",
        "export_port",
        "linger_ms",
        "fetch_wait_ms",
        "depth_interval_ms",
        "overlap_ms",
        "index_lag_ms",
        "hash_budget_us_per_s",
        "signature_type",
        "latency_ms",
        "settle_ms",
        "cash_usd_micro",
    ]
)


def check_wiring(wiring: Wiring) -> Wiring:
    """The same wiring, or WiringError naming the first number no process could run on."""
    for section in wiring.__struct_fields__:
        _check_numbers(getattr(wiring, section), section)
    if wiring.public.part >= wiring.public.parts:
        raise WiringError(f"public.part: must be below public.parts ({wiring.public.parts})")
    return wiring


def _check_numbers(part: _Wiring, where: str) -> None:
    for name in part.__struct_fields__:
        value, key = getattr(part, name), f"{where}.{name.removesuffix('_micro')}"
        if isinstance(value, _Wiring):
            _check_numbers(value, key)
        elif isinstance(value, (int, float)):
            zero = name in _MAY_BE_ZERO
            if not (0 < value < inf or (zero and value == 0)):
                raise WiringError(f"{key}: must be {'at least' if zero else 'above'} 0")
