"""What if: the same tape under another policy, and nothing else different."""

import pytest
from click.testing import CliRunner

from infra.cli.main import cli
from infra.proof.policy_changes import NoSuchPart, changed, parse_change
from infra.proof.whatif import what_if
from schemas import codec
from schemas.policy import AccountPolicy, LeaderPolicy, PolicyDocument, PolicyError
from schemas.records.journal import OrderRequested

ANN = "0x" + "1" * 40
DOCUMENT = PolicyDocument(
    accounts=(
        AccountPolicy(
            name="main", wallet="0x" + "a" * 40, leaders=(LeaderPolicy(wallet=ANN, name="ann"),)
        ),
        AccountPolicy(name="second", wallet="0x" + "b" * 40),
    )
)


def under(recording, *texts: str):
    return what_if(recording, [parse_change(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("policy.slippage=0.031", lambda d: d.slippage_micro == 31_000),
        ("policy.quiet_ms=250", lambda d: d.quiet_ms == 250),
        ("policy.accounts.second.ratio=0.7", lambda d: d.accounts[1].ratio_micro == 700_000),
        (
            "policy.accounts.main.leaders.ann.cap_usd=12.5",
            lambda d: d.accounts[0].leaders[0].cap_usd_micro == 12_500_000,
        ),
        (
            f"policy.accounts.main.leaders.{ANN}.start=converge",
            lambda d: d.accounts[0].leaders[0].start == "converge",
        ),
    ],
)
def test_a_key_is_set_in_the_words_of_the_settings_file(text, expected) -> None:
    made = changed(DOCUMENT, [parse_change(text)])
    assert expected(made)
    assert made != DOCUMENT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slippage=0.1", "policy.KEY=VALUE is expected"),
        ("policy.slippage", "policy.KEY=VALUE is expected"),
        ("policy.slipage=0.1", "did you mean slippage?"),
        ("policy.slippage=much", "'much' is not a decimal number"),
        ("policy.slippage=7", "below 1 USD a share"),
        ("policy.quiet_ms=ten", "policy.quiet_ms"),
        ("policy.accounts=3", "name one of them"),
        ("policy.quiet_ms.x=3", "has no keys of its own"),
        ("policy.accounts.main.leaders.ann.start=later", "policy.accounts.main.leaders.ann.start"),
    ],
)
def test_what_cannot_be_set_is_refused_with_the_key(text, said) -> None:
    with pytest.raises(PolicyError, match=said.replace("?", r"\?")):
        changed(DOCUMENT, [parse_change(text)])


def test_an_account_that_no_policy_has_is_named_with_those_there_are(recording) -> None:
    with pytest.raises(NoSuchPart, match="no 'nobody', only main, second"):
        under(recording, "policy.accounts.nobody.ratio=0.3")


def test_the_same_policy_differs_in_nothing(recording) -> None:
    found = under(recording, "policy.order_ttl_ms=3000")
    assert found.same.figures == found.other.figures
    assert found.same.held_micro == found.other.held_micro
    assert sum(each["orders"] for each in found.same.figures.values()) > 10


def test_half_the_ratio_holds_half_as_much(made, small_lines) -> None:
    """A leader who only buys: 2,100 shares at a tenth, then at a twentieth."""
    buys = [line for line in small_lines if b'"tx":"0xs1"' not in line]
    found = under(made(buys), "policy.accounts.main.ratio=0.05")
    (was,), (now,) = found.same.held_micro.values(), found.other.held_micro.values()
    assert was == pytest.approx(2 * now, rel=0.05)
    assert now > 50_000_000


def test_what_was_really_sent_and_filled_moves_neither_side(made, small_lines) -> None:
    """Without a trace of our own orders on the tape, both sides come out the same."""
    whole = made(small_lines)
    own = (b'"kind":"Order', b'"kind":"OwnFill"')
    blank = [line for line in small_lines if not any(kind in line for kind in own)]
    assert len(blank) < len(small_lines)
    text = "policy.accounts.main.ratio=0.05"
    a, b = under(whole, text), under(made(blank), text)
    assert a.same.held_micro == b.same.held_micro
    assert a.other.figures == b.other.figures


def test_what_really_happened_stands_beside_it(recording) -> None:
    orders = [codec.unseal(row.value)[1] for row in recording.topics["orders"]]
    found = under(recording, "policy.accounts.main.ratio=0.3")
    mine = sum(isinstance(o, OrderRequested) and o.account == "main" for o in orders)
    assert found.recorded.figures["main"]["orders"] == mine
    assert found.other.figures["main"] != found.same.figures["main"]
    assert found.other.figures["second"] == found.same.figures["second"]


def test_the_command_shows_a_table_and_refuses_what_cannot_be_set(archive) -> None:
    words = ["replay", "--from", str(archive), "--no-tail", "--set"]
    shown = CliRunner().invoke(cli, [*words, "policy.accounts.main.ratio=0.3"])
    assert shown.exit_code == 0, shown.output
    for word in ("account main", "orders", "fees, USD", "exposure at the end"):
        assert word in shown.output
    refused = CliRunner().invoke(cli, [*words, "policy.slippage=7"])
    assert refused.exit_code == 1
    assert "below 1 USD a share" in refused.output
    assert CliRunner().invoke(cli, [*words, "policy"]).exit_code == 2
