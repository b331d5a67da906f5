"""`truecopy credentials`: derive the account's API credentials once, into a private file.

The only command besides execution that reads the signing key; it prints no secret.
"""

import asyncio
import os
from pathlib import Path

import click
import msgspec

from connectors.execution.client_open import derive_credentials
from connectors.execution.opening import ApiCredentials, ClientMismatch, ClientRefused
from connectors.execution.permit import NotPermitted, read_private
from infra.cli.lazy import LazySettings


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; account.credentials_file by default.",
)
@click.pass_obj
def credentials(settings: LazySettings, out: Path | None) -> None:
    """Derive API credentials with the signing key and write them to a file of mode 600."""
    wiring = settings().wiring
    target = out or Path(wiring.account.credentials_file)
    if not str(target) or target == Path():
        raise click.ClickException("account.credentials_file is not set, and --out is not given")
    if not wiring.execution.key_file:
        raise click.ClickException("execution.key_file is not set")
    try:
        key = read_private(wiring.execution.key_file, "key file")
        wallet = wiring.account.wallet
        found = asyncio.run(derive_credentials(wiring.venue, key, wallet))
    except (NotPermitted, ClientRefused, ClientMismatch) as error:
        raise click.ClickException(str(error)) from error
    _write(target, found)
    click.echo(f"credentials written to {target}")


def _write(target: Path, found: ApiCredentials) -> None:
    """Made private before it holds anything, then moved into place."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            msgspec.json.encode(
                {
                    "apiKey": found.api_key,
                    "secret": found.secret,
                    "passphrase": found.passphrase,
                }
            )
        )
    part.replace(target)
