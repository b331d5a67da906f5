"""Opens the official client, `polymarket-client` 0.14.0, for given addresses (API reference 5).

With client.py the only place that imports it. Pointing it at another host needs its private
environment module: version and shape are asserted here. The key is handed to the client and kept
nowhere else; no message of this module quotes any of it.
"""

import dataclasses
from importlib import metadata
from typing import Any, Final, cast

from eth_account import Account as EthAccount
from polymarket import AsyncSecureClient
from polymarket import errors as sdk
from polymarket._internal import environment as private
from polymarket.environments import Environment
from polymarket.models.clob import ApiKeyCreds
from polymarket.models.types import ClobAssetId

from connectors.execution.opening import ApiCredentials, ClientMismatch, ClientRefused
from schemas.wiring import VenueWiring

VERSION: Final = "0.14.0"
_REPLACED: Final = ("clob_url", "gamma_url", "data_url", "relayer_url", "rpc_url")
_SOCKETS: Final = ("clob_market_ws_url", "clob_user_ws_url")


def environment_for(venue: VenueWiring) -> Environment:
    """The client's environment for these addresses. Raises ClientMismatch."""
    installed = metadata.version("polymarket-client")
    return environment_of(venue, installed, getattr(private, "PRODUCTION_CONFIG", None))


def environment_of(venue: VenueWiring, installed: str, config: Any) -> Environment:
    """The same for a given version and configuration of the client. Raises ClientMismatch."""
    if installed != VERSION:
        raise ClientMismatch(
            f"polymarket-client {installed} is installed, this program is written for {VERSION}; "
            "install the locked requirements"
        )
    names = {f.name for f in dataclasses.fields(config)} if config is not None else set()
    missing = [name for name in (*_REPLACED, *_SOCKETS) if name not in names]
    if missing or not callable(getattr(private, "create_environment", None)):
        raise ClientMismatch(f"the client's environment module changed shape: {missing or 'gone'}")
    urls = {name: getattr(venue, name) for name in _REPLACED}
    urls |= {"clob_market_ws_url": venue.market_ws_url, "clob_user_ws_url": venue.user_ws_url}
    replaced = dataclasses.replace(config, **urls)
    return private.create_environment(name="truecopy", config=replaced)


def address_of(key: str) -> str:
    """Address of a signing key. Raises ClientRefused without quoting any of it."""
    try:
        return str(EthAccount.from_key(key).address)
    except (ValueError, TypeError):
        pass
    raise ClientRefused("the signing key is not 0x and 64 hex digits of a secp256k1 key")


async def open_client(
    venue: VenueWiring, key: str, wallet: str, credentials: ApiCredentials | None
) -> AsyncSecureClient:
    """A client for these addresses; without credentials they are derived. Raises ClientRefused."""
    address_of(key)
    creds = None
    if credentials is not None:
        creds = ApiKeyCreds(
            key=credentials.api_key,
            secret=credentials.secret,
            passphrase=credentials.passphrase,
        )
    try:
        return await AsyncSecureClient.create(
            private_key=key,
            wallet=wallet,
            environment=environment_for(venue),
            credentials=creds,
        )
    except sdk.RequestRejectedError as error:
        reason = f"{venue.clob_url} refused the credentials: http {error.status}"
    except sdk.TransportError:
        reason = f"{venue.clob_url} did not answer"
    except sdk.PolymarketError as error:
        reason = f"wallet {wallet}: {type(error).__name__}"
    raise ClientRefused(reason)


async def ask_market(client: AsyncSecureClient, token: str) -> None:
    """Have the client ask for a token's market and keep the answer, as signing does by itself."""
    context = client._ctx
    await context.order_metadata.fetch_current_market(context, token_id=cast(ClobAssetId, token))


async def derive_credentials(venue: VenueWiring, key: str, wallet: str) -> ApiCredentials:
    """The account's API credentials, created or derived again. Raises ClientRefused."""
    client = await open_client(venue, key, wallet, None)
    try:
        found = client.credentials
        return ApiCredentials(api_key=found.key, secret=found.secret, passphrase=found.passphrase)
    finally:
        await client.close()
