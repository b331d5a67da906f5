"""`truecopy init`: the file it writes says what was answered, loads, and holds no secret."""

import re
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import click.testing
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from infra.cli.init import init, write_private
from infra.effective import entries
from infra.settings_file import (
    PAPER_WALLET,
    PORTS,
    Answers,
    Followed,
    LiveAnswers,
    rendered,
    settings_of,
)
from schemas.records.base import Wallet
from schemas.settings import Settings, load, parse
from schemas.units import MICRO

LEADER = "0x" + "ab" * 20
OTHER = "0x" + "cd" * 20
OURS = "0x" + "ef" * 20
WALLETS = st.integers(2, 2**160 - 1).map("0x{:040x}".format)
MICROS = st.integers(1, 10**15)
TEXTS = st.text(max_size=20)
INACTIVE = re.compile(r"^# (?=\w+ = )", re.MULTILINE)
Asked = Callable[..., click.testing.Result]


@st.composite
def answered(draw: st.DrawFn) -> Answers:
    """Any answers that a user may give."""
    wallets = draw(st.lists(WALLETS, min_size=1, max_size=5, unique=True))
    leaders = tuple(Followed(wallet=Wallet(w), name=draw(TEXTS)) for w in wallets[1:])
    live = LiveAnswers(
        wallet=Wallet(wallets[0]),
        signer=Wallet(draw(WALLETS)),
        signature_type=draw(st.integers(0, 3)),
        key_file=draw(TEXTS),
        credentials_file=draw(TEXTS),
    )
    return Answers(
        leaders=leaders,
        ratio_micro=draw(MICROS),
        cap_account_usd_micro=draw(MICROS),
        cap_market_usd_micro=draw(MICROS),
        cap_trade_usd_micro=draw(MICROS),
        cap_leader_usd_micro=draw(MICROS),
        bootstrap=draw(TEXTS),
        live=draw(st.sampled_from([None, live])),
    )


def read(text: str) -> Settings:
    """Settings as they load from a file's text."""
    return parse(tomllib.loads(text, parse_float=Decimal))


@given(answered())
def test_whatever_is_answered_the_file_loads_and_says_it(answers: Answers) -> None:
    found = read(rendered(answers))
    assert found == settings_of(answers)
    account = found.policy.accounts[0]
    assert [leader.wallet for leader in account.leaders] == [a.wallet for a in answers.leaders]
    assert account.ratio_micro == answers.ratio_micro
    assert account.cap_account_usd_micro == answers.cap_account_usd_micro
    assert found.wiring.execution.backend == ("paper" if answers.live is None else "live")


@given(answered())
def test_every_default_in_a_comment_is_the_default(answers: Answers) -> None:
    """With the `# ` before each key taken away, the file says the same."""
    for name in answers.leaders:
        assume(not INACTIVE.search(name.name))
    text = rendered(answers)
    assert INACTIVE.search(text)
    assert read(INACTIVE.sub("", text)) == read(text)


def test_each_section_of_the_settings_is_in_the_file() -> None:
    written = rendered(_some_answers())
    document = tomllib.loads(INACTIVE.sub("", written))
    everything = {entry.steps[0] for entry in entries(settings_of(_some_answers()), None, {})}
    assert set(document) == everything
    assert document["health"].items() >= PORTS.items()


def _some_answers() -> Answers:
    return Answers(
        leaders=(Followed(wallet=Wallet(LEADER)),),
        ratio_micro=100_000,
        cap_account_usd_micro=200 * MICRO,
        cap_market_usd_micro=50 * MICRO,
        cap_trade_usd_micro=10 * MICRO,
        cap_leader_usd_micro=200 * MICRO,
        bootstrap="127.0.0.1:9092",
    )


@pytest.fixture
def ask(tmp_path: Path) -> Asked:
    """Runs the command on a file of the test: words, and what is typed."""

    def run(*words: str, typed: str = "") -> click.testing.Result:
        path = str(tmp_path / "my.toml")
        return click.testing.CliRunner().invoke(init, [path, *words], input=typed)

    return run


def test_without_questions_the_flags_and_the_defaults_are_the_answers(
    ask: Asked, tmp_path: Path
) -> None:
    answer = ask("--yes", "--leader", LEADER, "--leader", OTHER, "--ratio", "0.25", "--cap", "400")
    assert answer.exit_code == 0, answer.output
    assert f"truecopy --config {tmp_path / 'my.toml'} run --paper" in answer.output
    loaded = load(tmp_path / "my.toml", {})
    account = loaded.policy.accounts[0]
    assert account.wallet == PAPER_WALLET
    assert [leader.wallet for leader in account.leaders] == [LEADER, OTHER]
    assert account.ratio_micro == 250_000
    caps = (account.cap_account_usd_micro, account.cap_market_usd_micro)
    assert (*caps, account.cap_trade_usd_micro) == (400 * MICRO, 100 * MICRO, 20 * MICRO)
    assert {leader.cap_usd_micro for leader in account.leaders} == {400 * MICRO}
    assert loaded.wiring.execution.backend == "paper"
    assert loaded.wiring.kafka.prefix == "paper."


def test_only_its_owner_can_read_the_file_and_nobody_writes_over_it(
    ask: Asked, tmp_path: Path
) -> None:
    assert ask("--yes", "--leader", LEADER).exit_code == 0
    file = tmp_path / "my.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_text()
    refused = ask("--yes", "--leader", OTHER)
    assert refused.exit_code == 1
    assert "--force writes over it" in refused.output
    assert file.read_text() == before
    assert ask("--yes", "--leader", OTHER, "--force").exit_code == 0
    assert OTHER in file.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["my.toml"]


def test_a_file_that_appears_while_questions_are_asked_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("mine")
    with pytest.raises(FileExistsError):
        write_private(file, "theirs", force=False)
    assert file.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["my.toml"]


def test_what_is_not_given_is_asked_and_a_wrong_answer_is_asked_again(
    ask: Asked, tmp_path: Path
) -> None:
    typed = ["nobody at all", LEADER, "", "0", "0.5", "1000", "", "", "", "maybe", "paper", "x", ""]
    answer = ask(typed="\n".join(typed) + "\n")
    assert answer.exit_code == 0, answer.output
    for complaint in ("is no wallet", "is not above 0", "neither paper nor live", "not host:port"):
        assert complaint in answer.output
    account = load(tmp_path / "my.toml", {}).policy.accounts[0]
    assert (account.ratio_micro, account.cap_account_usd_micro) == (500_000, 1_000 * MICRO)
    assert [leader.wallet for leader in account.leaders] == [LEADER]


def test_live_asks_for_the_place_of_the_key_and_never_for_the_key(
    ask: Asked, tmp_path: Path
) -> None:
    key = "0x" + "1f" * 32
    typed = [OURS, "", key, "secrets/key", "", ""]
    words = ("--live", "--leader", LEADER, "--ratio", "1", "--cap", "50", "--cap-trade", "10")
    words += ("--cap-market", "20", "--cap-leader", "50", "--kafka", "127.0.0.1:9092")
    answer = ask(*words, typed="\n".join(typed) + "\n")
    assert answer.exit_code == 0, answer.output
    assert "looks like the key itself" in answer.output
    assert key not in (tmp_path / "my.toml").read_text()
    wiring = load(tmp_path / "my.toml", {}).wiring
    assert (wiring.account.wallet, wiring.account.signer) == (OURS, OURS)
    assert wiring.execution.key_file == "secrets/key"
    assert wiring.account.credentials_file == "secrets/credentials.json"
    assert (wiring.execution.backend, wiring.kafka.prefix) == ("live", "live.")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--yes"], "give --leader at least once"),
        (["--yes", "--leader", "two words"], "--leader: 'two words' is no wallet"),
        (["--yes", "--leader", LEADER, "--ratio", "0"], "not above 0"),
        (["--yes", "--leader", LEADER, "--ratio", "0.0000001"], "more than six decimals"),
        (["--yes", "--leader", LEADER, "--cap", "lots"], "not a decimal number"),
        (["--yes", "--leader", LEADER, "--kafka", "kafka"], "not host:port"),
        (["--yes", "--leader", LEADER, "--live"], "--wallet is needed with --yes"),
        (
            ["--yes", "--leader", OURS, "--live", "--wallet", OURS, "--key-file", "key"],
            "cannot follow its own wallet",
        ),
        (
            ["--yes", "--leader", "@quick", "--gamma", "http://127.0.0.1:1"],
            "give the wallet of 'quick' itself",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_no_file_is_written(
    ask: Asked, tmp_path: Path, words: list[str], reason: str
) -> None:
    answer = ask(*words)
    assert answer.exit_code != 0
    assert reason in answer.output
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30)
@given(cap=st.integers(1, 10**13))
def test_the_caps_proposed_fit_into_one_another(
    cap: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("init") / "my.toml"
    text = f"{cap // MICRO}.{cap % MICRO:06d}"
    words = [str(path), "--yes", "--leader", LEADER, "--cap", text]
    assert click.testing.CliRunner().invoke(init, words).exit_code == 0
    account = load(path, {}).policy.accounts[0]
    caps = (account.cap_trade_usd_micro, account.cap_market_usd_micro)
    assert 0 < caps[0] <= caps[1] <= account.cap_account_usd_micro == cap
