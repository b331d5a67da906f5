"""A rebuilt state put where a flow goes on from it: what is missing is appended, then the snapshot.

The recovery directory is held throughout, so no flow runs on it meanwhile; whoever writes to the
topics from elsewhere is told by their ends, which must not move. Killed at any point, the next
rebuild finds what was appended and goes on.
"""

from pathlib import Path

from bytewax.recovery import RecoveryConfig

from connectors.kafka.config import producer_config
from connectors.kafka.producer import Producer
from flows.core import RULES
from flows.engine.recovery import Identity, replace
from flows.engine.rows import NUMBER_HEADER
from flows.engine.sink import Place
from flows.seeding import Seed, seed
from infra.proof.rebuild import Rebuilt
from infra.tape import bounds
from schemas.records.system import Genesis
from schemas.wiring import KafkaWiring

TOPICS = ("journal", "orders", "watch")


class EndsMoved(RuntimeError):
    """Somebody wrote to a topic while it was read: a flow is running elsewhere."""


def ends_of(kafka: KafkaWiring) -> dict[str, int]:
    """Where each numbered topic ends now."""
    return {topic: bounds(kafka, topic, kafka.shard)[1] for topic in TOPICS}


def install(
    kafka: KafkaWiring, directory: Path, begun: Genesis, made: Rebuilt, read_to: dict[str, int]
) -> None:
    """Append what is missing and replace the snapshot. read_to: the topics' ends when read.

    Raises EndsMoved, StartRefused if a flow holds the directory, UndeliveredRecord.
    """
    identity = Identity(
        tape_id=begun.tape_id,
        schema_version=begun.schema,
        partition=kafka.shard,
        rules=RULES,
    )

    def fill(config: RecoveryConfig) -> None:
        now = ends_of(kafka)
        if now != read_to:
            raise EndsMoved(
                f"topics ended at {read_to} when they were read and end at {now} now: a flow is "
                "running elsewhere; end it (SIGTERM), then rebuild again"
            )
        places = _appended(kafka, made, read_to)
        seed(
            config,
            Seed(
                state=made.state,
                next_offset=made.next_offset,
                shard=kafka.shard,
                places=places,
            ),
        )

    replace(directory, identity, fill)


def _appended(kafka: KafkaWiring, made: Rebuilt, ends: dict[str, int]) -> dict[str, Place]:
    """The journal first: no order stands without its record there."""
    producer = Producer(producer_config(kafka.bootstrap, linger_ms=kafka.linger_ms), name="rebuild")
    reached = dict(ends)
    for topic in TOPICS:
        for out in (each for each in made.missing if each.topic == topic):
            offset = producer.append_and_wait(
                f"{kafka.prefix}{topic}",
                out.value,
                key=out.key,
                partition=kafka.shard,
                headers=(*out.headers, (NUMBER_HEADER, b"%d" % out.number)),
            )
            reached[topic] = offset + 1
    numbers = made.state.seal.next_number
    return {topic: (reached[topic], numbers[topic]) for topic in TOPICS}
