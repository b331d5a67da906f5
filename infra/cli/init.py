"""`truecopy init`: asks whom to follow and with how much, and writes a commented settings file.

It never asks for a key, only where one is kept, and never writes over a file unless told to.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx

from infra.profiles import LeaderRefused, ProfileName, look_up, parse_leader, parse_wallet
from infra.settings_file import Answers, Followed, LiveAnswers, rendered
from schemas.records.base import Wallet
from schemas.settings import SettingsError
from schemas.units import MICRO, UnitError, floor_to_cent, format_micro, parse_micro
from schemas.wiring import KafkaWiring, VenueWiring

T = TypeVar("T")
KEY_ITSELF = re.compile(r"(0x)?[0-9a-fA-F]{64}")
SIGNATURE_TYPES = ["0", "1", "2", "3"]
LEAST_TRADE_MICRO = 5 * MICRO
"""A cap below the venue's least order, 1 USD and usually 5 shares, would hold everything."""


class Amount(click.ParamType[int]):
    """A decimal number above 0 with six decimals at most, as a count of millionths."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The count; fails with the reason."""
        if isinstance(value, int):
            return value
        try:
            micro = parse_micro(value)
        except UnitError as error:
            self.fail(str(error), param, ctx)
        if micro <= 0:
            self.fail(f"{value} is not above 0", param, ctx)
        return micro


AMOUNT = Amount()


@click.command()
@click.argument(
    "path", type=click.Path(path_type=Path, dir_okay=False), default=Path("truecopy.toml")
)
@click.option("--leader", "leaders", multiple=True, help="Wallet, profile address or @name.")
@click.option("--ratio", type=AMOUNT, help="Our shares for each share of a leader: 0.1.")
@click.option("--cap", type=AMOUNT, help="USD, most invested in all.")
@click.option("--cap-market", type=AMOUNT, help="USD, most in one market; a quarter of --cap.")
@click.option("--cap-trade", type=AMOUNT, help="USD, most in one order; a 20th of --cap.")
@click.option("--cap-leader", type=AMOUNT, help="USD, most on behalf of one leader; --cap.")
@click.option("--paper", "mode", flag_value="paper", help="Trade on paper: no key.")
@click.option("--live", "mode", flag_value="live", help="Trade with real money.")
@click.option("--wallet", help="Live: the address that holds the funds.")
@click.option("--signer", help="Live: the address of the signing key.")
@click.option("--signature-type", type=click.Choice(SIGNATURE_TYPES), help="Live: see the file.")
@click.option("--key-file", help="Live: the file that holds the signing key.")
@click.option("--credentials-file", help="Live: the file for the API credentials.")
@click.option("--kafka", "bootstrap", help="Address of the broker, host:port.")
@click.option("--gamma", default=VenueWiring().gamma_url, help="Where names are looked up.")
@click.option("--yes", is_flag=True, help="Ask nothing: what is not given is the default.")
@click.option("--force", is_flag=True, help="Write over the file that is there.")
def init(path: Path, force: bool, gamma: str, **given: Any) -> None:
    """Ask what to follow and with how much, and write a settings file (mode 600)."""
    if path.exists() and not force:
        raise click.ClickException(f"{path} exists; --force writes over it")
    with httpx.Client() as client:
        interview = Interview(given, lambda name: look_up(name, gamma, client))
        answers = interview.answers()
    try:
        text = rendered(answers)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    try:
        write_private(path, text, force=force)
    except FileExistsError as error:
        raise click.ClickException(f"{path} exists; --force writes over it") from error
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    flag = "--paper" if answers.live is None else "--live"
    click.echo(f"wrote {path}; look at it, then:\n  truecopy --config {path} run {flag}")


class Interview:
    """The answers, from the command line where given, else asked. find: wallet of a name."""

    def __init__(self, given: dict[str, Any], find: Callable[[ProfileName], Wallet]) -> None:
        self._given = given
        self._find = find
        self._quiet: bool = given["yes"]

    def answers(self) -> Answers:
        """Ask what is missing; raises click's errors."""
        leaders = self._leaders()
        ratio = self._amount("ratio", "Our shares for each share of a leader", MICRO // 10)
        cap = self._amount("cap", "USD, most invested in all", 200 * MICRO)
        trade = max(floor_to_cent(cap // 20), min(cap, LEAST_TRADE_MICRO))
        trade = self._amount("cap_trade", "USD, most in one order", trade)
        market = max(floor_to_cent(cap // 4), min(trade, cap))
        market = self._amount("cap_market", "USD, most in one market", market)
        leader = self._amount("cap_leader", "USD, most on behalf of one leader", cap)
        mode = self._text("mode", "Trade on paper or live (paper, live)", "paper", _mode)
        kafka = KafkaWiring().bootstrap
        return Answers(
            leaders=leaders,
            ratio_micro=ratio,
            cap_account_usd_micro=cap,
            cap_market_usd_micro=market,
            cap_trade_usd_micro=trade,
            cap_leader_usd_micro=leader,
            bootstrap=self._text("bootstrap", "Address of Kafka, host:port", kafka, _bootstrap),
            live=self._live() if mode == "live" else None,
        )

    def _leaders(self) -> tuple[Followed, ...]:
        try:
            found = [self._followed(text) for text in self._given["leaders"]]
        except LeaderRefused as error:
            raise click.ClickException(f"--leader: {error}") from error
        if not found and self._quiet:
            raise click.ClickException("nobody to follow: give --leader at least once")
        asks = not found
        while asks:
            more = "" if not found else " (nothing: no more)"
            text = click.prompt(
                f"Whom to follow: wallet, profile address or @name{more}",
                default="" if found else None,
                show_default=False,
            )
            asks = bool(text) or not found
            if text:
                found += self._asked(text)
        return tuple({leader.wallet: leader for leader in found}.values())

    def _asked(self, text: str) -> list[Followed]:
        """One leader, or none and the reason said."""
        try:
            leader = self._followed(text)
        except LeaderRefused as error:
            click.echo(f"Error: {error}", err=True)
            return []
        click.echo(f"  follows {leader.wallet} {leader.name}".rstrip())
        return [leader]

    def _followed(self, text: str) -> Followed:
        meant = parse_leader(text)
        if isinstance(meant, ProfileName):
            return Followed(wallet=self._find(meant), name=meant.name)
        return Followed(wallet=meant)

    def _live(self) -> LiveAnswers:
        wallet = self._text("wallet", "Address that holds the funds", None, _wallet)
        signer = self._text("signer", "Address of the signing key", wallet, _wallet)
        kind = "Signature type: 0 plain key, 1 proxy wallet, 2 Safe, 3 deposit wallet"
        plain = "0" if signer == wallet else None
        key_file = self._text("key_file", "File that holds the signing key", None, _key_file)
        beside = str(Path(key_file).with_name("credentials.json"))
        return LiveAnswers(
            wallet=wallet,
            signer=signer,
            signature_type=int(self._text("signature_type", kind, plain, _signature_type)),
            key_file=key_file,
            credentials_file=self._text(
                "credentials_file", "File for the API credentials", beside, _key_file
            ),
        )

    def _amount(self, name: str, question: str, default_micro: int) -> int:
        given: int | None = self._given[name]
        if given is not None:
            return given
        if self._quiet:
            return default_micro
        answer: int = click.prompt(question, default=format_micro(default_micro), type=AMOUNT)
        return answer

    def _text(self, name: str, question: str, default: str | None, check: Callable[[str], T]) -> T:
        given: str | None = self._given[name]
        if given is None and not self._quiet:
            answer: T = click.prompt(question, default=default, value_proc=check)
            return answer
        known = default if given is None else given
        if known is None:
            raise click.ClickException(f"--{name.replace('_', '-')} is needed with --yes")
        return check(known)


def _mode(text: str) -> str:
    if text not in ("paper", "live"):
        raise click.UsageError(f"{text!r} is neither paper nor live")
    return text


def _wallet(text: str) -> Wallet:
    try:
        return parse_wallet(text)
    except LeaderRefused as error:
        raise click.UsageError(str(error)) from error


def _key_file(text: str) -> str:
    """The path of a file; a key typed in its place is refused, and not repeated."""
    if KEY_ITSELF.fullmatch(text.strip()):
        raise click.UsageError(
            "that looks like the key itself; put it into a file of mode 600 and name the file"
        )
    if not text.strip():
        raise click.UsageError("a file is needed")
    return str(Path(text.strip()).expanduser())


def _signature_type(text: str) -> str:
    if text not in SIGNATURE_TYPES:
        raise click.UsageError(f"{text!r} is none of {', '.join(SIGNATURE_TYPES)}")
    return text


def _bootstrap(text: str) -> str:
    for address in text.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
            raise click.UsageError(f"{address!r} is not host:port")
    return text


def write_private(path: Path, text: str, *, force: bool) -> None:
    """A file of mode 600 from its first byte on, whole or not there; raises OSError."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        if force:
            part.replace(path)
        else:
            os.link(part, path)  # unlike a rename it fails where a file is
    finally:
        part.unlink(missing_ok=True)
