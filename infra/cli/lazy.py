"""Settings that are read when a command asks for them, so that `demo` and `--help` need none."""

import os
from pathlib import Path

import click

from schemas.settings import Settings, SettingsError, load


class LazySettings:
    """What click hands to every command: call it for the settings. path: the file, if any."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def __call__(self) -> Settings:
        try:
            return load(self.path, os.environ)
        except SettingsError as error:
            raise click.ClickException(str(error)) from error
