"""Topics from one declaration (topics.toml): what a broker must look like, and making it so.

`plan` is pure: declaration and finding in, steps out. `apply` inspects, performs the steps, and
inspects again until nothing is left to do; a second run changes nothing. It never deletes a topic
and never changes a partition count: records keep their order and their keys their places. One
refusal, and nothing at all is changed.
"""

import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, not in its __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from connectors.kafka.config import admin_config
from connectors.kafka.consumer import wait_through

DECLARATION = Path(__file__).with_name("topics.toml")
EMBEDDED = "mockCluster"
"""How librdkafka's mock cluster calls itself in its metadata; no other broker does."""

ANSWER_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 30.0
SETTLE_POLL_S = 0.1


class TopicsRefused(ValueError):
    """The broker's topics cannot be made to fit the declaration; names each topic and why."""


class Topic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One topic as declared; topics.toml says what the fields mean."""

    purpose: str
    partitions: int
    cleanup: Literal["delete", "compact"]
    retention_ms: int
    compression: Literal["zstd", "lz4", "producer"]
    max_message_bytes: int
    per_shard: bool = False
    segment_ms: int | None = None
    min_compaction_lag_ms: int | None = None

    def config(self) -> dict[str, str]:
        """The configuration in Kafka's own words."""
        lines = {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "retention.bytes": "-1",  # Kafka's default; named, so that a cap is found and removed
            "compression.type": self.compression,
            "max.message.bytes": str(self.max_message_bytes),
        }
        if self.segment_ms is not None:
            lines["segment.ms"] = str(self.segment_ms)
        if self.min_compaction_lag_ms is not None:
            lines["min.compaction.lag.ms"] = str(self.min_compaction_lag_ms)
        return lines


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One topic as the broker has it. config: None where the broker has no configuration."""

    partitions: int
    config: Mapping[str, str] | None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, or was done, to one topic. changes: configuration to set."""

    topic: str
    action: Literal["create", "alter", "keep", "refuse"]
    detail: str
    partitions: int
    changes: Mapping[str, str] = {}


def declared(prefix: str = "", *, shards: int = 1) -> dict[str, Topic]:
    """The declaration by full topic name, partitions counted for so many shards."""
    document = msgspec.convert(tomllib.loads(DECLARATION.read_text()), dict[str, Topic])
    return {
        prefix + name: msgspec.structs.replace(
            topic, partitions=topic.partitions * (shards if topic.per_shard else 1)
        )
        for name, topic in document.items()
    }


def plan(wanted: Mapping[str, Topic], found: Mapping[str, Found], *, embedded: bool) -> list[Step]:
    """The steps from what was found to what is wanted, one for each declared topic."""
    return [_step(name, topic, found.get(name), embedded) for name, topic in wanted.items()]


def _step(name: str, topic: Topic, found: Found | None, embedded: bool) -> Step:
    def step(action: Literal["create", "alter", "keep", "refuse"], detail: str) -> Step:
        return Step(topic=name, action=action, detail=detail, partitions=topic.partitions)

    if found is None:
        if embedded:
            return step("refuse", "missing: the embedded broker makes its topics when it starts")
        new = step("create", f"{topic.partitions} partitions, {topic.cleanup}")
        return msgspec.structs.replace(new, changes=topic.config())
    if found.partitions != topic.partitions:
        counts = f"has {found.partitions} partitions, {topic.partitions} are declared"
        return step("refuse", f"{counts}: a living topic keeps its count; use another prefix")
    if found.config is None:
        return step("keep", "the embedded broker has no configuration to check")
    changes = {key: new for key, new in topic.config().items() if found.config.get(key) != new}
    if not changes:
        return step("keep", "as declared")
    said = ", ".join(f"{key} {found.config.get(key)} -> {new}" for key, new in changes.items())
    return msgspec.structs.replace(step("alter", said), changes=changes)


def apply(bootstrap: str, *, prefix: str = "", shards: int = 1) -> list[Step]:
    """Make the broker's topics fit the declaration; the steps that were taken.

    Raises TopicsRefused, having changed nothing, if a partition count differs (or a topic is
    missing on the embedded broker); KafkaFailed or KafkaException if the broker refuses or does
    not answer in 30 s.
    """
    admin = AdminClient(admin_config(bootstrap))
    wanted = declared(prefix, shards=shards)
    steps = _planned(admin, wanted, "nothing was changed")
    for step in steps:
        if step.action == "create":
            _create(admin, step)
        elif step.action == "alter":
            _alter(admin, step)
    # The broker that answers may not have heard of it yet: metadata is spread after the fact.
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    not_taken = "changed, but the broker still differs"
    while left := [s for s in _planned(admin, wanted, not_taken) if s.action != "keep"]:
        if time.monotonic() > deadline:
            raise TopicsRefused(f"{not_taken}: {_said(left)}")
        time.sleep(SETTLE_POLL_S)
    return steps


def _planned(admin: AdminClient, wanted: Mapping[str, Topic], state: str) -> list[Step]:
    found, embedded = inspect(admin, wanted)
    steps = plan(wanted, found, embedded=embedded)
    if refused := [step for step in steps if step.action == "refuse"]:
        raise TopicsRefused(f"{state}: {_said(refused)}")
    return steps


def _said(steps: list[Step]) -> str:
    return "; ".join(f"topic {step.topic} {step.detail}" for step in steps)


def inspect(admin: AdminClient, wanted: Mapping[str, Topic]) -> tuple[dict[str, Found], bool]:
    """Those of the wanted topics that the broker has, and whether it is the embedded one."""
    # All topics: asked for one by name, the embedded broker would create it.
    metadata = wait_through(
        lambda: admin.list_topics(timeout=1.0), "the broker's topics", timeout_s=SETTLE_TIMEOUT_S
    )
    counts = {
        name: len(metadata.topics[name].partitions) for name in wanted & metadata.topics.keys()
    }
    embedded = (metadata.cluster_id or "").startswith(EMBEDDED)
    configs = {} if embedded else _configs(admin, sorted(counts))
    found = {
        name: Found(partitions=count, config=configs.get(name))
        for name, count in counts.items()
        if embedded or name in configs
    }
    return found, embedded


def _configs(admin: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Configurations by topic, without those that the broker asked has not heard of yet.

    Of three brokers one answers for the metadata and another for the configuration.
    """
    if not names:
        return {}
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = admin.describe_configs(asked, request_timeout=ANSWER_TIMEOUT_S)
    found = {}
    for resource, answer in answers.items():
        try:
            entries = answer.result(ANSWER_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise
        found[resource.name] = {entry.name: entry.value for entry in entries.values()}
    return found


def _create(admin: AdminClient, step: Step) -> None:
    new = NewTopic(step.topic, step.partitions, config=dict(step.changes))
    answer = admin.create_topics([new], request_timeout=ANSWER_TIMEOUT_S)[step.topic]
    try:
        answer.result(ANSWER_TIMEOUT_S)
    except KafkaException as error:
        # Another `apply` was quicker; whether it made the same is looked at afterwards.
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _alter(admin: AdminClient, step: Step) -> None:
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        for key, value in step.changes.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, step.topic, incremental_configs=entries)
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(ANSWER_TIMEOUT_S)
