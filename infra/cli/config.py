"""`truecopy config`: the settings in force, each value with where it came from."""

import os

import click

from infra.cli.lazy import LazySettings
from infra.effective import as_json, as_toml, entries


@click.command()
@click.option("--json", "json_", is_flag=True, help="For other programs.")
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@click.pass_obj
def config(settings: LazySettings, json_: bool, changed: bool) -> None:
    """The settings in force, in human units, with where each value came from.

    Secrets inside addresses are masked; secrets of their own stand in files, never in settings.
    """
    found = entries(settings(), settings.path, os.environ)
    shown = [entry for entry in found if entry.changed or not changed]
    if json_:
        click.echo(as_json(shown))
    elif shown:
        click.echo(as_toml(shown), nl=False)
    else:
        click.echo("# every value is the default")
