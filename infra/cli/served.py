"""A process's endpoints, as long as its command runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click

from connectors.telemetry.server import Telemetry
from schemas.settings import SettingsError
from schemas.wiring import HealthWiring


@contextmanager
def served(telemetry: Telemetry, wiring: HealthWiring) -> Iterator[None]:
    """Answer while this lasts; a port that cannot be had ends the command with its message."""
    with ExitStack() as stack:
        try:
            stack.enter_context(telemetry.served(wiring))
        except SettingsError as error:
            raise click.ClickException(str(error)) from error
        yield
