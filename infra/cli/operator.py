"""`truecopy follow, unfollow, leaders, halt, resume`: an operator's words to the running system.

A word goes to the tape and is obeyed in its order, without a restart. Each command says first why
the word could not be obeyed, if so; then it waits for the journal to show what became of it.
"""

import sys
from collections.abc import Callable
from typing import Literal

import click
import httpx
import msgspec
from rich.console import Console

from flows.core.words import Word, is_token, refusal
from infra.cli.init import AMOUNT
from infra.cli.topics import plainly
from infra.cli.words_shown import leaders_json, leaders_table, sold_table
from infra.inspect.human import printable
from infra.inspect.names import Names
from infra.inspect.phrases_journal import told
from infra.profiles import LeaderRefused, ProfileName, look_up, parse_leader
from infra.tape import NoTape, genesis
from infra.words import Standing, say, standing
from schemas.records.base import Account, Wallet
from schemas.records.journal import WordRefused
from schemas.records.operator import Follow, Halt, Resume, Scope, Unfollow
from schemas.settings import Settings
from schemas.wiring import KafkaWiring, Wiring

WAIT_S = 10.0
NOT_ANSWERED = 3
"""Exit code of a word that stands on the tape while no flow has come to it yet."""
WHOLE_TOKEN = 30
"""A token of 30 digits or more is taken as it is: a beginning is never typed so long."""
SCOPES = click.Choice(["account", "leader", "token"])
WHY = {
    "unknown_account": "the policy on the tape has no such account",
    "own_wallet": "this wallet is one of our own: copying it would buy what we buy, for ever",
    "no_wallet": "this is not 0x and 40 lower-case hex digits",
    "no_token": "this is not a token, a decimal number",
    "ratio_not_above_zero": "the ratio must be above 0; `truecopy halt leader` stops a leader",
    "cap_negative": "the cap must not be negative",
    "not_halted": "it is not halted; `truecopy leaders` lists what is",
    "two_accounts": "a halt of an account is for that account: leave --account out",
}
WHICH = click.option("--account", help="Which of the policy's accounts; its only one.")
WAIT = click.option(
    "--wait", "wait_s", type=float, default=WAIT_S, help="Seconds to wait for the flow's answer."
)


@click.command()
@click.argument("who")
@click.option("--ratio", type=AMOUNT, required=True, help="Our shares per share of his: 0.1.")
@click.option("--cap", type=AMOUNT, required=True, help="USD, most invested on his behalf.")
@WHICH
@click.option(
    "--start",
    type=click.Choice(["now", "converge"]),
    default="now",
    help="now: what he holds already is not copied; converge: it is.",
)
@click.option("--pairs", type=click.Choice(["cash", "copy"]), default="cash", help="See the file.")
@click.option("--name", default="", help="What to call him in what is shown.")
@click.option("--reason", default="", help="Kept with the word.")
@WAIT
@click.pass_obj
def follow(
    settings: Callable[[], Settings],
    who: str,
    ratio: int,
    cap: int,
    account: str | None,
    start: Literal["now", "converge"],
    pairs: Literal["cash", "copy"],
    name: str,
    reason: str,
    wait_s: float,
) -> None:
    """Follow a wallet, profile address or @name from now on, on these terms.

    Of a leader who is followed already the terms change: all that is copied of him takes the new
    ratio. No later policy takes the word back; `unfollow` does.
    """
    wiring = settings().wiring
    with plainly(wiring.kafka):
        found = in_force(wiring.kafka)
        word = Follow(
            account=_account(found, account),
            leader=_wallet(found, who, wiring),
            name=name,
            ratio_micro=ratio,
            cap_usd_micro=cap,
            start=start,
            pairs=pairs,
            reason=reason,
        )
        _say(wiring.kafka, found, word, wait_s)


@click.command()
@click.argument("who")
@WHICH
@click.option("--reason", default="", help="Kept with the word.")
@WAIT
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def unfollow(
    settings: Callable[[], Settings],
    who: str,
    account: str | None,
    reason: str,
    wait_s: float,
    yes: bool,
) -> None:
    """Follow a leader no longer, and sell what was bought on his behalf.

    `halt leader` stops him without selling. No later policy takes the word back; `follow` does.
    """
    wiring = settings().wiring
    with plainly(wiring.kafka):
        found = in_force(wiring.kafka)
        name, wallet = _account(found, account), _wallet(found, who, wiring)
        if (name, wallet) not in [(a, one.leader) for a, one in found.follows()]:
            raise click.ClickException(f"{name} does not follow {wallet}; `truecopy leaders` lists")
        if not yes:
            Console().print(sold_table(found, name, wallet))
            click.confirm(f"{name} unfollows {wallet} and sells at most this", abort=True)
        word = Unfollow(account=name, leader=wallet, reason=reason)
        _say(wiring.kafka, found, word, wait_s)


@click.command()
@click.option("--json", "json_", is_flag=True, help="For other programs, in micro units.")
@click.pass_obj
def leaders(settings: Callable[[], Settings], json_: bool) -> None:
    """Whom each account follows, on what terms, since when, by what, and what is halted."""
    kafka = settings().wiring.kafka
    with plainly(kafka):
        found = in_force(kafka)
        if json_:
            click.echo(msgspec.json.encode(leaders_json(found)))
            return
        Console().print(leaders_table(found))


@click.command()
@click.argument("scope", type=SCOPES)
@click.argument("subject")
@click.option("--account", help="Only for this account; a leader or token is halted for all.")
@click.option("--reason", required=True, help="Kept with the word.")
@WAIT
@click.pass_obj
def halt(
    settings: Callable[[], Settings],
    scope: Scope,
    subject: str,
    account: str | None,
    reason: str,
    wait_s: float,
) -> None:
    """No order, up or down, for an account, a leader's tokens, or a token, until it is resumed.

    An order that was already asked for may still go within policy.order_ttl_ms; the stop file
    (execution.stop_file) stops that too, and works when Kafka does not.
    """
    wiring = settings().wiring
    with plainly(wiring.kafka):
        found = in_force(wiring.kafka)
        subject = _subject(found, scope, subject, wiring)
        if scope == "leader" and subject not in [one.leader for _, one in found.follows()]:
            raise click.ClickException(f"nobody follows {subject}; `truecopy leaders` lists")
        only = Account(account) if account is not None else None
        word = Halt(scope=scope, subject=subject, account=only, reason=reason)
        _say(wiring.kafka, found, word, wait_s)


@click.command()
@click.argument("scope", type=SCOPES)
@click.argument("subject")
@click.option("--reason", required=True, help="Kept with the word.")
@WAIT
@click.pass_obj
def resume(
    settings: Callable[[], Settings], scope: Scope, subject: str, reason: str, wait_s: float
) -> None:
    """End every halt of an account, leader or token; its gaps close again."""
    wiring = settings().wiring
    with plainly(wiring.kafka):
        found = in_force(wiring.kafka)
        subject = _subject(found, scope, subject, wiring)
        word = Resume(scope=scope, subject=subject, reason=reason)
        _say(wiring.kafka, found, word, wait_s)


def in_force(kafka: KafkaWiring) -> Standing:
    """What stands at the tape's end; there must be a policy, for words are about its accounts."""
    try:
        begun = genesis(kafka)
        found = standing(kafka) if begun is not None else Standing()
    except NoTape as error:
        raise click.ClickException(str(error)) from error
    if found.policy is None:
        raise click.ClickException("no policy on the tape: `truecopy policy apply` puts it there")
    return found


def _say(kafka: KafkaWiring, found: Standing, word: Word, wait_s: float) -> None:
    """Refuse what cannot be obeyed, append the rest, and tell what the flow made of it."""
    why = refusal(found.words, found.document, word)
    if why is not None:
        raise click.ClickException(f"{type(word).__name__}: {WHY[why]}")
    names = Names()
    names.learn(found.policy)
    names.learn(found.summary)
    offset, event = say(kafka, word, wait_s=wait_s)
    if event is None:
        click.echo(
            f"{type(word).__name__} stands on the tape at {offset}. No flow has come to it within "
            f"{wait_s:g} s: it does not run, or is behind. It is obeyed when a flow comes to it.",
            err=True,
        )
        sys.exit(NOT_ANSWERED)
    if isinstance(event, WordRefused):
        raise click.ClickException(f"the flow refused it: {printable(told(event, names))}")
    click.echo(f"in force: {printable(told(event, names))}")


def _account(found: Standing, given: str | None) -> Account:
    names = [account.name for account in found.document.accounts]
    if given is None and len(names) == 1:
        return Account(names[0])
    if given not in names:
        asked = "which account? --account" if given is None else f"no account {given!r};"
        raise click.ClickException(f"{asked} {' | '.join(names) or '(the policy has none)'}")
    return Account(given)


def _wallet(found: Standing, who: str, wiring: Wiring) -> Wallet:
    """A leader by the name he has here, by his wallet, or by his profile at the venue."""
    here = {one.leader for _, one in found.follows() if one.terms.name.casefold() == who.casefold()}
    if who and len(here) == 1:
        return here.pop()
    try:
        wanted = parse_leader(who)
        if not isinstance(wanted, ProfileName):
            return wanted
        with httpx.Client() as client:
            return look_up(wanted, wiring.venue.gamma_url, client)
    except LeaderRefused as error:
        raise click.ClickException(str(error)) from error


def _subject(found: Standing, scope: Scope, subject: str, wiring: Wiring) -> str:
    match scope:
        case "account":
            return subject
        case "leader":
            return _wallet(found, subject, wiring)
        case "token":
            return _token(found, subject)


def _token(found: Standing, given: str) -> str:
    """A token, or the beginning of one that the newest Summary or a halt names."""
    known = {key[1] for key in found.words.halts if key[0] == "token"}
    if found.summary is not None:
        known |= {line.token for line in found.summary.positions}
        known |= {line.token for line in found.summary.leaders}
    matching = sorted(token for token in known if token.startswith(given))
    if len(matching) == 1 and given:
        return matching[0]
    if matching and given not in matching:
        raise click.ClickException(f"{given!r} begins {len(matching)} tokens: give more of it")
    if not is_token(given) or len(given) < WHOLE_TOKEN:
        raise click.ClickException(
            f"{given!r} begins no token that we hold, want or have halted; give the whole token"
        )
    return given
