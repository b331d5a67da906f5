"""Whom to follow, as people write it: a wallet, a profile's address on the web, or a name.

`parse_leader` is pure. A name is no identity: it can be changed, and resembling ones exist. So
`look_up` takes only a profile whose name is the one asked for, letter by letter but for case, and
refuses where several have it; the wallet is what gets written down. Names are looked up in Gamma's
public search (API reference 12; query and fields as in the official client 0.14.0).
"""

import re
from urllib.parse import unquote, urlsplit

import httpx
import msgspec
from eth_utils.address import is_checksum_address

from schemas.records.base import Wallet

HOSTS = frozenset({"polymarket.com", "www.polymarket.com"})
TIMEOUT_S = 10.0
FOUND_MAX = 50
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_NAME = re.compile(r"[\w.\-]{1,64}")


class LeaderRefused(ValueError):
    """A text that names nobody to follow, or not exactly one; says what would."""


class ProfileName(msgspec.Struct, frozen=True):
    """A name that is still to be looked up."""

    name: str


class _Profile(msgspec.Struct, frozen=True, rename="camel"):
    name: str | None = None
    proxy_wallet: str | None = None


class _Found(msgspec.Struct, frozen=True):
    profiles: list[_Profile] | None = None


def parse_leader(text: str) -> Wallet | ProfileName:
    """The wallet that a text means, or the name to look up; raises LeaderRefused."""
    given = text.strip()
    if "://" in given or given.lower().startswith(("polymarket.com/", "www.polymarket.com/")):
        given = _of_url(given)
    if given.lower().startswith("0x"):
        return parse_wallet(given)
    name = given.removeprefix("@")
    if not _NAME.fullmatch(name):
        raise LeaderRefused(
            f"{text!r} is no wallet (0x and 40 hex digits), no profile address "
            "(https://polymarket.com/profile/0x…) and no name (@name)"
        )
    return ProfileName(name)


def parse_wallet(text: str) -> Wallet:
    """An address in lower case; one in mixed case must carry a correct EIP-55 checksum."""
    given = text.strip()
    if not _ADDRESS.fullmatch(given):
        raise LeaderRefused(f"{text!r} is not 0x and 40 hex digits")
    digits = given[2:]
    if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(given):
        raise LeaderRefused(f"{given}: its capitals are wrong (EIP-55), so a digit may be as well")
    return Wallet(given.lower())


def look_up(profile: ProfileName, gamma_url: str, client: httpx.Client) -> Wallet:
    """The wallet of the one profile that has exactly this name; raises LeaderRefused."""
    name = profile.name
    query = {"q": name, "search_profiles": "true", "limit_per_type": str(FOUND_MAX)}
    give = f"give the wallet of {name!r} itself: it stands in his profile's address"
    try:
        answer = client.get(f"{gamma_url}/public-search", params=query, timeout=TIMEOUT_S)
        answer.raise_for_status()
        found = msgspec.json.decode(answer.content, type=_Found)
    except httpx.HTTPStatusError as error:
        raise LeaderRefused(f"{gamma_url} answered {error.response.status_code}; {give}") from error
    except httpx.HTTPError as error:
        raise LeaderRefused(f"{gamma_url} did not answer ({error}); {give}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LeaderRefused(f"{gamma_url} answered what is no profile list; {give}") from error
    return _only_one(name, found.profiles or [], give)


def _of_url(text: str) -> str:
    """The part of a profile's web address that names him."""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    steps = [unquote(step) for step in parts.path.split("/") if step]
    if parts.hostname in HOSTS and len(steps) == 2 and steps[0] == "profile":
        return steps[1]
    if parts.hostname in HOSTS and len(steps) == 1 and steps[0].startswith("@"):
        return steps[0]
    raise LeaderRefused(
        f"{text!r} is no profile; they look like https://polymarket.com/profile/0x… "
        "or https://polymarket.com/@name"
    )


def _only_one(name: str, profiles: list[_Profile], give: str) -> Wallet:
    exact = [p for p in profiles if (p.name or "").casefold() == name.casefold()]
    wallets = sorted({parse_wallet(p.proxy_wallet) for p in exact if p.proxy_wallet})
    if not wallets:
        raise LeaderRefused(f"no profile is called {name!r}; {give}")
    if len(wallets) > 1:
        raise LeaderRefused(f"{len(wallets)} profiles are called {name!r}: {', '.join(wallets)}")
    return wallets[0]
