"""`truecopy verify`: our ledger against the venue, the journal's chain, the archive's bytes."""

import asyncio
import sys
from pathlib import Path

import click

from connectors.polymarket.credentials import CredentialsError
from connectors.polymarket.rest import Rest
from infra.cli.lazy import LazySettings
from infra.inspect.human import printable
from infra.proof.against_venue import Difference, differences, lasting
from infra.proof.archived import Archive
from infra.proof.chain import Chain, ChainBroken
from infra.proof.ledger import ledger_of
from infra.proof.recordings import KafkaRecording, Recording
from infra.proof.rim import from_option, opened, plainly
from infra.proof.sameness import compared
from infra.proof.venue_view import VenueReader, VenueUnreadable
from schemas.settings import SettingsError
from schemas.wiring import Wiring

LOOKS = 3
PAUSE_S = 5.0
"""A fill needs that long at most to reach the tape by one of its feeds, seen on the sandbox."""


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
    """Our ledger against the venue, read only: trades, open orders, positions, balance.

    With --journal or --archive the records themselves. Exit 1 on any difference.
    """
    wiring = settings().wiring
    kafka = wiring.kafka
    with plainly(kafka):
        if archive is not None:
            holds = _archive(Archive(archive, kafka.shard), KafkaRecording(kafka))
        elif journal:
            holds = _chains(opened(kafka, source, tail))
        else:
            holds = _venue(wiring, opened(kafka, source, tail))
    sys.exit(0 if holds else 1)


def _venue(wiring: Wiring, recording: Recording) -> bool:
    """Look until nothing differs, or until what differs has stayed."""
    if wiring.execution.backend == "paper":
        raise click.ClickException(
            "execution.backend is 'paper': its account is made of the tape's own records, and no "
            "venue knows it, so there is nothing to compare with"
        )
    try:
        found, looks = asyncio.run(_looked(wiring, recording))
    except (VenueUnreadable, CredentialsError, SettingsError) as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from error
    for each in found:
        click.secho(f"{each.about} {each.id}", fg="red")
        click.echo(f"  ours   {printable(each.ours)}")
        click.echo(f"  venue  {printable(each.venue)}")
        click.echo(f"  from   {printable(each.evidence)}")
    click.echo(
        f"{len(found)} differences that stayed in {looks} looks" if found else "no difference"
    )
    return not found


async def _looked(wiring: Wiring, recording: Recording) -> tuple[tuple[Difference, ...], int]:
    looks: list[tuple[Difference, ...]] = []
    async with Rest(per_second=wiring.account.rest_per_second) as rest:
        for _ in range(LOOKS):
            if looks:
                await asyncio.sleep(PAUSE_S)
            began = next(recording.rows("tape", 0, 1))[0].timestamp_ms
            reader = VenueReader(wiring, rest, since_ms=began)
            view = await reader.read()
            # Afterwards, so that what the venue just told has had time to reach the tape.
            ledger = await asyncio.to_thread(ledger_of, recording, reader.account)
            looks.append(differences(ledger, view))
            if not lasting(looks):
                break
    return lasting(looks), len(looks)


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
