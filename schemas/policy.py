"""Policy: all that the decisions may know besides the world; it reaches them as a tape record.

One type serves twice, as the [policy] part of the settings file and as the document of the
`Policy` record. Fields named `..._micro` are written in the file without that ending, in human
units ("25.5" for usd, shares or a plain ratio); the loader converts them exactly.
"""

from typing import Literal

import msgspec


class PolicyError(ValueError):
    """A policy that cannot be obeyed; the message names the key and the permitted range."""


class LeaderPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wallet that an account follows.

    weight: share of the account's ratio (1 = the whole). cap_usd: most that may be invested on
    this leader's behalf. start 'now': what he held before is a baseline and is never copied;
    'converge': his whole holding is the target. pairs 'cash': an Up and a Down of one market
    cancel out; 'copy': both are targets.
    """

    wallet: str
    name: str = ""
    weight_micro: int = 1_000_000
    cap_usd_micro: int = 1_000_000_000
    start: Literal["now", "converge"] = "now"
    pairs: Literal["cash", "copy"] = "cash"


class AccountPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account of ours: whom it follows, how much of him, and what it may invest.

    wallet: the address that holds funds and shares. ratio: our shares per leader's share.
    foreign: what becomes of shares that no order of ours bought (held before, bought by hand):
    'keep' leaves them alone, 'sell' closes the gap of the whole position.
    Caps are dollars invested at cost, fees and everything in flight included.
    """

    name: str
    wallet: str
    ratio_micro: int = 100_000
    cap_trade_usd_micro: int = 100_000_000
    cap_market_usd_micro: int = 500_000_000
    cap_account_usd_micro: int = 2_000_000_000
    foreign: Literal["keep", "sell"] = "keep"
    leaders: tuple[LeaderPolicy, ...] = ()


class PolicyDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole policy of a shard. Times are milliseconds of fold time.

    net_window, quiet: a netting window closes after quiet of silence, net_window at the latest.
    order_ttl: an order not sent by then is never sent. max_signal_age: an increase resting on
    older fills is held while our price is worse than his by more than slippage.
    slippage: most per share above (below) the touch that we pay (take). depth_share: most of the
    depth within it that one order takes. band: no order below this share of the target.
    producer_silence: a producer that has not ticked for so long is down. clock_jump: a larger
    step of Tick time holds increases until Ticks agree. feed_max_age: a feed whose newest data is
    older is not fresh. fills_lag: longest a fill needs to reach us by any feed. report_lag
    (leader_/account_): longest a positions report may lag behind. reconcile_max_age: an own token
    unconfirmed for longer is not increased. dust: holdings below it may be missing from reports.
    withdraw_after: a group absent from two REST answers, the second asked so long after the fill,
    was no fill. forget_after: groups so far behind the leader's REST cursor are settled history.
    retry_after: pause for a token after its order ended unfilled or refused.
    summary_every: interval of the Summary event.
    """

    accounts: tuple[AccountPolicy, ...] = ()
    net_window_ms: int = 1_500
    quiet_ms: int = 400
    order_ttl_ms: int = 3_000
    max_signal_age_ms: int = 30_000
    slippage_micro: int = 20_000
    depth_share_micro: int = 500_000
    band_micro: int = 20_000
    min_order_usd_micro: int = 1_000_000
    producer_silence_ms: int = 300
    clock_jump_ms: int = 5_000
    market_feed_max_age_ms: int = 10_000
    leader_feed_max_age_ms: int = 20_000
    account_feed_max_age_ms: int = 30_000
    fills_lag_ms: int = 10_000
    leader_report_lag_ms: int = 90_000
    account_report_lag_ms: int = 90_000
    reconcile_max_age_ms: int = 180_000
    dust_micro: int = 100_000
    withdraw_after_ms: int = 60_000
    forget_after_ms: int = 600_000
    retry_after_ms: int = 2_000
    summary_every_ms: int = 10_000


_HEX = frozenset("0123456789abcdef")


def check_policy(policy: PolicyDocument) -> PolicyDocument:
    """The same policy, or PolicyError naming the first key that no decision could obey."""
    names = [account.name for account in policy.accounts]
    if len(set(names)) != len(names):
        raise PolicyError("policy.accounts: two accounts have the same name")
    wallets = [account.wallet for account in policy.accounts]
    if len(set(wallets)) != len(wallets):
        raise PolicyError("policy.accounts: two accounts have the same wallet")
    for account in policy.accounts:
        _check_account(account)
    for field in (f for f in policy.__struct_fields__ if f.endswith("_ms")):
        if getattr(policy, field) <= 0:
            raise PolicyError(f"policy.{field}: must be above 0")
    for field in ("depth_share_micro", "band_micro"):
        if not 0 < getattr(policy, field) <= 1_000_000:
            raise PolicyError(f"policy.{field[:-6]}: must be above 0 and at most 1")
    for field in ("min_order_usd_micro", "dust_micro"):
        if getattr(policy, field) < 0:
            raise PolicyError(f"policy.{field[:-6]}: must not be negative")
    if not 0 <= policy.slippage_micro < 1_000_000:
        raise PolicyError("policy.slippage: must be at least 0 and below 1 USD a share")
    if policy.quiet_ms > policy.net_window_ms:
        raise PolicyError("policy.quiet_ms: must not be longer than policy.net_window_ms")
    return policy


def check_served(policy: PolicyDocument) -> PolicyDocument:
    """The same policy, or PolicyError if one shard's processes could not serve all of it.

    The decisions keep any number of accounts apart. The account connector and execution serve one:
    the feeds of one account would vouch for another's, and an order that nobody signs keeps its
    token for ever.
    """
    names = [account.name for account in policy.accounts]
    if len(names) > 1:
        raise PolicyError(
            f"policy.accounts: {', '.join(names)} stand in one shard, and its processes serve one "
            "account. Give each account settings and a shard of its own (kafka.shard; "
            "docs/deploy.md, Scaling)"
        )
    return policy


def _check_account(account: AccountPolicy) -> None:
    where = f"policy.accounts[{account.name}]"
    if not account.name or not account.name.replace("-", "").replace("_", "").isalnum():
        raise PolicyError(f"{where}.name: letters, digits, - and _ only")
    _check_wallet(account.wallet, f"{where}.wallet")
    wallets = [leader.wallet for leader in account.leaders]
    if len(set(wallets)) != len(wallets):
        raise PolicyError(f"{where}.leaders: a wallet is named twice")
    if account.wallet in wallets:
        raise PolicyError(f"{where}.leaders: an account cannot follow its own wallet")
    if account.ratio_micro <= 0:
        raise PolicyError(f"{where}.ratio: must be above 0")
    for field in ("cap_trade_usd_micro", "cap_market_usd_micro", "cap_account_usd_micro"):
        if getattr(account, field) < 0:
            raise PolicyError(f"{where}.{field[:-6]}: must not be negative")
    for leader in account.leaders:
        _check_wallet(leader.wallet, f"{where}.leaders.wallet")
        if leader.weight_micro < 0 or leader.cap_usd_micro < 0:
            raise PolicyError(f"{where}.leaders[{leader.wallet}]: negative weight or cap")


def is_wallet(text: str) -> bool:
    """Whether the text is an address as records carry it: 0x and 40 lower-case hex digits."""
    return len(text) == 42 and text.startswith("0x") and _HEX.issuperset(text[2:])


def _check_wallet(text: str, where: str) -> None:
    if not is_wallet(text):
        raise PolicyError(f"{where}: {text!r} is not 0x and 40 lower-case hex digits")
