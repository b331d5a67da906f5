"""`truecopy verify`: what we hold against the venue, the journal's chain, the archive's bytes."""

import sys
from pathlib import Path

import click

from infra.cli.lazy import LazySettings
from infra.inspect.human import printable
from infra.proof.archived import Archive
from infra.proof.chain import Chain, ChainBroken
from infra.proof.recordings import KafkaRecording, Recording
from infra.proof.rim import from_option, opened, plainly
from infra.proof.sameness import compared


@click.command("verify")
@from_option
@click.option("--journal", is_flag=True, help="Walk the hash chain; name the first broken link.")
@click.option(
    "--archive",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Compare this archive with Kafka, byte for byte.",
)
@click.pass_obj
def verify_command(
    settings: LazySettings, source: str, tail: bool, journal: bool, archive: Path | None
) -> None:
    """Check that the records hold; exit 1 at the first difference."""
    kafka = settings().wiring.kafka
    with plainly(kafka):
        if archive is not None:
            holds = _archive(Archive(archive, kafka.shard), KafkaRecording(kafka))
        elif journal:
            holds = _chains(opened(kafka, source, tail))
        else:
            raise click.UsageError("name what to verify: --journal or --archive DIR")
    sys.exit(0 if holds else 1)


def _chains(recording: Recording) -> bool:
    holds = True
    for topic in ("journal", "orders"):
        chain = Chain(topic)
        try:
            for _ in chain.walk(recording.rows(topic)):
                pass
        except ChainBroken as broken:
            click.secho(f"{topic} of {recording.name}: BROKEN {printable(str(broken))}", fg="red")
            holds = False
            continue
        last = f"; the last hash is {chain.prev}" if topic == "journal" and chain.due else ""
        repeats = f", {chain.repeats:,} repeated" if chain.repeats else ""
        click.echo(f"{topic} of {recording.name}: {chain.due:,} records in turn{repeats}{last}")
    return holds


def _archive(archive: Archive, kafka: KafkaRecording) -> bool:
    holds = True
    for found in compared(archive, kafka):
        click.echo(
            f"{found.topic}: {found.same:,} records the same, {found.only_archive:,} only in the "
            f"archive, {found.only_kafka:,} only in Kafka"
        )
        if found.difference:
            click.secho(f"{found.topic}: DIFFERS at {printable(found.difference)}", fg="red")
            holds = False
    return holds
