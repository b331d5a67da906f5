"""What the proof commands share at the rim: where they read from, and failures as one line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from confluent_kafka import KafkaException

from connectors.kafka.errors import KafkaFailed
from flows.engine.errors import FlowStopped
from infra.proof.archived import Archive
from infra.proof.chain import ChainBroken
from infra.proof.rebuild import RebuildRefused
from infra.proof.recordings import Joined, KafkaRecording, Recording, RecordingBroken
from infra.proof.store import EndsMoved
from schemas.codec import UndecodableRecord
from schemas.wiring import KafkaWiring

KAFKA = "kafka"


def from_option(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say where records are read from."""
    for option in (
        click.option(
            "--tail/--no-tail",
            default=True,
            show_default=True,
            help="With an archive: go on with what Kafka has behind it.",
        ),
        click.option(
            "--from",
            "source",
            metavar="kafka|DIR",
            default=KAFKA,
            show_default=True,
            help="Kafka, or an archive's folder.",
        ),
    ):
        command = option(command)
    return command


def opened(kafka: KafkaWiring, source: str, tail: bool) -> Recording:
    """The recording that the options name; raises RecordingBroken where there is none."""
    if source == KAFKA:
        return KafkaRecording(kafka)
    archive = Archive(Path(source), kafka.shard)
    return Joined(archive, KafkaRecording(kafka)) if tail else archive


@contextmanager
def plainly(kafka: KafkaWiring) -> Iterator[None]:
    """Named failures as one line and exit code 1."""
    try:
        yield
    except (RecordingBroken, ChainBroken, RebuildRefused, EndsMoved, FlowStopped) as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from error
    except UndecodableRecord as error:
        raise click.ClickException(f"a record cannot be decoded: {error}") from error
    except (KafkaFailed, KafkaException) as error:
        raise click.ClickException(f"Kafka at {kafka.bootstrap}: {error}") from error
