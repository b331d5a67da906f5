"""Settings: exact conversion, nothing unknown passed over, every refusal names its key."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.policy import AccountPolicy, LeaderPolicy
from schemas.settings import Settings, SettingsError, load
from schemas.units import format_micro

FULL = Path(__file__).parent / "full_settings.toml"
A, B, C = (f"0x{'0' * 38}{end}" for end in ("aa", "bb", "cc"))
ACCOUNT = f'[[policy.accounts]]\nname = "main"\nwallet = "{A}"\n'
LEADER = f'[[policy.accounts.leaders]]\nwallet = "{C}"\n'
Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Settings from the text of a file, under an environment."""

    def reader(text: str, environ: Mapping[str, str] = {}) -> Settings:
        path = tmp_path / "truecopy.toml"
        path.write_text(text)
        return load(path, environ)

    return reader


def leaves(value: Any, where: str = "") -> dict[str, Any]:
    """Every scalar of nested structs, by its dotted name."""
    if isinstance(value, msgspec.Struct):
        inner = [(f"{where}.{name}", getattr(value, name)) for name in value.__struct_fields__]
    elif isinstance(value, tuple) and value:
        inner = [(f"{where}[{i}]", item) for i, item in enumerate(value)]
    else:
        return {where: value}
    return {name: leaf for key, item in inner for name, leaf in leaves(item, key).items()}


def test_without_file_and_environment_all_is_default() -> None:
    assert load(None, {}) == Settings()


def test_every_key_of_the_full_file_reaches_its_field() -> None:
    full = load(FULL, {})
    leader = LeaderPolicy(wallet="")
    account = AccountPolicy(name="", wallet="", leaders=(leader,))
    policy = msgspec.structs.replace(Settings().policy, accounts=(account,))
    default = leaves(Settings(policy=policy))
    loaded = leaves(full)
    assert loaded.keys() == default.keys()
    assert [name for name in loaded if loaded[name] == default[name]] == []


def test_human_units_are_converted_exactly() -> None:
    full = load(FULL, {})
    account = full.policy.accounts[0]
    assert full.wiring.execution.paper.cash_usd_micro == 2_500_250_000
    assert (full.policy.slippage_micro, full.policy.min_order_usd_micro) == (15_000, 2_000_000)
    assert (full.policy.depth_share_micro, full.policy.dust_micro) == (250_000, 50_000)
    assert (account.ratio_micro, account.cap_trade_usd_micro) == (1, 25_500_000)
    assert (account.cap_market_usd_micro, account.cap_account_usd_micro) == (
        100_000_001,
        250_000_000,
    )
    assert (account.leaders[0].weight_micro, account.leaders[0].cap_usd_micro) == (
        750_000,
        75_000_000,
    )


@given(micro=st.integers(0, 10**18), quoted=st.booleans())
def test_an_amount_in_a_file_and_in_the_environment_is_the_same_to_the_last_digit(
    tmp_path_factory: pytest.TempPathFactory, micro: int, quoted: bool
) -> None:
    text = format_micro(micro)
    path = tmp_path_factory.getbasetemp() / "amount.toml"
    path.write_text(f"[execution.paper]\ncash_usd = {repr(text) if quoted else text}\n")
    from_file = load(path, {})
    from_environment = load(None, {"TRUECOPY__EXECUTION__PAPER__CASH_USD": text})
    assert from_file.wiring.execution.paper.cash_usd_micro == micro
    assert from_environment == from_file


def test_the_environment_stands_over_the_file(read: Read) -> None:
    settings = read(
        '[kafka]\nbootstrap = "file:1"\nprefix = "file."\n[public]\ntick_ms = 70\n',
        {
            "TRUECOPY__KAFKA__BOOTSTRAP": "there:2",
            "TRUECOPY__POLICY__BAND": "0.05",
            "TRUECOPY__FLOW__EPOCH_S": "0.5",
            "TRUECOPY__EXECUTION__PAPER__LATENCY_MS": "7",
            "PATH": "/bin",
            "TRUECOPY": "of no meaning",
        },
    )
    assert (settings.wiring.kafka.bootstrap, settings.wiring.kafka.prefix) == ("there:2", "file.")
    assert (settings.wiring.public.tick_ms, settings.policy.band_micro) == (70, 50_000)
    assert (settings.wiring.flow.epoch_s, settings.wiring.execution.paper.latency_ms) == (0.5, 7)


def test_truecopy_kafka_is_short_for_the_bootstrap_address(read: Read) -> None:
    settings = read('[kafka]\nbootstrap = "file:1"\n', {"TRUECOPY_KAFKA": "short:3"})
    assert settings.wiring.kafka.bootstrap == "short:3"


UNKNOWN = [
    ("[kafak]\n", "kafak", "kafka"),
    ("[polcy]\n", "polcy", "policy"),
    ('[kafka]\nboostrap = "x"\n', "kafka.boostrap", "bootstrap"),
    ("[execution.papr]\n", "execution.papr", "paper"),
    ("[execution.paper]\ncash = 1\n", "execution.paper.cash", "cash_usd"),
    ("[policy]\nslipage = 0.1\n", "policy.slipage", "slippage"),
    ("[policy]\nband_micro = 1\n", "policy.band_micro", "band"),
    (ACCOUNT + "ration = 1\n", "policy.accounts[0].ration", "ratio"),
    (ACCOUNT + ACCOUNT + "cap_usd = 1\n", "policy.accounts[1].cap_usd", "cap_trade_usd"),
    (
        ACCOUNT + LEADER + LEADER + "wieght = 1\n",
        "policy.accounts[0].leaders[1].wieght",
        "weight",
    ),
]


@pytest.mark.parametrize(("text", "key", "near"), UNKNOWN)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    read: Read, text: str, key: str, near: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        read(text)
    assert str(refusal.value) == f"unknown key {key}; did you mean {near}?"


@pytest.mark.parametrize(
    ("name", "key", "near"),
    [
        ("TRUECOPY__KAFAK__BOOTSTRAP", "kafak", "kafka"),
        ("TRUECOPY__KAFKA__BOOTSTRP", "kafka.bootstrp", "bootstrap"),
        ("TRUECOPY__EXECUTION__PAPER__LATENCY", "execution.paper.latency", "latency_ms"),
        ("TRUECOPY__POLICY__QUIET", "policy.quiet", "quiet_ms"),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest_known_key(
    name: str, key: str, near: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(None, {name: "1"})
    assert str(refusal.value) == f"unknown key {key}; did you mean {near}?"


# The file, the environment, and what the refusal must say.
WRONG: list[tuple[str, dict[str, str], str]] = [
    ("kafka = 3\n", {}, r"kafka: a table is expected, not 3"),
    ("policy = []\n", {}, r"policy: a table is expected"),
    ("[kafka]\nbootstrap = 9092\n", {}, r"kafka: .*`str`, got `int`.*bootstrap"),
    ("[public]\ntick_ms = 1.5\n", {}, r"public: .*`int`, got `float`.*tick_ms"),
    ("[public]\ntick_ms = true\n", {}, r"public: .*`int`, got `bool`.*tick_ms"),
    ("[public]\ntick_ms = nan\n", {}, r"public: .*tick_ms"),
    ("[public]\ntick_ms = [1]\n", {}, r"public: .*`int`, got `array`.*tick_ms"),
    ("[public]\ntick_ms = 0\n", {}, r"public\.tick_ms: must be above 0"),
    ("[kafka]\nshard = -1\n", {}, r"kafka\.shard: must be at least 0"),
    ("[flow]\nepoch_s = -1\n", {}, r"flow\.epoch_s: must be above 0"),
    ("[flow]\nepoch_s = nan\n", {}, r"flow\.epoch_s: must be above 0"),
    ("[flow]\nepoch_s = inf\n", {}, r"flow\.epoch_s: must be above 0"),
    ("[execution]\nbackend = 'papr'\n", {}, r"execution: .*'papr'.*backend"),
    ("[execution]\nworkers = 0\n", {}, r"execution\.workers: must be above 0"),
    ("[execution.paper]\ncash_usd = -1\n", {}, r"execution\.paper\.cash_usd: must be at least 0"),
    ("[execution.paper]\ncash_usd = true\n", {}, r"execution\.paper\.cash_usd: True is not"),
    ("[execution]\npaper = 'yes'\n", {}, r"execution\.paper: a table is expected, not 'yes'"),
    ("[policy]\nquiet_ms = 1.5\n", {}, r"policy: .*`int`, got `float`.*quiet_ms"),
    ("[policy]\nband = 0.0000001\n", {}, r"policy\.band: .*more than six decimals"),
    ("[policy]\nband = nan\n", {}, r"policy\.band: .*not a finite number"),
    ("[policy]\nband = inf\n", {}, r"policy\.band: .*not a finite number"),
    ("[policy]\nband = 'two'\n", {}, r"policy\.band: 'two' is not a decimal number"),
    ("[policy]\nband = []\n", {}, r"policy\.band: \[\] is not a decimal number"),
    ("[policy]\naccounts = 'main'\n", {}, r"policy\.accounts: a list is expected, not 'main'"),
    ("[policy]\naccounts = ['main']\n", {}, r"policy\.accounts\[0\]: a table is expected"),
    ("[[policy.accounts]]\nname = 'main'\n", {}, r"policy\.accounts\[0\]: .*missing.*`wallet`"),
    (ACCOUNT + "ratio = '1e-9'\n", {}, r"policy\.accounts\[0\]\.ratio: .*more than six"),
    (ACCOUNT + LEADER + "start = 'later'\n", {}, r"accounts\[0\]\.leaders\[0\]: .*'later'.*start"),
    (ACCOUNT + LEADER + "pairs = ''\n", {}, r"accounts\[0\]\.leaders\[0\]: .*pairs"),
    ("[kafka\n", {}, r"settings file .*truecopy\.toml: .*line 1"),
    ("", {"TRUECOPY__PUBLIC__TICK_MS": "soon"}, r"public: .*`int`.*tick_ms"),
    ("", {"TRUECOPY__PUBLIC__TICK_MS": ""}, r"public: .*`int`.*tick_ms"),
    ("", {"TRUECOPY__POLICY__BAND": "0.0000001"}, r"policy\.band: .*more than six decimals"),
    ("", {"TRUECOPY__KAFKA": "x"}, r"kafka: a table is expected, not 'x'"),
    ("", {"TRUECOPY__POLICY__ACCOUNTS": "x"}, r"policy\.accounts: a list is expected"),
    ("kafka = 3\n", {"TRUECOPY_KAFKA": "x"}, r"TRUECOPY_KAFKA: kafka is no section"),
    (ACCOUNT, {"TRUECOPY__POLICY__ACCOUNTS__0": "x"}, r"ACCOUNTS__0: accounts is no section"),
]


@pytest.mark.parametrize(("text", "environ", "says"), WRONG)
def test_a_value_of_the_wrong_kind_is_refused_and_its_key_named(
    read: Read, text: str, environ: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        read(text, environ)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"settings file .*none\.toml"):
        load(tmp_path / "none.toml", {})
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(SettingsError, match=r"settings file .*latin\.toml"):
        load(tmp_path / "latin.toml", {})


OTHER = ACCOUNT.replace('"main"', '"other"')
TIMES = [
    *("net_window_ms", "quiet_ms", "order_ttl_ms", "max_signal_age_ms", "producer_silence_ms"),
    *("clock_jump_ms", "market_feed_max_age_ms", "leader_feed_max_age_ms"),
    *("account_feed_max_age_ms", "fills_lag_ms", "leader_report_lag_ms", "account_report_lag_ms"),
    *("reconcile_max_age_ms", "withdraw_after_ms", "forget_after_ms", "retry_after_ms"),
    "summary_every_ms",
]
BAD_POLICIES = [
    *((f"[policy]\n{name} = 0\n", f"policy.{name}: must be above 0") for name in TIMES),
    ("[policy]\norder_ttl_ms = -5\n", "policy.order_ttl_ms: must be above 0"),
    ("[policy]\nquiet_ms = 1501\n", "policy.quiet_ms: must not be longer than"),
    ("[policy]\nslippage = -0.01\n", "policy.slippage: must be at least 0 and below 1"),
    ("[policy]\nslippage = 1\n", "policy.slippage: must be at least 0 and below 1"),
    ("[policy]\ndepth_share = 0\n", "policy.depth_share: must be above 0 and at most 1"),
    ("[policy]\ndepth_share = 1.01\n", "policy.depth_share: must be above 0 and at most 1"),
    ("[policy]\nband = 0\n", "policy.band: must be above 0 and at most 1"),
    ("[policy]\nband = 2\n", "policy.band: must be above 0 and at most 1"),
    ("[policy]\nmin_order_usd = -1\n", "policy.min_order_usd: must not be negative"),
    ("[policy]\ndust = -0.1\n", "policy.dust: must not be negative"),
    (ACCOUNT + ACCOUNT, "policy.accounts: two accounts have the same name"),
    (ACCOUNT + OTHER, "policy.accounts: two accounts have the same wallet"),
    (ACCOUNT.replace('"main"', '""'), "policy.accounts[].name: letters"),
    (ACCOUNT.replace('"main"', '"a:b"'), "policy.accounts[a:b].name: letters"),
    (ACCOUNT.replace("aa", "AA"), "policy.accounts[main].wallet: '0x"),
    (ACCOUNT.replace("0x00", "0x"), "policy.accounts[main].wallet: '0x"),
    (ACCOUNT.replace("0x00", "0000"), "policy.accounts[main].wallet: '00"),
    (ACCOUNT + "ratio = 0\n", "policy.accounts[main].ratio: must be above 0"),
    (ACCOUNT + "ratio = -1\n", "policy.accounts[main].ratio: must be above 0"),
    (ACCOUNT + "cap_trade_usd = -1\n", "policy.accounts[main].cap_trade_usd: must not be"),
    (ACCOUNT + "cap_market_usd = -1\n", "policy.accounts[main].cap_market_usd: must not be"),
    (ACCOUNT + "cap_account_usd = -1\n", "policy.accounts[main].cap_account_usd: must not be"),
    (ACCOUNT + LEADER + LEADER, "policy.accounts[main].leaders: a wallet is named twice"),
    (ACCOUNT + LEADER.replace(C, A), "policy.accounts[main].leaders: an account cannot"),
    (ACCOUNT + LEADER.replace(C, "0x12"), "policy.accounts[main].leaders.wallet: '0x"),
    (ACCOUNT + LEADER + "weight = -0.1\n", f"policy.accounts[main].leaders[{C}]: negative"),
    (ACCOUNT + LEADER + "cap_usd = -1\n", f"policy.accounts[main].leaders[{C}]: negative"),
]


@pytest.mark.parametrize(("text", "says"), BAD_POLICIES)
def test_a_policy_that_no_decision_could_obey_is_refused_by_key(
    read: Read, text: str, says: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        read(text)
    assert str(refusal.value).startswith(says)


def test_the_edges_of_a_policy_are_permitted(read: Read) -> None:
    second = OTHER.replace(A, B)
    caps = "cap_trade_usd = 0\ncap_market_usd = 0\ncap_account_usd = 0\n"
    text = "[policy]\nslippage = 0\nband = 1\ndepth_share = 1\nmin_order_usd = 0\ndust = 0\n"
    settings = read(text + ACCOUNT + caps + LEADER + "weight = 0\ncap_usd = 0\n" + second + LEADER)
    assert [account.name for account in settings.policy.accounts] == ["main", "other"]


def test_a_part_that_is_not_among_the_parts_is_refused(read: Read) -> None:
    with pytest.raises(SettingsError, match=r"public\.part: must be below public\.parts \(2\)"):
        read("[public]\nparts = 2\npart = 2\n")
