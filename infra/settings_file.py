"""The settings file that `truecopy init` writes: what was answered, and every key worth knowing.

Keys that differ from their default, or that nobody should have to look up, are set; the others
stand in comments with their default, taken from the types, so that a release may better them. The
text is read back before it is given out: what would not load is never written.
"""

import tomllib
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from infra.effective import Leaf, Steps, leaves
from infra.toml_text import literal
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument
from schemas.records.base import Wallet
from schemas.settings import Settings, parse
from schemas.wiring import (
    AccountWiring,
    ExecutionWiring,
    FlowWiring,
    HealthWiring,
    KafkaWiring,
    Wiring,
)

PAPER_WALLET = Wallet("0x" + "1".zfill(40))
"""Stands for a paper account: nobody has its key, and on paper nobody looks at it on chain."""

ACCOUNT = "main"
PORTS = {
    "public_port": 9461,
    "account_port": 9462,
    "flow_port": 9463,
    "execution_port": 9464,
    "export_port": 9465,
}


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A leader. name: for people only."""

    wallet: Wallet
    name: str = ""


class LiveAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What live needs: wallet holds the funds, signer is the key's address, the files are paths."""

    wallet: Wallet
    signer: Wallet
    signature_type: int
    key_file: str
    credentials_file: str


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a user was asked. live: None for paper. Caps are dollars invested at cost."""

    leaders: tuple[Followed, ...]
    ratio_micro: int
    cap_account_usd_micro: int
    cap_market_usd_micro: int
    cap_trade_usd_micro: int
    cap_leader_usd_micro: int
    bootstrap: str
    live: LiveAnswers | None = None


Keys = dict[str, str]
"""Keys of a section and what is said about each."""

SECTIONS: tuple[tuple[str, str, Keys], ...] = (
    (
        "kafka",
        "The broker that everything goes through.",
        {
            "bootstrap": "host:port of the brokers, with commas between",
            "prefix": "before every topic name; paper and live never share a tape",
            "shard": "partition of the tape; one account, one shard",
            "linger_ms": "ms a connector's producer waits for company",
        },
    ),
    (
        "venue",
        "Every address of the venue is a setting, so another program can stand in its place.",
        {
            "clob_url": "",
            "gamma_url": "",
            "data_url": "",
            "relayer_url": "",
            "rpc_url": "",
            "market_ws_url": "",
            "user_ws_url": "",
            "activity_ws_url": "",
        },
    ),
    (
        "public",
        "Books, leaders' trades and reports, markets: no secret.",
        {
            "trades_poll_ms": "ms between two reads of a leader's trades",
            "positions_poll_ms": "ms between two reads of a leader's positions",
            "rest_per_second": "requests a second, all leaders together",
            "depth_levels": "price levels a side that decisions see",
        },
    ),
    (
        "account",
        "Our own fills, orders, positions and balance; read in live trading only.",
        {
            "account": "which of policy.accounts this is",
            "wallet": "holds the funds, 0x and 40 hex digits",
            "signer": "address of the signing key",
            "signature_type": "0 plain key, 1 proxy wallet, 2 Safe, 3 deposit wallet",
            "credentials_file": "API credentials, mode 600; made by `truecopy credentials`",
            "positions_poll_ms": "ms between two reads of our positions",
        },
    ),
    (
        "execution",
        "Sends the orders. Real ones need backend = live, the flag --live and the key file.",
        {
            "backend": "paper or live",
            "key_file": "the signing key, hex, mode 600; only execution opens it",
            "credentials_file": "API credentials, mode 600",
            "stop_file": "while this file is there no order is sent",
            "clock_skew_max_ms": "ms that the clock may differ from the newest Tick",
        },
    ),
    (
        "execution.paper",
        "The paper venue: fills against the real books, with delay.",
        {
            "cash_usd": "USD it begins with",
            "latency_ms": "ms from order to match",
            "settle_ms": "ms from match to settled",
        },
    ),
    (
        "flow",
        "The decisions.",
        {
            "recovery_dir": "snapshots; one directory for one tape",
            "epoch_s": "seconds between two snapshots",
        },
    ),
    (
        "health",
        "Where each process answers /healthz, /readyz and /metrics; 0 is any free port.",
        {"host": "loopback, unless something outside the machine asks", **dict.fromkeys(PORTS, "")},
    ),
    (
        "policy",
        "What the decisions may know; `truecopy policy apply` brings a change in while they run.",
        {
            "slippage": "USD a share that we may be worse than the best price",
            "depth_share": "share of the depth within it that one order takes",
            "band": "no order for a gap below this share of the target",
            "min_order_usd": "USD, the least order",
            "net_window_ms": "ms that a leader's fills are netted at most",
            "quiet_ms": "ms of silence that end the netting",
            "order_ttl_ms": "ms after which an order is not sent any more",
            "max_signal_age_ms": "ms after which an increase at a worse price is held",
        },
    ),
)
ACCOUNT_KEYS: Keys = {
    "name": "letters, digits, - and _",
    "wallet": "",
    "ratio": "our shares for each share of a leader",
    "foreign": "shares no order of ours bought: keep leaves them alone, sell sells them",
    "cap_trade_usd": "USD, most in one order",
    "cap_market_usd": "USD, most in one market",
    "cap_account_usd": "USD, most in all; at cost, with fees and what is in flight",
}
LEADER_KEYS: Keys = {
    "wallet": "",
    "name": "for people only",
    "weight": "share of the ratio, 1 = the whole",
    "cap_usd": "USD, most invested on his behalf",
    "start": "now: what he holds already is not copied; converge: it is",
    "pairs": "cash: Up and Down of one market cancel out; copy: both are targets",
}
ALWAYS = frozenset({"kafka.bootstrap", "execution.backend", "execution.stop_file"})


def settings_of(answers: Answers) -> Settings:
    """The settings that the answers mean."""
    live, kind = answers.live, "paper" if answers.live is None else "live"
    account, execution = AccountWiring(), ExecutionWiring()
    if live is not None:
        account = AccountWiring(
            account=ACCOUNT,
            wallet=live.wallet,
            signer=live.signer,
            signature_type=live.signature_type,
            credentials_file=live.credentials_file,
        )
        execution = ExecutionWiring(
            backend="live", key_file=live.key_file, credentials_file=live.credentials_file
        )
    wiring = Wiring(
        kafka=KafkaWiring(bootstrap=answers.bootstrap, prefix=f"{kind}."),
        account=account,
        execution=execution,
        flow=FlowWiring(recovery_dir=f"var/{kind}/recovery"),
        health=msgspec.convert(PORTS, HealthWiring),
    )
    wallet = PAPER_WALLET if live is None else live.wallet
    return Settings(wiring=wiring, policy=PolicyDocument(accounts=(_account(answers, wallet),)))


def _account(answers: Answers, wallet: Wallet) -> AccountPolicy:
    return AccountPolicy(
        name=ACCOUNT,
        wallet=wallet,
        ratio_micro=answers.ratio_micro,
        cap_trade_usd_micro=answers.cap_trade_usd_micro,
        cap_market_usd_micro=answers.cap_market_usd_micro,
        cap_account_usd_micro=answers.cap_account_usd_micro,
        leaders=tuple(
            LeaderPolicy(
                wallet=leader.wallet, name=leader.name, cap_usd_micro=answers.cap_leader_usd_micro
            )
            for leader in answers.leaders
        ),
    )


def rendered(answers: Answers) -> str:
    """The text of the file; raises SettingsError for answers that no process could run on."""
    settings = settings_of(answers)
    text = "\n".join(_lines(settings, live=answers.live is not None)) + "\n"
    read = parse(tomllib.loads(text, parse_float=Decimal))
    assert read == settings, "the file does not say what was answered"
    return text


def _lines(settings: Settings, *, live: bool) -> Iterator[str]:
    found = {leaf.steps: leaf for leaf in leaves(settings)}
    flag = "--live" if live else "--paper"
    yield "# Settings of truecopy. Start with: truecopy --config THIS_FILE run " + flag
    yield "# Lines in comments show defaults. `truecopy config` shows what is in force and why."
    yield "# Times are ms, amounts USD and shares as decimals. No secret belongs here, only paths."
    for section, about, keys in SECTIONS:
        steps: Steps = tuple(section.split("."))
        yield from ("", f"# {about}", f"[{section}]")
        yield from _pairs([(found[(*steps, key)], said) for key, said in keys.items()])
    account: Steps = ("policy", "accounts", 0)
    yield from ("", "# Whom the account follows, how much of him, and what it may invest.")
    yield "[[policy.accounts]]"
    yield from _pairs([(found[(*account, key)], said) for key, said in ACCOUNT_KEYS.items()])
    for place in range(len(settings.policy.accounts[0].leaders)):
        leader: Steps = (*account, "leaders", place)
        yield from ("", "[[policy.accounts.leaders]]")
        yield from _pairs([(found[(*leader, key)], said) for key, said in LEADER_KEYS.items()])


def _pairs(rows: Sequence[tuple[Leaf, str]]) -> Iterator[str]:
    """Lines `key = value  # what it is`, one below the other; defaults behind a `# `."""
    pairs = [(_pair(leaf), said) for leaf, said in rows]
    width = max(len(pair) for pair, said in pairs if said) if any(s for _, s in pairs) else 0
    for pair, said in pairs:
        yield f"{pair:<{width}}  # {said}" if said else pair


def _pair(leaf: Leaf) -> str:
    """A key and its value; in an account everything is set, since there it is about money."""
    text = f"{leaf.steps[-1]} = {literal(leaf.value, bare=leaf.micro)}"
    name = ".".join(str(step) for step in leaf.steps)
    is_set = leaf.changed or name in ALWAYS or "accounts" in leaf.steps
    return text if is_set else f"# {text}"
