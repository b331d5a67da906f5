"""Whether this process may send real orders: three separate yeses, and private files.

Live needs the setting backend = "live", the flag --live and a key file that only its owner can
read; anything missing is a refusal that names it. Until a doctor proves wallet, approvals and
region (issue tracker), live also refuses every venue address that is not loopback.
"""

import stat
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from connectors.execution.opening import ApiCredentials
from connectors.polymarket import credentials
from schemas.wiring import VenueWiring, Wiring

KEY_FILE: Final = "key file"
CREDENTIALS_FILE: Final = "credentials file"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class NotPermitted(ValueError):
    """This process may not start as it was asked to; names what is missing and the fix."""


def check_permission(wiring: Wiring, *, live: bool) -> bool:
    """Whether to trade live (else paper); no file is opened. Raises NotPermitted."""
    backend = wiring.execution.backend
    if backend not in ("paper", "live"):
        raise NotPermitted(f'execution.backend is {backend!r}; it must be "paper" or "live"')
    if backend == "paper":
        if live:
            raise NotPermitted('--live was given, but execution.backend is "paper"')
        return False
    if not live:
        raise NotPermitted('execution.backend is "live", but --live was not given')
    for name in ("key_file", "credentials_file"):
        if not getattr(wiring.execution, name):
            raise NotPermitted(f"live needs execution.{name}, which is not set")
    if not wiring.account.wallet:
        raise NotPermitted("live needs account.wallet, the address that holds the funds")
    check_loopback(wiring.venue)
    # Before anything is waited for: the tape, say, whose end a refused process need not know.
    check_private(wiring.execution.key_file, KEY_FILE)
    check_private(wiring.execution.credentials_file, CREDENTIALS_FILE)
    return True


def check_loopback(venue: VenueWiring) -> None:
    """Refuse every address that is not this machine. Raises NotPermitted."""
    for name in venue.__struct_fields__:
        host = urlsplit(getattr(venue, name)).hostname
        if host not in LOOPBACK:
            raise NotPermitted(
                f"venue.{name} is {host}, not loopback; live trading at a real venue is shut "
                "until its checks exist (wallet, approvals, region)"
            )


def check_private(path: str, what: str) -> None:
    """A file that only its owner can read, not opened here. Raises NotPermitted."""
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise NotPermitted(f"{what} {path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise NotPermitted(f"{what} {path} is no regular file")
    if stat.S_IMODE(mode) & 0o077:
        raise NotPermitted(f"{what} {path} can be read by others; run: chmod 600 {path}")


def read_private(path: str, what: str) -> str:
    """Text of a file that only its owner can read. Raises NotPermitted; never quotes it."""
    check_private(path, what)
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise NotPermitted(f"{what} {path} cannot be read: {error.strerror}") from error


def read_credentials(path: str) -> ApiCredentials:
    """API credentials from their private file. Raises NotPermitted without quoting any."""
    check_private(path, CREDENTIALS_FILE)
    try:
        found = credentials.read_credentials(Path(path))
    except credentials.CredentialsError as error:
        found, why = None, str(error)
    if found is None:
        raise NotPermitted(f"credentials file {why}")
    return ApiCredentials(api_key=found.api_key, secret=found.secret, passphrase=found.passphrase)
