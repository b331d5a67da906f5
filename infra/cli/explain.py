"""`truecopy explain ID`: all that a decision rested on, and what came of it."""

import click

from infra.cli.lazy import LazySettings
from infra.proof.explain import explain
from infra.proof.explained import as_json, lines_of
from infra.proof.progress import reading
from infra.proof.rim import from_option, opened, plainly
from infra.proof.subject import FORMS, NotFound


@click.command("explain", help=f"Explain ID: {FORMS}.")
@click.argument("id_", metavar="ID")
@from_option
@click.option("--json", "json_", is_flag=True, help="For other programs, in micro units.")
@click.pass_obj
def explain_command(settings: LazySettings, id_: str, source: str, tail: bool, json_: bool) -> None:
    """Fold the tape up to the moment before, and show what stood there."""
    kafka = settings().wiring.kafka
    with plainly(kafka):
        recording = opened(kafka, source, tail)
        try:
            with reading("explain", recording) as on_read:
                found = explain(recording, id_, on_read)
        except NotFound as error:
            raise click.ClickException(str(error.args[0])) from error
    if json_:
        click.echo(as_json(found))
        return
    for line in lines_of(found):
        click.echo(line)
