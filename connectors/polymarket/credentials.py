"""API credentials of one account: read from a private file, shown to nobody.

The file is JSON {"apiKey", "secret", "passphrase"} with mode 600, made by `truecopy credentials`;
one that others can read is refused. They sign reads and can cancel orders, they cannot sign one.
Neither their repr nor any error of this module holds a value of theirs.
"""

import os
import stat
from pathlib import Path

import msgspec


class CredentialsError(ValueError):
    """A credentials file that must not or cannot be used; names the file and the fix."""


class Credentials:
    """The three values; `repr` and `str` tell nothing."""

    __slots__ = ("api_key", "passphrase", "secret")

    def __init__(self, *, api_key: str, secret: str, passphrase: str) -> None:
        self.api_key = api_key
        self.secret = secret
        self.passphrase = passphrase

    def __repr__(self) -> str:
        return "Credentials(...)"

    def as_frame(self) -> dict[str, str]:
        """The `auth` object of the user channel's first frame."""
        return {"apiKey": self.api_key, "secret": self.secret, "passphrase": self.passphrase}


class _File(msgspec.Struct, rename="camel"):
    api_key: str
    secret: str
    passphrase: str


def read_credentials(path: Path) -> Credentials:
    """Credentials from a file; raises CredentialsError."""
    if not str(path) or str(path) == ".":
        raise CredentialsError("account.credentials_file is not set; run `truecopy credentials`")
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise CredentialsError(
                    f"{path} is open to others (mode {stat.S_IMODE(mode):o}): chmod 600 it"
                )
            found = msgspec.json.decode(file.read(), type=_File)
    except OSError as error:
        raise CredentialsError(f"{path}: {error.strerror}; run `truecopy credentials`") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Without the cause: a decoder's message may quote the text.
        raise CredentialsError(
            f"{path} is not JSON with apiKey, secret, passphrase; run `truecopy credentials`"
        ) from None
    if not (found.api_key and found.secret and found.passphrase):
        raise CredentialsError(f"{path} has an empty value; run `truecopy credentials`")
    return Credentials(api_key=found.api_key, secret=found.secret, passphrase=found.passphrase)
