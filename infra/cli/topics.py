"""`truecopy topics`: the broker's topics, made as they are declared."""

import click

from connectors.kafka.errors import KafkaFailed
from infra.topics import TopicsRefused, apply
from schemas.wiring import KafkaWiring


@click.group()
def topics() -> None:
    """The broker's topics."""


@topics.command("apply")
@click.option(
    "--bootstrap",
    envvar=["TRUECOPY_KAFKA", "TRUECOPY__KAFKA__BOOTSTRAP"],
    default=KafkaWiring().bootstrap,
    show_default=True,
    show_envvar=True,
    help="Address of a broker, host:port.",
)
@click.option(
    "--prefix",
    envvar="TRUECOPY__KAFKA__PREFIX",
    default=KafkaWiring().prefix,
    show_envvar=True,
    help="Goes before every topic name.",
)
@click.option(
    "--shards",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Partitions of tape, journal, orders and watch; never changed on living topics.",
)
def apply_command(bootstrap: str, prefix: str, shards: int) -> None:
    """Create what is missing, repair what differs; refuses to change a partition count."""
    try:
        steps = apply(bootstrap, prefix=prefix, shards=shards)
    except TopicsRefused as refused:
        raise click.ClickException(str(refused)) from refused
    except KafkaFailed as failed:
        raise click.ClickException(f"no answer from a broker at {bootstrap}: {failed}") from failed
    done = {"create": "created", "alter": "altered", "keep": "kept"}
    for step in steps:
        click.echo(f"{done[step.action]:8} {step.topic:24} {step.detail}")
