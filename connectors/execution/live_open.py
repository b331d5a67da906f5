"""Opens the live backend: key, credentials and the official client, for one account."""

from contextlib import AsyncExitStack
from functools import partial

from connectors.execution.client import VenueClient
from connectors.execution.client_open import address_of, open_client
from connectors.execution.live import LiveBackend
from connectors.execution.permit import read_credentials, read_private
from schemas.records.base import Account
from schemas.wiring import Wiring


async def live_backend(wiring: Wiring, stack: AsyncExitStack) -> LiveBackend:
    """The backend; stack closes its client. Raises NotPermitted, ClientMismatch, ClientRefused."""
    execution, account = wiring.execution, wiring.account
    key = read_private(execution.key_file, "key file")
    credentials = read_credentials(execution.credentials_file)
    open_one = partial(open_client, wiring.venue, key, account.wallet, credentials)
    client = VenueClient(
        open_one, await open_one(), post_timeout_s=execution.post_timeout_ms / 1000
    )
    stack.push_async_callback(client.close)
    return LiveBackend(
        client,
        account=Account(account.account),
        wallet=account.wallet,
        signer=address_of(key),
        old_ms=execution.absent_after_ms,
    )
