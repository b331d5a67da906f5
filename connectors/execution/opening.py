"""What the official client is opened with and how opening it fails, without importing it.

The client costs 1.7 s and 30 MB to import, which paper trading need not pay.
"""

import dataclasses


class ClientMismatch(RuntimeError):
    """The installed client is not the one this module was written for."""


class ClientRefused(RuntimeError):
    """The client could not be made: key, wallet or credentials are not accepted; says which."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApiCredentials:
    """The account's API credentials; never on a topic, in a log or in an error."""

    api_key: str = dataclasses.field(repr=False)
    secret: str = dataclasses.field(repr=False)
    passphrase: str = dataclasses.field(repr=False)
