"""The `truecopy` command: where the parts are put together. Every subcommand is a few lines."""

import importlib
import logging
import os
from pathlib import Path

import click

from connectors.telemetry.logs import set_up
from infra.cli.lazy import LazySettings
from schemas.settings import SettingsError

COMMANDS = {
    "config": "infra.cli.config:config",
    "connectors": "infra.cli.process:connectors",
    "credentials": "infra.cli.credentials:credentials",
    "demo": "infra.demo.command:demo",
    "execution": "infra.cli.process:execution",
    "explain": "infra.cli.explain:explain_command",
    "export": "infra.cli.export:export",
    "flow": "infra.cli.process:flow",
    "follow": "infra.cli.operator:follow",
    "halt": "infra.cli.operator:halt",
    "init": "infra.cli.init:init",
    "leaders": "infra.cli.operator:leaders",
    "policy": "infra.cli.process:policy",
    "rebuild": "infra.cli.rebuild:rebuild_command",
    "replay": "infra.cli.replay:replay_command",
    "resume": "infra.cli.operator:resume",
    "run": "infra.cli.run:run",
    "status": "infra.cli.views:status",
    "topics": "infra.cli.topics:topics",
    "unfollow": "infra.cli.operator:unfollow",
    "verify": "infra.cli.verify:verify_command",
}
"""Where each subcommand lives: loaded when it is asked for, since the venue's client alone takes
longer to import than `status` may take to answer."""


class LazyGroup(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="TRUECOPY_CONFIG",
    help="Settings file; without it defaults and the environment.",
)
@click.option("--verbose", "-v", is_flag=True, help="Log at debug level.")
@click.version_option(package_name="truecopy")
@click.pass_context
def cli(context: click.Context, config: Path | None, verbose: bool) -> None:
    """Copy Polymarket wallets by closing gaps of exposure, from one ordered tape."""
    try:
        set_up(os.environ, level=logging.DEBUG if verbose else logging.INFO)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    context.obj = LazySettings(config)


def main() -> None:
    """Entry point of the console script."""
    cli()


if __name__ == "__main__":
    main()
